"""Every state that the drive's state machine can reach, by every order of events: an exhaustive search.

The machine is the firmware's own `Drive`.  What it sees is abstract: a quantity is on one side of its limit
or on the other, a step of the start-up waits, is done, fails or was late, time passes by a tick or by far
more than any deadline.  What physics and the kernel forbid is left out: a field does not rise unless the
exciter drives it, and a latched fault opens the bridge.  Whatever else may happen, may happen at any time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest

from eesm import drive as states
from eesm.drive import DIRECTION, FAULT, FIELD_DOWN, FIELD_UP, OFF, READY, RUNNING, STOPPING, Drive, Refused
from eesm.faults import ASKED, Failed, bit_of, number_of
from tests.test_drive_machine import FOLLOWS

TICK = states.TICK_PERIODS
LONG = 1 << 20  # periods, longer than any deadline
SAFE = 0.1  # A, i_f_safe
CURRENT = 2  # bridge_mode
FIELD_CURRENT = 1  # field_mode
OVERCURRENT = bit_of("PHASE_OVERCURRENT")
ONES = ("R_f", "L_f", "R_s", "i_max", "i_f_max", "w_m_max", "torque_slew", "torque_limit", "w_m_trip")
SETTINGS = dict.fromkeys(ONES, 1.0) | {
    "f_pwm": 20000.0,
    "pole_pairs": 2,
    "host_timeout": 0.5,
    "main_loop_timeout": 0.15,
    "u_dc_min": 30.0,
    "check_direction": 1,
    "exciter_from_link": 1,
    "exciter_kind": "half_bridge",
    "encoder_counts": 4096,
}
MODES = (
    "bridge_mode",
    "field_mode",
    "reference_mode",
    "i_d_set",
    "i_q_set",
    "i_f_set",
    "torque_set",
    "w_m_set",
)
POSTED = ("fault_request", "fault_clear", "fault_cleared", "drive_state", "short_wanted", "silence_max")
QUANTITIES = {"u_dc": 48.0, "u_dc_trip": 60.0, "i_f_safe": SAFE, "i_trip": 5.0, "i_f_trip": 5.0, "i_b": 0.0}
QUANTITIES |= {"i_d": 0.0, "torque_max": 1.0, "u_dc_brake": 99.0, "w_e_trip": 9.0, "position": 0.0}


class World:
    """Kernel, mailbox and machine as far as the state machine can tell."""

    failure = None

    def __init__(self) -> None:
        self.settings, self.words = dict(SETTINGS), {}
        self.late = 0
        self.period = 0
        self.mode: dict[str, Any] = dict.fromkeys(MODES + POSTED, 0)
        self.faults = 0
        self.first = 0
        self.trips = False  # an over-current, at this moment
        self.field = False  # the field current is above i_f_safe
        self.kicks = False  # the bridge has just opened, which may lift the field current
        self.torque = False  # the reference of torque is not zero yet
        self.current = False  # the stator current is not zero yet
        self.turns = False  # the shaft turns

    # --- what the drive reads
    def read(self, name: str) -> Any:
        known = {"period": self.period, "faults": self.faults, "fault_first": self.first, "fault_period": 0}
        known |= {"torque_ref": int(self.torque), "gate_enable": int(self.gates)} | self.mode
        return known[name] if name in known else 2048 if name.endswith("_raw") else self.si(name)

    def si(self, name: str) -> float:
        """SI value; here every signal's step is 1."""
        measured = {
            "i_f": 1.0 if self.field else 0.0,
            "i_a": 9.0 if self.trips else 0.0,
            "i_q": 1.0 if self.current else 0.0,
            "w_e": 1.0 if self.turns else 0.0,
        }
        return measured[name] if name in measured else QUANTITIES[name]

    def raw(self, name: str, value: float) -> int:
        return 1 if value else 0

    step_of = si

    # --- what it sends
    def post(self, words, due=None, atomic=False, tag="", urgent=False) -> None:
        if self.controls and words.get("bridge_mode") == 0:
            self.kicks = True
        self.mode.update(words)
        self.run()

    def run(self) -> None:
        """A period of the kernel: its fault logic, and what a machine then does at once."""
        mode = self.mode
        broken = (OVERCURRENT if self.trips else 0) | (ASKED if mode["fault_request"] else 0)
        if mode["fault_clear"] != mode["fault_cleared"]:
            mode["fault_cleared"] = mode["fault_clear"]
            self.faults = self.first = 0
        if broken and not self.faults:
            self.first = broken
        self.faults |= broken
        if mode["reference_mode"] == 0:
            self.torque = False

    def drop(self, tag: str) -> None:
        pass

    @property
    def gates(self) -> bool:
        """The inverter's gates are on."""
        return self.mode["bridge_mode"] > 0 and not self.faults

    @property
    def controls(self) -> bool:
        """The bridge controls current."""
        return self.mode["bridge_mode"] == CURRENT and not self.faults

    @property
    def may_push(self) -> bool:
        """Torque may act: the bridge controls currents and something asks for torque, or did until now."""
        asked = (self.mode["i_q_set"], self.mode["torque_set"] or self.torque, 1)[self.mode["reference_mode"]]
        return self.controls and bool(asked)

    @property
    def excites(self) -> bool:
        return self.mode["field_mode"] in (FIELD_CURRENT, 2) and not self.faults


