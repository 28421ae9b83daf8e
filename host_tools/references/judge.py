"""How good a table is: torque, loss and voltage of what the integers look up, beside the optimum.

Targets (design figures of the reference table): torque error at most 0.3 %, loss penalty below 1 %
at 95 % of the points, over-voltage at most 1 %, at least 97 % of the envelope.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from host_tools.references.envelope import max_torque
from host_tools.references.machine import U_MAX_FACTOR, LinearMachine, loss, torque, u_max_of, voltage
from host_tools.references.solver import solve
from host_tools.references.table import Q15, Q15_MAX, ReferenceTables, settle


@dataclass(frozen=True)
class Verdict:
    """Figures of a table over random operating points, as shares (0.01 is 1 %)."""

    torque_error: float  # worst, of the highest torque
    penalty_mean: float  # loss over that of the optimum, less 1
    penalty_95: float
    penalty_max: float
    over_voltage: float  # worst excess over u_max
    envelope_min: float  # least share of the envelope that the table allows


def judge(
    tables: ReferenceTables,
    machine: LinearMachine,
    bases: Mapping[str, float],
    w_e_max: float,
    u_dc: float,
    u_max_factor: float = U_MAX_FACTOR,
    braking: bool = False,
    field_floor: float = 0.0,
    points: int = 500,
    seed: int = 1,
) -> Verdict:
    """Look up random torques (0.2 to 100 % of the envelope) and speeds up to `w_e_max`.

    i_q follows from the torque and the looked-up i_d and i_f, within the current circle, as in the
    kernel when the field has arrived.
    """
    rng = np.random.default_rng(seed)
    sign = -1.0 if braking else 1.0
    raw_w = np.round(rng.uniform(0.0, 1.0, points) * w_e_max / bases["w_e"] * Q15).astype(int)
    inverse = max(8192, min(Q15_MAX, round(8192 * bases["u"] / u_dc)))
    w_e, u_max = raw_w / Q15 * bases["w_e"], float(u_max_of(u_dc, u_max_factor))
    most = max_torque(machine, sign * w_e, u_max, field_floor=field_floor)
    demand = most * rng.uniform(0.002, 1.0, points)
    raw = [
        settle(tables, int(sign * round(d / bases["torque"] * Q15)), int(w), inverse)
        for d, w in zip(demand, raw_w, strict=True)
    ]
    # A demand without end shows how much of the envelope the table grants.
    granted = np.array([settle(tables, int(sign) * Q15_MAX, int(w), inverse).torque_max for w in raw_w])
    i_d = np.array([r.i_d for r in raw]) / Q15 * bases["i"]
    i_f = np.maximum(np.array([r.i_f for r in raw]) / Q15 * bases["i_f"], field_floor)
    wanted = np.abs([r.torque for r in raw]) / Q15 * bases["torque"]
    i_q = machine.i_q_for(wanted, i_d, i_f)
    i_q = np.minimum(i_q, np.sqrt(np.maximum(machine.i_max**2 - i_d**2, 0.0)))
    given = torque(machine, i_d, i_q, i_f)
    best = solve(machine, np.minimum(given, most * (1 - 1e-6)), sign * w_e, u_max, field_floor)
    penalty = loss(machine, i_d, i_q, i_f, w_e) / best.loss - 1.0
    return Verdict(
        torque_error=float(np.max(np.abs(given - wanted) / most)),
        penalty_mean=float(np.mean(penalty)),
        penalty_95=float(np.percentile(penalty, 95)),
        penalty_max=float(np.max(penalty)),
        over_voltage=float(np.max(voltage(machine, i_d, i_q, i_f, sign * w_e) / u_max) - 1.0),
        envelope_min=float(np.min(granted / Q15 * bases["torque"] / most)),
    )
