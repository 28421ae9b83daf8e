"""Rows that a board streams, with device time in each and every loss counted."""

from __future__ import annotations

import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from eesm import wire
from eesm.cyclic import MASK
from host_tools.link_errors import DriveError
from host_tools.schema import SignalInfo

# Rows kept for a consumer that does not fetch them; beyond it the newest are lost, and counted.
ROWS_KEPT = 2_000_000


class Columns(Protocol):
    """What a row needs of its stream, which may also be a simulation's."""

    t_pwm: float
    names: tuple[str, ...]
    steps: tuple[float, ...]
    column: dict[str, int]


class Row:
    """One row of a stream: `row.period`, `row.time` in s, `row["i_q"]` in SI, `row.raw` integers."""

    __slots__ = ("_stream", "period", "raw")

    def __init__(self, stream: Columns, period: int, raw: tuple[int, ...]) -> None:
        self._stream = stream
        self.period = period
        self.raw = raw

    @property
    def time(self) -> float:
        """Device time in s."""
        return self.period * self._stream.t_pwm

    def __getitem__(self, name: str) -> float:
        k = self._stream.column[name]
        return self.raw[k] * self._stream.steps[k]

    def values(self) -> tuple[float, ...]:
        """SI values in the order of the stream's names."""
        return tuple([raw * step for raw, step in zip(self.raw, self._stream.steps, strict=True)])

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={self[name]:.6g}" for name in self._stream.names)
        return f"Row({self.time:.6f} s: {shown})"


class Stream:
    """Rows as they arrive: an iterator and a context; leaving it ends the stream on the board."""

    def __init__(
        self, signals: Sequence[SignalInfo], divider: int, t_pwm: float, end: Callable[[Stream], None]
    ) -> None:
        self.names = tuple(signal.name for signal in signals)
        self.units = tuple(signal.unit for signal in signals)
        self.steps = tuple(signal.step for signal in signals)  # SI value = raw * step
        self.column = {name: k for k, name in enumerate(self.names)}
        self.t_pwm = t_pwm
        self.divider = divider
        self.rate_hz = 1 / (t_pwm * divider)  # after rounding to whole PWM periods
        self.received = 0
        self.lost = 0  # rows missing here, whatever the cause, by their numbers
        self.dropped = 0  # rows of those that the board itself says it had to drop
        self.closed = False
        self._layout = struct.Struct("<I" + "".join("i" if signal.wide else "h" for signal in signals))
        self._number: int | None = None
        self._early: list[bytes] = []  # frames that came before the number of the stream was known
        self._expected = 0
        self._period: int | None = None
        self._rows: deque[tuple[int, ...]] = deque()
        self._news = threading.Condition()
        self._error: DriveError | None = None
        self._end = end

    # --- the connection's side ----------------------------------------------------------------------

    def begin(self, number: int) -> None:
        """Take the frames with this number."""
        with self._news:
            self._number = number
            early, self._early = self._early, []
        for payload in early:
            self.take(payload)

    def take(self, payload: bytes) -> None:
        """A STREAM frame."""
        number, count, first, dropped = struct.unpack_from(wire.ROWS, payload)
        with self._news:
            if self._number is None:
                self._early.append(payload)
                return
            body = memoryview(payload)[wire.ROWS_SIZE :]
            if number != self._number or len(body) != count * self._layout.size or self.closed:
                return
            self.lost += (first - self._expected) & MASK
            self._expected = first + count
            self.dropped = dropped
            self.received += count
            if len(self._rows) + count > ROWS_KEPT:
                self.lost += count
                return
            self._rows.extend(self._layout.iter_unpack(body))
            self._news.notify_all()

    def fail(self, error: DriveError) -> None:
        """The port has gone: what was received can still be read, then comes the error."""
        with self._news:
            self._error = error
            self._news.notify_all()

    # --- the reader's side ----------------------------------------------------------------------------

    def read(self, timeout: float | None = None) -> list[Row]:
        """All rows that wait; blocks up to `timeout` s (None: for ever) for the first; [] when none came.

        Raises PortClosed when the port has gone and all rows were read.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with self._news:
            while not self._rows:
                if self._error is not None:
                    error = self._error
                    raise type(error)(error.message, error.hint)
                left = None if end is None else end - time.monotonic()
                if self.closed or (left is not None and left <= 0):
                    return []
                self._news.wait(left)
            rows, self._rows = self._rows, deque()
        out = []
        last = self._period
        for row in rows:
            period = row[0]
            if last is not None:  # the board's number wraps at 30 bits, this one does not
                period = last + ((period - last) & MASK)
            last = period
            out.append(Row(self, period, row[1:]))
        self._period = last
        return out

    def __iter__(self) -> Iterator[Row]:
        while True:
            rows = self.read()
            if not rows:
                return
            yield from rows

    def close(self) -> None:
        """End the stream; rows that have arrived can still be read."""
        if not self.closed:
            self._end(self)
            with self._news:
                self.closed = True
                self._news.notify_all()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