class Step:
    """A step of the start-up, or a watch, that does what the search wants next."""

    verdict = "wait"
    position = 0  # of the shaft when it began

    def __init__(self, *_: Any) -> None:
        pass

    def begin(self, drive: Any = None) -> None:
        if drive is not None and drive.state == FIELD_UP:
            drive.post(
                {"bridge_mode": CURRENT, "field_mode": FIELD_CURRENT, "reference_mode": 0, "i_q_set": 0}
            )
        elif drive is not None and drive.state == DIRECTION:
            drive.post({"i_q_set": 1})

    def step(self, drive: Any) -> bool:
        if Step.verdict == "done" and drive.state == DIRECTION:
            drive.post({"i_q_set": 0})
        if Step.verdict == "fails":
            raise Failed("WIRING_UNCLEAR", "tried")
        if Step.verdict == "late":
            raise Failed("STARTUP_LATE", "tried")
        return Step.verdict == "done"

    def look(self) -> None:
        if Step.verdict == "fails":
            raise Failed("FIELD_OPEN", "tried")


class Keeper(Step):
    """What is looked at in every state, and finds what the search wants next."""

    damage = ""

    def take(self) -> None:
        pass

    def ask(self, *setpoint: Any) -> None:
        pass

    def causes(self, limit: Any) -> list[Any]:
        return []

    def look(self) -> None:
        if Step.verdict == "keeper fails":
            raise Failed("STATOR_HOT", "tried")


