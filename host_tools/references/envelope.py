"""The most a machine can give: torque and power over speed, and what limits it.

The limits are convex and contain zero currents, so a torque that can be had at a speed comes with
every smaller one: bisection finds the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from host_tools.references.machine import U_MAX_FACTOR, Array, LinearMachine, u_max_of, voltage
from host_tools.references.solver import TOLERANCE, Line, least_miss, optimal_line, solve

HALVINGS = 34


@dataclass(frozen=True)
class Envelope:
    """Highest torque by speed; arrays.  `torque` is a magnitude, also where it brakes."""

    w_e: np.ndarray  # electrical rad/s
    torque: np.ndarray  # N.m
    power: np.ndarray  # W at the shaft
    binding: list[str]  # "current", "field", "voltage", joined by "+"; voltage alone is MTPV


def max_torque(
    machine: LinearMachine, w_e: Array, u_max: Array, line: Line | None = None, field_floor: float = 0.0
) -> np.ndarray:
    """Highest torque in N.m at electrical speed `w_e`; a negative speed asks for braking.

    Where even zero torque is beyond the limits (a strategy that cannot weaken the field), nan.
    """
    w_e, u_max = np.broadcast_arrays(np.asarray(w_e, dtype=float), np.asarray(u_max, dtype=float))
    w, u = w_e.ravel(), u_max.ravel()
    if line is None:
        line = optimal_line(machine, field_floor)
    psi_top = machine.M * machine.i_f_max + abs(machine.saliency) * machine.i_max
    low = np.zeros_like(w)
    high = np.full_like(w, psi_top * machine.i_max)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        held = least_miss(machine, middle, w, u, line) <= 0.1 * TOLERANCE
        low, high = np.where(held, middle, low), np.where(held, high, middle)
    none = least_miss(machine, np.zeros_like(w), w, u, line) > TOLERANCE
    return np.where(none, np.nan, 1.5 * machine.pole_pairs * low).reshape(w_e.shape)


def envelope(
    machine: LinearMachine,
    w_e: Array,
    u_dc: float,
    u_max_factor: float = U_MAX_FACTOR,
    braking: bool = False,
) -> Envelope:
    """Highest torque and power at speeds `w_e` >= 0, motoring or braking."""
    w_e = np.atleast_1d(np.asarray(w_e, dtype=float))
    u_max = float(u_max_of(u_dc, u_max_factor))
    signed = -w_e if braking else w_e
    most = max_torque(machine, signed, u_max)
    point = solve(machine, most * (1 - 1e-6), signed, u_max)
    near = 1 - 1e-3
    names = []
    for i in range(w_e.size):
        i_d, i_q, i_f = point.i_d[i], point.i_q[i], point.i_f[i]
        binds = {
            "current": np.hypot(i_d, i_q) > near * machine.i_max,
            "field": i_f > near * machine.i_f_max,
            "voltage": voltage(machine, i_d, i_q, i_f, signed[i]) > near * u_max,
        }
        names.append("+".join(name for name, bound in binds.items() if bound))
    return Envelope(w_e, most, most * w_e / machine.pole_pairs, names)


def share_of_ideal(
    machine: LinearMachine, w_e: Array, u_dc: float, u_max_factor: float = U_MAX_FACTOR, braking: bool = False
) -> np.ndarray:
    """Highest torque over what the whole circle u_dc/sqrt(3) would give, by speed."""
    used = envelope(machine, w_e, u_dc, u_max_factor, braking)
    ideal = envelope(machine, w_e, u_dc, 1.0, braking)
    return used.torque / ideal.torque
