"""Looks at everything that a bench needs, and says of each what is wrong and what to type next.

A check changes nothing, fetches nothing and opens no port but those of drives that were found.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from host_tools import devices
from host_tools.cache import cache_folder
from host_tools.devices import Device
from host_tools.errors import ToolError

OK = "ok"
NOTE = "note"  # something optional is missing
BAD = "bad"

# Extra: what it is for, and one package of it.
EXTRAS = {
    "log": ("logs as Parquet and CSV", "pyarrow"),
    "plot": ("plots", "matplotlib"),
    "sim": ("simulation", "numba"),
    "optimum": ("loss-minimal references", "scipy"),
    "scope": ("eesm scope", "starlette"),
    "monitor": ("eesm monitor", "textual"),
    "shell": ("eesm shell", "IPython"),
    "flash": ("loading a board", "mpremote"),
}
RULES = Path("/etc/udev/rules.d")
RULE_FILE = "70-eesm.rules"


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and the next command where something is to be done."""

    level: str
    subject: str
    text: str
    remedy: str = ""


def examine(registry: Path | None = None) -> Iterator[Finding]:
    """Every finding, in the order in which one would look."""
    yield check_python()
    yield from check_extras()
    yield check_interpreter()
    yield check_compiler()
    yield from check_pico()
    yield from check_ports()
    yield from check_drives(registry)


# --- this computer ---------------------------------------------------------------------------------


def check_python() -> Finding:
    """The interpreter that these tools run in; pip refuses one that is too old."""
    return Finding(OK, "Python", f"{platform.python_version()}, {sys.executable}")


def check_extras() -> Iterator[Finding]:
    """Optional packages."""
    missing = [name for name, (_, module) in EXTRAS.items() if importlib.util.find_spec(module) is None]
    for name in missing:
        yield Finding(
            NOTE, f"extra {name}", f"not installed: {EXTRAS[name][0]}", f"pip install 'eesm[{name}]'"
        )
    if not missing:
        yield Finding(OK, "extras", ", ".join(EXTRAS))


def check_interpreter() -> Finding:
    """The 32-bit MicroPython of demo, tests and virtual drive."""
    from host_tools import interpreter

    named = os.environ.get("MICROPYTHON")
    home = cache_folder() / interpreter.NAME
    if not named and not home.exists():
        return Finding(NOTE, "MicroPython", "the 32-bit build is not there yet", "make micropython")
    try:
        found = interpreter.probe(interpreter.find_interpreter())
    except interpreter.InterpreterError as error:
        return Finding(
            BAD, "MicroPython", str(error).splitlines()[0], "unset MICROPYTHON, then make micropython"
        )
    return Finding(OK, "MicroPython", f"{found.version}, 32-bit with viper")


def check_compiler() -> Finding:
    """A C compiler, which only tests need."""
    from host_tools import compiler

    try:
        found = compiler.find_compiler()
    except compiler.CompilerError:
        return Finding(NOTE, "C compiler", "none that stops at undefined behaviour", "pip install 'eesm[cc]'")
    return Finding(OK, "C compiler", found.argv[0])


def check_pico() -> Iterator[Finding]:
    """MicroPython for the Pico, its toolchain and its emulator; types of MicroPython for the editor."""
    from host_tools.virtual_pico import firmware_build

    named = os.environ.get("UF2")
    built = cache_folder() / firmware_build.cache_name() / "firmware.uf2"
    if named:
        try:
            firmware_build.check_firmware(Path(named))
        except ToolError as error:
            yield Finding(BAD, "virtual Pico", error.message, error.hint)
        else:
            yield Finding(OK, "virtual Pico", f"UF2={named}")
    elif built.exists():
        yield Finding(OK, "virtual Pico", "MicroPython for the RP2040 is built")
    else:
        yield Finding(NOTE, "virtual Pico", "MicroPython for the RP2040 is not built yet", "make pico")
    stubs = devices.ROOT / ".cache" / "stubs"
    if (devices.ROOT / "Makefile").exists() and not stubs.exists():
        yield Finding(NOTE, "stubs", "MicroPython's types are not installed", "make check")


# --- ports -----------------------------------------------------------------------------------------


