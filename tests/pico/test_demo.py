"""`eesm demo --board rpi_pico`: from an erased flash to the report, by the program's own command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from host_tools import cache, demo, log
from host_tools.cli.entry import run
from host_tools.errors import MISSING, USAGE, ToolError

SHORT = """
name = "short"
title = "A short spin"

[[phase]]
name = "arm"
arm = true
until = "ready"
timeout = 8

[[phase]]
name = "spin up"
duration = 0.6
speed_rpm = 900
expect = [{ quantity = "speed_rpm", take = "all", last = 0.2, equals = 900, percent = 2 }]

[[phase]]
name = "load"
duration = 0.5
load = 1.5
expect = [
  { quantity = "speed_rpm", last = 0.1, equals = 900, percent = 1 },
  { quantity = "load", take = "all", last = 0.4, equals = 1.5, percent = 1 },
  { quantity = "torque", last = 0.2, above = 1.4 },
]

[[phase]]
name = "brake"
duration = 0.7
speed_rpm = -300
load = 0
settings = { acceleration = 1200 }
expect = [{ quantity = "energy_braked", above = 1 }]

[[phase]]
name = "stop"
stop = true
until = "off"
timeout = 5
"""


@pytest.mark.timeout(900)
def test_a_blank_board_is_flashed_driven_recorded_and_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EESM_VIRTUAL", str(tmp_path / "registry"))
    (tmp_path / "short.toml").write_text(SHORT)
    folder = tmp_path / "out"
    command = ["demo", "--board", "rpi_pico", "--scenario", str(tmp_path / "short.toml"), "-o", str(folder)]
    code = run(command)
    said = capsys.readouterr()
    assert code == 0, said.out + said.err
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["ok"]
    assert summary["board"] == "rpi_pico"
    assert "rp2" in summary["interpreter"]
    assert (summary["missed_periods"], summary["records_lost"], summary["late_commands"]) == (0, 0, 0)
    assert len(summary["expectations"]) == 5
    assert summary["final_field_share"] < 0.02
    assert summary["flash_bytes"] > 100_000
    assert 0 < summary["flash_s"] < summary["setup_s"]
    assert summary["times_real_time"] > 0
    assert "Uploading" in said.out and "0 missed" in said.out
    recorded = log.read(folder / "run.eesmlog")
    # The load came at the period that the scenario names, give or take one, as every setpoint does.
    start = next(start for name, _, start, _ in recorded.phases if name == "load")
    stepped = recorded.period[recorded["load_torque"] > 1][0]
    assert -1 <= stepped - start <= recorded.header["divider"] + 1
    assert {"report.png", "report.html", "run.parquet", "run.csv"} <= {file.name for file in folder.iterdir()}


def test_without_micropython_the_next_command_is_make_pico(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UF2", raising=False)
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path)
    with pytest.raises(ToolError) as caught:
        demo.find_micropython()
    assert caught.value.code == MISSING
    assert caught.value.hint.startswith("make pico")


def test_lock_step_is_not_for_a_board(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--board", "rpi_pico", "--fast"]) == USAGE
    assert "keeps its own time" in capsys.readouterr().err
