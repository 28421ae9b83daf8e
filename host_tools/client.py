"""A drive as an object: connect, arm, command, read, stream, capture.

    with Drive.connect() as drive:
        drive.arm()
        drive.speed = 500  # rpm
        print(drive.i_q, drive.parameters.bandwidth_speed)
        with drive.stream(["i_q", "w_m_ref"], rate_hz=1000) as rows:
            for row in rows:
                print(row.time, row["i_q"])

Values are SI; signals are converted by the schema that the board itself describes.  Refusals and
broken links are exceptions of `host_tools.connection`, whose text names the cause and whose hint
is the next command.  Leaving the context stops the motor if this client armed it.
"""

from __future__ import annotations

import contextlib
import math
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import overload

from eesm import wire
from eesm.cyclic import MASK, signed
from eesm.drive import RPM, STATES
from eesm.fault_table import FAULTS
from eesm.faults import names_of
from eesm.keeper import CONDITIONS, DAMAGED, STATUS
from eesm.parameters import SETTINGS
from eesm.signals import CAPTURE_CHANNELS, CAPTURE_DONE, CAPTURE_ROWS, CAPTURE_WAITING, STREAM_CHANNELS
from eesm.telemetry import DIVIDER_MAX
from host_tools.connection import Connection, Waiter
from host_tools.devices import choose_device, is_same_place
from host_tools.link_errors import (
    AnswerTimeout,
    DriveError,
    DriveFault,
    OutOfRange,
    PortBusy,
    PortClosed,
    PortMissing,
    Refused,
    SchemaMismatch,
    UnknownSignal,
)
from host_tools.quantities import Parameters, Quantity
from host_tools.schema import Schema, SignalInfo, fetch_schema
from host_tools.snapshot import Snapshot
from host_tools.snapshot import parse as parse_snapshot
from host_tools.stream import Row, Stream

__all__ = [
    "Capture",
    "Drive",
    "Event",
    "Fault",
    "FaultReport",
    "Identity",
    "Kept",
    "Row",
    "SignalInfo",
    "Status",
    "Stream",
]

EDGES = ("now", "rising", "falling", "fault")  # in the order of their numbers on the wire
EVENTS_KEPT = 1000
SAVE_TIMEOUT = 20.0  # s: a board erases some sectors of its flash
HELLO_TIMEOUT = 6.0  # s: a board that has just been started is still compiling its kernel
QUIET = 1.0  # s between heartbeats while this client does not drive


@dataclass(frozen=True)
class Identity:
    """Who answers: all hashes and names as the board says them."""

    board: str
    unit: str
    firmware: str
    kernel_hash: str
    schema_hash: str
    interpreter: str
    bench: bool  # a virtual drive: takes load(), advance(), quit()
    fast: bool  # a virtual drive whose time passes only by advance()
    port: str


@dataclass(frozen=True)
class Status:
    """State of the drive and counters of the link, at one device period."""

    period: int
    state: str
    owned: bool  # this client drives
    safe: bool  # the bridge is off, and the field was seen below its limit
    faults: tuple[str, ...]
    counters: Mapping[str, int]  # `eesm.wire.COUNTERS`


@dataclass(frozen=True)
class Fault:
    """A latched fault: what was measured, why it can be, what to do."""

    number: int
    name: str
    text: str
    cause: str
    limit: str
    remedy: str
    first: bool


@dataclass(frozen=True)
class FaultReport:
    """Latched faults, and period and device time of the first one (None without faults).

    `safe` is True when the bridge is off and the field was seen below its limit.
    """

    faults: tuple[Fault, ...]
    period: int | None
    time: float | None
    safe: bool


@dataclass(frozen=True)
class Event:
    """Something the board reports by itself: kind is state, fault, found or host lost."""

    period: int
    kind: str
    text: str


@dataclass(frozen=True)
class Kept:
    """What a drive keeps for its next start, and what of it is not in use."""

    condition: str  # `eesm.keeper.CONDITIONS`
    whole: bool  # False when what was kept is damaged
    sequence: int  # of the save, from 1
    count: int  # settings that are kept: those that differ from the unit file's
    unsaved: int  # settings whose present value a restart would lose
    notes: tuple[str, ...]  # what is not used, and why