def check_ports() -> Iterator[Finding]:
    """May the boards' ports be opened, and is another program about to take them?"""
    found = devices.find_serial()
    for device in found:
        holder = holder_of(device.port)
        if not os.access(device.port, os.R_OK | os.W_OK):
            yield Finding(BAD, device.port, "you may not open it", permit())
        elif holder:
            yield Finding(
                NOTE, device.port, f"in use by {holder}", "close that program to use the drive here"
            )
        else:
            yield Finding(OK, device.port, device.text)
    if not found:
        yield Finding(NOTE, "boards", "no serial port is that of a known board", "plug one in: eesm devices")
    if runs("ModemManager") and not any("ID_MM_DEVICE_IGNORE" in text for text in rules()):
        yield Finding(NOTE, "ModemManager", "it takes a fresh port for some seconds", permit())


def udev_rules() -> str:
    """Rules that let who sits at the screen or is of dialout open the ports, and keep ModemManager off."""
    lines = []
    for vendor, product, _ in devices.USB:
        match = f'SUBSYSTEMS=="usb", ATTRS{{idVendor}}=="{vendor:04x}"'
        if product is not None:
            match += f', ATTRS{{idProduct}}=="{product:04x}"'
        lines.append(f'{match}, GROUP="dialout", MODE="0660", TAG+="uaccess", ENV{{ID_MM_DEVICE_IGNORE}}="1"')
    return "\n".join(lines) + "\n"


def permit() -> str:
    """The command that installs the rules."""
    return (
        f"eesm doctor --udev | sudo tee {RULES / RULE_FILE} && "
        "sudo udevadm control --reload && sudo udevadm trigger"
    )


def rules() -> Iterator[str]:
    """The texts of this machine's own udev rules."""
    for file in sorted(RULES.glob("*.rules")):
        try:
            yield file.read_text(errors="replace")
        except OSError:
            continue


def processes() -> Iterator[tuple[int, str]]:
    """Number and name of every process that may be seen; Linux only."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            yield int(folder.name), (folder / "comm").read_text().strip()
        except OSError:
            continue


def runs(name: str) -> bool:
    """True when a program of that name runs."""
    return any(found == name for _, found in processes())


def holder_of(port: str) -> str | None:
    """Who has the port open, locked or not."""
    locked = devices.holder_of(port)
    if locked:
        return locked
    real = os.path.realpath(port)
    for number, name in processes():
        try:
            open_files = list(Path(f"/proc/{number}/fd").iterdir())
        except OSError:
            continue
        for file in open_files:
            try:
                if os.readlink(file) == real:
                    return f"process {number} ({name})"
            except OSError:
                continue
    return None


# --- drives ----------------------------------------------------------------------------------------


def check_drives(registry: Path | None = None) -> Iterator[Finding]:
    """Each drive that was found: does it answer, and does it run what the files here make?"""
    with ThreadPoolExecutor() as pool:
        yield from pool.map(check_drive, devices.find_devices(registry))


def check_drive(device: Device) -> Finding:
    """One drive; a busy port is only told of."""
    from host_tools.connection import PortBusy, PortDenied, identify

    try:
        said = identify(device.port)
    except (PortBusy, PortDenied) as error:
        return Finding(NOTE, device.port, error.message, error.hint)
    except ToolError as error:
        return Finding(BAD, device.port, error.message, error.hint)
    text = f"unit {said['unit']} on board {said['board']}, firmware {said['firmware']}"
    here = built_kernel(str(said["unit"]), str(said["board"]))
    if here is not None and here != said["kernel_hash"]:
        start = "eesm virtual --unit" if device.kind == "virtual" else "eesm flash"
        difference = f"it runs kernel {said['kernel_hash'][:12]}, the folder here holds {here[:12]}"
        return Finding(NOTE, device.port, f"{text}: {difference}", f"{start} {said['unit']}")
    return Finding(OK, device.port, text)


def built_kernel(unit: str, board: str) -> str | None:
    """Hash of the kernel in the board folder that was built last for the unit; None without one."""
    name = unit if board == "virtual" else f"{unit}-{board}"
    try:
        content = json.loads((devices.ROOT / "build" / "units" / name / "unit.json").read_text())
        return str(content["identity"]["kernel_hash"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
