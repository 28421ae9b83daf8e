"""Runs a scenario on a bench: the live client, or the simulation in one process.

Commands that can wait on the board (setpoints, load) are sent AHEAD of their device period, so
that the host's latency has no part in the run; those that cannot (arm, stop, settings) go out
when their period has come.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil, exp, log, pi, sin
from typing import Any, Protocol

from eesm.cyclic import MASK, signed
from eesm.drive import RPM
from host_tools.errors import LINK_LOST, ToolError, UsageError
from host_tools.scenario import Chirp, Phase, Scenario

AHEAD = 0.4  # s of device time between sending a command and its period
RAMP_STEP = 0.02  # s between the setpoints of a ramp
CHIRP_STEP = 0.004  # s between the setpoints of a chirp: ten in a turn of the highest frequency
CHIRP_AHEAD = 0.12  # s: the board keeps no more than some tens of commands that wait
CHIRP_NEAR = 0.03  # s before its period at which a setpoint of a chirp is left out if the next one is there
SLICE = 0.01  # s that a fast bench is advanced at once
TAIL = 0.05  # s recorded after the last phase
SILENCE = 120.0  # s of this computer in which a drive that keeps its own time must get on
STOP_TIMEOUT = 5.0  # s of device time that an ordered stop may take when a run is given up


class Rows(Protocol):
    """A stream, as `host_tools.client.Stream`."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    steps: tuple[float, ...]
    rate_hz: float
    divider: int
    lost: int
    dropped: int

    def read(self, timeout: float | None = None) -> list[Any]: ...
    def close(self) -> None: ...


class Bench(Protocol):
    """What a scenario needs of a drive; `host_tools.client.Drive` has it, and the simulation."""

    @property
    def identity(self) -> Any: ...
    @property
    def bases(self) -> Mapping[str, float]: ...
    @property
    def t_pwm(self) -> float: ...
    @property
    def state(self) -> str: ...

    def now(self) -> int: ...
    def events(self) -> Sequence[Any]: ...
    def settings(self) -> dict[str, float]: ...
    def get(self, name: str) -> float: ...
    def read(self, names: str) -> float: ...
    def set(self, name: str, value: float) -> float: ...
    def arm(self, wait: bool = True) -> None: ...
    def stop(self, wait: bool = True) -> None: ...
    def set_speed(self, w_m: float, at: int | None = None) -> None: ...
    def set_torque(self, torque: float, at: int | None = None) -> None: ...
    def set_currents(self, i_d: float, i_q: float, i_f: float, at: int | None = None) -> None: ...
    def load(self, torque: float, at: int | None = None) -> None: ...
    def advance(self, periods: int) -> int: ...
    def stream(self, names: Sequence[str], rate_hz: float = 1000.0) -> Rows: ...


class Recorder(Protocol):
    """Takes what a run produces, as `host_tools.log.Writer`."""

    def begin(self, rows: Rows) -> None: ...
    def rows(self, rows: Sequence[Any]) -> None: ...
    def note(self, kind: str, **content: Any) -> None: ...


@dataclass
class Outcome:
    """How a run went; the record itself is the recorder's."""

    completed: bool = False
    interrupted: bool = False
    trouble: str = ""  # why the run was given up
    error: Exception | None = None  # what broke it, such as a lost link
    faults: list[str] = field(default_factory=list)
    late: int = 0  # commands that left after their period: the run is not repeatable to the period
    left_out: int = 0  # setpoints of a sweep for which the bench was too slow
    missed: int = 0  # PWM periods whose interrupt came too late or not at all
    first_period: int = 0
    last_period: int = 0


@dataclass(frozen=True)
class Progress:
    """Where a run is, for whoever shows it."""

    phase: Phase
    number: int
    share: float  # of the phase, 0 .. 1
    period: int
    values: Mapping[str, float]  # newest row


@dataclass
class _Action:
    """A command and the period at which it shall act."""

    due: int
    text: str
    do: Callable[[int], None]
    waits: bool  # the board keeps it until its period
    dense: bool = False  # one of many: only a few may wait on the board


class GivenUp(Exception):
    """The run cannot go on."""