@dataclass(frozen=True)
class Capture:
    """512 rows around a trigger: periods, times relative to the trigger, SI columns by name."""

    trigger_period: int
    pre: int
    periods: tuple[int, ...]
    times: tuple[float, ...]
    columns: Mapping[str, tuple[float, ...]]
    raw: Mapping[str, tuple[int, ...]]
    units: Mapping[str, str]


class Drive:
    """One connected drive.  Made by `Drive.connect`."""

    def __init__(self, connection: Connection, *, cache: Path | None = None) -> None:
        self.connection = connection
        self.on_event: Callable[[Event], None] | None = None  # called in the reader's thread
        self.missed_heartbeats = 0
        self._cache = cache
        self._armed = False  # by this client, and not yet stopped
        self._stream: Stream | None = None
        self._events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._history: deque[Event] = deque(maxlen=20)  # for texts of errors, never taken out
        self._news = threading.Condition()
        self._state = "off"
        self._ending = threading.Event()
        self._beat_now = threading.Event()
        self._adopt(connection, 0)
        self._host_timeout = self.get("host_timeout")
        self.parameters = Parameters(self)
        self._beater = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._beater.start()
        self._sealed = True  # from here on an unknown attribute is a mistake

    @classmethod
    def connect(
        cls,
        port: str | None = None,
        *,
        unit: str | None = None,
        timeout: float = 2.0,
        registry: Path | None = None,
        kernel_hash: str | None = None,
        cache: Path | None = None,
    ) -> Drive:
        """Open `port`, or the only drive there is (of `unit`, if given).

        Raises NoBoard, SeveralBoards, PortBusy, PortDenied, PortMissing, VersionMismatch,
        SchemaMismatch (also when `kernel_hash` is given and differs) or AnswerTimeout.
        """
        device = choose_device(port, unit, registry)
        connection = Connection(device.port, timeout=timeout)
        try:
            drive = cls(connection, cache=cache)
        except BaseException:
            connection.close()
            raise
        try:
            drive.check(unit, kernel_hash)
        except BaseException:
            drive.close()
            raise
        return drive

    @classmethod
    def find_again(cls, first: Identity, registry: Path | None = None) -> Drive:
        """The drive that was known as `first`, in a new session, at whatever port it is now.

        Raises what `connect` does as long as it is not there; SchemaMismatch when it is another one.
        """
        with contextlib.suppress(PortMissing, SchemaMismatch):
            if is_same_place(first.port, registry):
                return cls.connect(
                    first.port, unit=first.unit, registry=registry, kernel_hash=first.kernel_hash
                )
        # A port is named by the order in which boards come; behind the old name may be another one.
        return cls.connect(unit=first.unit, registry=registry, kernel_hash=first.kernel_hash)

    def _adopt(self, connection: Connection, earlier: int) -> None:
        """Begin a session on an open port."""
        connection.on_push = self._push
        connection.on_lost = self._lost
        said = connection.hello(earlier, timeout=max(HELLO_TIMEOUT, connection.timeout))
        try:
            names = ("board", "unit", "firmware", "kernel_hash", "schema_hash", "interpreter")
            self.identity = Identity(
                **{name: str(said[name]) for name in names},
                bench=bool(said["bench"]),
                fast=bool(said["fast"]),
                port=connection.port,
            )
        except KeyError as error:
            raise SchemaMismatch(
                f"The board at {connection.port} does not say its {error}.",
                "use tools and firmware of the same release",
            ) from error
        self.connection = connection
        self.schema: Schema = fetch_schema(self.identity.schema_hash, connection.describe, self._cache)
        self.signals = self.schema.signals
        self.bases = self.schema.bases
        self.t_pwm = self.schema.t_pwm  # s

    def check(self, unit: str | None = None, kernel_hash: str | None = None) -> None:
        """Raises SchemaMismatch unless the board holds this unit and this kernel."""
        found = self.identity
        if unit is not None and found.unit != unit:
            raise SchemaMismatch(
                f"The board at {found.port} is unit {found.unit}, not {unit}.", "choose another with --port"
            )
        if kernel_hash is not None and found.kernel_hash != kernel_hash:
            raise SchemaMismatch(
                f"The board runs kernel {found.kernel_hash}, the files here make {kernel_hash}.",
                f"load the board folder of unit {found.unit} again, or return to the files it was built from",
            )

    def __enter__(self) -> Drive:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the motor if this client armed it, then close the port."""
        try:
            if self._armed:
                # A port that is gone cannot carry a stop; the board stops by itself when it misses us.
                with contextlib.suppress(PortClosed):
                    self.stop(wait=True)
        finally:
            self._ending.set()
            self._beat_now.set()
            if self._stream is not None:
                with contextlib.suppress(DriveError):
                    self._stream.close()
            self.connection.close()
            self._beater.join(timeout=1.0)

    def reconnect(self, timeout: float = 5.0) -> None:
        """After PortClosed: wait for the port, take up the same session.

        Raises what `connect` raises, and SchemaMismatch when another board answers.
        """
        before, token = self.identity, self.connection.token
        self.connection.close()
        end = time.monotonic() + timeout
        while True:
            try:
                connection = Connection(before.port, timeout=self.connection.timeout)
                break
            except (PortMissing, PortBusy):
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        try:
            self._adopt(connection, token)
            self.check(before.unit, before.kernel_hash)
        except BaseException:
            connection.close()
            raise
        self._beat_now.set()

    # --- what the board sends by itself ---------------------------------------------------------------

    def _push(self, kind: int, period: int, payload: bytes) -> None:
        if kind == wire.STREAM and len(payload) >= wire.ROWS_SIZE:
            stream = self._stream
            if stream is not None:
                stream.take(payload)
        elif kind == wire.EVENT and len(payload) >= 4:
            happened = struct.unpack_from(wire.HAPPENED, payload)[0]
            name, _, text = payload[4:].decode(errors="replace").partition("\n")
            event = Event(happened, name, text)
            with self._news:
                self._events.append(event)
                self._history.append(event)
                if name == "state":
                    self._state = text
                self._news.notify_all()
            if self.on_event is not None:
                self.on_event(event)

    def _lost(self, error: DriveError) -> None:
        stream = self._stream
        if stream is not None:
            stream.fail(error)
        with self._news:
            self._news.notify_all()

    def _beat(self) -> None:
        """Tell the board that this client lives, several times within its patience."""
        while not self._ending.is_set():
            interval = min(QUIET, max(0.02, self._host_timeout / 5)) if self._armed else QUIET
            self._beat_now.wait(interval)
            self._beat_now.clear()
            if self._ending.is_set():
                return
            connection = self.connection
            try:
                connection.request(wire.HEARTBEAT, timeout=max(interval, 0.1))
            except AnswerTimeout:
                self.missed_heartbeats += 1
            except DriveError:
                # The port is gone; reconnect() may bring another one, and wakes this thread.
                self._beat_now.wait(QUIET)

    # --- state ----------------------------------------------------------------------------------------

    def _heartbeat(self) -> tuple[str, bool]:
        """State and whether this client drives."""
        number, owned = struct.unpack("<BB", self.connection.request(wire.HEARTBEAT))
        self._state = _state_name(number)
        if self._state in ("off", "fault"):
            self._armed = False
        return self._state, bool(owned)

    @property
    def state(self) -> str:
        """Name of the present state: off, offsets, ..., ready, running, stopping, field down, fault."""
        return self._heartbeat()[0]

    def status(self) -> Status:
        """State, faults and the board's link counters."""
        body = self.connection.request(wire.STATUS)
        number, owned, safe, word = struct.unpack_from("<BBBQ", body)
        counters: dict[str, int] = dict(zip(wire.COUNTERS, wire.words_of(body[11:], "I"), strict=True))
        return Status(
            self.now(), _state_name(number), bool(owned), bool(safe), tuple(names_of(word)), counters
        )

    def now(self) -> int:
        """Device period of the last message."""
        return self.connection.last_period

    def wait_for(self, *states: str, timeout: float = 10.0) -> str:
        """Wait until the drive is in one of `states`; s of device time when fast.

        Raises DriveFault when it goes to fault instead, DriveError when it goes off instead or the
        time is over.
        """
        unknown = [name for name in states if name not in STATES]
        if unknown:
            raise UnknownSignal(f"No state is called {unknown[0]!r}; states are {', '.join(STATES)}.")
        end = time.monotonic() + timeout
        waited = 0.0
        while True:
            state = self.state
            if state in states:
                return state
            if state == "fault":
                raise self._fault()
            if state == "off":
                raise DriveError(
                    f"The drive went off instead of {' or '.join(states)}: {self._last_words()}", "eesm arm"
                )
            if waited >= timeout or time.monotonic() > end + (3600 if self.identity.fast else 0):
                raise DriveError(
                    f"The drive is still {state!r} after {timeout:g} s, not {' or '.join(states)}.",
                    "eesm info",
                )
            if self.identity.fast:
                self.advance(200)
                waited += 200 * self.t_pwm
            else:
                with self._news:
                    self._news.wait(0.02)

    def _fault(self) -> DriveFault:
        found = self.faults().faults
        lines = [f"{fault.name}: {fault.text or fault.cause}" for fault in found]
        return DriveFault(
            "The drive has a fault. " + "; ".join(lines),
            (f"{found[0].remedy}; then " if found else "") + "eesm faults --clear",
        )

    def _last_words(self) -> str:
        texts = [f"{event.kind}: {event.text}" for event in self._history if event.kind != "state"]
        return "; ".join(texts[-2:]) or "it was stopped"

    def events(self) -> list[Event]:
        """Events since the last call."""
        with self._news:
            events = list(self._events)
            self._events.clear()
        return events

    def arm(self, wait: bool = True, timeout: float = 20.0) -> None:
        """Leave off for ready, by offsets, wiring, angle, field, direction; DriveFault when a step fails."""
        self.connection.request(wire.ARM)
        self._armed = True
        self._beat_now.set()
        if wait:
            self.wait_for("ready", timeout=timeout)

    def stop(self, wait: bool = True, timeout: float = 20.0) -> None:
        """End torque, then the field; accepted from every client in every state."""
        self.connection.request(wire.STOP)
        if wait:
            self.wait_for("off", "fault", timeout=timeout)
            self._armed = False

    def post_stop(self, waiter: Waiter) -> bool:
        """Ask for a stop without waiting: `Connection.post`."""
        return self.connection.post(wire.STOP, waiter)

    def faults(self) -> FaultReport:
        """Latched faults with what was measured, cause and remedy."""
        body = self.connection.request(wire.FAULTS)
        word, first, period, safe = struct.unpack_from("<QQIB", body)
        texts = {}
        for line in body[21:].decode(errors="replace").split("\n"):
            head, _, text = line.partition(": ")
            texts[head.split(" ")[0]] = text
        found = []
        for row in FAULTS:
            bit = 1 << (row.number - 1)
            if word & bit:
                text = texts.get(str(row.number), "")
                came_first = bool(first & bit)
                found.append(Fault(row.number, row.name, text, row.cause, row.limit, row.remedy, came_first))
        if not found:
            return FaultReport((), None, None, bool(safe))
        return FaultReport(tuple(found), period, period * self.t_pwm, bool(safe))

    def snapshot(self, timeout: float = 10.0) -> Snapshot:
        """The first fault that the drive has kept, also over a restart; waits while it is being kept.

        Raises Refused when none is kept, SnapshotError when it is not whole or of other firmware.
        """
        data, whole = b"", 1
        while len(data) < whole:
            body = self._ask_again(wire.SNAPSHOT, (len(data),), timeout)
            whole, offset = struct.unpack_from("<II", body)
            if offset != len(data) or len(body) == 8:
                raise DriveError("The kept fault was replaced while it was read.", "eesm faults dump")
            data += body[8:]
        return parse_snapshot(data, self.schema)

    def _ask_again(self, kind: int, fields: tuple[int, ...], timeout: float) -> bytes:
        """A request that is refused for a moment while the first fault is being kept."""
        end = time.monotonic() + timeout
        while True:
            try:
                return self.connection.request(kind, fields)
            except Refused as refusal:
                if refusal.reason != wire.BUSY or time.monotonic() > end:
                    raise
            self._pass(0.01)

    def clear(self, wait: bool = True, timeout: float = 10.0) -> None:
        """Clear latched faults; refused while a cause holds or the field is not down."""
        if wait:
            self._ask_again(wire.CLEAR, (), timeout)
        else:
            self.connection.request(wire.CLEAR)
        if wait:
            end = time.monotonic() + timeout
            while self.state == "fault":
                if time.monotonic() > end:
                    raise DriveError(f"The fault stays: {self._last_words()}.", "eesm faults")
                self._pass(0.01)

    # --- setpoints; `at` is a device period, None for at once -------------------------------------------

    @property
    def speed(self) -> Quantity:
        """Shaft speed in rpm, as measured; setting it commands one, to which the drive ramps."""
        w_m = self.read("w_e") * self.bases["w_m"] / self.bases["w_e"]
        return Quantity(w_m / RPM, "rpm", "shaft speed as measured")

    @speed.setter
    def speed(self, rpm: float) -> None:
        self.set_speed(rpm * RPM)

    @property
    def torque(self) -> Quantity:
        """Torque at the motor shaft in N.m, from the currents; setting it commands one."""
        return self._quantity("torque")

    @torque.setter
    def torque(self, torque: float) -> None:
        self.set_torque(torque)

    def set_speed(self, w_m: float, at: int | None = None) -> None:
        """Shaft speed in rad/s."""
        self.connection.request(wire.SPEED, (self._raw("w_m_set", w_m), _due(at)))

    def set_torque(self, torque: float, at: int | None = None) -> None:
        """Torque at the motor shaft in N.m."""
        self.connection.request(wire.TORQUE, (self._raw("torque_set", torque), _due(at)))

    def set_currents(self, i_d: float, i_q: float, i_f: float, at: int | None = None) -> None:
        """Open currents in A, for bench work."""
        raw = (self._raw("i_d_set", i_d), self._raw("i_q_set", i_q), self._raw("i_f_set", i_f))
        self.connection.request(wire.CURRENTS, (*raw, _due(at)))

    def _raw(self, name: str, value: float) -> int:
        """Integer of an SI value; the range is the board's to judge, as far as a word can carry it."""
        signal = self.schema.find(name)
        if not math.isfinite(value):
            raise OutOfRange(f"{value} is no value for {name}.")
        # Towards zero, so that the very limit does not become a step more than the limit.
        raw = int(value / signal.step * (1 + 1e-12))
        if abs(raw) > 0x3FFFFFFF:
            low, high = signal.low * signal.step, signal.high * signal.step
            raise OutOfRange(
                f"{name} = {value:g} {signal.unit} is outside {low:g} .. {high:g}; nothing was sent."
            )
        return raw

    # --- signals and parameters by name ------------------------------------------------------------------

    def _quantity(self, name: str) -> Quantity:
        signal = self.schema.find(name)
        return Quantity(self.read(name), signal.unit, signal.meaning)

    def __getattr__(self, name: str) -> Quantity:
        """A signal of the board by its name: `drive.i_q`."""
        schema = self.__dict__.get("schema")
        if name.startswith("_") or schema is None:
            raise AttributeError(name)
        try:
            return self._quantity(name)
        except UnknownSignal as error:
            raise AttributeError(f"{error.message} {error.hint}") from None

    def __setattr__(self, name: str, value: object) -> None:
        # A misspelt `drive.sped = 500` must not look as if it had been obeyed.
        if "_sealed" in self.__dict__ and not hasattr(type(self), name) and name not in self.__dict__:
            raise AttributeError(self._why_not_set(name))
        super().__setattr__(name, value)

    def _why_not_set(self, name: str) -> str:
        if name in SETTINGS:
            return f"{name} is a parameter: drive.parameters.{name} = ..."
        if name in self.signals:
            return f"{name} is a signal, and those are read only; set speed, torque or a parameter."
        near = get_close_matches(name, ("speed", "torque"), 1)
        return f"A drive has no {name!r}." + (f" Do you mean {near[0]}?" if near else "")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for name, row in self.signals.items() if not row.length)})

    # --- settings ---------------------------------------------------------------------------------------

    def get(self, name: str) -> float:
        """Present value of a setting in SI; refused when there is none of that name."""
        return struct.unpack("<d", self.connection.request(wire.GET, tail=name.encode()))[0]

    def set(self, name: str, value: float) -> float:
        """Change a setting, returns the value the board now holds."""
        body = self.connection.request(wire.SET, (float(value),), name.encode())
        held = struct.unpack("<d", body)[0]
        if name == "host_timeout":
            self._host_timeout = held
            self._beat_now.set()
        return held

    def settings(self) -> dict[str, float]:
        """Every setting that may be changed."""
        return {name: self.get(name) for name in SETTINGS}

    # --- settings that outlive a restart ----------------------------------------------------------------

    def save(self) -> Kept:
        """Keep the present settings on the board; Refused unless the drive is at rest."""
        return self._kept(wire.SAVE)

    def erase(self) -> Kept:
        """Forget what is kept and go back to the unit file's settings at once; Refused as `save`."""
        kept = self._kept(wire.ERASE)
        self._host_timeout = self.get("host_timeout")
        self._beat_now.set()
        return kept

    def kept(self) -> Kept:
        """What is kept on the board; Refused by a virtual drive without a folder for it."""
        return self._kept(wire.STORE)

    def _kept(self, kind: int) -> Kept:
        body = self.connection.request(kind, timeout=max(SAVE_TIMEOUT, self.connection.timeout))
        condition, sequence, count, unsaved = struct.unpack_from(STATUS, body)
        text = body[struct.calcsize(STATUS) :].decode(errors="replace")
        return Kept(
            condition=CONDITIONS[condition] if condition < len(CONDITIONS) else f"condition {condition}",
            whole=condition != DAMAGED,
            sequence=sequence,
            count=count,
            unsaved=unsaved,
            notes=tuple(text.splitlines()),
        )

    # --- signals ----------------------------------------------------------------------------------------

    @overload
    def read(self, names: str) -> float: ...
    @overload
    def read(self, names: Sequence[str]) -> dict[str, float]: ...
    def read(self, names: str | Sequence[str]) -> float | dict[str, float]:
        """Present SI value of a signal, or of several at the same period."""
        if isinstance(names, str):
            return self.read([names])[names]
        found = self.read_raw(names)
        return {name: raw * self.signals[name].step for name, raw in found.items()}

    def read_raw(self, names: Sequence[str]) -> dict[str, int]:
        """Present raw values of several signals, at most 64, all of one period."""
        indices = [self.schema.find(name).index for name in names]
        body = self.connection.request(wire.READ, tail=struct.pack(f"<{len(indices)}H", *indices))
        return dict(zip(names, wire.words_of(body, "i"), strict=True))

    # --- recording --------------------------------------------------------------------------------------

    def _divider(self, rate_hz: float | None) -> int:
        """PWM periods of a row."""
        if rate_hz is None:
            return 1
        highest = 1 / self.t_pwm
        if not highest / DIVIDER_MAX <= rate_hz <= highest * 1.000001:
            raise OutOfRange(
                f"A rate of {rate_hz:g} Hz is outside {highest / DIVIDER_MAX:g} .. {highest:g} Hz, the PWM's."
            )
        return max(1, round(highest / rate_hz))

    def stream(self, names: Sequence[str], rate_hz: float = 1000.0) -> Stream:
        """Start streaming 1 to 15 signals; one stream at a time."""
        if not 1 <= len(names) <= STREAM_CHANNELS:
            raise OutOfRange(f"A stream takes 1 .. {STREAM_CHANNELS} signals, not {len(names)}.")
        if self._stream is not None and not self._stream.closed:
            raise DriveError("A stream is open already, and the board has one.", "close it first")
        signals = [self.schema.find(name) for name in names]
        divider = self._divider(rate_hz)
        channels = [signal.index | (wire.WIDE if signal.wide else 0) for signal in signals]
        stream = Stream(signals, divider, self.t_pwm, self._end_stream)
        self._stream = stream
        try:
            body = self.connection.request(
                wire.STREAM_SETUP, (divider,), struct.pack(f"<{len(channels)}H", *channels)
            )
        except BaseException:
            self._stream = None
            raise
        stream.begin(body[0])
        return stream

    def _end_stream(self, stream: Stream) -> None:
        if self._stream is stream:
            self._stream = None
            with contextlib.suppress(PortClosed, AnswerTimeout):
                self.connection.request(wire.STREAM_SETUP, (0,))

    def capture(
        self,
        names: Sequence[str],
        *,
        trigger: str | None = None,
        level: float = 0.0,
        edge: str | None = None,
        pre: int = 128,
        rate_hz: float | None = None,
        timeout: float = 10.0,
        then: Callable[[], None] | None = None,
    ) -> Capture:
        """Record 1 to 8 signals at the PWM rate (or rate_hz) around a trigger.

        edge: rising, falling, fault or now (rising with a trigger signal, else now); `then` is called
        once the capture waits for its trigger.  Raises DriveError when the trigger does not come.
        """
        edge = edge or ("rising" if trigger else "now")
        if edge not in EDGES:
            raise OutOfRange(f"An edge is one of {', '.join(EDGES)}, not {edge!r}.")
        if edge in ("rising", "falling") and trigger is None:
            raise OutOfRange(f"A {edge} edge needs the name of a trigger signal.")
        if not 1 <= len(names) <= CAPTURE_CHANNELS:
            raise OutOfRange(f"A capture takes 1 .. {CAPTURE_CHANNELS} signals, not {len(names)}.")
        if not 0 <= pre < CAPTURE_ROWS:
            raise OutOfRange(f"A capture keeps 0 .. {CAPTURE_ROWS - 1} rows before its trigger, not {pre}.")
        signals = [self.schema.find(name) for name in names]
        source = self.schema.find(trigger or names[0])
        divider = self._divider(rate_hz)
        fields = (divider, pre, EDGES.index(edge), self._raw(source.name, level), source.index)
        indices = struct.pack(f"<{len(signals)}H", *[signal.index for signal in signals])
        number = struct.unpack("<H", self.connection.request(wire.CAPTURE_SETUP, fields, indices))[0]
        length = CAPTURE_ROWS * divider * self.t_pwm
        end = time.monotonic() + timeout + length
        waited = 0.0
        while True:
            current, state, period, _ = struct.unpack("<HBIH", self.connection.request(wire.CAPTURE_STATUS))
            if current != number:
                raise DriveError("Another capture was set up meanwhile.", "capture again")
            if state == CAPTURE_DONE:
                break
            if state >= CAPTURE_WAITING and then is not None:
                then()
                then = None
            if waited > timeout + length or (not self.identity.fast and time.monotonic() > end):
                what = f"{trigger} {edge} through {level:g} {source.unit}" if trigger else edge
                raise DriveError(
                    f"The trigger ({what}) did not come within {timeout:g} s.",
                    "change the level, or use edge now",
                )
            waited += self._pass(0.01)
        rows: list[tuple[int, ...]] = []
        while len(rows) < CAPTURE_ROWS:
            body = self.connection.request(wire.CAPTURE_FETCH, (number, len(rows)))
            first, columns = struct.unpack_from("<HB", body)
            if first != len(rows) or columns != len(signals) or len(body) < 3 + 4 * columns:
                raise DriveError("The board sent rows of another capture.", "capture again")
            rows.extend(struct.iter_unpack(f"<{columns}i", body[3:]))
        raw = dict(zip(names, zip(*rows, strict=True), strict=True))
        offsets = [(k - pre) * divider for k in range(CAPTURE_ROWS)]
        return Capture(
            trigger_period=period,
            pre=pre,
            periods=tuple(period + offset for offset in offsets),
            times=tuple(offset * self.t_pwm for offset in offsets),
            columns={
                signal.name: tuple(value * signal.step for value in raw[signal.name]) for signal in signals
            },
            raw=raw,
            units={signal.name: signal.unit for signal in signals},
        )

    # --- virtual drives only ------------------------------------------------------------------------------

    def load(self, torque: float, at: int | None = None) -> None:
        """Load torque on the shaft in Nm; positive brakes forward motion."""
        self.connection.request(wire.BENCH_LOAD, (float(torque), _due(at)))

    def advance(self, periods: int) -> int:
        """Let a fast virtual drive run `periods`; returns the period reached.

        All rows and events of those periods have arrived when it returns.
        """
        # Each piece is a sign of life; the board's patience counts device time.
        piece = max(1, int(self._host_timeout / self.t_pwm / 4))
        while periods > 0:
            count = min(piece, periods)
            self.connection.request(
                wire.BENCH_ADVANCE, (count,), timeout=self.connection.timeout + 100 * count * self.t_pwm
            )
            periods -= count
        return self.now()

    def sleep(self, seconds: float) -> None:
        """Let device time pass: by advance() on a fast drive, else by waiting until it has."""
        self._pass(seconds)

    def _pass(self, seconds: float) -> float:
        periods = round(seconds / self.t_pwm)
        if self.identity.fast:
            self.advance(periods)
            return seconds
        self._heartbeat()
        end = self.now() + periods
        left = periods
        while left > 0:
            time.sleep(min(left * self.t_pwm, 0.1))
            self._heartbeat()  # its answer brings the device period
            left = signed(end - self.now())
        return seconds

    def quit(self) -> None:
        """End a virtual drive."""
        self._armed = False
        self.connection.request(wire.BENCH_QUIT)


def _state_name(number: int) -> str:
    return STATES[number] if number < len(STATES) else f"state {number}"


def _due(at: int | None) -> int:
    return wire.NOW if at is None else at & MASK
