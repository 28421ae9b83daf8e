"""Least loss within all limits for a linear machine: a search along one line, all points at once.

Fix the torque-producing flux psi_t = M*i_f + (L_d - L_q)*i_d.  Then i_q = t/psi_t is fixed too, i_f
is linear in i_d, and with psi_d = psi_t + L_q*i_d the voltage limit reads

    R_s^2*(i_d^2 + i_q^2) + w^2*(psi_d^2 + L_q^2*i_q^2) + 2*R_s*w*t <= U^2,    t = T/(1.5*p)

since the mixed terms add up to the torque.  Loss and every limit are convex in (i_d, psi_t), so
- for one psi_t the best i_d is a vertex of a parabola, clipped to an interval;
- along psi_t the rest is convex too: narrowing a grid finds the one minimum there is.
Braking differs from motoring only by the sign of the last term, as if the link had less or more
voltage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from host_tools.references.machine import Array, LinearMachine, loss

# Points of a grid and the number of times it is narrowed to the two cells beside the best one:
# the last cell is 2**-40 of the first grid.
GRID = 17
ROUNDS = 14
TOLERANCE = 1e-7  # of i_max by which an operating point may miss the limits

# (flux x, t, w_e, u_max) -> (psi_t, i_d, how far the limits are missed, 0 if met): the one point that a
# strategy would choose for each x in t/i_max .. the machine's highest flux.
Line = Callable[[Array, Array, Array, Array], tuple[Array, Array, Array]]


@dataclass(frozen=True)
class Currents:
    """Operating points; arrays of one shape.  Where `ok` is False the currents are nan."""

    i_d: np.ndarray
    i_q: np.ndarray
    i_f: np.ndarray
    loss: np.ndarray
    ok: np.ndarray


def solve(
    machine: LinearMachine,
    torque: Array,
    w_e: Array,
    u_max: Array,
    field_floor: float = 0.0,
    line: Line | None = None,
) -> Currents:
    """Loss-minimal currents for torque in N.m, speed in electrical rad/s, voltage limit in V.

    `field_floor` is the least i_f in A.  `line` is a strategy, see
    `host_tools.references.strategies`; the default is the optimum.
    """
    torque, w_e, u_max = np.broadcast_arrays(
        *(np.asarray(value, dtype=float) for value in (torque, w_e, u_max))
    )
    # A machine is symmetric in the sign of i_q: solve for torque >= 0, braking as negative speed.
    t = np.abs(torque.ravel()) / (1.5 * machine.pole_pairs)
    w = (np.where(torque < 0, -1.0, 1.0) * w_e).ravel()
    u = u_max.ravel()
    if line is None:
        line = optimal_line(machine, field_floor)
    x, miss = _narrow(machine, t, w, u, line)
    psi_t, i_d, _ = line(x, t, w, u)
    i_q = t / psi_t
    i_f = (psi_t - machine.saliency * i_d) / machine.M
    ok = miss <= TOLERANCE
    watts = np.asarray(loss(machine, i_d, i_q, i_f, w), dtype=float)
    i_q = np.where(torque.ravel() < 0, -i_q, i_q)
    shape = torque.shape
    i_d, i_q, i_f, watts = (np.where(ok, value, np.nan).reshape(shape) for value in (i_d, i_q, i_f, watts))
    return Currents(i_d, i_q, i_f, watts, ok.reshape(shape))


def least_miss(machine: LinearMachine, t: Array, w_e: Array, u_max: Array, line: Line) -> np.ndarray:
    """How far t = T/(1.5*p) >= 0 misses the limits at best, 0 where it can be had.  Flat arrays."""
    return _narrow(machine, t, w_e, u_max, line, only_miss=True)[1]


def _narrow(
    machine: LinearMachine, t: Array, w: Array, u: Array, line: Line, only_miss: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(x, miss) of the best point of each line; a point within the limits beats all others."""
    top = machine.M * machine.i_f_max + abs(machine.saliency) * machine.i_max
    low = np.clip(t / machine.i_max, 1e-9 * top, top)  # below, i_q alone is beyond the circle
    high = np.full_like(low, top)
    steps = np.linspace(0.0, 1.0, GRID)[:, np.newaxis]
    columns = np.arange(low.size)
    found = low
    miss = np.full_like(low, np.inf)
    for _ in range(ROUNDS):
        grid = low + (high - low) * steps
        psi_t, i_d, missed = line(grid, t, w, u)
        met = missed <= (0.0 if only_miss else TOLERANCE)
        i_f = (psi_t - machine.saliency * i_d) / machine.M
        watts = np.asarray(loss(machine, i_d, t / psi_t, i_f, w))
        # Rank by miss first; the loss decides among points within the limits.
        scale = 2.0 * watts.max(axis=0) + 1.0
        cost = np.where(met, 0.0 if only_miss else watts, scale * (1.0 + missed))
        best = np.argmin(cost, axis=0)
        found, miss = grid[best, columns], missed[best, columns]
        low, high = grid[np.maximum(best - 1, 0), columns], grid[np.minimum(best + 1, GRID - 1), columns]
    return found, miss