class Search:
    """Reachable states of drive and world; `ghost` is what the requirements are about."""

    def __init__(self, alter: Callable[[Drive], None] | None = None) -> None:
        self.world = World()
        self.drive = Drive(self.world, self.world)  # type: ignore[arg-type]
        vars(self.drive).update(sight=Keeper(), second_level=Keeper(), watches=(Step(),))
        vars(self.drive).update(keepers=(Keeper(),), board=Keeper(), heat=Keeper())
        if alter is not None:
            alter(self.drive)
        self.verified = False  # the field was measured since the drive was off
        self.cleared = False  # the command was given, and obeyed, since the fault

    # --- a state, as a value
    def key(self) -> tuple:
        """What the machine's future depends on: of the latched faults that there are any, and one of them."""
        drive, world = self.drive, self.world
        modes = {name: world.mode[name] for name in world.mode if not name.startswith("fault_clear")}
        modes["fault_request"] = bool(modes["fault_request"])
        return (
            drive.state,
            drive.angle_known,
            drive.checked,
            drive._clearing,
            drive._resting,
            min(drive._good, 3),
            drive.safe,
            min(drive._safe_looks, states.SAFE_LOOKS),
            drive._tries,
            drive.wait(drive._until),
            drive.wait(drive._field_until),
            bool(drive.latched),
            number_of("FIELD_NOT_DOWN") in drive.latched,
            drive.since(drive.host_period) > 0.5 * 20000,
            drive._clear == world.mode["fault_cleared"],
            self.verified,
            self.cleared,
            world.faults,
            world.trips,
            world.field,
            world.kicks,
            world.torque,
            world.current,
            world.turns,
            *modes.values(),
        )

    def save(self) -> tuple:
        self.drive.events.clear()
        drive = {k: list(v) if k == "latched" else v for k, v in vars(self.drive).items()}
        drive["fault_texts"] = {}
        world = {k: dict(v) if k == "mode" else v for k, v in vars(self.world).items()}
        return drive, world, self.verified, self.cleared

    def restore(self, saved: tuple) -> None:
        drive, world, self.verified, self.cleared = saved
        vars(self.drive).update({k: list(v) if k == "latched" else v for k, v in drive.items()})
        self.drive.fault_texts = {}
        self.drive.events = []
        vars(self.world).update({k: dict(v) if k == "mode" else v for k, v in world.items()})

    # --- events
    def events(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """What may happen in this state."""
        drive, world = self.drive, self.world
        for verdict in ("wait", "done", "fails", "late", "keeper fails"):
            yield f"tick {verdict}", lambda verdict=verdict: self.tick(TICK, verdict)
        yield "a long time", lambda: self.tick(LONG, "wait")
        yield "a long time without the host", lambda: self.tick(LONG, "wait", host=False)
        yield "arm", lambda: self.command(drive.arm)
        yield "stop", lambda: self.command(drive.stop)
        yield "clear", self.clear
        yield "torque", lambda: self.command(drive.set_torque, 1.0)
        yield "speed", lambda: self.command(drive.set_speed, 1.0)
        yield "currents", lambda: self.command(drive.set_currents, 0.0, 1.0, 1.0)
        yield "over-current", lambda: self.change(trips=True)
        if world.trips:
            yield "over-current ends", lambda: self.change(trips=False)
        if world.field or world.excites:
            yield "field", lambda: self.change(field=not world.field)
        if world.kicks and not world.field:
            yield "kick", lambda: self.change(field=True, kicks=False)
        if world.torque or (world.may_push and world.mode["reference_mode"]):
            yield "torque reference", lambda: self.change(torque=not world.torque)
        if world.current or world.may_push:
            yield "stator current", lambda: self.change(current=not world.current)
        yield "shaft", lambda: self.change(turns=not world.turns)

    def change(self, **what: bool) -> None:
        vars(self.world).update(what)
        self.world.run()

    def tick(self, periods: int, verdict: str, host: bool = True) -> None:
        self.world.kicks = False
        self.world.period = (self.world.period + periods) & states.MASK
        Step.verdict = verdict
        if host:
            self.drive.host_seen()
        before = self.drive.state
        self.drive.tick()
        if before == FIELD_UP and self.drive.state in (DIRECTION, READY) and verdict == "done":
            self.verified = True

    def command(self, method: Callable[..., None], *arguments: float) -> None:
        with suppress(Refused):
            method(*arguments)

    def clear(self) -> None:
        with suppress(Refused):
            self.drive.clear()
            self.cleared = True

    # --- requirements
    def check(self, before: int, event: str) -> None:
        """What holds after every event."""
        drive, world = self.drive, self.world
        path = [before]
        for _, kind, text in drive.events:
            if kind == "state":
                path.append(states.STATES.index(text))
        for old, new in pairwise(path):
            assert new == FAULT or new in FOLLOWS[old], (event, old, new)
            if old == FAULT and new == OFF:
                assert self.cleared, f"{event}: out of a fault without a clear"
            if new == OFF:
                self.verified = False
            if new == FAULT:
                self.cleared = False
        if world.may_push:
            assert self.verified, f"{event}: torque without a field that was verified, in {drive.state}"
            assert drive.state in (DIRECTION, READY, RUNNING, STOPPING), (event, drive.state)
        if drive.state in (OFF, FAULT):
            assert world.mode["bridge_mode"] == 0, f"{event}: the bridge is on in state {drive.state}"
        if drive.state == OFF:
            assert not world.field, f"{event}: off with the field up"
        if drive.state == FAULT:
            assert drive.latched, f"{event}: a fault without a name"
        if drive.state in (OFF, FIELD_DOWN, FAULT):
            assert not world.excites, f"{event}: the exciter is on in state {drive.state}"

    def explore(self) -> dict[tuple, set[tuple]]:
        """Every reachable state, with those that may follow; AssertionError with the event that fails."""
        start = self.key()
        graph: dict[tuple, set[tuple]] = {}
        waiting = deque([(start, self.save())])
        seen = {start}
        while waiting:
            key, saved = waiting.popleft()
            follows = graph[key] = set()
            self.restore(saved)
            names = [name for name, _ in self.events()]
            for place, name in enumerate(names):
                self.restore(saved)
                before = self.drive.state
                list(self.events())[place][1]()
                self.check(before, name)
                reached = self.key()
                follows.add(reached)
                if reached not in seen:
                    seen.add(reached)
                    waiting.append((reached, self.save()))
        return graph


@pytest.fixture
def stub_steps(monkeypatch) -> None:
    monkeypatch.setattr(states, "procedure_of", lambda state: Step)
    monkeypatch.setattr(states, "tidy", lambda: None)
    monkeypatch.setattr(states, "make_keepers", lambda drive: (Keeper(), Keeper(), Keeper()))


def test_no_order_of_events_breaks_a_requirement(stub_steps) -> None:
    """No torque before the field was verified, none out of a fault but by clear, off with the field down."""
    search = Search()
    graph = search.explore()
    reached = {key[0] for key in graph}
    assert reached == set(range(len(states.STATES)))
    # Each state can be left for OFF: no dead end, whatever has happened.
    reverse: dict[tuple, set[tuple]] = {}
    for key, follows in graph.items():
        for other in follows:
            reverse.setdefault(other, set()).add(key)
    home = [key for key in graph if key[0] == OFF]
    can = set(home)
    while home:
        for other in reverse.get(home.pop(), ()):
            if other not in can:
                can.add(other)
                home.append(other)
    assert can == set(graph)
    print(f"{len(graph)} states, {sum(map(len, graph.values()))} transitions")


def let_setpoints_in(drive: Drive) -> None:
    """A drive that takes set points before it is ready."""
    setpoint = drive._setpoint

    def careless(mode, words, due):
        before, drive.state = drive.state, RUNNING
        setpoint(mode, words, due)
        drive.state = before

    drive._setpoint = careless  # type: ignore[method-assign]


def forget_the_field(drive: Drive) -> None:
    """A drive that goes off without a look at the field."""
    drive._tick_field_down = lambda: drive._enter(OFF)  # type: ignore[method-assign]


def clear_by_itself(drive: Drive) -> None:
    """A drive that clears its own faults."""
    look = drive._tick_fault

    def careless():
        look()
        if not drive._clearing:
            with suppress(Refused):
                drive.clear()

    drive._tick_fault = careless  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (let_setpoints_in, "torque without a field"),
        (forget_the_field, "off with the field up"),
        (clear_by_itself, "out of a fault without a clear"),
    ],
)
def test_the_search_finds_a_drive_that_breaks_a_requirement(stub_steps, fault, found) -> None:
    with pytest.raises(AssertionError, match=found):
        Search(fault).explore()
