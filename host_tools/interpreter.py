"""Finds, probes and fetches the 32-bit MicroPython that tests, demo and virtual drive run on.

Only a 32-bit build tells the truth about the board: a 64-bit viper reads negative words of a `ptr32` as large
positive ones and does not wrap at 32 bits. `MICROPYTHON=path` names an interpreter of your own; otherwise
Debian's i386 build is fetched once into a cache folder, with a libc of its own and started through its
loader.

Standard library only: `make` runs `python -m host_tools.interpreter` before anything is installed.
"""

import argparse
import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from host_tools import debian
from host_tools.cache import cache_folder, lock, report

NAME = f"micropython-{debian.SUITE}-{debian.ARCHITECTURE}"

HELP = """\
What to do:
  - on Debian on x86-64: let eesm fetch it (unset MICROPYTHON); on another system with apt also set
    EESM_DEBIAN_MIRROR=<address of a Debian archive> and install debian-archive-keyring;
  - on Windows: use Debian inside WSL2;
  - on macOS, or a Linux that runs no 32-bit programs: use a Debian container, `--platform linux/386`;
  - or build MicroPython's unix port with `make MICROPY_FORCE_32BIT=1` and set MICROPYTHON=<path to it>."""

# Prints one line of JSON. Viper is compiled from text, so that a build without it still reports.
_PROBE = """
import sys
found = {"name": sys.implementation.name, "maxsize": sys.maxsize, "viper": ""}
found["version"] = ".".join([str(n) for n in sys.implementation.version[:3]])
source = '''
import micropython
@micropython.viper
def read(block, i: int) -> int:
    p = ptr32(block)
    return p[i]
@micropython.viper
def square(n: int) -> int:
    return n * n
'''
if found["name"] == "micropython":
    from array import array
    try:
        scope = {}
        exec(source, scope)
        found["read"] = scope["read"](array("i", [7, -5]), 1)
        found["square"] = scope["square"](100000)
    except Exception as error:
        found["viper"] = repr(error)
import json
print("eesm-probe " + json.dumps(found))
"""


class InterpreterError(RuntimeError):
    """No usable interpreter; the text says what was found and what can be done."""


@dataclass(frozen=True)
class Probe:
    """What an interpreter says of itself."""

    version: str  # such as "1.25.0"


def probe(argv: Sequence[str]) -> Probe:
    """Runs some viper on `argv`; raises InterpreterError unless it is MicroPython with 32-bit viper."""
    shown = shlex.join(argv)
    try:
        done = subprocess.run(
            [*argv, "-c", _PROBE], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _refusal(f"{shown} does not run here: {error}") from error
    lines = [line for line in done.stdout.splitlines() if line.startswith("eesm-probe ")]
    if not lines:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["nothing"]
        raise _refusal(
            f"{shown} is not a working MicroPython: it ended with {done.returncode} and said: {said[0][:200]}"
        )
    found = json.loads(lines[-1].removeprefix("eesm-probe "))
    what = f"{shown} ({found['name']} {found['version']})"
    if found["name"] != "micropython":
        raise _refusal(f"{what} is not MicroPython.")
    if found["maxsize"] != 0x7FFFFFFF:
        raise _refusal(
            f"{what} is not a 32-bit build: sys.maxsize is {found['maxsize']:#x}, not 0x7fffffff. "
            "A 64-bit viper computes other numbers than the board."
        )
    if found["viper"]:
        raise _refusal(f"{what} has no viper code emitter: {found['viper']}")
    if (found["read"], found["square"]) != (-5, 1410065408):
        raise _refusal(
            f"{what} has a viper that is not 32-bit: reading -5 from a ptr32 gave {found['read']}, "
            f"100000 * 100000 gave {found['square']} instead of 1410065408."
        )
    return Probe(version=found["version"])


def find_interpreter() -> list[str]:
    """The start of a command line that runs 32-bit MicroPython: append `script.py` or `-c text`.

    Honours MICROPYTHON (a path or a command line), else uses the fetched one and fetches it when it is not
    there. Raises InterpreterError.
    """
    named = os.environ.get("MICROPYTHON")
    if named:
        # A command line of several words is welcome, such as an emulator and its program.
        argv = [named] if os.path.exists(named) else shlex.split(named)
        probe(argv)
        return argv
    return fetch_interpreter(cache_folder())


def fetch_interpreter(cache: Path) -> list[str]:
    """Unpacks Debian's i386 micropython into `cache` unless a working one is there; returns its command line.

    Callers at the same time wait for the first; a half-made folder is never seen under the final name.
    """
    home = cache / NAME
    with contextlib.suppress(InterpreterError):
        return _use(home)
    cache.mkdir(parents=True, exist_ok=True)
    with lock(cache / f"{NAME}.lock", "fetches MicroPython"):
        with contextlib.suppress(InterpreterError):
            return _use(home)
        report("fetching the 32-bit MicroPython (once, about 15 MB)")
        started = time.monotonic()
        making = Path(tempfile.mkdtemp(prefix=f"{NAME}.", dir=cache))
        try:
            root = making / "root"
            try:
                files = debian.fetch(["micropython"], making / "apt", closure=True, report=report)
                debian.unpack(files, root)
            except debian.DebianError as error:
                raise _refusal(f"The 32-bit MicroPython could not be fetched: {error}") from error
            (root / "packages.txt").write_text("".join(f"{file.name}\n" for file in files))
            found = probe(_command(root))
            shutil.rmtree(home, ignore_errors=True)
            root.rename(home)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        report(f"MicroPython {found.version} is ready in {time.monotonic() - started:.1f} s")
    return _command(home)


def _use(home: Path) -> list[str]:
    argv = _command(home)
    probe(argv)
    return argv


def _command(root: Path) -> list[str]:
    # Started through the loader of its own libc: the machine's may be older, or have no 32-bit half at all.
    libraries = root / "usr/lib/i386-linux-gnu"
    return [
        str(libraries / "ld-linux.so.2"),
        "--inhibit-cache",
        "--library-path",
        str(libraries),
        str(root / "usr/bin/micropython"),
    ]


def _refusal(reason: str) -> InterpreterError:
    return InterpreterError(f"{reason}\n{HELP}")


def main() -> int:
    """Fetches if need be, probes, and prints the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m host_tools.interpreter", description="Find or fetch the 32-bit MicroPython."
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing when the interpreter is usable")
    arguments = parser.parse_args()
    try:
        argv = find_interpreter()
    except InterpreterError as error:
        print(f"eesm: {error}", file=sys.stderr)
        return 1
    if not arguments.quiet:
        print(shlex.join(argv))
    return 0


if __name__ == "__main__":
    sys.exit(main())