class Runner:
    """One run of one scenario."""

    def __init__(
        self,
        scenario: Scenario,
        bench: Bench,
        recorder: Recorder,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        if scenario.needs_load and not bench.identity.bench:
            raise UsageError(
                f"{scenario.file}: loads the shaft, which only a virtual drive can do by itself.",
                "run it with a virtual drive, or take `load` out of the scenario",
            )
        self.scenario = scenario
        self.bench = bench
        self.recorder = recorder
        self.on_progress = on_progress
        self.outcome = Outcome()
        self.fast = bool(bench.identity.fast)
        self.ahead = self.periods(AHEAD)
        self.near = self.periods(CHIRP_NEAR)
        self._now = 0  # device periods, counted on where the board's 30 bits wrap
        self._values: dict[str, float] = {}
        self._events: list[Any] = []
        self._actions: list[_Action] = []
        self._before: dict[str, float] = {}  # settings as they were
        self._planned = bench.settings()  # settings as the phases planned so far leave them
        self._ramping = False
        self._reached = {"speed_rpm": 0.0, "torque": 0.0, "i_d": 0.0, "i_q": 0.0, "i_f": 0.0, "load": 0.0}
        self._stopping = False
        self._moved = time.monotonic()  # when the drive was last seen to get on

    def periods(self, seconds: float) -> int:
        """Device time in whole periods."""
        return round(seconds / self.bench.t_pwm)

    def run(self) -> Outcome:
        """Run all phases; the drive is left stopped, also after trouble or Ctrl-C."""
        bench, outcome = self.bench, self.outcome
        bench.events()
        missed = bench.read("missed_periods")
        self._now = outcome.first_period = bench.now()
        rows = bench.stream(self.scenario.signals, self.scenario.rate_hz)
        self.recorder.begin(rows)
        try:
            self._phases(rows)
            outcome.completed = True
        except GivenUp as error:
            self._give_up(rows, str(error))
        except KeyboardInterrupt:
            outcome.interrupted = True
            self._give_up(rows, "interrupted")
        except Exception as error:
            # The record comes first: the caller closes it and raises the error again.
            outcome.error = error
            with suppress(Exception):
                self._give_up(rows, str(error))
            if outcome.faults:
                # A drive in fault refuses what comes next, maybe before it is heard why.
                outcome.error, outcome.trouble = None, f"fault: {outcome.faults[0]}"
        try:
            self._restore()
            rows.close()
            self._take(rows.read(0))
            outcome.missed = round(bench.read("missed_periods") - missed)
        except Exception as error:
            outcome.error = outcome.error or error
        outcome.last_period = self._now
        counts = {
            "lost": rows.lost,
            "dropped": rows.dropped,
            "late": outcome.late,
            "left_out": outcome.left_out,
            "missed": outcome.missed,
        }
        self.recorder.note("stream", **counts)
        return outcome

    # --- the phases -------------------------------------------------------------------------------

    def _phases(self, rows: Rows) -> None:
        phases = list(self.scenario.phases)
        # A little later, so that the first commands are ahead of their period as well.
        start = self._now + self.ahead + self.periods(0.05)
        planned = 0  # phases whose commands are in self._actions
        starts: list[int] = []
        for number, phase in enumerate(phases, 1):
            if planned < number:
                for ahead in phases[planned:]:
                    starts.append(start)
                    self._actions += self._plan(ahead, start)
                    planned += 1
                    if ahead.duration is None:
                        break
                    start += self.periods(ahead.duration)
            begin = starts[number - 1]
            self._pass(rows, lambda begin=begin: self._now >= begin, None)
            self.recorder.note("phase", name=phase.name, say=phase.say, period=begin & MASK)
            if phase.duration is not None:
                end = begin + self.periods(phase.duration)
                self._pass(rows, lambda end=end: self._now >= end, (phase, number, begin, end))
            else:
                end = self._until(rows, phase, number, begin)
                start = end + self.ahead + self.periods(0.05)
            self.recorder.note("end", name=phase.name, period=end & MASK)
        tail = self._now + self.periods(TAIL)
        self._pass(rows, lambda: self._now >= tail, None)

    def _until(self, rows: Rows, phase: Phase, number: int, begin: int) -> int:
        """Wait for a state; returns the period at which the drive entered it."""
        found: list[int] = []
        deadline = begin + self.periods(phase.timeout)

        def reached() -> bool:
            for event in self._events:
                if event.kind == "state" and event.text == phase.until:
                    period = self._unwrap(event.period)
                    if period >= begin:
                        found.append(period)
            if not found and self._now > deadline:
                raise GivenUp(
                    f'phase "{phase.name}": the drive is {self.bench.state} after {phase.timeout:g} s, '
                    f"{phase.until} was expected"
                )
            return bool(found)

        self._events.clear()
        if not phase.arm and not phase.stop and self.bench.state == phase.until:
            return begin
        self._pass(rows, reached, (phase, number, begin, deadline))
        return found[0]

    def _pass(self, rows: Rows, done: Callable[[], bool], at: tuple[Phase, int, int, int] | None) -> None:
        """Let device time pass until `done`, sending what is due and recording what comes."""
        while True:
            self._send()
            if done():
                return
            self._step(rows)
            if at is not None and self.on_progress is not None:
                phase, number, begin, end = at
                share = min(1.0, max(0.0, (self._now - begin) / max(1, end - begin)))
                self.on_progress(Progress(phase, number, share, self._now, self._values))

    def _step(self, rows: Rows) -> None:
        if self.fast:
            self._now = self._unwrap(self.bench.advance(self.periods(SLICE)))
            self._take(rows.read(0))
        else:
            batch = rows.read(0.05)
            self._take(batch)
            if not batch:
                self._get_on(self._unwrap(self.bench.now()))
                if time.monotonic() > self._moved + SILENCE:
                    raise ToolError(
                        f"No period of the drive has passed in {SILENCE:g} s.",
                        "look whether it still has power; reset it",
                        LINK_LOST,
                    )
        for event in self.bench.events():
            self.recorder.note("event", period=event.period, what=event.kind, text=event.text)
            self._events.append(event)
            if event.kind == "fault":
                self.outcome.faults.append(event.text)
            if not self._stopping and event.kind in ("fault", "host lost"):
                raise GivenUp(f"{event.kind}: {event.text}")

    def _take(self, batch: Sequence[Any]) -> None:
        if not batch:
            return
        self.recorder.rows(batch)
        newest = batch[-1]
        self._get_on(self._unwrap(newest.period))
        self._values = {name: newest[name] for name in self.scenario.signals}
        self._watch(batch)

    def _get_on(self, period: int) -> None:
        if period > self._now:
            self._now = period
            self._moved = time.monotonic()

    def _watch(self, batch: Sequence[Any]) -> None:
        """Give the run up when a row is beyond one of the scenario's limits."""
        if self._stopping:
            return
        for name, (low, high) in self.scenario.limits.items():
            value = self._reader_of(name)
            for row in batch:
                if not low <= value(row) <= high:
                    seconds = self._unwrap(row.period) * self.bench.t_pwm
                    raise GivenUp(
                        f"limit: {name} = {value(row):.6g} is beyond {low:g} .. {high:g} at {seconds:.4f} s"
                    )

    def _reader_of(self, name: str) -> Callable[[Any], float]:
        """What gives a quantity of a row."""
        slip = self.bench.bases["w_m"] / self.bench.bases["w_e"]
        derived: dict[str, Callable[[Any], float]] = {
            "w_m": lambda row: row["w_e"] * slip,
            "speed_rpm": lambda row: row["w_e"] * slip / RPM,
            "speed_ref_rpm": lambda row: row["w_m_ref"] / RPM,
            "load": lambda row: row["load_torque"],
            "power": lambda row: (
                1.5 * (row["u_d"] * row["i_d"] + row["u_q"] * row["i_q"]) + row["u_f"] * row["i_f"]
            ),
            "power_shaft": lambda row: row["torque"] * row["w_e"] * slip,
        }
        return derived.get(name, lambda row: row[name])

    def _unwrap(self, period: int) -> int:
        """A 30-bit period near the present one, counted on."""
        return self._now + signed(period - self._now)

    # --- commands -----------------------------------------------------------------------------------

    def _send(self) -> None:
        """Send what has come near enough, in order.

        A bench that is too slow for a sweep gets fewer of its setpoints: those that would come late, or hold
        up what comes after them, a stop for one, are left out.
        """
        actions, began = self._actions, self._newest()
        # No further than from here: rows and limits must not wait for commands either.
        while actions and began >= actions[0].due - self._lead(actions[0]):
            now = self._newest()
            action = actions.pop(0)
            following = actions[0] if actions else None
            if action.dense and following and following.dense and following.due <= now + self.near:
                self.outcome.left_out += 1
                continue
            self.outcome.late += action.waits and now >= action.due
            self.recorder.note("command", period=now & MASK, due=action.due & MASK, text=action.text)
            action.do(action.due & MASK)

    def _newest(self) -> int:
        """The period of the last word from the bench, which answers to commands bring on before rows do."""
        return max(self._now, self._unwrap(self.bench.now()))

    def _lead(self, action: _Action) -> int:
        """Periods before its own at which a command is sent."""
        if not action.waits:
            return 0
        return self.periods(CHIRP_AHEAD) if action.dense else self.ahead

    def _plan(self, phase: Phase, start: int) -> list[_Action]:
        """The commands of a phase in the order of their sending."""
        return sorted(self._commands(phase, start), key=lambda each: each.due - self._lead(each))

    def _commands(self, phase: Phase, start: int) -> Iterator[_Action]:
        bench = self.bench
        settings = self._settings_of(phase)
        if phase.arm:
            yield _Action(start, "arm", lambda due: bench.arm(wait=False), waits=False)
        if phase.stop:
            yield _Action(start, "stop", lambda due: bench.stop(wait=False), waits=False)
        targets: dict[str, float] = {}
        for name in ("speed_rpm", "torque", "load"):
            value = getattr(phase, name)
            if value is not None:
                targets[name] = value
        if phase.currents is not None:
            targets |= dict(zip(("i_d", "i_q", "i_f"), phase.currents, strict=True))
        # The drive ramps the speed by itself, in smaller steps than any that could be sent.
        at_once = {name: targets.pop(name) for name in ("speed_rpm",) if name in targets}
        yield from self._setpoints(at_once, start)
        steps = max(1, ceil(phase.ramp / RAMP_STEP)) if targets else 0
        begin = dict(self._reached)
        for n in range(1, steps + 1):
            due = start + (self.periods(phase.ramp * n / steps) if phase.ramp else 0)
            values = {name: begin[name] + (to - begin[name]) * n / steps for name, to in targets.items()}
            yield from self._setpoints(values, due)
        self._reached |= targets | at_once
        for name, value in settings.items():
            # Settings cannot wait on the board; they go out behind the setpoints that they are for, which
            # can: a board takes a tenth of a second for one.
            text, do = f"{name} = {value:g}", lambda due, name=name, value=value: self._set(name, value)
            yield _Action(start, text, do, waits=True)
        if phase.chirp is not None and phase.duration is not None:
            yield from self._sweep(phase.chirp, phase.duration, start)

    def _sweep(self, chirp: Chirp, duration: float, start: int) -> Iterator[_Action]:
        """Setpoints about the one reached; the last of them is that one again."""
        around = {"i_d", "i_q", "i_f"} if chirp.of in ("i_d", "i_q", "i_f") else {chirp.of}
        centre = {name: self._reached[name] for name in around}
        growth = log(chirp.to_hz / chirp.from_hz) / duration
        steps = round(duration / CHIRP_STEP)
        for n in range(1, steps):
            seconds = n * CHIRP_STEP
            angle = 2 * pi * chirp.from_hz * (exp(growth * seconds) - 1) / growth
            offset = chirp.amplitude * sin(angle) if n < steps - 1 else 0.0
            values = centre | {chirp.of: centre[chirp.of] + offset}
            for action in self._setpoints(values, start + self.periods(seconds)):
                action.dense = True
                yield action

    def _settings_of(self, phase: Phase) -> dict[str, float]:
        """Settings that a phase changes: its own, and the slope of the drive's speed ramp."""
        changed = dict(phase.settings)
        self._planned |= changed
        if phase.speed_rpm is None:
            return changed
        change = abs(phase.speed_rpm - self._reached["speed_rpm"]) * RPM
        if phase.ramp and change:
            changed["acceleration"] = change / phase.ramp
        elif self._ramping:
            changed["acceleration"] = self._planned["acceleration"]
        self._ramping = bool(phase.ramp and change)
        return changed

    def _setpoints(self, values: Mapping[str, float], due: int) -> Iterator[_Action]:
        bench = self.bench
        if "speed_rpm" in values:
            rpm = values["speed_rpm"]
            yield _Action(due, f"speed {rpm:g} rpm", lambda at: bench.set_speed(rpm * RPM, at), True)
        if "torque" in values:
            torque = values["torque"]
            yield _Action(due, f"torque {torque:g} Nm", lambda at: bench.set_torque(torque, at), True)
        if "i_d" in values:
            i_d, i_q, i_f = (values[name] for name in ("i_d", "i_q", "i_f"))
            text = f"currents i_d {i_d:g} A, i_q {i_q:g} A, i_f {i_f:g} A"
            yield _Action(due, text, lambda at: bench.set_currents(i_d, i_q, i_f, at), True)
        if "load" in values:
            load = values["load"]
            yield _Action(due, f"load {load:g} Nm", lambda at: bench.load(load, at), True)

    def _set(self, name: str, value: float) -> None:
        self._before.setdefault(name, self.bench.get(name))
        self.bench.set(name, value)

    def _restore(self) -> None:
        """Settings of phases end with the run."""
        for name, value in self._before.items():
            self.bench.set(name, value)
        self._before.clear()

    def _give_up(self, rows: Rows, why: str) -> None:
        """Record why, stop in order, and record that too."""
        self.outcome.trouble = why
        self._stopping = True
        self._actions.clear()
        self.recorder.note("trouble", period=self._now & MASK, text=why)
        if self.bench.state == "off":
            return
        if self.bench.state != "fault":
            self.bench.stop(wait=False)
        deadline = self._now + self.periods(STOP_TIMEOUT)
        self._pass(rows, lambda: self._now > deadline or self.bench.state in ("off", "fault"), None)
        tail = self._now + self.periods(TAIL)
        self._pass(rows, lambda: self._now >= tail, None)
