"""The command line on the real firmware: a day at the bench, and wrong use answered well."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from host_tools import devices, log
from host_tools.cli import entry
from host_tools.errors import FAILED, INTERRUPTED, LINK_LOST, NO_DEVICE, OK, REFUSED, USAGE
from host_tools.virtual_drive import VirtualDrive
from tests.test_repository import ROOT

pytestmark = pytest.mark.micropython


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A folder and a registry of this test's own."""
    monkeypatch.setattr(devices.list_ports, "comports", list)
    monkeypatch.setenv("EESM_VIRTUAL", str(tmp_path / "virtual"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def eesm(bench, capfd):
    """eesm(*arguments) -> (code, stdout, stderr)."""

    def call(*arguments):
        code = entry.run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return call


@pytest.fixture
def virtual(bench):
    with VirtualDrive("a") as virtual:
        yield virtual


def begin(bench, *arguments):
    """`eesm` as a process of its own, which can be interrupted."""
    command = [sys.executable, "-m", "host_tools.cli", *map(str, arguments)]
    # Some runners start tests with Ctrl-C ignored, which children would inherit.
    return subprocess.Popen(
        command,
        cwd=bench,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'firmware'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )


def wait_for(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def test_who_is_there(eesm, virtual):
    code, out, _ = eesm("devices")
    assert code == OK
    assert virtual.port in out
    code, out, _ = eesm("info", "--json")
    assert code == OK
    told = json.loads(out)
    assert (told["unit"], told["state"], told["faults"]) == ("a", "off", [])
    assert "micropython" in told["interpreter"]
    # Read ten times a second; that of the rotor needs a field.
    wait_for(lambda: json.loads(eesm("info", "--json")[1])["temperatures"] == {"board": 25.0, "stator": 25.0})
    code, out, _ = eesm("info", "--signals")
    assert re.search(r"  i_q +state +-69\.99\d* \.\. 69\.99\d* A +stator current", out)
    assert eesm("connect", "--for", 0.2)[0] == OK


def test_connect_waits_for_the_same_drive(bench, virtual):
    process = begin(bench, "connect")
    assert process.stdout and process.stderr
    try:
        assert process.stdout.readline().startswith(f"Unit a on board virtual at {virtual.port}")
        virtual.kill()
        lost = process.stderr.readline()
        assert lost.startswith(f"eesm: The port {virtual.port} closed while it was open"), lost
        assert process.stderr.readline() == "next: waiting for the same drive; Ctrl-C ends\n"
        virtual.stop()
        with VirtualDrive("b"), VirtualDrive("a", seed=2) as again:
            assert process.stdout.readline().startswith(f"Unit a on board virtual at {again.port}")
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert process.returncode == OK
        assert err == ""
    finally:
        process.kill()


def test_connect_with_a_time_says_when_the_drive_has_not_come_back(bench, virtual):
    process = begin(bench, "connect", "--for", 3)
    assert process.stdout
    try:
        process.stdout.readline()
        virtual.kill()
        virtual.stop()
        _, err = process.communicate(timeout=60)
        assert process.returncode == NO_DEVICE
        assert "No drive was found" in err
    finally:
        process.kill()


def test_parameters(eesm, virtual):
    assert eesm("params", "get", "R_s")[1] == "R_s = 0.06 Ohm\n"
    code, out, _ = eesm("params", "set", "bandwidth_speed", 12)
    assert (code, out) == (OK, "bandwidth_speed = 12 Hz (was 8)\n")
    assert json.loads(eesm("params", "get", "bandwidth_speed", "--json")[1]) == {"bandwidth_speed": 12.0}
    listed = json.loads(eesm("params", "list", "--json")[1])
    assert listed["bandwidth_speed"] == 12.0
    # In range as a number, but not what this unit's kernel is scaled for.
    code, _, err = eesm("params", "set", "M", 5)
    assert code == REFUSED
    assert "build again" in err
    assert json.loads(eesm("params", "get", "M", "--json")[1])["M"] == listed["M"]


def test_setpoints_before_arming_are_refused_with_the_way(eesm, virtual):
    for command in (["speed", 500], ["torque", 0.5], ["current", -2, 0, 1.5]):
        code, _, err = eesm(*command)
        assert code == REFUSED
        assert "The drive is off" in err
        assert f"next: eesm {' '.join(map(str, command))} --arm" in err


def test_arm_turn_log_and_stop(eesm, virtual, bench):
    code, out, err = eesm("speed", 600, "--arm", "--for", 1.0, "--log", "spin")
    assert code == OK, err
    assert "Ready." in out
    assert "none lost" in out
    run = log.read(bench / "spin.parquet")
    assert run.records_lost == 0
    assert [name for name, *_ in run.states][-4:] == ["running", "stopping", "field down", "off"]
    assert abs(log.derive(run, "speed_rpm")).max() == pytest.approx(600, rel=0.05)
    assert json.loads(eesm("info", "--json")[1])["state"] == "off"


def test_values_out_of_range_are_refused_and_the_drive_is_left_off(eesm, virtual):
    code, out, err = eesm("speed", "1e6", "--arm")
    assert code == REFUSED
    assert "beyond w_m_max" in err
    assert "Ready" not in out, "nothing was to move"
    code, out, err = eesm("torque", 99, "--arm")
    assert code == REFUSED
    assert "beyond torque_limit" in err
    assert "Ready" not in out
    assert json.loads(eesm("info", "--json")[1])["state"] == "off"


def test_unknown_signals_are_named_with_what_is_near(eesm, virtual, bench):
    code, _, err = eesm("log", "i_qq", "--for", 1)
    assert code == USAGE
    assert "no signal 'i_qq'" in err
    assert "i_q" in err
    code, _, err = eesm("capture", "i_q", "--trigger", "i_qq")
    assert code == USAGE
    assert not list(bench.glob("logs/*"))


def test_log_makes_three_files(eesm, virtual, bench):
    code, out, _ = eesm("log", "i_q", "u_dc", "--rate", 2000, "--for", 0.5, "-o", "step")
    assert code == OK
    assert "none lost" in out
    run = log.read(bench / "step.eesmlog")
    assert list(run.columns) == ["i_q", "u_dc"]
    assert run.header["divider"] == 10
    assert (bench / "step.parquet").exists()
    assert (bench / "step.csv").exists()


def test_ctrl_c_keeps_what_was_logged(virtual, bench):
    process = begin(bench, "log", "-o", "kept", "--for", 600)
    raw = bench / "kept.eesmlog"
    wait_for(lambda: raw.exists() and raw.stat().st_size > 60_000)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == INTERRUPTED, err
    assert "none lost" in out
    assert len(log.read(bench / "kept.parquet")) > 300


def test_ctrl_c_stops_the_motor_in_order(eesm, virtual, bench):
    process = begin(bench, "speed", 400, "--arm", "--log", "spin")
    raw = bench / "spin.eesmlog"
    wait_for(lambda: raw.exists() and b'"running"' in raw.read_bytes())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == OK, err
    states = [name for name, *_ in log.read(bench / "spin.parquet").states]
    assert states[-3:] == ["stopping", "field down", "off"]
    assert json.loads(eesm("info", "--json")[1])["state"] == "off"


def test_the_port_closed_in_the_middle_of_a_log_keeps_the_log(virtual, bench):
    process = begin(bench, "log", "-o", "cut", "--for", 600)
    raw = bench / "cut.eesmlog"
    wait_for(lambda: raw.exists() and raw.stat().st_size > 60_000)
    virtual.kill()
    virtual.stop()
    out, err = process.communicate(timeout=120)
    assert process.returncode == LINK_LOST
    assert err.startswith("eesm: ")
    assert "next: " in err
    assert "cut.parquet" in out
    assert len(log.read(bench / "cut.parquet")) > 300


def test_a_busy_port_names_who_holds_it(eesm, virtual, bench):
    process = begin(bench, "arm", "--for", 600)
    try:
        wait_for(lambda: devices.holder_of(virtual.port) is not None)
        code, _, err = eesm("arm")
        assert code == NO_DEVICE
        assert f"{virtual.port} is in use by process" in err
        assert "next: " in err
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)


def test_two_boards_are_listed_and_none_is_grabbed(eesm, virtual):
    with VirtualDrive("b") as other:
        code, _, err = eesm("info")
        assert code == NO_DEVICE
        assert virtual.port in err
        assert other.port in err
        assert "--port" in err
        code, out, _ = eesm("info", "--unit", "b", "--json")
        assert code == OK
        assert json.loads(out)["unit"] == "b"
        code, out, _ = eesm("info", "--port", virtual.port, "--json")
        assert json.loads(out)["unit"] == "a"


def test_a_capture_around_a_step(eesm, virtual, bench):
    code, _, err = eesm(
        *("capture", "i_q_ref", "i_q", "torque", "--trigger", "torque_ref", "--level", 0.5),
        *("--arm", "--speed", 300, "-o", "step"),
    )
    assert code == OK, err
    run = log.read(bench / "step.parquet")
    assert len(run) == 512
    assert set(run.period[1:] - run.period[:-1]) == {1}
    assert run["i_q"][:100].max() < 2 < run["i_q"].max()
    assert (bench / "step.png").stat().st_size > 5000
    code, _, err = eesm("capture", "i_q", "--trigger", "torque_ref", "--level", 5, "--wait", 0.3)
    assert code == FAILED
    assert "did not come" in err


def test_faults_are_told_with_remedy_and_cleared(eesm, bench):
    with VirtualDrive("a", faults=["exciter_open"]):
        code, _, err = eesm("arm", "--for", 1)
        assert code == FAILED
        assert "fault" in err.lower()
        assert "next: " in err
        code, out, _ = eesm("faults")
        assert code == FAILED
        assert "remedy" in out
        assert "eesm faults --clear" in out
        names = [fault["name"] for fault in json.loads(eesm("faults", "--json")[1])["faults"]]
        assert names
        code, _, err = eesm("speed", 100, "--arm")
        assert code == REFUSED
        assert names[0] in err
        code, out, _ = eesm("faults", "--clear")
        assert code == OK, out
        assert eesm("faults")[1] == "No faults.\n"


def test_stop_is_always_accepted(eesm, virtual):
    assert eesm("stop")[:2] == (OK, "off -> off\n")


def test_virtual_runs_until_it_is_told_to_end(eesm, bench):
    process = begin(bench, "virtual", "--unit", "a")
    try:
        wait_for(lambda: devices.find_virtual() != [])
        assert eesm("info", "--unit", "a")[0] == OK
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    assert process.returncode == OK, err
    assert "eesm speed 500 --arm --for 5" in out
    assert devices.find_virtual() == []


@pytest.mark.slow
@pytest.mark.parametrize(("unit", "pace"), [("a", []), ("b", ["--fast"]), ("c", ["--fast"])])
def test_the_demo_on_real_micropython(eesm, bench, unit, pace):
    code, out, err = eesm("demo", "--unit", unit, *pace)
    assert code == OK, out + err
    folder = bench / "build" / "demo"
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["ok"]
    assert summary["unit"] == unit
    assert "micropython" in summary["interpreter"]
    assert summary["records_lost"] == 0
    assert summary["late_commands"] == 0
    assert summary["faults"] == []
    assert summary["final_field_share"] < 0.02
    assert summary["energy_regenerated"] > 20
    for row in summary["phases"]:
        if row.get("speed_target_rpm"):
            assert row["speed_error_percent"] < 1
    files = {file.name for file in folder.iterdir()}
    assert {"run.parquet", "run.csv", "report.png", "report.html", "summary.json"} <= files


SPIN = """
name = "spin"
[[phase]]
name = "arm"
arm = true
until = "ready"
[[phase]]
name = "spin"
duration = 0.6
speed_rpm = 500
load = 0.5
ramp = 0.3
[[phase]]
name = "stop"
stop = true
until = "off"
"""


def test_in_lock_step_a_run_repeats_to_the_last_bit(eesm, bench):
    (bench / "spin.toml").write_text(SPIN)
    runs = []
    for name in ("one", "two"):
        code, out, err = eesm("demo", "--fast", "--scenario", "spin.toml", "-o", name)
        assert code == OK, out + err
        runs.append(log.read(bench / name / "run.eesmlog"))
    first, second = runs
    assert first.notes == second.notes
    assert (first.period == second.period).all()
    for name in first.columns:
        assert (first[name] == second[name]).all(), name
