"""Tab in a shell, as the shell asks for it."""

import os
import subprocess
import sys

import pytest

from host_tools import devices
from host_tools.cli.completion import offer_ports, offer_units
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
