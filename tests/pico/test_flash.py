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
from host_tools.cli.entry import run
from host_tools.client import Drive
from host_tools.connection import open_port
from host_tools.devices import Device
from host_tools.flash import bootsel, flash_folder
from host_tools.flash.errors import BoardGone
from host_tools.flash.plan import MANIFEST, OLD_MANIFEST, hash_of, read_folder
from host_tools.flash.prompt import Prompt
from host_tools.flash.reach import Port, reach_prompt
from host_tools.flash.rom import blocks_of, make_image, modules_of
from host_tools.link_errors import Refused
from host_tools.virtual_pico.firmware_build import find_firmware
from host_tools.virtual_pico.pico import VirtualPico

BOARD = "rpi_pico"
pytestmark = pytest.mark.timeout(900)


def device_of(pico: VirtualPico) -> Device:
    return Device(pico.port, "virtual", "virtual Pico", pico.unit or None, pico.pid, board=BOARD)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Board folders of unit a, and of a brisker one that shares its code and little else."""
    folder = tmp_path_factory.mktemp("built")
    text = (units.BOARDS / "units" / "a.toml").read_text()
    for old, new in (
        ('name = "a"', 'name = "brisk"'),
        ("torque_max = { value = 7.2", "torque_max = { value = 6.5"),
        ("bandwidth_speed = { value = 8", "bandwidth_speed = { value = 10"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "brisk.toml").write_text(text)
    names = {"a": "a", "brisk": folder / "brisk.toml"}
    return {unit: build.build(units.load(name, board=BOARD), folder / unit) for unit, name in names.items()}


@dataclass(frozen=True)
class Loaded:
    """A flash that holds the brisk unit, and how long putting unit a over it takes."""

    image: Path
    seconds: float


@pytest.fixture(scope="module")
def loaded(built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("flash")
    image, other = folder / "brisk.bin", folder / "a.bin"
    with VirtualPico("a", flash=image, registry=folder) as pico:
        flash_folder(built["brisk"], device_of(pico), restart=False)
    shutil.copy(image, other)
    with VirtualPico("a", flash=other, registry=folder) as pico:
        started = time.monotonic()
        result = flash_folder(built["a"], device_of(pico), restart=False)
        assert 0 < len(result.uploaded) < len(read_folder(built["a"]))
        return Loaded(image, time.monotonic() - started)


@pytest.fixture
def pico(loaded: Loaded, tmp_path: Path) -> Iterator[VirtualPico]:
    """A virtual Pico that holds the brisk unit."""
    flash = tmp_path / "flash.bin"
    shutil.copy(loaded.image, flash)
    with VirtualPico("a", flash=flash, registry=tmp_path) as made:
        yield made


ROM = "the ROM"


def read_hashes(pico: VirtualPico, blocks: int = 0) -> dict[str, str]:
    """Hash of every file on the board, and of so many blocks of its ROM."""
    with reach_prompt(Port(pico.port, pico.pid), 300.0, 6.0) as prompt:
        found = prompt.hash_files(path for path, size in prompt.list_files().items() if size >= 0)
        return {**found, ROM: "".join(prompt.hash_rom(blocks))}


def hashes_of(folder: Path) -> dict[str, str]:
    """What `read_hashes` finds where a built folder was flashed."""
    files = read_folder(folder)
    modules = modules_of(files)
    found = {path: hash_of(data) for path, data in files.items() if path not in modules}
    return {**found, ROM: "".join(map(hash_of, blocks_of(make_image(modules))))}


def blocks_in(folder: Path) -> int:
    return len(blocks_of(make_image(modules_of(read_folder(folder)))))


def test_running_drive_leaves_and_takes_another_unit(pico: VirtualPico, built: dict[str, Path]) -> None:
    with Drive.connect(pico.port) as drive:
        assert drive.identity.unit == "brisk"
    result = flash_folder(built["a"], device_of(pico))
    assert result.identity["unit"] == "a"
    assert result.identity["board"] == BOARD
    with Drive.connect(pico.port) as drive:
        assert drive.state == "off"
        assert drive.identity.kernel_hash == result.identity["kernel_hash"]
    again = flash_folder(built["a"], device_of(pico))
    assert (again.uploaded, again.removed) == ((), ())


def test_stale_source_no_longer_hides_the_compiled_module(pico: VirtualPico, built: dict[str, Path]) -> None:
    with reach_prompt(Port(pico.port, pico.pid), 300.0, 6.0) as prompt:
        prompt.make_folders(["eesm"])
        prompt.write("eesm/drive.py", b"raise RuntimeError('stale')\n")
        prompt.write("notes.txt", b"mine\n")
    result = flash_folder(built["brisk"], device_of(pico))
    assert "eesm/drive.py" in result.removed
    assert result.others == ("notes.txt",)
    assert result.identity["unit"] == "brisk"


def test_mpremote_finds_the_files(pico: VirtualPico, built: dict[str, Path]) -> None:
    with reach_prompt(Port(pico.port, pico.pid), 300.0, 6.0):
        pass
    command = [sys.executable, "-m", "mpremote", "connect", pico.port, "resume", "fs", "cat", ":unit.json"]
    said = subprocess.run(command, capture_output=True, timeout=120, check=True).stdout
    assert said == (built["brisk"] / "unit.json").read_bytes()


def test_bare_board_takes_micropython_and_then_the_files(
    built: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with VirtualPico("", flash=tmp_path / "flash.bin", bootsel=True, registry=tmp_path) as pico:
        end = time.monotonic() + 30
        while not bootsel.find_volumes([pico.volume]) and time.monotonic() < end:
            time.sleep(0.1)
        command = ["flash", "a", "--volume", str(pico.volume), "--port", pico.port, "--no-restart"]
        assert run([*command, "--uf2", str(find_firmware()), "--yes"]) == 0
        assert "Uploaded" in capsys.readouterr().out
        found = read_hashes(pico, blocks_in(built["a"]))
    del found[MANIFEST]
    assert found == hashes_of(built["a"])


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
            flash_folder(built["brisk"], device_of(pico))
    finally:
        drive._armed = False
        drive.close()
    with Drive.connect(pico.port) as other:
        assert other.identity.unit == "a"
        assert other.state not in ("fault",)
        other.stop(wait=True)


def cut_and_repair(moment: float, loaded: Loaded, built: Path, folder: Path, *, restart: bool) -> None:
    """Cuts the power `moment` seconds into a flash, looks at what boots, and flashes again."""
    flash = folder / "flash.bin"
    shutil.copy(loaded.image, flash)
    with VirtualPico("a", flash=flash, registry=folder) as pico:
        timer = threading.Timer(moment, pico.kill)
        timer.start()
        try:
            flash_folder(built, device_of(pico), restart=False)
        except BoardGone:
            pass
        finally:
            timer.cancel()
            timer.join()
    with VirtualPico("a", flash=flash, registry=folder) as pico:
        found = read_hashes(pico)
        if MANIFEST in found:
            with reach_prompt(Port(pico.port, pico.pid), 300.0, 6.0) as prompt:
                manifest = json.loads(prompt.read(MANIFEST) or b"")
                size, digits = manifest["rom"]
                rom = f"import main; print(main.is_burnt({size}, {digits!r}))"
                assert prompt._exec(rom).strip() == b"True"
            # main.py would start this: it must be all of one unit, the old one or the new one.  The last step
            # of a flash removes the old manifest, which starts nothing.
            assert {path: hash_ for path, (_, hash_) in manifest["files"].items()} == {
                path: hash_ for path, hash_ in found.items() if path not in (MANIFEST, OLD_MANIFEST, ROM)
            }
        result = flash_folder(built, device_of(pico), restart=restart)
        assert not restart or result.identity["unit"] == "a"
        found = read_hashes(pico, blocks_in(built))
        del found[MANIFEST]
        assert found == hashes_of(built)


@pytest.mark.parametrize("part", [0.12, 0.3, 0.5, 0.75, 0.97])
def test_power_cut_is_repaired_by_the_next_flash(
    part: float, loaded: Loaded, built: dict[str, Path], tmp_path: Path
) -> None:
    cut_and_repair(part * loaded.seconds, loaded, built["a"], tmp_path, restart=True)


def test_power_cut_in_the_middle_of_the_rom_leaves_a_board_that_starts_nothing(
    loaded: Loaded, built: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    shutil.copytree(built["brisk"], other)
    (other / "eesm" / "absent.mpy").write_bytes(bytes(5000))  # the first: whatever follows lies elsewhere
    flash = tmp_path / "flash.bin"
    shutil.copy(loaded.image, flash)
    burn, burnt = Prompt.burn, 0
    with VirtualPico("a", flash=flash, registry=tmp_path) as pico:

        def burn_until_cut(self: Prompt, number: int, block: bytes) -> None:
            nonlocal burnt
            burnt += 1
            if burnt == 5:
                pico.kill()
            burn(self, number, block)

        monkeypatch.setattr(Prompt, "burn", burn_until_cut)
        with pytest.raises(BoardGone):
            flash_folder(other, device_of(pico), restart=False)
    monkeypatch.undo()
    with VirtualPico("a", flash=flash, registry=tmp_path) as pico:
        with reach_prompt(Port(pico.port, pico.pid), 300.0, 6.0) as prompt:
            assert prompt._exec("import sys; print('/rom' in sys.path)").strip() == b"False"
            assert MANIFEST not in prompt.list_files()
        result = flash_folder(built["brisk"], device_of(pico))
        assert result.burnt >= 4
        assert result.identity["unit"] == "brisk"


@pytest.mark.full
@pytest.mark.parametrize("number", range(50))
def test_power_cut_at_a_random_moment(
    number: int, loaded: Loaded, built: dict[str, Path], tmp_path: Path
) -> None:
    part = random.Random(f"power cut {number}").uniform(0.02, 1.02)
    cut_and_repair(part * loaded.seconds, loaded, built["a"], tmp_path, restart=False)


def test_board_without_its_manifest_boots_to_a_prompt(pico: VirtualPico, tmp_path: Path) -> None:
    with reach_prompt(Port(pico.port, pico.pid), 300.0, 6.0) as prompt:
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
