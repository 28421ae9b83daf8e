"""Boards of the virtual Pico that faults are injected into."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from host_tools import build, units
from host_tools.devices import Device
from host_tools.flash import flash_folder
from host_tools.flash.reach import Port, reach_prompt
from host_tools.virtual_pico.pico import VirtualPico
from tests.pico.fault_rig import BOARD, BOOT, Rig


@pytest.fixture(scope="session")
def flashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the flash of a board with the firmware of unit a, and the hook."""
    folder = tmp_path_factory.mktemp("faults")
    built = build.build(units.load("a", board=BOARD), folder / "a")
    image = folder / "flash.bin"
    with VirtualPico("a", flash=image, registry=folder, pace="free") as pico:
        device = Device(pico.port, "virtual", "virtual Pico", "a", pico.pid, board=BOARD)
        flash_folder(built, device, restart=False)
        with reach_prompt(Port(pico.port, pico.pid), 300.0, 6.0) as prompt:
            prompt.write("boot.py", BOOT)
    return folder


def boot(flashed: Path, folder: Path) -> Iterator[Rig]:
    flash = folder / "flash.bin"
    shutil.copy(flashed / "flash.bin", flash)
    with VirtualPico("a", flash=flash, registry=folder, pace="free") as pico:
        rig = Rig(pico, flashed / "a")
        yield rig
        if rig.drive is not None:
            rig.drive._armed = False
            rig.drive.close()


@pytest.fixture(scope="module")
def shared(flashed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One board for the faults that a drive survives: it is cleared and armed again."""
    yield from boot(flashed, tmp_path_factory.mktemp("shared"))


@pytest.fixture
def rig(flashed: Path, tmp_path: Path) -> Iterator[Rig]:
    """A board of its own for what ends at a prompt or in a reset."""
    yield from boot(flashed, tmp_path)
