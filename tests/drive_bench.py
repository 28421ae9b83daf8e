"""A whole drive in one process: state machine, mailbox, linked kernel and plant, ticked as on a board."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from boards.virtual import plant
from eesm.drive import FAULT, OFF, READY, TICK_PERIODS, Drive
from eesm.mailbox import Mailbox
from host_tools.build import Linked, link_unit
from host_tools.loop import Loop, LoopDriver
from host_tools.units import Unit, load


@cache
def linked_unit(name: str) -> tuple[Unit, Linked]:
    unit = load(name)
    return unit, link_unit(unit)


class Bench:
    """A unit's drive; `theta` is the rotor's first electrical angle in degrees, None for the seed's."""

    def __init__(
        self,
        unit: str = "a",
        seed: int = 1,
        theta: float | None = None,
        faults: tuple[str, ...] = (),
        settings: Mapping[str, Any] | None = None,
        **plant_options: Any,
    ) -> None:
        self.unit, linked = linked_unit(unit)
        if theta is not None:
            plant_options["theta_m"] = theta / 360 / self.unit.motor.pole_pairs
        self.loop = Loop(self.unit, seed, plant_options, linked=linked)
        for name in faults:
            self.loop.inject(name)
        self.kernel = self.loop.kernel
        self.kernel.settings.update(settings or {})
        self.mailbox = Mailbox(self.kernel)
        self.drive = Drive(self.kernel, self.mailbox, LoopDriver(self.loop))
        self.x = self.loop.x
        self.host = True  # the host sends messages
        self.trace: list[tuple[int, float, float]] = []  # (state, torque, i_f) at every tick
        self.run(0.02)

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass in ticks; True as soon as `until` holds."""
        for _ in range(round(seconds * self.kernel.settings["f_pwm"] / TICK_PERIODS)):
            self.loop.run(TICK_PERIODS)
            if self.host:
                self.drive.host_seen()
            self.drive.tick()
            self.mailbox.pump()
            self.trace.append((self.drive.state, self.x[plant.TORQUE], self.x[plant.I_F]))
            if until is not None and until():
                return True
        return False

    def run_to(self, *states: int, within: float = 2.0) -> int:
        """Let time pass until the drive has one of the states; fails when that takes too long."""
        assert self.run(within, lambda: self.drive.state in states), self.story()
        return self.drive.state

    def arm(self) -> int:
        """Arm and wait for READY, a fault or OFF."""
        self.drive.arm()
        return self.run_to(READY, FAULT, OFF)

    def ready(self) -> Bench:
        """Arm; fails unless the drive becomes ready."""
        assert self.arm() == READY, self.story()
        return self

    def names(self) -> list[str]:
        """Names of the latched faults."""
        return [name for _, name, _ in self.drive.fault_list()]

    def story(self) -> str:
        """What happened so far."""
        return "\n".join(f"{period:8d} {kind}: {text}" for period, kind, text in self.drive.events)

    def angle_error(self) -> float:
        """Degrees electrical between what the drive believes and the rotor's true angle."""
        true = math.atan2(self.x[plant.SIN], self.x[plant.COS])
        gap = self.kernel.read("theta_e") / 2**30 * 2 * math.pi - true
        return math.degrees(math.remainder(gap, 2 * math.pi))

    @property
    def i_f(self) -> float:
        return float(self.x[plant.I_F])

    @property
    def w_m(self) -> float:
        return float(self.x[plant.W_M])
