"""`eesm scope` before anything is served."""

import sys

import pytest

from host_tools import devices
from host_tools.cli import entry
from host_tools.errors import MISSING, NO_DEVICE, USAGE, UsageError
from host_tools.scope.hub import Hub
from host_tools.scope.keeper import Keeper
from host_tools.scope.recorder import Recorder
from host_tools.scope.server import _open
from tests.fake_bench import FakeBench


@pytest.fixture
def eesm(tmp_path, monkeypatch, capsys):
    """eesm(*arguments) -> (code, stderr), where there is no drive."""
    monkeypatch.setattr(devices.list_ports, "comports", list)
    monkeypatch.setenv("EESM_VIRTUAL", str(tmp_path / "virtual"))
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = entry.run(list(arguments))
        return code, capsys.readouterr().err

    return call


def test_without_a_drive_it_says_how_to_get_one(eesm):
    code, said = eesm("scope", "--no-browser")
    assert code == NO_DEVICE
    assert "No drive was found" in said
    assert "next: eesm virtual" in said


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "websockets"])
def test_a_missing_package_names_its_extra(eesm, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    code, said = eesm("scope", "--no-browser")
    assert code == MISSING
    assert f"needs {package}" in said
    assert "pip install 'eesm[scope]'" in said


@pytest.mark.parametrize("token", ["", "short", "long enough, but no token", "../../../../etc/passwd"])
def test_a_token_that_could_be_guessed_or_is_no_path_is_refused(eesm, monkeypatch, token):
    monkeypatch.setenv("EESM_SCOPE_TOKEN", token)
    code, said = eesm("scope", "--no-browser")
    assert code == USAGE
    assert "EESM_SCOPE_TOKEN" in said


def test_a_port_in_use_is_told():
    taken = _open("127.0.0.1", 0)
    taken.listen()
    port = taken.getsockname()[1]
    with pytest.raises(UsageError, match=f"port {port}") as told:
        _open("127.0.0.1", port)
    assert "--http" in told.value.hint
    taken.close()


def test_a_drive_in_lock_step_is_refused(tmp_path):
    """Nothing would move: its time passes only when somebody advances it."""
    with pytest.raises(UsageError, match="lock step"):
        Keeper(FakeBench(fast=True), Hub(), Recorder(tmp_path))  # type: ignore[arg-type]
