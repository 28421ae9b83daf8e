"""`eesm run FILE` on the virtual Pico: what holds, what does not and what is given up, with a report each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from eesm.drive import RPM
from host_tools import log
from host_tools.cli.entry import run
from host_tools.errors import FAILED, OK

ARM = '[[phase]]\nname = "arm"\narm = true\nuntil = "ready"\ntimeout = 8\n'
STOP = '[[phase]]\nname = "stop"\nstop = true\nuntil = "off"\ntimeout = 5\n'
SPIN = """
[[phase]]
name = "spin up"
duration = 0.6
speed_rpm = 600
expect = [
  { quantity = "speed_rpm", take = "all", last = 0.1, equals = 600, percent = 2 },
  { quantity = "speed_rpm", take = "max", %s },
]
"""
pytestmark = pytest.mark.timeout(900)

Eesm = Callable[..., tuple[int, str, str]]


@pytest.fixture
def eesm_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Eesm:
    """`eesm run` of a scenario on a blank virtual Pico, with its results in `out`."""
    monkeypatch.setenv("EESM_VIRTUAL", str(tmp_path / "registry"))
    monkeypatch.chdir(tmp_path)

    def call(scenario: str, *options: str) -> tuple[int, str, str]:
        Path("spin.toml").write_text('name = "spin"\n' + scenario)
        code = run(["run", "spin.toml", "--on", "rpi_pico", "-o", "out", *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def assert_stopped_in_order(recorded: log.Run) -> None:
    """The record ends with the drive off: the field gone down, and no torque before that."""
    states = [name for name, _, _ in recorded.states]
    assert states[-1] == "off" and "field down" in states
    assert abs(recorded["i_q"][-1]) < 1.0
    assert recorded["i_f"][-1] < 0.2 * recorded["i_f"].max()


def test_a_scenario_that_holds_passes_with_a_report(eesm_run: Eesm, tmp_path: Path) -> None:
    code, out, err = eesm_run(ARM + SPIN % "below = 700" + STOP, "--json")
    assert code == OK, out + err
    summary = json.loads(out)
    assert "Flash: " in err, "what happens is told beside the summary"
    assert (summary["ok"], summary["board"], len(summary["expectations"])) == (True, "rpi_pico", 2)
    assert (summary["missed_periods"], summary["records_lost"], summary["late_commands"]) == (0, 0, 0)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "spin up" in page and "rpi_pico" in page
    recorded = log.read(tmp_path / "out" / "run.eesmlog")
    assert recorded["w_m_ref"].max() == pytest.approx(600 * RPM, rel=0.01)
    assert_stopped_in_order(recorded)


def test_a_scenario_that_does_not_hold_fails_and_says_which_expectation(
    eesm_run: Eesm, tmp_path: Path
) -> None:
    code, out, err = eesm_run(ARM + SPIN % "below = 300" + STOP)
    assert code == FAILED, out + err
    assert "max of speed_rpm < 300" in out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [each["ok"] for each in summary["expectations"]] == [True, False]
    assert "max of speed_rpm" in (tmp_path / "out" / "report.html").read_text()
    assert_stopped_in_order(log.read(tmp_path / "out" / "run.eesmlog"))


@pytest.mark.full
def test_a_limit_that_is_broken_stops_the_board_in_order(eesm_run: Eesm, tmp_path: Path) -> None:
    code, out, err = eesm_run("[limits]\nspeed_rpm = [-50, 300]\n" + ARM + SPIN % "below = 700" + STOP)
    assert code == FAILED, out + err
    assert "limit: speed_rpm = " in out and "beyond -50 .. 300" in out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["ok"] is False
    recorded = log.read(tmp_path / "out" / "run.eesmlog")
    assert [name for name, *_ in recorded.phases] == ["arm", "spin up"], "nothing came after it"
    assert not any(note["name"] == "spin up" for note in recorded.notes_of("end")), "nor was it carried on"
    assert_stopped_in_order(recorded)
