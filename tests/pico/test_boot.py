"""The built folder on the virtual Pico: what boots, with which kernel, in how much memory; how it ends."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eesm.faults import number_of
from host_tools import build, units
from host_tools.client import Drive
from host_tools.virtual_pico.pico import VirtualPico

HEAP_LEFT = 40_000  # bytes that a drive leaves free
pytestmark = pytest.mark.timeout(300)

LOAD = """
import gc
held = bytearray(%d)
from eesm.routines import load_routines
routines = load_routines(kernel=%r)
print(routines.source, routines.failure, routines.on_samples is not None)
"""

# main.py's own main loop for half a second, then an error in it.
FAIL = """
import sys, time
sys.path.append("")
import main
from eesm.telemetry import Telemetry
begin = time.ticks_ms()
class Late(Exception):
    pass
turn = main.turn
def break_down(driver, drive, mailbox, link):
    tick = drive.tick
    def fail():
        tick()
        if time.ticks_diff(time.ticks_ms(), begin) > 3000:
            raise Late("on purpose")
    drive.tick = fail
    main.kept = drive
    turn(driver, drive, mailbox, link)
main.turn = break_down
try:
    main.main(())
except Late:
    print("ended", main.kept.fault_list())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build.build(units.load("a", board="rpi_pico"), tmp_path_factory.mktemp("built") / "a")


@pytest.fixture(scope="module")
def image(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flash that holds the folder, without the manifest that lets main.py start."""
    flash = tmp_path_factory.mktemp("flash") / "flash.bin"
    with VirtualPico("a", flash=flash, pace="free", registry=flash.parent) as pico:
        run(pico, "cp", "-r", *map(str, folder.iterdir()), ":")
    return flash


@pytest.fixture
def pico(image: Path, tmp_path: Path) -> Iterator[VirtualPico]:
    flash = tmp_path / "flash.bin"
    shutil.copy(image, flash)
    with VirtualPico("a", flash=flash, pace="free", registry=tmp_path) as made:
        yield made


def run(pico: VirtualPico, *words: str) -> str:
    """What mpremote says to a command."""
    command = [sys.executable, "-m", "mpremote", "connect", pico.port, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("held", "kernel", "said"),
    [
        (0, "", "viper None True"),
        (0, "mpy", "mpy None True"),
        (120_000, "", "mpy None True"),
        (120_000, "viper", "('MEMORY_SHORT', 'no memory left while compiling the kernel') False"),
    ],
)
def test_the_kernel_is_compiled_on_board_or_taken_compiled_where_memory_is_short(
    pico: VirtualPico, held: int, kernel: str, said: str
) -> None:
    assert run(pico, "exec", LOAD % (held, kernel)).strip().endswith(said)


def test_an_incomplete_board_starts_nothing_and_says_so(pico: VirtualPico) -> None:
    said = run(pico, "exec", "import sys; sys.path.append(''); import main; main.run_on_board()")
    assert "manifest.json is missing or cut short" in said
    assert "gate" in pico.control("pins") and not pico.control("pins")["gate"]


def test_an_error_in_the_main_loop_ends_at_the_prompt_with_its_name(pico: VirtualPico) -> None:
    said = run(pico, "exec", FAIL)
    assert f"ended [({number_of('MAIN_LOOP_FAILED')}, 'MAIN_LOOP_FAILED'" in said
    assert "on purpose" in said
    assert not pico.control("pins")["gate"]
    assert run(pico, "exec", "print(6 * 7)").strip() == "42"


def test_a_drive_at_rest_leaves_memory_and_misses_no_period(folder: Path, tmp_path: Path) -> None:
    from host_tools.devices import Device
    from host_tools.flash import flash_folder

    with VirtualPico("a", flash=tmp_path / "flash.bin", registry=tmp_path) as pico:
        device = Device(pico.port, "virtual", "virtual Pico", "a", pico.pid, board="rpi_pico")
        flash_folder(folder, device)
        with Drive.connect(pico.port, timeout=60.0) as drive:
            assert drive.status().counters["memory_free"] > HEAP_LEFT
            drive.arm()
            assert drive.state == "ready"
            drive.speed = 300
            drive.sleep(0.8)
            pole_pairs = units.load("a").motor.pole_pairs
            assert drive.read("w_e") == pytest.approx(31.4 * pole_pairs, rel=0.1)
            assert drive.read("missed_periods") == 0
            drive.stop()
            assert drive.state == "off"
            assert drive.faults().faults == ()
            assert drive.status().counters["memory_free"] > HEAP_LEFT
