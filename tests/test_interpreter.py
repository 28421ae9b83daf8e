"""Only a 32-bit MicroPython with viper is accepted, and a fetch is whole or absent."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from host_tools import debian, interpreter
from host_tools.interpreter import InterpreterError, fetch_interpreter, find_interpreter, probe

GOOD = {
    "name": "micropython",
    "maxsize": 0x7FFFFFFF,
    "viper": "",
    "version": "1.25.0",
    "read": -5,
    "square": 1410065408,
}


def write_fake(path: Path, **changes: object) -> Path:
    """A program that answers the probe as an interpreter with `changes` against a good one would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    answer = json.dumps({**GOOD, **changes})
    path.write_text(f"#!{sys.executable}\nprint('eesm-probe ' + {answer!r})\n")
    path.chmod(0o755)
    return path


@pytest.mark.micropython
def test_real_interpreter_passes_the_probe_and_wraps_at_32_bits(micropython: list[str]) -> None:
    assert probe(micropython).version >= "1.2"
    code = "import sys; print(sys.implementation.name, sys.maxsize)"
    said = subprocess.run([*micropython, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert said.stdout.split() == ["micropython", "2147483647"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"maxsize": 2**63 - 1}, "not a 32-bit build"),
        ({"viper": "SyntaxError('invalid micropython decorator',)"}, "no viper code emitter"),
        ({"read": 4294967291}, "viper that is not 32-bit"),
        ({"square": 10000000000}, "viper that is not 32-bit"),
        ({"name": "circuitpython"}, "not MicroPython"),
    ],
)
def test_wrong_interpreter_is_refused_with_reason_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict, reason: str
) -> None:
    fake = write_fake(tmp_path / "micropython", **changes)
    monkeypatch.setenv("MICROPYTHON", str(fake))
    with pytest.raises(InterpreterError) as refusal:
        find_interpreter()
    assert reason in str(refusal.value)
    assert str(fake) in str(refusal.value)
    assert "MICROPY_FORCE_32BIT" in str(refusal.value)


def test_cpython_is_refused_by_name() -> None:
    with pytest.raises(InterpreterError, match=r"cpython .* is not MicroPython"):
        probe([sys.executable])


def test_missing_program_and_silent_program_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InterpreterError, match="does not run here"):
        probe([str(tmp_path / "nothing")])
    with pytest.raises(
        InterpreterError, match="not a working MicroPython: it ended with 0 and said: nothing"
    ):
        probe(["true"])


def test_named_interpreter_may_hold_spaces_or_be_a_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = write_fake(tmp_path / "a folder" / "micropython")
    monkeypatch.setenv("MICROPYTHON", str(fake))
    assert find_interpreter() == [str(fake)]
    monkeypatch.setenv("MICROPYTHON", f"env X=1 '{fake}'")
    assert find_interpreter() == ["env", "X=1", str(fake)]


class FakeArchive:
    """Stands in for apt: unpacks programs that answer the probe."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
        self.fetches = 0
        self.changes = changes
        monkeypatch.delenv("MICROPYTHON", raising=False)
        monkeypatch.setattr(debian, "fetch", self.fetch)
        monkeypatch.setattr(debian, "unpack", self.unpack)

    def fetch(self, packages: list[str], folder: Path, *, closure: bool, report: debian.Report) -> list[Path]:
        self.fetches += 1
        assert (packages, closure) == (["micropython"], True)
        return [folder / "micropython.deb"]

    def unpack(self, files: list[Path], root: Path) -> None:
        write_fake(root / "usr/lib/i386-linux-gnu/ld-linux.so.2", **self.changes)


def test_second_call_is_offline_and_a_broken_installation_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = FakeArchive(monkeypatch)
    argv = fetch_interpreter(tmp_path)
    assert fetch_interpreter(tmp_path) == argv
    assert archive.fetches == 1
    Path(argv[0]).write_text("")
    assert fetch_interpreter(tmp_path) == argv
    assert archive.fetches == 2


def test_callers_at_the_same_time_fetch_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = FakeArchive(monkeypatch)
    callers = [threading.Thread(target=fetch_interpreter, args=(tmp_path,)) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert archive.fetches == 1
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [interpreter.NAME, f"{interpreter.NAME}.lock"]


def test_failed_fetch_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeArchive(monkeypatch, maxsize=2**63 - 1)
    with pytest.raises(InterpreterError, match="not a 32-bit build"):
        fetch_interpreter(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"{interpreter.NAME}.lock"]


def test_machine_without_apt_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InterpreterError, match=r"apt-get is not on this machine[\s\S]*WSL2"):
        fetch_interpreter(tmp_path / "cache")
