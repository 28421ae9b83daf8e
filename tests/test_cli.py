"""The command line without a drive: help, wrong use, files, missing packages."""

import json
import os
import re
import subprocess
import sys

import click
import pytest

from host_tools import devices, execution, scenario
from host_tools.cli import entry
from host_tools.errors import FAILED, MISSING, NO_DEVICE, OK, USAGE
from tests.fake_bench import FakeBench
from tests.test_repository import ROOT

NAMES = [name for _, name, _, _ in entry.COMMANDS]


def spent_by_children():
    """Processor seconds of child processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """No drive anywhere, and a folder of this test's own."""
    monkeypatch.setattr(devices.list_ports, "comports", list)
    monkeypatch.setenv("EESM_VIRTUAL", str(tmp_path / "virtual"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def eesm(alone, capsys):
    """eesm(*arguments) -> (code, stdout, stderr)."""

    def call(*arguments):
        code = entry.run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_eesm_alone_shows_the_way(eesm):
    code, out, err = eesm()
    assert code == OK
    assert "eesm demo" in out
    assert "eesm virtual" in out
    for name in NAMES:
        assert f"  {name} " in out
    assert "Exit codes:" in out
    assert err == ""


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_one_screen_of_help_with_an_example(eesm, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = eesm(name, "--help")
    assert code == OK
    assert "Example" in out
    assert f"eesm {name}" in out
    assert len(out.splitlines()) <= 30


PARTS = [
    (name, part)
    for name in NAMES
    for part in getattr(entry.eesm.get_command(click.Context(entry.eesm), name), "commands", ())
]


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_so_have_the_parts_of_a_command(eesm, monkeypatch, name, part):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = eesm(name, part, "--help")
    assert code == OK
    assert "Example" in out
    assert f"eesm {name} {part}" in out
    assert len(out.splitlines()) <= 30


def test_params_and_faults_have_parts():
    assert {("params", "list"), ("params", "get"), ("params", "set"), ("faults", "dump")} <= set(PARTS)


def test_help_is_quick():
    """Nothing heavy is loaded before it is needed."""
    seen = "import sys; from host_tools.cli import entry; entry.run([]); print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, cwd=ROOT).stdout
    for heavy in ("numpy", "matplotlib", "pyarrow", "numba", "serial", "rich"):
        assert f"'{heavy}'" not in out
    # The processor's time, which a busy machine stretches little.
    start = spent_by_children()
    subprocess.run([sys.executable, "-m", "host_tools.cli", "--help"], capture_output=True, cwd=ROOT)
    assert spent_by_children() - start < 1.5  # 0.05 s where nothing else runs


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["spede", "5"], ["no command 'spede'", "eesm speed"]),
        (["speed"], ["Missing argument 'RPM'", "eesm speed --help"]),
        (["speed", "quick"], ["'quick' is not a valid float"]),
        (["log", "--for", "-1"], ["-1.0 is not in the range"]),
        (["params", "get", "bandwith_speed"], ["no parameter 'bandwith_speed'", "bandwidth_speed"]),
        (["params", "set", "i_max", "1e9"], ["outside 0.1 .. 10000 A", "nothing was sent"]),
        (["params", "set", "pole_pairs", "3"], ["no parameter 'pole_pairs'", "eesm params list"]),
        (["demo", "--scenario", "nosuch"], ["No scenario nosuch", "demo"]),
        (["demo", "--unit", "nosuch"], ["nosuch"]),
        (["plot", "nosuch.parquet"], ["Cannot read nosuch.parquet"]),
        (["convert", "nosuch.eesmlog"], ["Cannot read nosuch.eesmlog"]),
        (["capture", "--speed", "5"], ["--arm"]),
        (["build", "nosuch"], ["nosuch"]),
    ],
)
def test_wrong_use_is_told_on_stderr(eesm, arguments, parts):
    code, out, err = eesm(*arguments)
    assert code == USAGE
    assert err.startswith("eesm: ")
    assert "Traceback" not in out + err
    for part in parts:
        assert part in err


