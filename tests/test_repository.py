"""What the tracked files must not hold, and what they must."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# What is true on one machine only: paths of a home or of this checkout; hosts that are neither documentation
# nor the name of a format, nor this machine itself.
KNOWN_HOSTS = (
    r"(?:localhost|127\.0\.0\.1|keepachangelog\.com|semver\.org|www\.w3\.org|[\w.-]*\.?example(?:\.org)?)"
)
FORBIDDEN = re.compile(
    r"(?<![\w.])/(?:home|Users)/\w+|(?<![\w.])/root/|" + re.escape(f"{ROOT}/") + r"|"
    rf"https?://(?!{KNOWN_HOSTS}(?![\w.-]))[\w.-]+"
)


def tracked_files() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_machine_path_or_registry_host_is_tracked() -> None:
    found = []
    for file in tracked_files():
        if file == Path(__file__).resolve():
            continue
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if FORBIDDEN.search(line):
                found.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    ["see /home/anna/eesm", "cd /root/x", "index = 'https://packages.corp/simple'", "http://10.0.0.7/debian"],
)
def test_the_guard_sees_what_it_looks_for(text: str) -> None:
    assert FORBIDDEN.search(text)


@pytest.mark.parametrize(
    "name", ["README.md", "Makefile", ".ci/run", "CHANGELOG.md", "LICENSE", "CONTRIBUTING.md"]
)
def test_file_that_newcomers_rely_on_is_there(name: str) -> None:
    assert (ROOT / name).is_file()


def test_plain_make_prints_every_target_and_builds_nothing() -> None:
    if shutil.which("make") is None:
        pytest.skip("no make")
    said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "check", "test", "bench", "clean"):
        assert f"make {target} " in said


def test_old_python_is_refused_with_the_version_that_is_needed(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    said = subprocess.run(["make", "python", f"PYTHON={old}"], cwd=ROOT, capture_output=True, text=True)
    assert said.returncode != 0
    assert "Python 3.11 or newer is needed" in said.stderr
    assert "Python 3.9.2" in said.stderr


def test_modules_that_make_runs_first_need_the_standard_library_only() -> None:
    for module in ("debian", "interpreter", "environment", "compiler"):
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import host_tools.{module}"
        subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=60)
