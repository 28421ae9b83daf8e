"""Tab in a shell, as the shell asks for it."""

import os
import subprocess
import sys

import pexpect
import pytest

from host_tools import devices, tuning
from host_tools.cli.completion import LOOPS, offer_ports, offer_scenarios, offer_units
from host_tools.cli.entry import run
from tests.test_repository import ROOT


def complete(words: str) -> list[str]:
    """What bash would be offered at the end of `words`."""
    environment = {
        **os.environ,
        "_EESM_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
        "PYTHONPATH": f"{ROOT}:{ROOT}/firmware",
    }
    program = "import sys; from host_tools.cli import main; sys.argv = ['eesm']; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_commands_options_and_units_are_offered():
    assert complete("eesm sp") == ["speed"]
    assert "--arm" in complete("eesm speed --a")
    assert {"a", "b", "c"} <= set(complete("eesm info --unit "))


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("eesm log i_q_", {"i_q_ref"}),
        ("eesm capture i_q --trigger torque_", {"torque_ref"}),
        ("eesm plot run.csv w_", {"w_e"}),
        ("eesm params set bandwidth_s", {"bandwidth_speed"}),
        ("eesm faults explain field_o", {"FIELD_OPEN"}),
        ("eesm tune i_", {"i_d", "i_q", "i_f"}),
        ("eesm run c", {"chirp"}),
        ("eesm run step --on r", {"rpi_pico", "rpi_pico_spi"}),
        ("eesm simulate --board rpi", {"rpi_pico", "rpi_pico_spi"}),
        ("eesm virtual --fault encoder_l", {"encoder_lost"}),
        ("eesm convert run.csv --to csv,m", {"csv,mdf4"}),
        ("eesm build b", {"b", "b_12v"}),
        ("eesm scope --virtual c_", {"c_saturated"}),
    ],
)
def test_names_of_what_there_is_are_offered(words, offered):
    found = complete(words)
    assert offered <= set(found)
    begun = words.rpartition(" ")[2]
    assert all(name.lower().startswith(begun) for name in found)


def test_scenario_files_and_folders_are_offered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slow.toml").touch()
    (tmp_path / "slow.csv").touch()
    (tmp_path / "slower").mkdir()
    assert offer_scenarios(None, None, "s") == ["step", "slower/", "slow.toml"]  # type: ignore[arg-type]


def test_the_loops_offered_are_those_that_tune_has():
    assert tuple(tuning.LOOPS) == LOOPS


def test_a_real_bash_completes_by_tab(tmp_path):
    """Tab typed into a terminal, with the script that `eesm completion bash` prints."""
    (tmp_path / "eesm").write_text(
        f'#!/bin/sh\nPYTHONPATH={ROOT}:{ROOT}/firmware exec {sys.executable} -m host_tools.cli "$@"\n'
    )
    (tmp_path / "eesm").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TERM": "dumb", "PS1": "$ "}
    bash = pexpect.spawn("bash", ["--norc", "--noprofile"], env=environment, encoding="utf-8", timeout=60)
    try:
        bash.sendline('eval "$(eesm completion bash)"; echo rea"dy"')
        bash.expect("ready")
        for typed, completed in (
            ("eesm spe", "eesm speed "),
            ("eesm log i_q_r", "eesm log i_q_ref "),
            ("eesm params set bandwidth_s", "eesm params set bandwidth_speed "),
            ("eesm faults explain FIELD_OPE", "eesm faults explain FIELD_OPEN "),
            ("eesm capture --edge fal", "eesm capture --edge falling "),
        ):
            bash.send(typed + "\t")
            bash.expect_exact(completed)
            bash.sendcontrol("u")
    finally:
        bash.close(force=True)


def test_units_and_ports_by_their_beginning(monkeypatch):
    found = [
        devices.Device("/dev/ttyACM0", "serial", "a Pico"),
        devices.Device("/dev/pts/3", "virtual", "virtual drive"),
    ]
    monkeypatch.setattr(devices, "find_devices", lambda: found)
    (offered,) = offer_ports(None, None, "/dev/tty")  # type: ignore[arg-type]
    assert (offered.value, offered.help) == ("/dev/ttyACM0", "a Pico")
    assert offer_units(None, None, "c") == ["c", "c_saturated"]  # type: ignore[arg-type]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(capsys, shell):
    assert run(["completion", shell]) == 0
    assert "_EESM_COMPLETE" in capsys.readouterr().out


def test_a_shell_without_completion_is_told(capsys, monkeypatch):
    monkeypatch.setenv("SHELL", "/bin/dash")
    assert run(["completion"]) == 2
    said = capsys.readouterr().err
    assert "'dash'" in said
    assert "eesm completion bash" in said
