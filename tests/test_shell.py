"""`eesm shell` as its user has it: lines typed into the real prompt, on the virtual drive."""

import os
import re
import subprocess
import sys

import pytest

from host_tools import devices
from host_tools.client import Drive
from host_tools.virtual_drive import VirtualDrive
from tests.test_repository import ROOT

pytestmark = pytest.mark.micropython


@pytest.fixture(scope="module")
def virtual(tmp_path_factory):
    with VirtualDrive("a", registry=tmp_path_factory.mktemp("virtual")) as virtual:
        yield virtual


def type_in(virtual, tmp_path, *lines: str) -> subprocess.CompletedProcess[str]:
    """What the prompt answers; its history and profile are this test's own."""
    return subprocess.run(
        [sys.executable, "-m", "host_tools.cli", "shell", "--port", virtual.port],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={
            **os.environ,
            "IPYTHONDIR": str(tmp_path),
            "NO_COLOR": "1",
            "PYTHONPATH": f"{ROOT}:{ROOT}/firmware",
        },
    )


def test_signals_setpoints_and_mistakes_and_a_motor_that_stops_on_leaving(virtual, tmp_path):
    done = type_in(
        virtual,
        tmp_path,
        "drive.u_dc",
        "drive.speed = 100",
        "drive.sped = 100",
        "drive.arm(); drive.speed = 300; drive.sleep(1.0)",
        "print('reached', round(drive.speed, -1), drive.state)",
    )
    assert done.returncode == 0, done.stderr
    assert "Unit a on board virtual" in done.stdout
    assert " V\n" in done.stdout
    assert "arm it" in done.stderr  # a setpoint before arming
    assert "Do you mean speed?" in done.stdout
    assert "reached 300.0 running" in done.stdout
    assert done.stdout.rstrip().endswith("Stopping.")
    with Drive.connect(virtual.port) as drive:
        assert drive.state == "off"


def test_tab_completes_signals_and_a_question_mark_tells_their_meaning(virtual, tmp_path):
    done = type_in(
        virtual,
        tmp_path,
        "print(get_ipython().complete('drive.u_d')[1])",
        "print(get_ipython().complete('drive.parameters.bandwidth_s')[1])",
        "drive.u_dc?",
    )
    assert re.search(r"'[a-z.]*\.u_dc'", done.stdout), done.stdout
    assert re.search(r"'[a-z.]*\.bandwidth_speed'", done.stdout), done.stdout
    assert "dc-link voltage" in done.stdout


@pytest.mark.parametrize("page", ["README.md", "docs/scripts.md"])
def test_the_script_of_ten_lines_runs_as_it_is_printed(virtual, monkeypatch, capsys, page):
    monkeypatch.setattr(devices.list_ports, "comports", list)
    monkeypatch.setenv("EESM_VIRTUAL", str(virtual.registry))
    found = re.search(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert found is not None
    exec(found[1], {})
    assert re.search(r"(999|1000)[.\d]* rpm.* 0\.0\d+ N\.m", capsys.readouterr().out)
    with Drive.connect(virtual.port) as drive:
        assert drive.state == "off"
