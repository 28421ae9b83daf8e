"""eesm run: examples hold on the simulation, limits stop a run, and a sweep measures a bandwidth."""

import json

import numpy as np
import pytest

from host_tools import figures, scenario
from host_tools.cli import entry
from host_tools.errors import FAILED, OK, USAGE
from host_tools.runner import Runner
from host_tools.scenario import Chirp, Expectation
from tests.fake_bench import FakeBench
from tests.test_figures import make_run
from tests.test_runner import Recorder

ARM = '[[phase]]\nname = "arm"\narm = true\nuntil = "ready"\n'
STOP = '[[phase]]\nname = "stop"\nstop = true\nuntil = "off"\n'


@pytest.fixture
def eesm(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = entry.run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize("name", [name for name in scenario.names() if name != "demo"])
def test_examples_hold_on_the_simulation(eesm, tmp_path, name):
    code, out, err = eesm("run", name, "--json", "-o", "out")
    assert code == OK, err
    summary = json.loads(out)
    assert summary["ok"] is True
    assert summary["late_commands"] == 0
    assert (tmp_path / "out" / "report.html").exists()


def test_a_run_that_fails_says_so_by_its_exit_code(eesm, tmp_path):
    expect = 'expect = [{ quantity = "speed_rpm", take = "max", below = 10 }]'
    text = f'name = "x"\n{ARM}[[phase]]\nname = "spin"\nduration = 0.5\nspeed_rpm = 100\n{expect}\n{STOP}'
    (tmp_path / "x.toml").write_text(text)
    code, out, _ = eesm("run", "x.toml")
    assert code == FAILED
    assert "max of speed_rpm < 10" in out


def test_wrong_use_is_answered_with_the_way(eesm, tmp_path):
    code, _, err = eesm("run")
    assert code == USAGE
    assert "chirp" in err
    (tmp_path / "x.toml").write_text('name = "x"\nspeed = 1\n')
    code, _, err = eesm("run", "x.toml")
    assert code == USAGE
    assert "x.toml:2: speed = 1: unknown key" in err
    code, out, _ = eesm("run", "--schema")
    assert (code, json.loads(out)["title"]) == (OK, "eesm scenario")


def test_a_limit_that_is_broken_stops_the_drive():
    text = (
        f'name = "x"\n[limits]\nspeed_rpm = [-10, 200]\n{ARM}'
        f'[[phase]]\nname = "spin"\nduration = 2\nspeed_rpm = 1000\n{STOP}'
    )
    bench, recorder = FakeBench(), Recorder()
    outcome = Runner(scenario.parse(text), bench, recorder).run()
    assert not outcome.completed
    assert outcome.trouble.startswith("limit: speed_rpm = 2")
    assert "is beyond -10 .. 200 at" in outcome.trouble
    assert bench.state == "off"
    assert recorder.kept[-1].period > recorder.kept[0].period


def test_a_chirp_sends_a_rising_sine_about_the_setpoint():
    text = (
        f'name = "x"\n{ARM}[[phase]]\nname = "sweep"\nduration = 2\nspeed_rpm = 300\n'
        f'chirp = {{ of = "speed_rpm", amplitude = 20, from_hz = 1, to_hz = 10 }}\n{STOP}'
    )
    bench = FakeBench()
    outcome = Runner(scenario.parse(text), bench, Recorder()).run()
    assert (outcome.completed, outcome.late) == (True, 0)
    rpm = 0.10471975511965977
    sent = [(at, values[0] / rpm) for _, name, values, at in bench.commands if name == "speed"]
    values = np.array([value for _, value in sent])
    assert values.min() == pytest.approx(280, abs=0.5)
    assert values.max() == pytest.approx(320, abs=0.5)
    assert values[-1] == pytest.approx(300)
    crossings = np.flatnonzero(np.diff(np.sign(values[1:-1] - 300.0)))
    gaps = np.diff(np.array([at for at, _ in sent], dtype=float)[crossings + 1])
    assert gaps[0] > 4 * gaps[-1]


def test_a_bench_that_is_too_slow_for_a_sweep_is_stopped_in_time():
    """A setpoint takes 40 ms of the bench, ten times what the sweep leaves for it."""

    class Slow(FakeBench):
        def set_speed(self, w_m, at=None):
            super().set_speed(w_m, at)
            self.pass_by(800)

    text = (
        f'name = "x"\n{ARM}[[phase]]\nname = "sweep"\nduration = 2\nspeed_rpm = 300\n'
        f'chirp = {{ of = "speed_rpm", amplitude = 20, from_hz = 1, to_hz = 10 }}\n{STOP}'
    )
    bench, recorder = Slow(fast=False), Recorder()
    outcome = Runner(scenario.parse(text), bench, recorder).run()
    assert outcome.completed
    assert outcome.left_out > 400
    assert outcome.late < 10
    due = next(each["due"] for each in recorder.named("command") if each["text"] == "stop")
    stopped = next(period for period, name, _, _ in bench.commands if name == "stop")
    assert stopped - due < 2000
    sent = [values[0] for _, name, values, _ in bench.commands if name == "speed"]
    assert 30 < len(sent) < 80


@pytest.mark.parametrize("corner", [2.0, 5.0])
def test_the_bandwidth_of_a_first_order_lag_is_its_corner(corner):
    seconds = np.arange(2000) * 1e-3
    growth = np.log(20 / 0.5) / 2
    reference = np.sin(2 * np.pi * 0.5 * (np.exp(growth * seconds) - 1) / growth)
    response, state = np.zeros(2000), 0.0
    for n, value in enumerate(reference):
        state += 2 * np.pi * corner * 1e-3 * (value - state)
        response[n] = state
    run = make_run(i_q_ref=reference, i_q=response)
    rule = Expectation("bandwidth_hz", reference="i_q_ref", response="i_q", above=1.0)
    found = figures.bandwidth(run, rule, Chirp("i_q", 1.0, 0.5, 20.0), 0, 40_000)
    assert found == pytest.approx(corner, rel=0.25)
