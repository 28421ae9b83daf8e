"""Figures and verdicts, against curves whose figures are known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from host_tools import figures, scenario
from host_tools.log import Run
from host_tools.scenario import Expectation

ROWS = 2000  # 2 s at 1 kHz
T_PWM = 5e-5


def make_run(**columns):
    """Two seconds in which everything is zero but what is given."""
    period = np.arange(ROWS, dtype=np.int64) * 20
    zero = dict.fromkeys(scenario.SIGNALS, 0.0)
    filled = {name: np.full(ROWS, 0.0) + columns.get(name, value) for name, value in zero.items()}
    names = ("board", "unit", "firmware", "interpreter", "kernel_hash", "schema_hash")
    return Run(
        header={
            "t_pwm": T_PWM,
            "divider": 20,
            "bases": {"w_e": 2.0, "w_m": 1.0},
            "settings": {"i_f_max": 4.0},
            "identity": dict.fromkeys(names, "x"),
            "state": "running",
        },
        period=period,
        columns=filled,
        units=dict.fromkeys(scenario.SIGNALS, "A"),
        notes=[
            {"note": "phase", "name": "spin", "period": 0},
            {"note": "end", "name": "spin", "period": 20 * ROWS},
            {"note": "stream", "lost": 0, "dropped": 0, "late": 0},
        ],
    )


def rule(**given):
    return Expectation(**{"quantity": "i_q", **given})


def verdict(run, expectation):
    phase = scenario.Phase("spin", duration=2.0, expect=(expectation,))
    return figures.judge(run, scenario.Scenario("x", "x", (phase,)))[0]


def test_energies_are_integrals_of_power():
    seconds = np.arange(ROWS) * 1e-3
    # 1.5 * 10 V * 2 A = 30 W for a second, then -30 W; the field takes 4 V * 0.5 A = 2 W all along.
    run = make_run(u_q=10.0, i_q=np.where(seconds < 1, 2.0, -2.0), u_f=4.0, i_f=0.5)
    moved = figures.energies(run, 0, 20 * ROWS)
    assert moved["energy_in"] == pytest.approx(32, rel=2e-3)
    assert moved["energy_regenerated"] == pytest.approx(28, rel=2e-3)


def test_mechanical_energies_have_the_sign_of_torque_times_speed():
    run = make_run(torque=np.where(np.arange(ROWS) < 1000, 2.0, -1.0), w_e=200.0)  # 100 rad/s at the shaft
    moved = figures.energies(run, 0, 20 * ROWS)
    assert moved["energy_out"] == pytest.approx(200, rel=2e-3)
    assert moved["energy_braked"] == pytest.approx(100, rel=2e-3)


def test_tracking_error_is_rms():
    run = make_run(i_q_ref=1.0, i_q=1.0 + 0.2 * np.sin(np.arange(ROWS) * 0.1))
    phase = scenario.Phase("spin", duration=2.0, speed_rpm=0.0)
    row = figures.phase_figures(run, scenario.Scenario("x", "x", (phase,)))[0]
    assert row["i_q_rms_error"] == pytest.approx(0.2 / math.sqrt(2), rel=0.01)
    assert row["i_d_rms_error"] == 0


def test_speed_error_is_relative_to_what_was_asked():
    run = make_run(w_e=2 * 99.0)
    rpm = 100 * 30 / math.pi
    phase = scenario.Phase("spin", duration=2.0, speed_rpm=rpm)
    row = figures.phase_figures(run, scenario.Scenario("x", "x", (phase,)))[0]
    assert row["speed_error_percent"] == pytest.approx(1.0)
    assert row["speed_target_rpm"] == rpm


@pytest.mark.parametrize(
    ("expectation", "ok", "measured"),
    [
        (rule(equals=2.0, percent=1), True, 2.0),
        (rule(equals=2.1, percent=1), False, 2.0),
        (rule(equals=2.1, tolerance=0.2), True, 2.0),
        (rule(below=2.0), True, 2.0),
        (rule(below=1.9), False, 2.0),
        (rule(above=2.1), False, 2.0),
        (rule(equals=0.5, percent=1, of="i_f_max"), True, 2.0),
        (rule(below=0.02, of="i_f_max"), False, 2.0),
        (rule(take="end", equals=3.0, tolerance=0.1), True, 3.0),
        (rule(take="max", below=2.5), False, 3.0),
        (rule(take="min", above=0.5), True, 1.0),
        (rule(take="all", equals=2.0, tolerance=0.5), False, 1.0),
        (rule(take="all", equals=2.0, tolerance=1.0), True, 1.0),
        (rule(take="all", last=0.5, above=2.4), True, 2.5),
    ],
)
def test_rules(expectation, ok, measured):
    run = make_run(i_q=np.linspace(1.0, 3.0, ROWS))
    found = verdict(run, expectation)
    assert found.ok is ok
    assert found.measured == pytest.approx(measured, abs=0.01)


def test_a_phase_that_did_not_run_fails_its_expectations():
    run = make_run()
    run.notes = []
    found = verdict(run, rule(below=1.0))
    assert (found.measured, found.ok) == (None, False)


def spun(**changes):
    run = make_run()
    phase = scenario.Phase("spin", duration=2.0, expect=(rule(below=1.0),))
    given = {"run": run, "scenario": scenario.Scenario("x", "x", (phase,)), **changes}
    return given


def test_ok_needs_everything():
    assert figures.summarise(**spun())["ok"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda run: run.columns["i_q"].__iadd__(2.0), "spin: mean of i_q < 1"),
        (lambda run: run.columns["i_f"].__iadd__(0.1), "the field is not below 2 % of i_f_max"),
        (lambda run: run.notes[-1].update(lost=3), "3 records were lost"),
        (lambda run: run.notes[-1].update(missed=2), "2 PWM periods were missed"),
        (
            lambda run: run.notes.append(
                {"note": "event", "what": "fault", "period": 5, "text": "OVERSPEED: 7000 rpm"}
            ),
            "OVERSPEED: 7000 rpm",
        ),
    ],
)
def test_anything_wrong_is_not_ok_and_is_named(change, reason):
    given = spun()
    change(given["run"])
    summary = figures.summarise(**given)
    assert not summary["ok"]
    assert any(reason in each for each in summary["reasons"])


def test_a_run_that_was_given_up_is_not_ok():
    assert figures.summarise(**spun(trouble="interrupted"))["reasons"] == ["interrupted"]
    assert not figures.summarise(**spun(completed=False))["ok"]


def test_an_empty_log_is_summarised():
    run = make_run()
    empty = replace(run, period=run.period[:0], columns={name: run[name][:0] for name in run.columns})
    summary = figures.summarise(empty, spun()["scenario"], completed=False)
    assert summary["records"] == 0
    assert not summary["ok"]
