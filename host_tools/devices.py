"""Finds drives: virtual ones by their registry, boards by the USB identity of their serial port.

A port is listed only when it could be a drive; no other port is ever opened.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports

from host_tools.link_errors import NoBoard, PortMissing, SeveralBoards

ROOT = Path(__file__).resolve().parent.parent
# USB identities of MicroPython on boards that may be drives: vendor, product (None: any), name.
USB = (
    (0x2E8A, 0x0005, "Raspberry Pi Pico with MicroPython"),
    (0xF055, None, "STM32 board with MicroPython"),
)
START = "eesm virtual"


@dataclass(frozen=True)
class Device:
    """A port that is, or may be, a drive."""

    port: str
    kind: str  # "virtual" or "serial"
    text: str  # what a list shows
    unit: str | None = None  # known beforehand for virtual drives only
    pid: int | None = None  # of the interpreter of a virtual drive
    fast: bool = False
    board: str = ""  # known beforehand for virtual drives only


def registry_folder() -> Path:
    """Where running virtual drives are registered: EESM_VIRTUAL, or build/virtual."""
    chosen = os.environ.get("EESM_VIRTUAL")
    return Path(chosen) if chosen else ROOT / "build" / "virtual"


def find_virtual(registry: Path | None = None) -> list[Device]:
    """Running virtual drives; entries of drives that are gone are removed."""
    found = []
    for file in sorted((registry or registry_folder()).glob("*.json")):
        try:
            entry = json.loads(file.read_text())
            port, pid, unit = str(entry["port"]), int(entry["pid"]), str(entry["unit"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # being written, or not ours
        if not (is_alive(pid) and _is_terminal(port)):
            file.unlink(missing_ok=True)
            continue
        fast = bool(entry.get("fast"))
        board = str(entry.get("board", "virtual"))
        name = "virtual drive" if board == "virtual" else f"virtual {board}"
        text = f"{name}, unit {unit}{', lock step' if fast else ''}, process {pid}"
        found.append(Device(port, "virtual", text, unit, pid, fast, board))
    return found


def find_serial() -> list[Device]:
    """Serial ports whose USB identity is one of `USB`."""
    found = []
    for port in sorted(list_ports.comports()):
        for vendor, product, name in USB:
            if port.vid == vendor and product in (None, port.pid):
                serial = f", serial number {port.serial_number}" if port.serial_number else ""
                found.append(Device(port.device, "serial", f"{name}{serial}"))
    return found


def find_devices(registry: Path | None = None) -> list[Device]:
    """Every drive that can be found without opening a port."""
    return [*find_virtual(registry), *find_serial()]


def choose_device(port: str | None = None, unit: str | None = None, registry: Path | None = None) -> Device:
    """The device at `port`, or the only one there is (of `unit`, if given).

    Raises PortMissing, NoBoard or SeveralBoards.
    """
    devices = find_devices(registry)
    if port is not None:
        real = os.path.realpath(port)
        for device in devices:
            if os.path.realpath(device.port) == real:
                return device
        if os.name == "posix" and not os.path.exists(port):
            raise PortMissing(
                f"There is no port {port}." + (f"\nFound:\n{_listed(devices)}" if devices else ""),
                "choose one of the list with --port" if devices else _HOW_TO_GET_ONE,
            )
        return Device(port, "serial", "a port chosen by name")
    if unit is not None:
        matching = [device for device in devices if device.unit in (unit, None)]
        if devices and not matching:
            raise NoBoard(
                f"No drive of unit {unit} was found, but:\n{_listed(devices)}", f"{START} --unit {unit}"
            )
        devices = matching
    if not devices:
        raise NoBoard(
            "No drive was found: no virtual drive runs, and no serial port is that of a known board.",
            _HOW_TO_GET_ONE,
        )
    if len(devices) > 1:
        raise SeveralBoards(
            f"{len(devices)} drives were found:\n{_listed(devices)}",
            f"choose one, for example --port {devices[0].port}",
        )
    return devices[0]


def is_same_place(port: str, registry: Path | None = None) -> bool:
    """False for a pseudo-terminal of no running virtual drive: the system gives its number to anybody.

    Opening it would disturb whoever has it now.
    """
    return not port.startswith("/dev/pts/") or any(device.port == port for device in find_virtual(registry))


_HOW_TO_GET_ONE = f"{START}   (or plug the board in, and check its cable and power; --port names any port)"


def _listed(devices: list[Device]) -> str:
    return "\n".join(f"  {device.port}  {device.text}" for device in devices)


def is_alive(pid: int) -> bool:
    """True while the process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    # A zombie has ended as well; only Linux says so.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[-1].split()[0] != "Z"
    return True


def _is_terminal(port: str) -> bool:
    try:
        return stat.S_ISCHR(os.stat(port).st_mode)
    except OSError:
        return False


def holder_of(port: str) -> str | None:
    """Which process has locked the port, such as "process 1234 (eesm log)"; None when it cannot be told."""
    try:
        node = os.stat(port)
        locks = Path("/proc/locks").read_text()
    except OSError:
        return None
    place = f"{os.major(node.st_dev):02x}:{os.minor(node.st_dev):02x}:{node.st_ino}"
    for line in locks.splitlines():
        match = re.search(r"FLOCK\s+\S+\s+\S+\s+(\d+)\s+(\S+)", line)
        if match and match[2] == place and int(match[1]) > 0:
            return _process(int(match[1]))
    return None


def _process(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return f"process {pid}"
    shown = " ".join(Path(word).name if k < 2 else word for k, word in enumerate(words) if word)
    return f"process {pid} ({shown[:80]})" if shown else f"process {pid}"
