"""`.venv` is made with a working pip even where Python came without ensurepip and pip."""

import ensurepip
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from host_tools import debian, environment


def test_python_without_ensurepip_and_pip_gets_pip_from_debians_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = sorted((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    if not bundled:
        pytest.skip("no wheel of pip at hand to stand in for Debian's")
    fetched = []

    def fetch(packages: list[str], folder: Path, **options: object) -> list[Path]:
        fetched.append((packages, options["closure"]))
        return [folder / "python3-pip-whl.deb"]

    def unpack(files: list[Path], root: Path) -> None:
        (root / environment.WHEELS).mkdir(parents=True)
        shutil.copy(bundled[-1], root / environment.WHEELS)

    has_pip = environment._has_pip
    monkeypatch.setattr(environment, "WHEELS", Path("usr/share/no-such-wheels"))
    monkeypatch.setattr(environment, "_has_module", lambda name: False)
    monkeypatch.setattr(environment, "_has_pip", lambda argv: argv != [sys.executable] and has_pip(argv))
    monkeypatch.setattr(debian, "fetch", fetch)
    monkeypatch.setattr(debian, "unpack", unpack)

    python = environment.make_environment(tmp_path / "venv")
    assert fetched == [(["python3-pip-whl"], False)]
    said = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, text=True, check=True)
    assert str(tmp_path / "venv") in said.stdout
    # What is there and works is kept.
    marker = tmp_path / "venv" / "marker"
    marker.touch()
    assert environment.make_environment(tmp_path / "venv") == python
    assert marker.exists()


def test_failing_pip_is_told_in_its_own_words(tmp_path: Path) -> None:
    missing = tmp_path / "missing.whl"
    with pytest.raises(environment.SetupError, match=r"pip failed[\s\S]*missing\.whl"):
        environment.install(Path(sys.executable), [str(missing)], tmp_path / "target")
