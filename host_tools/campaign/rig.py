"""A unit's drive in closed loop, brought to an operating point; its periods can be recorded one by one."""

from __future__ import annotations

import copy
import copyreg
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from boards.virtual import plant
from eesm.drive import FAULT, OFF, READY, TICK_PERIODS, Drive
from eesm.mailbox import Mailbox
from host_tools.build import Linked
from host_tools.loop import Loop, LoopDriver
from host_tools.units import Unit

SIGNALS = ("faults", "gate_enable", "shorted", "link_full", "drive_state", "limited")
TRUTHS = {
    "i_a": plant.I_A,
    "i_b": plant.I_B,
    "i_d": plant.I_D,
    "i_q": plant.I_Q,
    "i_f": plant.I_F,
    "u_dc": plant.U_DC,
    "w_m": plant.W_M,
    "torque": plant.TORQUE,
}
SPEED_UP = 0.5  # of torque_max over J, the slope with which the external machine takes the shaft along

Rows = dict[str, np.ndarray]


def _address(buffer: Any) -> int:
    return np.frombuffer(buffer, dtype=np.uint8).ctypes.data


def _window(base: Any, first: int, count: int) -> memoryview:
    return memoryview(base)[first : first + count]


def _take_apart(view: memoryview) -> tuple[Any, ...]:
    """A view as what it looks at and where, so that the copy of a rig has views into its own block."""
    return _window, (view.obj, (_address(view) - _address(view.obj)) // view.itemsize, len(view))


copyreg.pickle(memoryview, _take_apart)


class NotReached(Exception):
    """The drive has a fault before anything was injected."""


@dataclass(frozen=True)
class Point:
    """An operating point: shares of w_m_max and of the torque allowed there; the shaft is held."""

    name: str
    speed: float
    torque: float

    @property
    def turning(self) -> bool:
        return self.speed > 0

    @property
    def braking(self) -> bool:
        return self.torque < 0


POINTS = (
    Point("standstill, 30 % torque", 0.0, 0.3),
    Point("40 % speed, motoring 60 %", 0.4, 0.6),
    Point("40 % speed, braking 60 %", 0.4, -0.6),
    Point("90 % speed, 10 % torque", 0.9, 0.1),
    Point("90 % speed, motoring 90 %", 0.9, 0.9),
    Point("90 % speed, braking 50 %", 0.9, -0.5),
)


@dataclass
class Record:
    """Periods since the injection: signals as each period left them, truths at its end."""

    parts: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def rows(self) -> Rows:
        signals = np.concatenate([part[0] for part in self.parts])
        truths = np.concatenate([part[1] for part in self.parts])
        rows = {name: signals[:, n] for n, name in enumerate(SIGNALS)}
        return rows | {name: truths[:, n] for n, name in enumerate(TRUTHS)}


class Rig:
    """Loop, mailbox and the firmware's drive, ticked as on a board."""

    def __init__(self, unit: Unit, linked: Linked, seed: int = 1, **options: Any) -> None:
        self.unit = unit
        self.loop = Loop(unit, seed, options, linked=linked)
        self.kernel, self.x, self.c = self.loop.kernel, self.loop.x, self.loop.c
        self.mailbox = Mailbox(self.kernel)
        self.drive = Drive(self.kernel, self.mailbox, LoopDriver(self.loop))
        self.settings = self.drive.settings
        self.host = True  # the host sends messages
        self.alive = True  # the main loop turns
        self.record: Record | None = None
        self.run(0.02)

    def branch(self) -> Rig:
        """A rig of its own in the same state; the linked program, which nobody changes, is shared."""
        linked = self.loop.linked
        return copy.deepcopy(self, {id(linked): linked, id(self.unit): self.unit})

    def tick(self) -> None:
        """Let the periods up to the next tick pass, and the main loop turn."""
        if self.record is None:
            self.loop.run(TICK_PERIODS)
        else:
            self.record.parts.append(self.loop.record(TICK_PERIODS, SIGNALS, tuple(TRUTHS.values())))
        if self.alive:
            if self.host:
                self.drive.host_seen()
            self.drive.tick()
            self.mailbox.pump()

    def run(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(max(1, round(seconds / self.loop.t_pwm / TICK_PERIODS))):
            self.tick()

    def arm(self, seconds: float = 3.0) -> int:
        """Arm; returns READY, FAULT or OFF."""
        self.drive.arm()
        for _ in range(round(seconds / self.loop.t_pwm / TICK_PERIODS)):
            self.tick()
            if self.drive.state in (READY, FAULT, OFF):
                break
        return self.drive.state

    def turn_to(self, w_m: float) -> None:
        """An external machine takes the shaft to a speed in rad/s and holds it there."""
        slope = SPEED_UP * self.unit.limits.torque_max / float(self.settings["J"])
        step = slope * TICK_PERIODS * self.loop.t_pwm
        self.c[plant.HELD] = 1.0
        self.x[plant.W_RISE] = 0.0
        while abs(w_m - self.x[plant.W_M]) > 1e-9:
            self.x[plant.W_M] += max(-step, min(step, w_m - self.x[plant.W_M]))
            self.tick()
        self.run(0.05)

    def go_to(self, point: Point) -> None:
        """Armed, at speed, with torque; raises NotReached."""
        self.arm()
        self.turn_to(point.speed * float(self.settings["w_m_max"]))
        self.torque_allowed = min(self.kernel.si("torque_max"), float(self.settings["torque_limit"]))
        self.drive.set_torque(point.torque * self.torque_allowed)
        self.run(0.25)
        if self.drive.state == FAULT or self.kernel.read("faults"):
            raise NotReached(f"{self.unit.name} at {point.name}: {self.story()}")

    def names(self) -> list[str]:
        """Latched faults, the first one first."""
        return [name for _, name, _ in self.drive.fault_list()]

    def story(self) -> str:
        """The last events."""
        return "; ".join(f"{kind}: {text}" for _, kind, text in self.drive.events[-6:])
