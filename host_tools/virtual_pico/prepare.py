"""`make pico`: everything that the virtual Pico needs, and a first boot to show that it works.

Each part that is there already is left alone, so the second time takes seconds.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from host_tools import cache
from host_tools.errors import MISSING, ToolError
from host_tools.virtual_pico import firmware_build, node

# What the booted board is asked: that it is MicroPython on this chip and that its compiler is there.
_QUESTION = """\
import sys, os, json
@micropython.viper
def square(n: int) -> int:
    return n * n
print(json.dumps([sys.implementation.name, os.uname().release, os.uname().machine, square(100000)]))
"""


class BootError(ToolError):
    """The firmware does not boot on the virtual Pico, or is not what it should be."""

    code = MISSING


def prepare(boot: bool = True) -> Path:
    """Builds the firmware, installs the emulator, boots it once; returns the firmware. Raises ToolError."""
    firmware = firmware_build.find_firmware()
    node.install_packages()
    if boot:
        _boot_once(firmware)
    return firmware


def _boot_once(firmware: Path) -> None:
    """Boots an empty virtual Pico unless this firmware and emulator have booted before."""
    parts = [firmware, *sorted(node.EMULATOR.glob("*.mjs")), node.EMULATOR / "package-lock.json"]
    stamp = cache.cache_folder() / f"booted-{cache.hash_files(*parts)}"
    if stamp.is_file():
        return
    from mpremote.transport_serial import SerialTransport

    from host_tools.virtual_pico.pico import VirtualPico

    cache.report("booting it on the virtual Pico")
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="eesm-pico-") as folder,
        VirtualPico(unit="a", flash=Path(folder) / "flash.bin") as pico,
    ):
        transport = SerialTransport(str(pico.port), timeout=20)
        transport.enter_raw_repl(soft_reset=False, timeout_overall=60)
        answer = transport.exec(_QUESTION)
        transport.exit_raw_repl()
        transport.close()
    name, version, machine, product = json.loads(answer)
    if name != "micropython" or "RP2040" not in machine or product != 1410065408:
        raise BootError(
            f"{firmware} says that it is {name} {version} on {machine}, and that 100000 squared in viper is "
            f"{product}, not 1410065408.",
            "unset UF2, or name a MicroPython firmware for the Raspberry Pi Pico",
        )
    stamp.touch()
    cache.report(f"MicroPython {version} on {machine} booted in {time.monotonic() - started:.0f} s")


def main() -> int:
    """Prepares and prints the firmware's path."""
    parser = argparse.ArgumentParser(
        prog="python -m host_tools.virtual_pico.prepare", description="Build and boot the virtual Pico."
    )
    parser.add_argument("--no-boot", action="store_true", help="build and install, but do not start it")
    arguments = parser.parse_args()
    try:
        print(prepare(boot=not arguments.no_boot))
    except ToolError as error:
        print(f"eesm: {error.message}\n{error.hint}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
