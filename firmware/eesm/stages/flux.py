"""Fluxes of the linear machine, from the measured currents."""

from eesm.signals import Signals
from eesm.stages.fixed import amplify, sat15


def find_flux(s: Signals) -> None:
    """psi_d = L_d*i_d + M*i_f, psi_q = L_q*i_q, and psi_t = psi_d - L_q*i_d, the torque per i_q."""
    s.psi_d = sat15(amplify(s.i_d, s.k_l_d, s.k_l_d_shift) + amplify(s.i_f, s.k_m, s.k_m_shift))
    s.psi_q = sat15(amplify(s.i_q, s.k_l_q, s.k_l_q_shift))
    s.psi_t = sat15(s.psi_d - amplify(s.i_d, s.k_l_q, s.k_l_q_shift))
