"""The machine as the optimum sees it: flux, torque, loss and voltage in steady state.

Amplitude-invariant dq, motor convention, d = field axis, field quantities not referred to the
stator.  All functions take numbers or numpy arrays, in SI units; `w_e` is the electrical speed and
carries a sign: torque * w_e < 0 is braking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from host_tools.units import Motor

Array = Any  # a float or an array of floats; the result has the same shape

# Share of the ideal voltage circle u_dc/sqrt(3) that references may use; the rest is left to the
# current control.
U_MAX_FACTOR = 0.92


class Machine(Protocol):
    """What the search needs to know.  A saturated machine differs in `psi` alone."""

    @property
    def pole_pairs(self) -> int: ...
    @property
    def R_s(self) -> float: ...  # noqa: N802
    @property
    def R_f(self) -> float: ...  # noqa: N802
    @property
    def i_max(self) -> float: ...
    @property
    def i_f_max(self) -> float: ...
    def psi(self, i_d: Array, i_q: Array, i_f: Array) -> tuple[Array, Array]:
        """Stator flux linkages (psi_d, psi_q) in V.s."""
        ...

    def iron_factor(self, w_e: Array) -> Array:
        """Iron loss over psi^2, in W/(V.s)^2."""
        ...


def torque(machine: Machine, i_d: Array, i_q: Array, i_f: Array) -> Array:
    """Air-gap torque in N.m."""
    psi_d, psi_q = machine.psi(i_d, i_q, i_f)
    return 1.5 * machine.pole_pairs * (psi_d * i_q - psi_q * i_d)


def copper_loss(machine: Machine, i_d: Array, i_q: Array, i_f: Array) -> Array:
    """Loss of stator and field winding in W."""
    return 1.5 * machine.R_s * (i_d**2 + i_q**2) + machine.R_f * i_f**2


def iron_loss(machine: Machine, i_d: Array, i_q: Array, i_f: Array, w_e: Array) -> Array:
    """Loss of the iron in W: (k_h*|w_e| + k_e*w_e^2) * psi^2."""
    psi_d, psi_q = machine.psi(i_d, i_q, i_f)
    return machine.iron_factor(w_e) * (psi_d**2 + psi_q**2)


def loss(machine: Machine, i_d: Array, i_q: Array, i_f: Array, w_e: Array) -> Array:
    """Copper and iron loss in W."""
    return copper_loss(machine, i_d, i_q, i_f) + iron_loss(machine, i_d, i_q, i_f, w_e)


def voltage(machine: Machine, i_d: Array, i_q: Array, i_f: Array, w_e: Array) -> Array:
    """Length of the stator voltage vector in steady state, in V."""
    psi_d, psi_q = machine.psi(i_d, i_q, i_f)
    return np.hypot(machine.R_s * i_d - w_e * psi_q, machine.R_s * i_q + w_e * psi_d)


def u_max_of(u_dc: Array, factor: float = U_MAX_FACTOR) -> Array:
    """Longest voltage vector that references may ask for, in V."""
    return factor * u_dc / np.sqrt(3.0)


@dataclass(frozen=True)
class LinearMachine:
    """Constant inductances: psi_d = L_d*i_d + M*i_f, psi_q = L_q*i_q."""

    pole_pairs: int
    R_s: float
    L_d: float
    L_q: float
    M: float
    R_f: float
    i_max: float
    i_f_max: float
    k_h: float = 0.0
    k_e: float = 0.0

    @classmethod
    def of_motor(cls, motor: Motor) -> LinearMachine:
        """The machine of a motor file, its saturation left out."""
        return cls(**{name: getattr(motor, name) for name in cls.__dataclass_fields__})

    @property
    def saliency(self) -> float:
        """L_d - L_q in H."""
        return self.L_d - self.L_q

    def psi(self, i_d: Array, i_q: Array, i_f: Array) -> tuple[Array, Array]:
        return self.L_d * i_d + self.M * i_f, self.L_q * i_q

    def iron_factor(self, w_e: Array) -> Array:
        return self.k_h * np.abs(w_e) + self.k_e * np.square(w_e)

    def psi_t(self, i_d: Array, i_f: Array) -> Array:
        """Torque-producing flux in V.s: torque = 1.5 * pole_pairs * psi_t * i_q."""
        return self.M * i_f + self.saliency * i_d

    def i_q_for(self, torque: Array, i_d: Array, i_f: Array) -> Array:
        """The i_q that gives `torque` in N.m with these i_d, i_f; 0 without flux."""
        psi_t = np.asarray(self.psi_t(i_d, i_f), dtype=float)
        t = np.asarray(torque, dtype=float) / (1.5 * self.pole_pairs)
        return np.divide(t, psi_t, out=np.zeros(np.broadcast(t, psi_t).shape), where=psi_t > 0)
