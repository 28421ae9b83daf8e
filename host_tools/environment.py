"""Makes `.venv` and installs extras of this project into it, on a machine that may have nothing but python3.

Debian splits ensurepip and pip from python3, so where neither is there pip comes from Debian's own package,
fetched without root. All else goes through pip as it is configured on the machine.

Standard library only: `make` runs `python3 -m host_tools.environment EXTRA...` first of all.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from host_tools import debian

ROOT = Path(__file__).resolve().parent.parent
WHEELS = Path("usr/share/python-wheels")  # where Debian's python3-pip-whl puts pip


class SetupError(RuntimeError):
    """The environment could not be made; the text says why."""


def make_environment(folder: Path) -> Path:
    """Makes a virtual environment with a working pip in `folder` unless one is there; returns its python."""
    python = folder / "bin" / "python"
    if _has_pip([str(python)]):
        return python
    _report(f"making {folder.name} with Python {sys.version.split()[0]}")
    has_ensurepip = _has_module("ensurepip")
    venv.create(folder, with_pip=has_ensurepip, clear=True, symlinks=True)
    if not has_ensurepip:
        _install_pip(python)
    if not _has_pip([str(python)]):
        raise SetupError(f"{folder} has no working pip.")
    return python


def install(python: Path, extras: list[str], target: Path | None = None) -> None:
    """Installs this project with `extras` (editable), or the named requirements alone into `target`."""
    if target is None:
        what = ["-e", f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)]
        into = ", ".join(["base", *extras])
    else:
        what = ["--target", str(target), "--upgrade", "--no-compile", *extras]
        into = f"{', '.join(extras)} (into {target.name})"
    _report(f"installing {into}")
    started = time.monotonic()
    _run_pip(python, what)
    _report(f"installed in {time.monotonic() - started:.0f} s")


def _install_pip(python: Path) -> None:
    # A pip of the machine can serve another environment; else the wheel that Debian makes for this use.
    if _has_pip([sys.executable]):
        _run([sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "pip"])
        return
    wheels = sorted(Path("/", WHEELS).glob("pip-*.whl"))
    with tempfile.TemporaryDirectory(prefix="eesm-pip-") as name:
        if not wheels:
            _report("this Python has neither ensurepip nor pip: fetching pip from Debian")
            folder = Path(name)
            files = debian.fetch(["python3-pip-whl"], folder, closure=False, report=_report)
            debian.unpack(files, folder / "root")
            wheels = sorted((folder / "root" / WHEELS).glob("pip-*.whl"))
        if not wheels:
            raise SetupError("Debian's python3-pip-whl holds no pip.")
        # A wheel is a zip file: python runs the pip inside it, which installs itself.
        wheel = wheels[-1]
        _run([str(python), str(wheel / "pip"), "install", "--quiet", "--no-index", "--no-deps", str(wheel)])


def _run_pip(python: Path, arguments: list[str]) -> None:
    command = [str(python), "-m", "pip", "install", "--progress-bar", "off", *arguments]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    ) as pip:
        said = []
        assert pip.stdout is not None
        for line in pip.stdout:
            said.append(line)
            # Only what takes time is shown; the rest is kept for a failure.
            download = re.match(r"\s*Downloading (\S+?)-\d\S* \(([\d.]+ MB)\)", line)
            if download:
                _report(f"  {download[1].rsplit('/', 1)[-1]} {download[2]}")
            elif line.startswith("Installing collected packages"):
                _report(f"  unpacking {line.count(',') + 1} packages")
    if pip.returncode != 0:
        raise SetupError(f"pip failed ({pip.returncode}):\n{''.join(said[-25:])}")


def _has_module(name: str) -> bool:
    try:
        __import__(name)
    except ImportError:
        return False
    return True


def _has_pip(python: list[str]) -> bool:
    if shutil.which(python[0]) is None:
        return False
    return subprocess.run([*python, "-m", "pip", "--version"], capture_output=True).returncode == 0


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise SetupError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def _report(text: str) -> None:
    print(f"eesm: {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Makes the environment and installs the extras named."""
    parser = argparse.ArgumentParser(prog="python3 -m host_tools.environment")
    parser.add_argument("extras", nargs="*", help="extras of pyproject.toml, or requirements with --target")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="folder of the environment")
    parser.add_argument("--target", type=Path, help="install requirements into this folder alone")
    arguments = parser.parse_args()
    try:
        python = make_environment(arguments.venv)
        install(python, arguments.extras, arguments.target)
    except (SetupError, debian.DebianError, OSError, subprocess.CalledProcessError) as error:
        print(f"eesm: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
