"""A drive as an object: connect, arm, command, read, stream, capture.

    with Drive.connect() as drive:
        drive.arm()
        drive.speed(500)
        with drive.stream(["i_q", "w_m_ref"], rate_hz=1000) as rows:
            for row in rows:
                print(row.time, row["i_q"])

Values are SI; signals are converted by the schema that the board itself describes.  Refusals and
broken links are exceptions of `host_tools.connection`, whose text names the cause and the next
command.  Leaving the context stops the motor if this client armed it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload


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
class SignalInfo:
    """One signal as the board describes it; SI value = raw * step."""

    name: str
    role: str
    unit: str
    low: int
    high: int
    meaning: str
    index: int
    length: int
    step: float


@dataclass(frozen=True)
class Status:
    """State of the drive and counters of the link, at one device period."""

    period: int
    state: str
    owned: bool  # this client drives
    faults: tuple[str, ...]
    counters: Mapping[str, int]


@dataclass(frozen=True)
class Fault:
    """A latched fault: what was measured, why it can be, what to do."""

    number: int
    name: str
    text: str
    cause: str
    remedy: str
    first: bool


@dataclass(frozen=True)
class FaultReport:
    """Latched faults and the period of the first one (None without faults)."""

    faults: tuple[Fault, ...]
    period: int | None
    time: float | None


@dataclass(frozen=True)
class Event:
    """Something the board reports by itself: kind is state, fault, found or host lost."""

    period: int
    kind: str
    text: str


class Row:
    """One row of a stream: `row.period`, `row.time` in s, `row["i_q"]` in SI, `row.raw` integers."""

    period: int
    time: float
    raw: tuple[int, ...]

    def __getitem__(self, name: str) -> float: ...


class Stream:
    """Rows as they arrive: an iterator and a context; leaving it ends the stream on the board."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    steps: tuple[float, ...]  # SI value = raw * step
    rate_hz: float  # after rounding to whole PWM periods
    divider: int
    received: int
    lost: int  # rows missing on the host, whatever the cause (by row number)
    dropped: int  # rows that the board itself says it dropped

    def __iter__(self) -> Iterator[Row]: ...

    def read(self, timeout: float | None = None) -> list[Row]:
        """All rows that wait; blocks up to `timeout` s for the first one; [] when none came."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Stream: ...

    def __exit__(self, *exception: object) -> None: ...


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
    """One connected drive."""

    identity: Identity
    signals: dict[str, SignalInfo]
    bases: dict[str, float]
    t_pwm: float  # s
    # Called from the reader's thread for every event; default: keep it for `events()`.
    on_event: Callable[[Event], None] | None

    @classmethod
    def connect(
        cls,
        port: str | None = None,
        *,
        unit: str | None = None,
        timeout: float = 2.0,
        registry: Path | None = None,
        kernel_hash: str | None = None,
    ) -> Drive:
        """Open `port`, or the only drive there is (of `unit`, if given).

        Raises NoBoard, SeveralBoards, PortBusy, PortDenied, PortMissing, VersionMismatch,
        SchemaMismatch (also when `kernel_hash` is given and differs) or AnswerTimeout.
        """
        ...

    def __enter__(self) -> Drive: ...

    def __exit__(self, *exception: object) -> None: ...

    def close(self) -> None:
        """Stop the motor if this client armed it, then close the port."""
        ...

    def reconnect(self, timeout: float = 5.0) -> None:
        """After PortClosed: wait for the port, take up the same session."""
        ...

    # --- state ---------------------------------------------------------------------------------
    @property
    def state(self) -> str:
        """Name of the present state: off, offsets, ..., ready, running, stopping, field down, fault."""
        ...

    def status(self) -> Status: ...

    def now(self) -> int:
        """Present device period."""
        ...

    def wait_for(self, *states: str, timeout: float = 10.0) -> str:
        """Wait until the drive is in one of `states` (device time when fast); a fault raises DriveFault."""
        ...

    def events(self) -> list[Event]:
        """Events since the last call."""
        ...

    def arm(self, wait: bool = True, timeout: float = 20.0) -> None: ...

    def stop(self, wait: bool = True, timeout: float = 20.0) -> None: ...

    def faults(self) -> FaultReport: ...

    def clear(self, wait: bool = True, timeout: float = 10.0) -> None: ...

    # --- setpoints; `at` is a device period, None for at once ---------------------------------------
    def speed(self, rpm: float, at: int | None = None) -> None: ...

    def set_speed(self, w_m: float, at: int | None = None) -> None:
        """Shaft speed in rad/s."""
        ...

    def torque(self, torque: float, at: int | None = None) -> None: ...

    def currents(self, i_d: float, i_q: float, i_f: float, at: int | None = None) -> None: ...

    # --- settings and signals -----------------------------------------------------------------------
    def get(self, name: str) -> float: ...

    def set(self, name: str, value: float) -> float:
        """Change a setting, returns the value the board now holds."""
        ...

    def settings(self) -> dict[str, float]:
        """Every setting that may be changed."""
        ...

    @overload
    def read(self, names: str) -> float: ...
    @overload
    def read(self, names: Sequence[str]) -> dict[str, float]: ...
    def read(self, names: str | Sequence[str]) -> float | dict[str, float]:
        """Present SI value of a signal, or of several at the same period."""
        ...

    # --- recording ------------------------------------------------------------------------------------
    def stream(self, names: Sequence[str], rate_hz: float = 1000.0) -> Stream:
        """Start streaming up to 15 signals; one stream at a time."""
        ...

    def capture(
        self,
        names: Sequence[str],
        *,
        trigger: str | None = None,
        level: float = 0.0,
        edge: str = "rising",
        pre: int = 128,
        rate_hz: float | None = None,
        timeout: float = 10.0,
        then: Callable[[], None] | None = None,
    ) -> Capture:
        """Record up to 8 signals at the PWM rate (or rate_hz) around a trigger.

        edge: rising, falling, fault or now; `then` is called once the capture waits for its trigger.
        """
        ...

    # --- virtual drive only ------------------------------------------------------------------------------
    def load(self, torque: float, at: int | None = None) -> None:
        """Load torque on the shaft in Nm; positive brakes forward motion."""
        ...

    def advance(self, periods: int) -> int:
        """Let a fast virtual drive run `periods`; returns the period reached."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let device time pass: advance() on a fast drive, else wall time."""
        ...

    def quit(self) -> None:
        """End a virtual drive."""
        ...