@pytest.mark.parametrize(
    "arguments",
    [["info"], ["arm"], ["speed", "-500"], ["torque", "1"], ["stop"], ["faults"], ["log"], ["capture"]],
)
def test_without_a_board_every_command_says_so(eesm, arguments):
    code, _, err = eesm(*arguments)
    assert code == NO_DEVICE
    assert "No drive was found" in err
    assert "next: eesm virtual" in err


def test_no_devices(eesm):
    code, out, err = eesm("devices")
    assert (code, out) == (OK, "")
    assert "eesm virtual" in err
    assert json.loads(eesm("devices", "--json")[1]) == []


def test_a_port_that_does_not_exist(eesm):
    code, _, err = eesm("info", "--port", "/dev/ttyNOPE")
    assert code == NO_DEVICE
    assert "There is no port /dev/ttyNOPE" in err


def test_plot_and_convert_a_log(eesm, alone):
    execution.execute(scenario.load("demo"), FakeBench(), alone / "run")
    code, out, _ = eesm("plot", "run/run.parquet", "i_q", "-o", "x.svg")
    assert (code, out.strip()) == (OK, "x.svg")
    assert (alone / "x.svg").read_text().startswith("<?xml")
    raw = alone / "run" / "run.eesmlog"
    raw.write_bytes(raw.read_bytes()[:-1000])
    code, out, err = eesm("convert", raw)
    assert code == OK
    assert "are no whole record" in err
    code, _, err = eesm("plot", "run/run.parquet", "i_x")
    assert code == USAGE
    assert "i_x is not in this log" in err


@pytest.mark.parametrize(
    ("package", "arguments"),
    [("matplotlib", ["plot", "run/run.parquet"]), ("pyarrow", ["convert", "run/run.eesmlog"])],
)
def test_a_missing_package_names_its_extra(eesm, alone, monkeypatch, package, arguments):
    execution.execute(scenario.load("demo"), FakeBench(), alone / "run")
    for name in [name for name in sys.modules if name == package or name.startswith(package + ".")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    code, _, err = eesm(*arguments)
    assert code == MISSING
    assert f"needs {package}" in err
    assert "pip install 'eesm[" in err


@pytest.mark.parametrize("board", ["virtual", "rpi_pico"])
def test_simulate_runs_the_same_scenario(eesm, alone, board):
    code, out, _ = eesm("simulate", "--unit", "a", "--board", board, "-o", "sim")
    assert code == OK, out
    summary = json.loads((alone / "sim" / "summary.json").read_text())
    assert summary["ok"]
    assert summary["board"] == board
    assert summary["interpreter"] == "numba"
    assert summary["late_commands"] == 0
    assert "all 11 expectations hold" in out


def test_an_expectation_that_fails_is_the_exit_code(eesm, alone):
    text = (
        (scenario.FOLDER / "demo.toml").read_text().replace("equals = 2.0, percent", "equals = 2.5, percent")
    )
    (alone / "mine.toml").write_text(text)
    code, out, _ = eesm("simulate", "mine.toml", "-o", "sim")
    assert code == FAILED
    assert "load step: mean of load = 2.5 ± 5 %" in out


def test_build_tells_the_identity(eesm, alone):
    code, out, _ = eesm("build", "a", "-o", "board")
    assert code == OK
    assert "kernel_hash" in out
    assert (alone / "board" / "linked.py").exists()


def test_build_for_another_board(eesm, alone):
    code, out, _ = eesm("build", "a", "--board", "rpi_pico", "-o", "board")
    assert code == OK
    assert re.search(r"board +rpi_pico\n", out)
    assert json.loads((alone / "board" / "unit.json").read_text())["board"]["pin_gate_enable"] == 14
    code, _, err = eesm("build", "c", "--board", "rpi_pico", "-o", "board")
    assert code == USAGE
    assert "dc_link.u_trip = 500 V: board rpi_pico measures up to 80.04 V" in err
    assert "boards: rpi_pico, rpi_pico_spi, virtual" in err
