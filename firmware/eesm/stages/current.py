"""Current control along d and q with the voltage limit between them."""

from eesm.signals import BRIDGE_CURRENT, Q15_MAX, Signals
from eesm.stages.fixed import amplify, root_of, sat, sat15, sat30

# The share of u_max that d may take, Q15: 0.95, which leaves q 0.31 at right angles to it.  Were it all, an
# i_q so long that its voltage alone fills u_d could not be shortened any more.
D_SHARE = 31130


def control_current(s: Signals) -> None:
    """u_d, u_q for the current references, d first (but for D_SHARE), within the circle of radius u_max.

    Internal-model control with full decoupling: sigma*L_d in the d gain, the exciter's realised
    voltage fed forward (so it stays exact while the exciter saturates), both rotational
    voltages.  These are taken at the middle of the period in which the voltage will act: fluxes go on
    by what pushed them in the period before, and by half of what pushes now; without that, an axis
    kicks the other at speeds where the rotor turns far within the delay.
    Integrators see the realised voltage: I += T_s*R*w_c*(e + (u_lim - u)/(L*w_c)).
    """
    if s.bridge_mode == BRIDGE_CURRENT and s.faults == 0:
        d_push = sat15(
            amplify(s.d_error, s.k_d_p, s.k_d_p_shift) + amplify(s.field_excess, s.k_d_f, s.k_d_f_shift)
        )
        q_error = sat15(s.i_q_ref - s.i_q)
        q_push = sat15(amplify(q_error, s.k_q_p, s.k_q_p_shift))
        psi_d = sat15(s.psi_d + amplify(sat15(s.d_push + (d_push >> 1)), s.k_ahead, s.k_ahead_shift))
        psi_q = sat15(s.psi_q + amplify(sat15(s.q_push + (q_push >> 1)), s.k_ahead, s.k_ahead_shift))
        d_asked = (s.d_integral >> 15) + d_push - ((s.w_e * psi_q) >> s.emf_shift)
        s.u_d = sat(d_asked, (s.u_max * D_SHARE) >> 15)
        d_short = sat15(s.u_d - d_asked)
        s.d_push = sat15(d_push + d_short)
        s.d_integral = sat30(
            s.d_integral
            + amplify(s.d_error, s.k_d_i, s.k_d_i_shift)
            + amplify(d_short, s.k_d_a, s.k_d_a_shift)
        )
        q_asked = (s.q_integral >> 15) + q_push + ((s.w_e * psi_d) >> s.emf_shift)
        s.u_q = sat(q_asked, root_of(s, s.u_max * s.u_max - s.u_d * s.u_d))
        q_short = sat15(s.u_q - q_asked)
        s.q_push = sat15(q_push + q_short)
        s.q_integral = sat30(
            s.q_integral + amplify(q_error, s.k_q_i, s.k_q_i_shift) + amplify(q_short, s.k_q_a, s.k_q_a_shift)
        )
        if s.u_d == d_asked and s.u_q == q_asked:
            s.saturated = 0
        elif s.saturated < Q15_MAX:
            s.saturated = s.saturated + 1
    else:
        s.u_d = 0
        s.u_q = 0
        s.d_push = 0
        s.q_push = 0
        s.d_integral = 0
        s.q_integral = 0
        s.saturated = 0
