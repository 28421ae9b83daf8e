"""Least loss below every limit, in closed form, quadratic iron loss included.

All three currents go with sqrt(|T|), the loss with |T|: minimise x'Qx for given x'Ax.
With y = (i_d, i_f), torque = 1.5*p*(c'y)*i_q; for a given c'y the least y'Qy is along v = Q^-1 c,
and the product (c'y)*i_q is cheapest where both terms cost the same.  That last point is a check
that needs no solver: 1.5*R_s*i_q^2 = R_f*i_f^2 + 1.5*R_s*i_d^2 without iron loss.
"""

from __future__ import annotations

import numpy as np

from host_tools.references.machine import Array, LinearMachine


def least_loss(machine: LinearMachine, torque: Array, w_e: Array = 0.0) -> tuple[Array, Array, Array, Array]:
    """(i_d, i_q, i_f, loss in W) for `torque` in N.m at electrical speed `w_e`, no limit regarded.

    Source: Lagrange's condition of the linear machine; i_d > 0 where L_d > L_q.
    """
    torque = np.asarray(torque, dtype=float)
    g = machine.iron_factor(np.asarray(w_e, dtype=float))
    q_qq = 1.5 * machine.R_s + g * machine.L_q**2
    q_dd = 1.5 * machine.R_s + g * machine.L_d**2
    q_df = g * machine.L_d * machine.M
    q_ff = machine.R_f + g * machine.M**2
    determinant = q_dd * q_ff - q_df**2
    v_d = (q_ff * machine.saliency - q_df * machine.M) / determinant
    v_f = (q_dd * machine.M - q_df * machine.saliency) / determinant
    kappa = machine.saliency * v_d + machine.M * v_f  # (psi_t)^2 per watt of i_d and i_f
    t = np.abs(torque) / (1.5 * machine.pole_pairs)
    i_q = np.sign(torque) * np.sqrt(t / np.sqrt(q_qq * kappa))
    psi_t = np.sqrt(t * np.sqrt(q_qq * kappa))
    return v_d * psi_t / kappa, i_q, v_f * psi_t / kappa, 2 * t * np.sqrt(q_qq / kappa)


def copper_ratios(machine: LinearMachine) -> tuple[float, float]:
    """(i_d/i_f, i_q/i_f) of the least copper loss."""
    rho = machine.R_f * machine.saliency**2 / (1.5 * machine.R_s * machine.M**2)
    i_d = machine.R_f * machine.saliency / (1.5 * machine.R_s * machine.M)
    return i_d, float(np.sqrt(machine.R_f * (1 + rho) / (1.5 * machine.R_s)))