def optimal_line(machine: LinearMachine, field_floor: float = 0.0) -> Line:
    """The best i_d for a given psi_t: the loss is a parabola in i_d, the limits are an interval."""

    def choose(psi_t: Array, t: Array, w: Array, u: Array) -> tuple[Array, Array, Array]:
        low, high, miss = limits_of_i_d(machine, psi_t, t, w, u, field_floor)
        g = machine.iron_factor(w)
        bend = 1.5 * machine.R_s + machine.R_f * (machine.saliency / machine.M) ** 2 + g * machine.L_q**2
        vertex = psi_t * (machine.R_f * machine.saliency / machine.M**2 - g * machine.L_q) / bend
        return psi_t, np.minimum(np.maximum(vertex, low), high), miss

    return choose


def limits_of_i_d(
    machine: LinearMachine, psi_t: Array, t: Array, w: Array, u: Array, field_floor: float = 0.0
) -> tuple[Array, Array, Array]:
    """(lowest i_d, highest i_d, miss): current circle, field range and voltage for a given psi_t.

    The miss is in parts of i_max and grows steadily away from the limits; where it is not 0 both
    ends meet in the middle of the gap.
    """
    i_q = t / psi_t
    reach = np.sqrt(np.maximum(machine.i_max**2 - i_q**2, 0.0))
    over = np.maximum(i_q - machine.i_max, 0.0)
    low, high = -reach, reach
    lower, upper = _field_ends(machine, psi_t, field_floor)
    low, high = np.maximum(low, lower), np.minimum(high, upper)
    # Voltage: a*i_d^2 + 2*b*i_d + c <= 0.  At standstill only R_s is left, and its share is kept.
    reactance = w * machine.L_q
    a = machine.R_s**2 + reactance**2
    b = w**2 * machine.L_q * psi_t
    c = a * i_q**2 + (w * psi_t) ** 2 + 2 * machine.R_s * w * t - u**2
    root = b**2 - a * c
    width = np.sqrt(np.maximum(root, 0.0)) / a
    over = over + np.sqrt(np.maximum(-root, 0.0)) / a
    low, high = np.maximum(low, -b / a - width), np.minimum(high, -b / a + width)
    gap = np.maximum(low - high, 0.0)
    middle = 0.5 * (low + high)
    return (
        np.where(gap > 0, middle, low),
        np.where(gap > 0, middle, high),
        (gap + over) / machine.i_max,
    )


def _field_ends(machine: LinearMachine, psi_t: Array, field_floor: float) -> tuple[Array, Array]:
    """i_d between which i_f = (psi_t - saliency*i_d)/M stays within floor and i_f_max."""
    # Without saliency i_f does not depend on i_d; a saliency of 1e-6 of L_d keeps one formula.
    saliency = machine.saliency
    if abs(saliency) < 1e-6 * machine.L_d:
        saliency = 1e-6 * machine.L_d
    at_top = (psi_t - machine.M * machine.i_f_max) / saliency
    at_floor = (psi_t - machine.M * field_floor) / saliency
    return np.minimum(at_top, at_floor), np.maximum(at_top, at_floor)
