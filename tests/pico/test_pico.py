"""The virtual Pico as programs on a computer see it: a port that mpremote opens, a flash that stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from host_tools.devices import find_virtual
from host_tools.flash.bootsel import find_volumes, install_firmware
from host_tools.virtual_pico.firmware_build import find_firmware
from host_tools.virtual_pico.pico import VirtualPico, VirtualPicoError

FLASH_BYTES = 2 * 1024 * 1024
SECTOR = 4096


def mpremote(pico: VirtualPico, *words: str, timeout: float = 60) -> str:
    """What mpremote prints; fails with its words when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", pico.port, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout + done.stderr + pico.said()
    return done.stdout.replace("\r\n", "\n")


@pytest.fixture(scope="module")
def pico(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualPico]:
    """A board without a plant."""
    folder = tmp_path_factory.mktemp("pico")
    with VirtualPico("", flash=folder / "flash.bin", registry=folder / "registry") as pico:
        yield pico


def test_mpremote_runs_scripts_and_moves_files(pico: VirtualPico, tmp_path: Path) -> None:
    assert mpremote(pico, "exec", "import sys; print(sys.platform, 6 * 7)") == "rp2 42\n"
    file = tmp_path / "data.bin"
    file.write_bytes(os.urandom(20_000))
    mpremote(pico, "cp", str(file), ":data.bin")
    copy = tmp_path / "copy.bin"
    mpremote(pico, "cp", ":data.bin", str(copy))
    assert copy.read_bytes() == file.read_bytes()


def test_a_reset_keeps_the_files_and_the_port(pico: VirtualPico) -> None:
    mpremote(pico, "exec", "f = open('kept', 'w'); f.write('here'); f.close()")
    resets = pico.control("counters")["resets"]
    pico.control("run_pin")
    assert mpremote(pico, "exec", "print(open('kept').read())") == "here\n"
    assert pico.control("counters")["resets"] == resets + 1


def test_a_board_that_prints_to_nobody_is_not_held_up(pico: VirtualPico) -> None:
    script = "for i in range(3000): print('x' * 60)\nf = open('done', 'w'); f.close()"
    mpremote(pico, "exec", "--no-follow", script)
    end = time.monotonic() + 20
    programmed = pico.control("counters")["pages_programmed"]
    while pico.control("counters")["pages_programmed"] == programmed:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert "done" in mpremote(pico, "fs", "ls")


def wait_until_connected(pico: VirtualPico) -> None:
    end = time.monotonic() + 60
    while not pico.control("counters")["usb_connected"]:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_an_unplugged_cable_is_noticed_and_can_be_plugged_again(pico: VirtualPico) -> None:
    wait_until_connected(pico)
    pico.control("usb_unplug")
    assert not pico.control("counters")["usb_connected"]
    pico.control("usb_plug")
    wait_until_connected(pico)
    assert mpremote(pico, "exec", "print(1)") == "1\n"


def test_an_idle_board_keeps_real_time(pico: VirtualPico) -> None:
    mpremote(pico, "exec", "pass")
    before, began = pico.control("counters"), time.monotonic()
    time.sleep(0.5)
    after, passed = pico.control("counters"), time.monotonic() - began
    nanos = after["nanos"] - before["nanos"]
    assert nanos < (passed + 0.05) * 1e9
    assert after["slept_cycles"] - before["slept_cycles"] > 0.9 * (after["cycles"] - before["cycles"])


def test_commands_that_are_not_known_or_not_right_are_refused(pico: VirtualPico) -> None:
    with pytest.raises(VirtualPicoError, match="no command fly; there are: counters"):
        pico.control("fly")
    with pytest.raises(VirtualPicoError, match="timing is best"):
        pico.control("set_timing", timing="best")
    with pytest.raises(VirtualPicoError, match="step is no event"):
        pico.control("measure", name="x", **{"from": "step", "to": "irq:1"})
    with pytest.raises(VirtualPicoError, match="'slow', not one of ideal, cache"):
        VirtualPico("", timing="slow")


def test_the_board_is_found_while_it_runs(pico: VirtualPico, tmp_path: Path) -> None:
    (device,) = find_virtual(pico.registry)
    assert (device.port, device.pid) == (pico.port, pico.pid)
    with VirtualPico("", flash=tmp_path / "flash.bin", registry=tmp_path) as other:
        other.kill()
        assert not find_virtual(tmp_path)


def test_a_power_cut_leaves_what_was_written_and_nothing_of_what_was_not(tmp_path: Path) -> None:
    """Sectors that hold their own number, in order: after the cut some are done, at most one is half done."""
    image = tmp_path / "flash.bin"
    base, count = 0x180000, 100
    script = f"""\
import rp2
flash = rp2.Flash()
first = ({base} - 0xa0000) // {SECTOR}
for n in range({count}):
    flash.writeblocks(first + n, bytes([n]) * {SECTOR})
"""
    with VirtualPico("", flash=image, registry=tmp_path) as pico:
        started = pico.control("counters")["pages_programmed"]
        mpremote(pico, "exec", "--no-follow", script)
        while pico.control("counters")["pages_programmed"] < started + 200:
            time.sleep(0.001)
        pico.kill()
    held = image.read_bytes()
    assert len(held) == FLASH_BYTES
    sectors = [held[base + n * SECTOR :][:SECTOR] for n in range(count)]
    done = [sector == bytes([n]) * SECTOR for n, sector in enumerate(sectors)]
    written = done.index(False)
    assert 5 < written < count
    assert not any(done[written:])
    untouched = bytes([0xFF]) * SECTOR
    assert all(sector == untouched for sector in sectors[written + 1 :])
    with VirtualPico("", flash=image, registry=tmp_path) as pico:
        assert mpremote(pico, "exec", "print('alive')") == "alive\n"


def test_a_board_ends_with_the_program_that_keeps_it(tmp_path: Path) -> None:
    program = f"""\
import os, sys
from pathlib import Path
from host_tools.virtual_pico.pico import VirtualPico
pico = VirtualPico("", flash=Path({str(tmp_path / "flash.bin")!r}), registry=Path({str(tmp_path)!r})).start()
pico.control("counters")
print(pico.pid, flush=True)
os._exit(1)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    pid = int(done.stdout)
    end = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and find_virtual(tmp_path):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_two_boards_have_two_identities(tmp_path: Path) -> None:
    script = "import machine; print(machine.unique_id().hex())"
    said = []
    for seed in (1, 2):
        with VirtualPico("", flash=tmp_path / f"{seed}.bin", seed=seed, registry=tmp_path) as pico:
            said.append(mpremote(pico, "exec", script))
    assert said[0] != said[1]


def test_a_board_in_bootsel_takes_a_firmware_by_its_drive(tmp_path: Path) -> None:
    with VirtualPico("", flash=tmp_path / "flash.bin", bootsel=True, registry=tmp_path) as pico:
        end = time.monotonic() + 10
        while not find_volumes([pico.volume]):
            assert time.monotonic() < end
            time.sleep(0.02)
        install_firmware(pico.volume, find_firmware())
        assert mpremote(pico, "exec", "print('alive')") == "alive\n"
        assert not pico.volume.exists()
        mpremote(pico, "bootloader")
        while not find_volumes([pico.volume]):
            assert time.monotonic() < end
            time.sleep(0.02)


def test_a_firmware_that_is_none_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "firmware.uf2"
    bad.write_bytes(bytes(1024))
    pico = VirtualPico("", flash=tmp_path / "flash.bin", firmware=bad, registry=tmp_path)
    with pico, pytest.raises(VirtualPicoError, match="is not a UF2 file"):
        pico.control("counters")
