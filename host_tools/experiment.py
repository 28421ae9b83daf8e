"""Bench experiments on one unit: set points in SI, record signals and truths as numpy arrays.

    bench = Experiment(load("a"), w_m=50.0)         # an external machine holds 50 rad/s
    bench.currents(i_d=0, i_q=0, i_f=2)
    bench.run(0.1)
    bench.currents(i_d=0, i_q=10, i_f=2)
    rows = bench.record(0.01, ["i_q", "u_q"])       # rows["i_q"], rows["true_i_q"], rows["t"] ...

The linked integer kernel drives the plant directly, without the state machine: offsets and the
rotor's angle are known from the start unless `calibrated=False`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from boards.virtual import plant
from eesm import parameters
from eesm.signals import (
    BRIDGE_CURRENT,
    FIELD_CURRENT,
    REFERENCE_CURRENT,
    REFERENCE_SPEED,
    REFERENCE_TORQUE,
)
from host_tools.build import Linked, link_unit
from host_tools.loop import Loop
from host_tools.units import Unit

# Words of the plant's state that `record` returns as "true_..." unless told otherwise.
TRUTHS = {
    "true_i_d": plant.I_D,
    "true_i_q": plant.I_Q,
    "true_i_f": plant.I_F,
    "true_torque": plant.TORQUE,
    "true_w_m": plant.W_M,
    "true_u_dc": plant.U_DC,
}
LOSSES = (plant.E_COPPER_S, plant.E_COPPER_F, plant.E_IRON)

Rows = dict[str, np.ndarray]


class Experiment:
    """A unit's kernel in closed loop with its plant, on a bench.

    `plant_options` change the machine but not what the drive believes (see
    `boards.virtual.plant.make_plant`), `believed` changes the settings the drive works with, in the
    scaling of the unit as it is.  A link made before by `link_unit` may be given.
    """

    def __init__(
        self,
        unit: Unit,
        w_m: float = 0.0,
        seed: int = 1,
        held: bool = True,
        plant_options: Mapping[str, Any] | None = None,
        believed: Mapping[str, Any] | None = None,
        linked: Linked | None = None,
        calibrated: bool = True,
    ) -> None:
        self.unit = unit
        self.settings: dict[str, Any] = dict(unit.as_settings())
        options = {"held": int(held), "w_m": w_m, **(plant_options or {})}
        if calibrated:
            options |= {"encoder_absolute": 1, "encoder_offset": self.settings["encoder_offset"]}
        self.loop = Loop(unit, seed, options, linked=linked or link_of(unit))
        self.kernel, self.block, self.x, self.c = self.loop.kernel, self.loop.block, self.loop.x, self.loop.c
        self.t_pwm = self.loop.t_pwm
        self.p = int(self.settings["pole_pairs"])
        self.time = 0.0
        if believed:
            self.believe(**believed)
        if calibrated:
            true = unit.as_plant() | options
            for name in ("i_a", "i_b", "i_f"):
                self.set_raw(**{name + "_offset": round(16 * (2048 + float(true["offset_" + name])))})
            self.set_raw(offset_tracked=self.kernel.read("theta_offset"))
            # The tracker starts where the rotor is, at its speed.
            self.set_raw(theta_e=int(self.x[plant.TURNS] * self.p % 1.0 * (1 << 30)))
            self.set(w_e=w_m * self.p)
            self.set_raw(w_step=self.kernel.read("w_e") << self.constant("w_shift"))
        self.set_raw(bridge_mode=BRIDGE_CURRENT, field_mode=FIELD_CURRENT)

    # --- words of the block -------------------------------------------------------------------------

    def constant(self, name: str) -> int:
        """Raw value of a constant that the linker folded."""
        return self.loop.linked.program.constants[name]

    def set(self, **values: float) -> None:
        """Write signals in SI units; the nearest raw value is taken."""
        for name, value in values.items():
            self.block[self.kernel.offset[name]] = self.kernel.raw(name, value)

    def set_raw(self, **values: int) -> None:
        """Write signals as raw integers."""
        for name, value in values.items():
            self.block[self.kernel.offset[name]] = value

    def get(self, name: str) -> float:
        """A signal in SI units."""
        return self.kernel.si(name)

    def believe(self, **changes: float) -> None:
        """Change what the drive believes of its machine; gains follow, bases stay."""
        self.settings.update(changes)
        self.set_raw(**parameters.derive(self.settings, self.loop.bases))

    # --- set points -----------------------------------------------------------------------------------

    def currents(self, i_d: float, i_q: float, i_f: float) -> None:
        """Ask for currents in A."""
        self.set_raw(reference_mode=REFERENCE_CURRENT)
        self.set(i_d_set=i_d, i_q_set=i_q, i_f_set=i_f)

    def torque(self, torque: float) -> None:
        """Ask for torque in N.m."""
        self.set_raw(reference_mode=REFERENCE_TORQUE)
        self.set(torque_set=torque)

    def speed(self, w_m: float) -> None:
        """Ask for a shaft speed in rad/s."""
        self.set_raw(reference_mode=REFERENCE_SPEED)
        self.set(w_m_set=w_m)

    def hold(self, w_m: float) -> None:
        """Let an external machine hold the shaft at this speed in rad/s from now on."""
        self.c[plant.HELD] = 1.0
        self.x[plant.W_M], self.x[plant.W_RISE] = w_m, 0.0

    def load(self, torque: float) -> None:
        """Load the shaft, in N.m against positive rotation."""
        self.x[plant.LOAD_TORQUE] = torque

    def battery(self, emf: float) -> None:
        """Set the open-circuit voltage of the battery in V."""
        self.c[plant.EMF] = emf

    def start_link_at(self, u_dc: float) -> None:
        """Battery and link at this voltage in V."""
        self.c[plant.EMF] = self.x[plant.U_DC] = u_dc
        self.set_raw(inv_u_dc=round(8192 * self.loop.bases["u"] / u_dc))

    # --- time -----------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.run(max(1, round(seconds / self.t_pwm)))
        self.time += seconds

    def record(
        self,
        seconds: float,
        names: Sequence[str] = (),
        every: int = 1,
        truths: Mapping[str, int] = TRUTHS,
    ) -> Rows:
        """Let time pass; returns signals and truths in SI by name, and "t" from 0.

        A row is what its last step computed and how the machine stood when its period had passed.
        """
        periods = max(1, round(seconds / self.t_pwm))
        signals, found = self.loop.record(periods, list(names), list(truths.values()), every)
        rows: Rows = {"t": (np.arange(len(signals)) + 1) * every * self.t_pwm}
        for n, name in enumerate(names):
            rows[name] = signals[:, n] * self.kernel.step[name]
        for n, name in enumerate(truths):
            rows[name] = found[:, n]
        self.time += seconds
        return rows

    def loss(self, seconds: float) -> float:
        """Mean loss of copper and iron in W over the next `seconds`."""
        before = sum(self.x[word] for word in LOSSES)
        self.run(seconds)
        periods = max(1, round(seconds / self.t_pwm))
        return float(sum(self.x[word] for word in LOSSES) - before) / (periods * self.t_pwm)

    @property
    def faults(self) -> int:
        """The latched faults."""
        return self.kernel.read("faults")


_linked: dict[str, Linked] = {}


def link_of(unit: Unit) -> Linked:
    """The unit linked as it is, once in a process."""
    key = repr(unit)
    if key not in _linked:
        _linked[key] = link_unit(unit)
    return _linked[key]
