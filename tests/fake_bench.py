"""A bench without firmware: first-order dynamics behind the interface that scenarios run on.

Quick enough for tests of runner, log, figures, plots and reports.  Time passes only by
`advance`, unless `paced` is set: then each `read` lets a slice pass, as a live drive would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

STEPS = {
    "w_": 0.05,
    "i_f": 8 / 32768,
    "i_": 70 / 32768,
    "u_": 75 / 32768,
    "torque": 8 / 32768,
    "load": 8 / 32768,
}
UNITS = {"w_": "rad/s", "i_": "A", "u_": "V", "torque": "N.m", "load": "N.m"}


def _of(name: str, table: dict[str, Any]) -> Any:
    return next(value for key, value in table.items() if name.startswith(key))


@dataclass(frozen=True)
class FakeIdentity:
    board: str = "virtual"
    unit: str = "a"
    firmware: str = "0.0.0"
    kernel_hash: str = "k" * 12
    schema_hash: str = "s" * 12
    interpreter: str = "fake"
    bench: bool = True
    fast: bool = True
    port: str = "fake"


@dataclass(frozen=True)
class FakeEvent:
    period: int
    kind: str
    text: str


class FakeRow:
    def __init__(
        self, period: int, names: Sequence[str], raw: tuple[int, ...], steps: Sequence[float]
    ) -> None:
        self.period, self.names, self.raw, self.steps = period, names, raw, steps

    def __getitem__(self, name: str) -> float:
        n = self.names.index(name)
        return self.raw[n] * self.steps[n]


class FakeStream:
    def __init__(self, bench: FakeBench, names: Sequence[str], rate_hz: float) -> None:
        self.bench = bench
        self.names = tuple(names)
        self.steps = tuple(_of(name, STEPS) for name in names)
        self.units = tuple(_of(name, UNITS) for name in names)
        self.divider = round(1 / (rate_hz * bench.t_pwm))
        self.rate_hz = 1 / (self.divider * bench.t_pwm)
        self.lost = self.dropped = 0
        self.waiting: list[FakeRow] = []

    def read(self, timeout: float | None = None) -> list[FakeRow]:
        if timeout and not self.bench.identity.fast:
            self.bench.pass_by(200)
        rows, self.waiting = self.waiting, []
        return rows

    def close(self) -> None:
        self.bench.streaming = None


class FakeBench:
    """Speed follows a ramp, currents follow what torque and field need."""

    def __init__(
        self,
        *,
        fast: bool = True,
        period: int = 1000,
        at: Callable[[FakeBench], None] | None = None,
    ) -> None:
        self.identity = FakeIdentity(fast=fast)
        self.t_pwm = 5e-5
        self.bases = {"w_e": 2.0, "w_m": 1.0}
        self.state = "off"
        self.period = period
        self.passed = 0  # periods since the start
        self.at = at  # called each millisecond, for trouble
        self.commands: list[tuple[int, str, tuple[float, ...], int | None]] = []
        self.streaming: FakeStream | None = None
        self.skip_rows = 0
        self.missed_periods = 0
        self._events: list[FakeEvent] = []
        self._settings = {"i_f_max": 4.0, "acceleration": 600.0, "i_max": 40.0}
        self._due: list[tuple[int, str, tuple[float, ...]]] = []
        self._until = 0
        self.speed = self.speed_ref = self.goal = 0.0
        self.shaft_load = self.i_f = self.i_f_ref = self.torque_now = 0.0
        self.mode = "currents"

    # --- what a scenario uses -------------------------------------------------------------------

    def now(self) -> int:
        return self.period & 0x3FFFFFFF

    def events(self) -> list[FakeEvent]:
        events, self._events = self._events, []
        return events

    def settings(self) -> dict[str, float]:
        return dict(self._settings)

    def get(self, name: str) -> float:
        return self._settings[name]

    def read(self, names: str) -> float:
        assert names == "missed_periods"
        return float(self.missed_periods)

    def set(self, name: str, value: float) -> float:
        self._command("set " + name, (value,), None)
        self._settings[name] = value
        return value

    def arm(self, wait: bool = True) -> None:
        self._command("arm", (), None)
        self._enter("offsets")
        self._until = self.period + 8000

    def stop(self, wait: bool = True) -> None:
        self._command("stop", (), None)
        self._enter("stopping")
        self.i_f_ref, self.mode = 0.0, "currents"
        self._until = self.period + 3000

    def set_speed(self, w_m: float, at: int | None = None) -> None:
        self._command("speed", (w_m,), at)

    def set_torque(self, torque: float, at: int | None = None) -> None:
        self._command("torque", (torque,), at)

    def set_currents(self, i_d: float, i_q: float, i_f: float, at: int | None = None) -> None:
        self._command("currents", (i_d, i_q, i_f), at)

    def load(self, torque: float, at: int | None = None) -> None:
        self._command("load", (torque,), at)

    def advance(self, periods: int) -> int:
        self.pass_by(periods)
        return self.now()

    def stream(self, names: Sequence[str], rate_hz: float = 1000.0) -> FakeStream:
        self.streaming = FakeStream(self, names, rate_hz)
        return self.streaming

    # --- how it behaves -----------------------------------------------------------------------------

    def fail(self, text: str) -> None:
        self._event("fault", text)
        self._enter("fault")

    def pass_by(self, periods: int) -> None:
        for _ in range(periods // 20):
            self.period += 20
            self.passed += 20
            self._millisecond()

    def _command(self, name: str, values: tuple[float, ...], at: int | None) -> None:
        self.commands.append((self.now(), name, values, at))
        if name in ("speed", "torque", "currents", "load"):
            self._due.append((at if at is not None else self.now(), name, values))
            if self.state == "ready" and name != "load":
                self._enter("running")

    def _event(self, kind: str, text: str) -> None:
        self._events.append(FakeEvent(self.now(), kind, text))

    def _enter(self, state: str) -> None:
        self.state = state
        self._event("state", state)

    def _millisecond(self) -> None:
        for each in [each for each in self._due if (self.now() - each[0]) & 0x3FFFFFFF < 1 << 29]:
            self._due.remove(each)
            self._obey(each[1], each[2])
        if self.state == "offsets" and self.period >= self._until:
            self._enter("ready")
            self.i_f_ref = 0.5
        if self.state == "stopping" and self.period >= self._until:
            self._enter("off")
        step = self._settings["acceleration"] * 1e-3
        change = 0.0
        if self.mode == "speed":
            change = max(-step, min(step, self.goal - self.speed_ref))
            self.speed_ref += change
            self.speed += (self.speed_ref - self.speed) * 0.2
        wanted = 4e-3 * change / 1e-3 + self.shaft_load if self.mode == "speed" else 0.0
        self.torque_now += (wanted - self.torque_now) * 0.3
        self.i_f += (max(self.i_f_ref, abs(self.torque_now)) * (self.state != "off") - self.i_f) * 0.05
        if self.at is not None:
            self.at(self)
        if self.streaming is not None:
            self._row(self.streaming)

    def _obey(self, name: str, values: tuple[float, ...]) -> None:
        if name == "load":
            self.shaft_load = values[0]
        elif name == "speed":
            self.mode, self.goal = "speed", values[0]
        elif name == "currents":
            self.mode, self.i_f_ref = "currents", values[2]

    def _row(self, stream: FakeStream) -> None:
        if self.skip_rows:
            self.skip_rows -= 1
            return
        i_q = self.torque_now / (3 * 0.015 * max(self.i_f, 0.3))
        w_e = 2 * self.speed
        values = {
            "w_e": w_e,
            "w_m_ref": self.speed_ref,
            "torque": self.torque_now,
            "torque_ref": self.torque_now * 1.01,
            "load_torque": self.shaft_load,
            "i_d": -0.1 * abs(i_q),
            "i_d_ref": -0.1 * abs(i_q) + 0.02,
            "i_q": i_q,
            "i_q_ref": i_q * 1.01,
            "i_f": self.i_f,
            "i_f_ref": max(self.i_f_ref, abs(self.torque_now)),
            "u_d": -w_e * 7e-4 * i_q,
            "u_q": 0.06 * i_q + w_e * 0.015 * self.i_f,
            "u_f": 6.0 * self.i_f,
            "u_dc": 48.0 - 0.01 * self.torque_now * self.speed,
        }
        raw = tuple(
            round(values.get(name, 0.0) / step) for name, step in zip(stream.names, stream.steps, strict=True)
        )
        stream.waiting.append(FakeRow(self.now(), stream.names, raw, stream.steps))
