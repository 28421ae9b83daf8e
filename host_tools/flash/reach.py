"""Brings a board to its prompt, whatever it does now, without touching a drive that is armed.

At the prompt Ctrl-C brings the prompt again. Running firmware takes no Ctrl-C; it is asked over its own link
for its state and, unless it is armed, to leave to a prompt whose watchdog is not started.
"""

from __future__ import annotations

import contextlib
import struct
import time
from typing import Any

from eesm import wire
from eesm.drive import STATES
from host_tools.connection import Connection, open_port
from host_tools.devices import is_alive
from host_tools.errors import REFUSED
from host_tools.flash.errors import BoardGone, FlashError
from host_tools.flash.prompt import Prompt, open_prompt
from host_tools.link_errors import (
    AnswerTimeout,
    DriveError,
    PortBusy,
    PortClosed,
    PortDenied,
    PortMissing,
    Refused,
)

PROMPT = b">>> "
RESTING = ("off", "fault")
BUSY = 6.0  # s that others may hold a port: programs that look at each new one do so for some seconds


class Port:
    """A serial port by its board: after a reset the same board may come back under another name.

    `pid` is the process of a virtual board.
    """

    def __init__(self, name: str, pid: int | None = None) -> None:
        self.name = name
        self.pid = pid
        self._number = next((port.serial_number for port in _ports() if port.device == name), None)

    def find(self) -> str:
        """The board's port now, or the last one while it is away. Raises BoardGone for good."""
        if self.pid is not None and not is_alive(self.pid):
            raise BoardGone(f"The virtual board at {self.name} has ended.", "start it again: eesm virtual")
        if self._number and not any(port.device == self.name for port in _ports()):
            self.name = next(
                (port.device for port in _ports() if port.serial_number == self._number), self.name
            )
        return self.name


def reach_prompt(port: Port, patience: float = 20.0, answer: float = 1.0) -> Prompt:
    """The board's raw prompt, its watchdog not running.

    `patience` is how long a board may take in all, `answer` how long a living one takes for an answer, both
    in seconds of this computer. Raises Refused when the drive is armed, BoardGone when nothing answers, and
    what opening the port raises.
    """
    started = time.monotonic()
    heard = b""
    last: Exception | None = None
    while time.monotonic() < started + patience:
        name = port.find()
        try:
            said = _interrupt(name, answer)
            heard = said or heard
            if said.endswith(PROMPT):
                prompt = open_prompt(name, patience)
                if not prompt.identify().has_watchdog_running:
                    return prompt
                # The watchdog would reset the board in the middle of a flash, and only a reset stops it.
                prompt.reset()
            else:
                _leave(name, max(answer, 1.0))
        except PortBusy:
            if time.monotonic() > started + BUSY:
                raise
            time.sleep(0.2)
        except (PortMissing, PortClosed, BoardGone, AnswerTimeout, OSError) as error:
            # The port of a board that resets is away for a moment.
            last = error
            time.sleep(0.1)
    raise _unreachable(port.name, patience, heard) from last


def _interrupt(port: str, wait: float) -> bytes:
    """Types Ctrl-C; returns what came until a prompt, or until `wait` seconds are over."""
    said = b""
    with open_port(port) as serial:
        # Ctrl-B first leaves a raw prompt that an earlier client may have left behind.
        serial.write(b"\r\x02\x03\x03")
        end = time.monotonic() + wait
        while time.monotonic() < end:
            said += serial.read(max(1, min(serial.in_waiting, 4096)))
            if said.endswith(PROMPT):
                # A prompt that is still being typed at gives more of them.
                serial.timeout = 0.05
                more = serial.read(256)
                if not more:
                    break
                said += more
                serial.timeout = 0.2
    return said


def _leave(port: str, timeout: float) -> None:
    """Asks running firmware to leave. Raises Refused when the drive is armed; DriveError as the link does."""
    connection = Connection(port, timeout=timeout)
    try:
        try:
            connection.hello(timeout=timeout)
        except DriveError as error:
            raise AnswerTimeout(error.message, error.hint) from error
        number, _ = struct.unpack("<BB", connection.request(wire.HEARTBEAT))
        state = STATES[number] if number < len(STATES) else str(number)
        if state not in RESTING:
            raise Refused(
                f"The drive at {port} is armed ({state}); a board is loaded only while its drive is off.",
                wire.WRONG_STATE,
                "eesm stop, then eesm flash",
            )
        try:
            connection.request(wire.LEAVE)
        except Refused as error:
            raise Refused(error.message, error.reason, "eesm stop, then eesm flash") from error
        except (AnswerTimeout, PortClosed):
            pass  # it may have left before its answer was out; the next Ctrl-C shows
    finally:
        connection.close()


def _ports() -> list[Any]:
    from serial.tools import list_ports

    return list(list_ports.comports())


def _unreachable(port: str, patience: float, heard: bytes) -> FlashError:
    said = f" It said: {heard[-80:]!r}." if heard.strip() else ""
    return BoardGone(
        f"Neither MicroPython's prompt nor the drive's firmware answers at {port} in {patience:g} s.{said}",
        "unplug the board and plug it in again; if that does not help, hold BOOTSEL while plugging it in and "
        "run: eesm flash --uf2 <MicroPython for this board>",
    )


def wait_for_drive(port: Port, patience: float) -> dict[str, str]:
    """What the firmware says it is, once it answers after a restart.

    Raises FlashError with what came instead.
    """
    deadline = time.monotonic() + patience
    last: Exception | None = None
    heard = b""
    while time.monotonic() < deadline:
        try:
            connection = Connection(port.find(), timeout=2.0)
        except (PortMissing, PortBusy, PortDenied) as error:
            # A port that has just come belongs to its group only after a moment.
            last = error
            time.sleep(0.1)
            continue
        try:
            return connection.hello(timeout=min(6.0, max(1.0, deadline - time.monotonic())))
        except DriveError as error:
            last = error
            heard = connection.heard or heard
        finally:
            with contextlib.suppress(DriveError):
                connection.close()
        if PROMPT in heard:
            break
    words = heard.decode(errors="replace").strip().splitlines()
    told = f" The board said:\n  {chr(10).join(words[-6:])}" if words else ""
    raise FlashError(
        f"The files are on the board, but its firmware does not answer at {port.name}: {last}{told}",
        f"eesm flash   again; if it stays so, look at what the board says: mpremote connect {port.name}",
        REFUSED if isinstance(last, Refused) else None,
    )
