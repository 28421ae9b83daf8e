"""Settings kept in the flash of the virtual Pico: littlefs, power cuts, the interrupt meanwhile."""

from __future__ import annotations

import contextlib
import random
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from eesm import store
from host_tools import build, units
from host_tools.client import Drive
from host_tools.devices import Device
from host_tools.flash import flash_folder
from host_tools.flash.reach import Port, reach_prompt, wait_for_drive
from host_tools.link_errors import DriveError, Refused
from host_tools.virtual_pico.pico import VirtualPico

PATIENCE = 30.0  # s that an emulated board on a busy computer may take to answer
pytestmark = pytest.mark.timeout(900)


def connect(pico: VirtualPico) -> Drive:
    """The drive on a board that has just been switched on."""
    wait_for_drive(Port(pico.port, pico.pid), 300.0)
    return Drive.connect(pico.port, timeout=PATIENCE)


def device_of(pico: VirtualPico) -> Device:
    return Device(pico.port, "virtual", "virtual Pico", "a", pico.pid, board="rpi_pico")


@dataclass(frozen=True)
class Loaded:
    """A flash that holds unit a with bandwidth_speed = 9.5 kept, and how long another save takes."""

    image: Path
    folder: Path
    seconds: float


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = build.build(units.load("a", board="rpi_pico"), tmp_path_factory.mktemp("built") / "a")
    image = tmp_path_factory.mktemp("flash") / "a.bin"
    other = image.with_name("other.bin")
    with VirtualPico("a", flash=image, registry=image.parent) as pico:
        flash_folder(folder, device_of(pico))
        with connect(pico) as drive:
            drive.set("bandwidth_speed", 9.5)
            assert drive.save().count == 1
    shutil.copy(image, other)
    with VirtualPico("a", flash=other, registry=image.parent) as pico, connect(pico) as drive:
        drive.set("R_s", 0.125)
        began = time.monotonic()
        drive.save()
        return Loaded(image, folder, time.monotonic() - began)


def copy_of(loaded: Loaded, folder: Path) -> Path:
    flash = folder / "flash.bin"
    shutil.copy(loaded.image, flash)
    return flash


def test_a_save_disturbs_no_period_and_outlives_power_and_flashing(loaded: Loaded, tmp_path: Path) -> None:
    flash = copy_of(loaded, tmp_path)
    with VirtualPico("a", flash=flash, registry=tmp_path) as pico:
        with connect(pico) as drive:
            assert drive.get("bandwidth_speed") == 9.5
            drive.arm(timeout=4 * PATIENCE)
            with pytest.raises(Refused, match="armed"):
                drive.save()
            drive.stop(timeout=4 * PATIENCE)
            # The watchdog has run since the arming, and a save takes longer than it waits.
            drive.set("R_s", 0.125)
            for number in (2, 3):
                kept = drive.save()
                assert (kept.whole, kept.sequence, kept.count, kept.unsaved) == (True, number, 2, 0)
            drive.sleep(0.2)
            assert drive.state == "off"
            assert drive.faults().faults == ()
            assert drive.read("missed_periods") == 0
            drive.arm(timeout=4 * PATIENCE)
            drive.speed = 300
            drive.sleep(0.5)
            assert drive.read("missed_periods") == 0
            drive.stop(timeout=4 * PATIENCE)
            assert drive.faults().faults == ()
        pico.kill()
    with VirtualPico("a", flash=flash, registry=tmp_path) as pico:
        with connect(pico) as drive:
            assert (drive.get("bandwidth_speed"), drive.get("R_s")) == (9.5, 0.125)
        result = flash_folder(loaded.folder, device_of(pico))
        assert set(store.SLOTS) == set(result.others), "a flash leaves them alone"
        with connect(pico) as drive:
            assert drive.get("R_s") == 0.125
            assert drive.erase().count == 0
            assert drive.get("R_s") != 0.125
            assert drive.faults().faults == ()
        with reach_prompt(Port(pico.port, pico.pid), 300.0, 6.0) as prompt:
            assert not [path for path in prompt.list_files() if path.startswith("parameters")]


@pytest.mark.parametrize("number", range(6))
def test_a_power_cut_in_a_save_leaves_the_old_or_the_new_settings(
    number: int, loaded: Loaded, tmp_path: Path
) -> None:
    moment = random.Random(f"save {number}").uniform(0.0, 1.1) * loaded.seconds
    flash = copy_of(loaded, tmp_path)
    with VirtualPico("a", flash=flash, registry=tmp_path) as pico, contextlib.suppress(DriveError):
        drive = connect(pico)
        try:
            drive.set("bandwidth_speed", 11.0)
            drive.set("R_s", 0.125)
            timer = threading.Timer(moment, pico.kill)
            timer.start()
            try:
                drive.save()
            finally:
                timer.join()
        finally:
            drive.close()
    with VirtualPico("a", flash=flash, registry=tmp_path) as pico, connect(pico) as drive:
        assert drive.state == "off"
        kept = drive.kept()
        assert kept.whole and not kept.notes
        found = (kept.sequence, drive.get("bandwidth_speed"), drive.get("R_s") == 0.125)
        assert found in ((1, 9.5, False), (2, 11.0, True))
        drive.set("R_s", 0.25)
        assert drive.save().sequence == kept.sequence + 1
