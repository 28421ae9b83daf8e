"""The same optimum by scipy's SLSQP, sharing nothing with the search but the machine: a check.

Needs the extra `optimum`.  About 10 ms a point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from host_tools.errors import MissingExtra
from host_tools.references.machine import Machine, loss, torque, voltage

# Starts in parts of (i_max, i_max, i_f_max); i_q takes the sign of the torque.
STARTS = ((0.05, 0.3, 0.5), (-0.5, 0.5, 0.4), (-0.2, 0.1, 0.1), (-0.6, 0.2, 0.9))


@dataclass(frozen=True)
class Point:
    """One operating point."""

    i_d: float
    i_q: float
    i_f: float
    loss: float


def least_loss(
    machine: Machine,
    torque_wanted: float,
    w_e: float,
    u_max: float,
    field_floor: float = 0.0,
    starts: Sequence[tuple[float, float, float]] = STARTS,
) -> Point | None:
    """Loss-minimal currents for a torque in N.m within all limits, None where no start finds any.

    Raises MissingExtra without scipy.
    """
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise MissingExtra("scipy", "optimum", "the reference optimum") from None
    scale = np.array([machine.i_max, machine.i_max, machine.i_f_max])
    sign = -1.0 if torque_wanted < 0 else 1.0
    torque_unit = 1.5 * machine.pole_pairs * machine.psi(0.0, 0.0, machine.i_f_max)[0] * machine.i_max
    watt_unit = max(1e-3, 1e-2 * machine.R_f * machine.i_f_max**2)
    constraints = [
        {"type": "eq", "fun": lambda x: (torque(machine, *_split(x * scale)) - torque_wanted) / torque_unit},
        {"type": "ineq", "fun": lambda x: 1.0 - x[0] ** 2 - x[1] ** 2},
        {"type": "ineq", "fun": lambda x: 1.0 - (voltage(machine, *_split(x * scale), w_e) / u_max) ** 2},
    ]
    bounds = [(-1.0, 1.0), (-1.0, 1.0), (field_floor / machine.i_f_max, 1.0)]
    best: Point | None = None
    for start in starts:
        found = minimize(
            lambda x: float(loss(machine, *_split(x * scale), w_e)) / watt_unit,
            np.array(start) * (1.0, sign, 1.0),
            method="SLSQP",
            bounds=bounds,
            constraints=constraints,
            options={"maxiter": 300, "ftol": 1e-12},
        )
        miss = [abs(constraints[0]["fun"](found.x))] + [-min(0.0, c["fun"](found.x)) for c in constraints[1:]]
        watts = float(found.fun) * watt_unit
        if max(miss) < 1e-6 and (best is None or watts < best.loss):
            i_d, i_q, i_f = (found.x * scale).tolist()
            best = Point(i_d, i_q, i_f, watts)
    return best


def max_torque(machine: Machine, w_e: float, u_max: float) -> float:
    """Highest torque in N.m at electrical speed `w_e`; a negative speed asks for braking."""
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise MissingExtra("scipy", "optimum", "the reference envelope") from None
    scale = np.array([machine.i_max, machine.i_max, machine.i_f_max])
    torque_unit = 1.5 * machine.pole_pairs * machine.psi(0.0, 0.0, machine.i_f_max)[0] * machine.i_max
    constraints = [
        {"type": "ineq", "fun": lambda x: 1.0 - x[0] ** 2 - x[1] ** 2},
        {"type": "ineq", "fun": lambda x: 1.0 - (voltage(machine, *_split(x * scale), w_e) / u_max) ** 2},
    ]
    best = 0.0
    for start in STARTS:
        found = minimize(
            lambda x: -float(torque(machine, *_split(x * scale))) / torque_unit,
            np.array(start),
            method="SLSQP",
            bounds=[(-1.0, 1.0), (0.0, 1.0), (0.0, 1.0)],
            constraints=constraints,
            options={"maxiter": 300, "ftol": 1e-12},
        )
        if all(c["fun"](found.x) > -1e-6 for c in constraints):
            best = max(best, -float(found.fun) * torque_unit)
    return best


def _split(x: np.ndarray) -> tuple[float, float, float]:
    return x[0], x[1], x[2]
