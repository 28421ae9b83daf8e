"""Ways to share a torque among i_d, i_q and i_f, to choose from and to compare.

Each is a line of points for the solver; what freedom it leaves goes to the least loss.
Where a strategy cannot keep the voltage limit its result is not ok.
"""

from __future__ import annotations

import numpy as np

from host_tools.references.machine import Array, LinearMachine
from host_tools.references.solver import TOLERANCE, Currents, Line, limits_of_i_d, optimal_line, solve

STRATEGIES = {
    "optimal": "least copper and iron loss",
    "i_d_zero": "i_d = 0, i_f of least loss",
    "constant_field": "constant i_f, i_d = 0 until the voltage limit asks for less",
    "unity_power_factor": "stator current along the stator EMF",
    "proportional_field": "i_d = 0, i_f proportional to torque",
}
# Where a line shall go through one point, a solution this near (in parts of i_max) passes.
NEAR = 1e-3


def line_of(name: str, machine: LinearMachine, field_floor: float = 0.0) -> Line | None:
    """The strategy as a line for the solver; None for the two that fix i_f.

    ValueError for an unknown name.
    """
    if name == "optimal":
        return optimal_line(machine, field_floor)
    if name == "i_d_zero":
        return _zero_line(machine, field_floor)
    if name == "unity_power_factor":
        return _unity_line(machine, field_floor)
    if name in STRATEGIES:
        return None
    raise ValueError(f"{name!r} is no strategy; there are {', '.join(STRATEGIES)}")


def solve_strategy(
    name: str,
    machine: LinearMachine,
    torque: Array,
    w_e: Array,
    u_max: Array,
    field_floor: float = 0.0,
    field: float | None = None,
    torque_at_full_field: float | None = None,
) -> Currents:
    """Currents of a strategy for torque in N.m at electrical speed and voltage limit.

    `field` (A) is the i_f of constant_field, i_f_max if missing.  `torque_at_full_field` (N.m) is where
    proportional_field reaches i_f_max; if missing, the one that takes i_max at every torque.
    """
    line = line_of(name, machine, field_floor)
    if line is not None:
        return solve(machine, torque, w_e, u_max, field_floor, line)
    if name == "constant_field":
        i_f = np.full(np.shape(torque), machine.i_f_max if field is None else field)
        return solve_at_field(machine, torque, w_e, u_max, i_f)
    if torque_at_full_field is None:
        torque_at_full_field = 1.5 * machine.pole_pairs * machine.M * machine.i_f_max * machine.i_max
    share = np.minimum(np.abs(torque) / torque_at_full_field, 1.0)
    found = solve_at_field(machine, torque, w_e, u_max, np.maximum(share * machine.i_f_max, field_floor))
    return _only(found, np.abs(found.i_d) <= NEAR * machine.i_max)


def solve_at_field(machine: LinearMachine, torque: Array, w_e: Array, u_max: Array, i_f: Array) -> Currents:
    """Currents with a given i_f: i_d = 0, or the nearest to it that the limits allow."""
    torque, w_e, u_max, i_f = np.broadcast_arrays(
        *(np.asarray(value, dtype=float) for value in (torque, w_e, u_max, i_f))
    )
    t = np.abs(torque) / (1.5 * machine.pole_pairs)
    w = np.where(torque < 0, -1.0, 1.0) * w_e
    psi_0 = machine.M * i_f

    def miss(i_d: Array) -> tuple[Array, Array]:
        psi_t = np.maximum(psi_0 + machine.saliency * i_d, 1e-12)
        i_q = t / psi_t
        u_2 = (machine.R_s * i_d - w * machine.L_q * i_q) ** 2
        u_2 = u_2 + (machine.R_s * i_q + w * (psi_0 + machine.L_d * i_d)) ** 2
        over_u = np.sqrt(u_2) / u_max - 1.0
        over_i = np.hypot(i_d, i_q) / machine.i_max - 1.0
        return np.maximum(over_u, over_i), i_q

    # The limits are convex along i_d: find the deepest point inside them, then walk towards 0.
    low, high = np.full_like(t, -machine.i_max), np.full_like(t, machine.i_max)
    for _ in range(70):
        third = (high - low) / 3
        left = miss(low + third)[0] < miss(high - third)[0]
        low, high = np.where(left, low, low + third), np.where(left, high - third, high)
    inside, outside = 0.5 * (low + high), np.zeros_like(t)
    ok = miss(inside)[0] <= TOLERANCE
    inside = np.where(miss(outside)[0] <= 0, 0.0, inside)
    for _ in range(40):
        middle = 0.5 * (inside + outside)
        held = miss(middle)[0] <= 0
        inside, outside = np.where(held, middle, inside), np.where(held, outside, middle)
    i_d, i_q = inside, miss(inside)[1]
    g = machine.iron_factor(w)
    watts = 1.5 * machine.R_s * (i_d**2 + i_q**2) + machine.R_f * i_f**2
    watts = watts + g * ((psi_0 + machine.L_d * i_d) ** 2 + (machine.L_q * i_q) ** 2)
    return _only(Currents(i_d, np.where(torque < 0, -i_q, i_q), i_f, watts, ok), ok)


def _zero_line(machine: LinearMachine, field_floor: float) -> Line:
    """i_d = 0; it misses the limits by its distance from what they allow."""

    def choose(psi_t: Array, t: Array, w: Array, u: Array) -> tuple[Array, Array, Array]:
        low, high, miss = limits_of_i_d(machine, psi_t, t, w, u, field_floor)
        return psi_t, np.zeros_like(psi_t), miss + np.maximum(np.maximum(low, -high), 0.0) / machine.i_max

    return choose


def _unity_line(machine: LinearMachine, field_floor: float) -> Line:
    """Flux x perpendicular to a current of length t/x: the angle between flux and d axis follows.

    tan(delta) = L_q*I/x; the voltage R_s*I + w*x lies along the current.
    """

    def choose(x: Array, t: Array, w: Array, u: Array) -> tuple[Array, Array, Array]:
        current = t / x
        psi_t = np.hypot(x, machine.L_q * current)
        i_d = -machine.L_q * current**2 / psi_t
        i_f = (psi_t - machine.saliency * i_d) / machine.M
        miss = np.maximum(np.abs(machine.R_s * current + w * x) / u - 1.0, 0.0)
        miss = miss + np.maximum(current / machine.i_max - 1.0, 0.0)
        miss = miss + np.maximum(np.maximum(i_f - machine.i_f_max, field_floor - i_f), 0.0) / machine.i_f_max
        return psi_t, i_d, miss

    return choose


def _only(found: Currents, ok: np.ndarray) -> Currents:
    """The points of `found` where `ok`, nan elsewhere."""
    i_d, i_q, i_f, watts = (
        np.where(ok, value, np.nan) for value in (found.i_d, found.i_q, found.i_f, found.loss)
    )
    return Currents(i_d, i_q, i_f, watts, ok & found.ok)
