"""A port with the wire on it: requests and their answers, and what the board sends by itself.

A reader thread takes frames from the port; any thread may request.  A request is sent once: when
no answer comes, the caller is told and decides, since the board may have obeyed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import queue
import select
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import serial

from eesm import wire
from host_tools.devices import holder_of
from host_tools.link_errors import (
    AnswerTimeout,
    DriveError,
    NoBoard,
    OutOfRange,
    PortBusy,
    PortClosed,
    PortDenied,
    PortMissing,
    Refused,
    SchemaMismatch,
    SeveralBoards,
    UnknownSignal,
    VersionMismatch,
)

__all__ = [
    "AnswerTimeout",
    "Connection",
    "DriveError",
    "NoBoard",
    "OutOfRange",
    "PortBusy",
    "PortClosed",
    "PortDenied",
    "PortMissing",
    "Refused",
    "SchemaMismatch",
    "SeveralBoards",
    "UnknownSignal",
    "VersionMismatch",
]

BAUD = 115_200  # USB ports and PTYs ignore it
# What a board's REPL answers to stray bytes: it runs MicroPython, but not this firmware.
PROMPTS = (b">>> ", b"Traceback", b"MicroPython v")

Push = Callable[[int, int, bytes], None]


class Waiter(Protocol):
    """Who gets an answer, or a DriveError instead."""

    def put(self, item: Any, /) -> None: ...


def open_port(port: str) -> serial.Serial:
    """Opens a port for this process alone.  Raises PortMissing, PortBusy or PortDenied."""
    try:
        return serial.Serial(port, BAUD, timeout=0.2, write_timeout=2.0, exclusive=True)
    except (OSError, ValueError) as error:
        raise _why_not_open(port, error) from error


def _why_not_open(port: str, error: Exception) -> DriveError:
    number = getattr(error, "errno", None)
    text = str(error).lower()
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in text or "access is denied" in text:
        holder = holder_of(port)
        if holder:
            return PortBusy(f"Port {port} is in use by {holder}.", "close that program, then try again")
        return PortBusy(
            f"Port {port} is in use by another program.",
            f"find it with `fuser -v {port}`, close it (ModemManager holds a fresh port for some seconds)",
        )
    if number in (errno.EACCES, errno.EPERM):
        return PortDenied(
            f"You may not open {port}: {error}.",
            "sudo usermod -aG dialout $USER   (log in again afterwards; some systems call the group uucp)",
        )
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO) or "filenotfound" in text:
        return PortMissing(f"There is no drive at {port}: {error}.", "eesm devices")
    return PortMissing(f"Port {port} cannot be opened: {error}.", "eesm devices")


class Connection:
    """One open port.

    `on_push(kind, period, payload)` takes STREAM and EVENT frames, `on_lost(error)` the end of the
    port; both run in the reader's thread.
    """

    def __init__(
        self, port: str, *, timeout: float = 2.0, on_push: Push | None = None, on_lost: Callable | None = None
    ) -> None:
        self.port = port
        self.timeout = timeout
        self.token = 0
        self.identity: dict[str, Any] = {}
        self.error: DriveError | None = None  # why the port is of no use any more
        self.last_period = 0  # device period of the last frame
        self.bytes_in = 0
        self.bytes_out = 0
        self.stray = 0  # answers that nobody waited for any more
        self.decoder = wire.Decoder()
        self.on_push = on_push
        self.on_lost = on_lost
        self._heard = b""  # first bytes, to say what it is when it is no drive
        # A start that no earlier client had: its answers, still on the way, must not be taken for ours.
        self._sequence = time.time_ns() // 1_000_000 & 0xFFFF
        self._waiting: dict[int, Waiter] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._serial = open_port(port)
        self._reader = threading.Thread(target=self._read, name=f"reader of {port}", daemon=True)
        self._reader.start()

    @property
    def heard(self) -> bytes:
        """The first bytes that came, which may be a text of MicroPython instead of frames."""
        return self._heard

    # --- reading ----------------------------------------------------------------------------------

    def _read(self) -> None:
        port, decoder = self._serial, self.decoder
        try:
            while not self._closing:
                data = port.read(max(1, min(port.in_waiting, 65536)))
                if not data:
                    continue
                self.bytes_in += len(data)
                if len(self._heard) < 512:
                    self._heard += data[:512]
                for message in decoder.feed(data):
                    self._take(*message)
        except (OSError, TypeError, AttributeError) as error:
            # pyserial lets a TypeError or AttributeError through when the port is closed meanwhile.
            if not self._closing:
                self._lose(error)

    def _take(self, kind: int, sequence: int, period: int, payload: bytes) -> None:
        self.last_period = period
        if kind in (wire.OK, wire.ERROR) and len(payload) >= wire.ANSWER_SIZE:
            _, number = struct.unpack_from(wire.ANSWER, payload)
            waiter = self._waiting.pop(number, None)
            if waiter is None:
                self.stray += 1
            elif kind == wire.OK:
                waiter.put(payload[wire.ANSWER_SIZE :])
            else:
                reason = struct.unpack_from("<H", payload, wire.ANSWER_SIZE)[0]
                text = payload[wire.FAILURE_SIZE :].decode(errors="replace")
                waiter.put(Refused(text, reason))
        elif self.on_push is not None:
            self.on_push(kind, period, payload)

    def _lose(self, error: Exception) -> None:
        cause = f" ({error})" if str(error) else ""
        self.error = PortClosed(
            f"The port {self.port} closed while it was open{cause}: the board was unplugged, reset or ended.",
            "look after the drive, then `eesm devices` and connect again",
        )
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for waiter in waiting.values():
            waiter.put(self.error)
        if self.on_lost is not None:
            self.on_lost(self.error)

    # --- requests ---------------------------------------------------------------------------------

    def request(
        self, kind: int, fields: Sequence[Any] = (), tail: bytes = b"", timeout: float | None = None
    ) -> bytes:
        """Sends one request and returns the body of its answer.

        Raises Refused with the board's text, AnswerTimeout or PortClosed.  Never sends twice.
        """
        timeout = self.timeout if timeout is None else timeout
        waiter: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with self._lock:
            sequence, failure = self._write(kind, fields, tail, waiter)
        self._judge(failure)
        try:
            answer = waiter.get(timeout=timeout)
        except queue.Empty:
            self._waiting.pop(sequence, None)
            raise self._silence(wire.REQUESTS[kind][0], timeout) from None
        if isinstance(answer, DriveError):
            # Each caller gets an exception of its own, with its own traceback.
            raise answer if not isinstance(answer, PortClosed) else PortClosed(answer.message, answer.hint)
        return answer

    def post(self, kind: int, waiter: Waiter) -> bool:
        """Sends one request without waiting for anything; `waiter.put` gets the body of its answer, or a
        DriveError, in the reader's thread.

        False when it would have to wait: another thread is writing, or the port takes nothing.  Raises
        PortClosed.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            # Only POSIX ports can be asked.
            if self.error is None and not (
                hasattr(self._serial, "fileno") and select.select([], [self._serial], [], 0)[1]
            ):
                return False
            _, failure = self._write(kind, (), b"", waiter)
        except (OSError, ValueError):
            return False  # it is being closed
        finally:
            self._lock.release()
        self._judge(failure)
        return True

    def _write(
        self, kind: int, fields: Sequence[Any], tail: bytes, waiter: Waiter
    ) -> tuple[int, Exception | None]:
        """With the lock held: the request's number, and why it could not be sent."""
        name, layout = wire.REQUESTS[kind][:2]
        try:
            body = struct.pack("<I", self.token) + (struct.pack(layout, *fields) if layout else b"") + tail
        except struct.error as error:
            raise OutOfRange(f"{name}: {fields} cannot be sent: {error}.") from error
        if self.error is not None:
            raise self.error
        if self._closing:
            raise PortClosed(f"The port {self.port} was closed by this program.")
        sequence = self._sequence
        self._sequence = (sequence + 1) & 0xFFFF
        self._waiting[sequence] = waiter
        frame = wire.pack(kind, sequence, 0, body)
        try:
            self._serial.write(frame)
        except (serial.SerialTimeoutException, OSError, TypeError) as error:
            self._waiting.pop(sequence, None)
            return sequence, error
        self.bytes_out += len(frame)
        return sequence, None

    def _judge(self, failure: Exception | None) -> None:
        """Without the lock: raise what a failed write means."""
        if isinstance(failure, serial.SerialTimeoutException):
            raise AnswerTimeout(
                f"{self.port} takes no bytes: the firmware does not read.", "reset the board"
            ) from failure
        if failure is not None:
            self._lose(failure)
            assert self.error is not None
            raise self.error from failure

    def _silence(self, name: str, timeout: float) -> AnswerTimeout:
        return AnswerTimeout(
            f"{self.port} did not answer '{name}' within {timeout:g} s; it may have been obeyed or not.",
            "look at the drive's state with `eesm info`",
        )

    def hello(self, earlier: int = 0, timeout: float | None = None) -> dict[str, Any]:
        """Begins a session, or takes up the `earlier` one; returns what the board says it is.

        Raises VersionMismatch or NoBoard when something else answers, AnswerTimeout when nothing does.
        """
        self.token = 0
        self._avoid_interrupt(earlier)
        with contextlib.suppress(OSError):
            self._serial.write(b"\0")  # ends whatever an earlier client left half-sent
        try:
            body = self.request(wire.HELLO, (earlier,), timeout=timeout)
        except AnswerTimeout as silence:
            decoder = self.decoder
            if decoder.bad_version:
                raise VersionMismatch(
                    f"The board at {self.port} speaks protocol {decoder.foreign}, "
                    f"these tools speak {wire.VERSION}.",
                    "use tools and firmware of the same release: build and load the board folder again",
                ) from None
            if any(prompt in self._heard for prompt in PROMPTS):
                raise NoBoard(
                    f"MicroPython answers at {self.port}, but the drive's firmware does not run there.",
                    "load the board folder and reset the board",
                ) from None
            if self._heard and not decoder.frames:
                raise NoBoard(
                    f"Something answers at {self.port}, but it is no drive: {self._heard[:40]!r}.",
                    "choose another port: eesm devices",
                ) from None
            raise AnswerTimeout(
                f"Nothing answers at {self.port} within {timeout or self.timeout:g} s.",
                "check the board's power and that the drive's firmware runs; reset it",
            ) from silence
        try:
            token = struct.unpack_from("<I", body)[0]
            self.identity = json.loads(body[4:])
        except (struct.error, ValueError) as error:
            raise SchemaMismatch(
                f"The board at {self.port} says who it is in a way these tools do not understand: {error}.",
                "use tools and firmware of the same release",
            ) from error
        self.token = token
        return self.identity

    def _avoid_interrupt(self, earlier: int) -> None:
        """Choose a sequence number with which the greeting holds no Ctrl-C: a board may still be starting."""
        layout = wire.REQUESTS[wire.HELLO][1]
        body = struct.pack("<I", self.token) + struct.pack(layout, earlier)
        for _ in range(256):
            if b"\x03" not in wire.pack(wire.HELLO, self._sequence, 0, body):
                return
            self._sequence = (self._sequence + 1) & 0xFFFF

    def describe(self) -> bytes:
        """The board's schema.json."""
        data = b""
        while True:
            body = self.request(wire.DESCRIBE, (len(data),))
            size, offset = struct.unpack_from("<II", body)
            if offset != len(data) or (len(body) == 8 and len(data) < size):
                raise SchemaMismatch(f"The board at {self.port} sent a schema that does not fit together.")
            data += body[8:]
            if len(data) >= size:
                return data

    def close(self) -> None:
        """Ends the reader and closes the port."""
        self._closing = True
        with contextlib.suppress(Exception):
            self._serial.cancel_read()
        if threading.current_thread() is not self._reader:
            self._reader.join(timeout=1.0)
        with contextlib.suppress(Exception):
            self._serial.close()
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for waiter in waiting.values():
            waiter.put(PortClosed(f"The port {self.port} was closed by this program."))


def identify(port: str, timeout: float = 2.0) -> dict[str, Any]:
    """What the board at a port says it is.  Raises what `Connection` and its `hello` raise."""
    connection = Connection(port, timeout=timeout)
    try:
        return connection.hello()
    finally:
        connection.close()
