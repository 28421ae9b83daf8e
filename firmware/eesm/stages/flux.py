"""Fluxes from the measured currents: of the linear machine, or by tables of its saturation."""

from eesm.signals import RATIO_POINTS, Signals
from eesm.stages.fixed import amplify, magnitude, mul15, sat15


def find_flux(s: Signals) -> None:
    """psi_d and psi_q; of a machine that saturates psi_t too, while its inductances are at hand."""
    if s.saturates == 1:
        find_saturated_flux(s)
    else:
        s.psi_d = sat15(amplify(s.i_d, s.k_l_d, s.k_l_d_shift) + amplify(s.i_f, s.k_m, s.k_m_shift))
        s.psi_q = sat15(amplify(s.i_q, s.k_l_q, s.k_l_q_shift))


def find_torque_flux(s: Signals) -> None:
    """psi_t = psi_d - psi_q/i_q * i_d, the torque per i_q, for the outer law."""
    if s.saturates == 0:
        psi_d = ((s.i_d * s.k_l_d) >> s.k_l_d_shift) + ((s.i_f * s.k_m) >> s.k_m_shift)
        s.psi_t = sat15(psi_d - ((s.i_d * s.k_l_q) >> s.k_l_q_shift))


def find_saturated_flux(s: Signals) -> None:
    """psi_d = L_leakage*i_d + r_d*x and psi_q = L_q*r_q*i_q, x = (L_d - L_leakage)*i_d + M*i_f.

    The ratios come from tables of 9 x 9 points over x and |i_q| (`host_tools.references.flux_ratios`
    makes them and has a twin of this look-up).
    """
    main = sat15(amplify(s.i_d, s.k_l_main, s.k_l_main_shift) + amplify(s.i_f, s.k_m, s.k_m_shift))
    place_d = sat15(amplify(magnitude(main), s.k_place_d, s.k_place_d_shift))
    place_q = sat15(amplify(magnitude(s.i_q), s.k_place_q, s.k_place_q_shift))
    corner = (place_q >> 12) * RATIO_POINTS + (place_d >> 12)
    along_d = (place_d & 0xFFF) << 3
    along_q = (place_q & 0xFFF) << 3
    low = s.flux_ratio_d[corner]
    low = low + mul15(s.flux_ratio_d[corner + 1] - low, along_d)
    high = s.flux_ratio_d[corner + 9]
    high = high + mul15(s.flux_ratio_d[corner + 10] - high, along_d)
    ratio_d = low + mul15(high - low, along_q)
    low = s.flux_ratio_q[corner]
    low = low + mul15(s.flux_ratio_q[corner + 1] - low, along_d)
    high = s.flux_ratio_q[corner + 9]
    high = high + mul15(s.flux_ratio_q[corner + 10] - high, along_d)
    l_q = mul15(s.k_l_q, low + mul15(high - low, along_q))
    s.psi_d = sat15(mul15(main, ratio_d) + amplify(s.i_d, s.k_l_leak, s.k_l_leak_shift))
    s.psi_q = sat15(amplify(s.i_q, l_q, s.k_l_q_shift))
    s.psi_t = sat15(s.psi_d - amplify(s.i_d, l_q, s.k_l_q_shift))
