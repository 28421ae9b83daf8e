"""`eesm flash` onto the virtual Pico: MicroPython's own firmware, file system and prompt, by mpremote."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from host_tools import build, units
from host_tools.client import Drive
from host_tools.connection import open_port
from host_tools.devices import Device
from host_tools.flash import flash_folder
from host_tools.flash.errors import BoardGone
from host_tools.flash.plan import MANIFEST, read_folder
from host_tools.flash.reach import Port, reach_prompt
from host_tools.link_errors import Refused
from host_tools.virtual_pico.pico import VirtualPico

BOARD = "rpi_pico"
pytestmark = pytest.mark.timeout(900)


def device_of(pico: VirtualPico) -> Device:
    return Device(pico.port, "virtual", "virtual Pico", pico.unit or None, pico.pid, board=BOARD)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Board folders of two units."""
    folder = tmp_path_factory.mktemp("built")
    return {unit: build.build(units.load(unit, board=BOARD), folder / unit) for unit in ("a", "b")}


@dataclass(frozen=True)
class Loaded:
    """A flash that holds unit b, and how long putting unit a over it takes."""

    image: Path
    seconds: float


@pytest.fixture(scope="module")
def loaded(built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("flash")
    image, other = folder / "b.bin", folder / "a.bin"
    with VirtualPico("a", flash=image, registry=folder) as pico:
        result = flash_folder(built["b"], device_of(pico))
        assert result.identity["unit"] == "b"
        assert not result.removed
    shutil.copy(image, other)
    with VirtualPico("a", flash=other, registry=folder) as pico:
        started = time.monotonic()
        result = flash_folder(built["a"], device_of(pico), restart=False)
        assert 0 < len(result.uploaded) < len(read_folder(built["a"]))
        return Loaded(image, time.monotonic() - started)


@pytest.fixture
def pico(loaded: Loaded, tmp_path: Path) -> Iterator[VirtualPico]:
    """A virtual Pico that holds unit b."""
    flash = tmp_path / "flash.bin"
    shutil.copy(loaded.image, flash)
    with VirtualPico("a", flash=flash, registry=tmp_path) as made:
        yield made


def read_board(pico: VirtualPico) -> dict[str, bytes]:
    """Every file on the board, through mpremote."""
    with reach_prompt(Port(pico.port), 300.0, 6.0) as prompt:
        content = {}
        for path, size in prompt.list_files().items():
            if size >= 0:
                data = prompt.read(path)
                assert data is not None
                content[path] = data
    return content


def test_running_drive_leaves_and_takes_another_unit(pico: VirtualPico, built: dict[str, Path]) -> None:
    with Drive.connect(pico.port) as drive:
        assert drive.identity.unit == "b"
    result = flash_folder(built["a"], device_of(pico))
    assert result.identity["unit"] == "a"
    assert result.identity["board"] == BOARD
    with Drive.connect(pico.port) as drive:
        assert drive.state == "off"
        assert drive.identity.kernel_hash == result.identity["kernel_hash"]
    again = flash_folder(built["a"], device_of(pico))
    assert (again.uploaded, again.removed) == ((), ())


def test_stale_source_no_longer_hides_the_compiled_module(pico: VirtualPico, built: dict[str, Path]) -> None:
    with reach_prompt(Port(pico.port), 300.0, 6.0) as prompt:
        prompt.write("eesm/drive.py", b"raise RuntimeError('stale')\n")
        prompt.write("notes.txt", b"mine\n")
    result = flash_folder(built["b"], device_of(pico))
    assert "eesm/drive.py" in result.removed or "eesm/drive.py" in result.uploaded
    assert result.others == ("notes.txt",)
    assert result.identity["unit"] == "b"


def test_mpremote_finds_the_files(pico: VirtualPico, built: dict[str, Path]) -> None:
    with reach_prompt(Port(pico.port), 300.0, 6.0):
        pass
    command = [sys.executable, "-m", "mpremote", "connect", pico.port, "resume", "fs", "cat", ":unit.json"]
    said = subprocess.run(command, capture_output=True, timeout=120, check=True).stdout
    assert said == (built["b"] / "unit.json").read_bytes()


def test_armed_drive_is_left_armed(pico: VirtualPico, built: dict[str, Path], tmp_path: Path) -> None:
    result = flash_folder(built["a"], device_of(pico))
    assert result.identity["unit"] == "a"
    drive = Drive.connect(pico.port)
    try:
        drive.set("host_timeout", 10.0)
        drive.arm(wait=True)
        # The client is gone without a word, as after a crash; the drive waits for it for a while.
        drive.connection.close()
        with pytest.raises(Refused, match="armed"):
            flash_folder(built["b"], device_of(pico))
    finally:
        drive._armed = False
        drive.close()
    with Drive.connect(pico.port) as other:
        assert other.identity.unit == "a"
        assert other.state not in ("fault",)
        other.stop(wait=True)


def cut_and_repair(
    moment: float, loaded: Loaded, built: dict[str, Path], folder: Path
) -> tuple[float, bool, bool]:
    """Cuts the power `moment` seconds into a flash, looks at what boots, and flashes again.

    Returns the moment, whether the flash was cut short, and whether the board was whole afterwards.
    """
    flash = folder / "flash.bin"
    shutil.copy(loaded.image, flash)
    was_cut = False
    with VirtualPico("a", flash=flash, registry=folder) as pico:
        timer = threading.Timer(moment, pico.kill)
        timer.start()
        try:
            flash_folder(built["a"], device_of(pico), restart=False)
        except BoardGone:
            was_cut = True
        finally:
            timer.cancel()
            timer.join()
    with VirtualPico("a", flash=flash, registry=folder) as pico:
        prompt = reach_prompt(Port(pico.port), 300.0, 6.0)
        manifest = prompt.read(MANIFEST)
        prompt.close()
        if manifest is not None:
            # Whole: all of one unit, which must therefore run.
            listed = json.loads(manifest)["files"]
            content = read_board(pico)
            assert {path: len(content[path]) for path in listed} == {
                path: size for path, (size, _) in listed.items()
            }
        result = flash_folder(built["a"], device_of(pico))
        assert result.identity["unit"] == "a"
        content = read_board(pico)
        content.pop(MANIFEST)
        assert content == read_folder(built["a"])
    return moment, was_cut, manifest is not None


@pytest.mark.parametrize("part", [0.12, 0.3, 0.5, 0.75, 0.97])
def test_power_cut_is_repaired_by_the_next_flash(
    part: float, loaded: Loaded, built: dict[str, Path], tmp_path: Path
) -> None:
    cut_and_repair(part * loaded.seconds, loaded, built, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("number", range(50))
def test_power_cut_at_a_random_moment(
    number: int, loaded: Loaded, built: dict[str, Path], tmp_path: Path
) -> None:
    part = random.Random(f"power cut {number}").uniform(0.02, 1.02)
    cut_and_repair(part * loaded.seconds, loaded, built, tmp_path)


def test_board_without_its_manifest_boots_to_a_prompt(pico: VirtualPico, tmp_path: Path) -> None:
    with reach_prompt(Port(pico.port), 300.0, 6.0) as prompt:
        prompt.remove([MANIFEST])
        prompt.reset()
    said = b""
    end = time.monotonic() + 120
    with open_port(pico.port) as serial:
        while not said.endswith(b">>> ") and time.monotonic() < end:
            said += serial.read(256)
            if not said:
                serial.write(b"\r")
    assert b"eesm flash" in said, said
