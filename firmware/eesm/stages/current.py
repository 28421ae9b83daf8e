"""Current control along d and q with the voltage limit between them."""

from eesm.signals import BRIDGE_CURRENT, BRIDGE_VOLTAGE, Q15_MAX, Signals
from eesm.stages.fixed import amplify, root_of, sat, sat15, sat30
from eesm.stages.transforms import turn_voltage

# The share of u_max that the axis which comes first may take, Q15: 0.95, which leaves the other 0.31 at right
# angles to it.  Were it all, an i_q so long that its voltage alone fills u_d could not be shortened any more.
FIRST_SHARE = 31130


def control_current(s: Signals) -> None:
    """u_d, u_q for the current references, within the circle of radius u_max, turned to where they act;
    without current control none, or the test voltage of bridge mode 3, which lasts as long as the measurement
    that was started with it, however late the main loop ends that mode.

    Internal-model control with full decoupling: sigma*L_d in the d gain, the exciter's realised
    voltage fed forward (so it stays exact while the exciter saturates), both rotational
    voltages.  These are taken at the middle of the period in which the voltage will act: fluxes go on
    by what pushed them in the period before, and by half of what pushes now; without that, an axis
    kicks the other at speeds where the rotor turns far within the delay.
    At the limit d comes first, but for FIRST_SHARE, as long as i_q and u_q have one sign: what u_q lacks then
    shortens i_q, and with it the need of u_d.  Where they oppose each other (braking, or a psi_d turned
    round), what u_q lacks would lengthen i_q, which asks d for still more: both run away within
    milliseconds.  There q comes first, and what u_d lacks takes psi_d down, and with it the need of u_q.
    Integrators see the realised voltage: I += T_s*R*w_c*(e + (u_lim - u)/(L*w_c)); what limits costs
    cycles only where a limit binds.
    """
    if s.bridge_mode == BRIDGE_CURRENT and s.faults == 0:
        d_push = sat15(
            amplify(s.d_error, s.k_d_p, s.k_d_p_shift) + amplify(s.field_excess, s.k_d_f, s.k_d_f_shift)
        )
        q_error = s.i_q_ref - s.i_q
        q_push = sat15(amplify(q_error, s.k_q_p, s.k_q_p_shift))
        psi_q = s.psi_q + amplify(s.q_push + (q_push >> 1), s.k_ahead, s.k_ahead_shift)
        u_d = (s.d_integral >> 15) + d_push - ((s.w_e * psi_q) >> s.emf_shift)
        psi_d = s.psi_d + amplify(s.d_push + (d_push >> 1), s.k_ahead, s.k_ahead_shift)
        u_q = (s.q_integral >> 15) + q_push + ((s.w_e * psi_d) >> s.emf_shift)
        d_growth = amplify(s.d_error, s.k_d_i, s.k_d_i_shift)
        q_growth = amplify(q_error, s.k_q_i, s.k_q_i_shift)
        d_limit = (s.u_max * FIRST_SHARE) >> 15
        room = d_limit - u_d | d_limit + u_d | Q15_MAX - u_q | Q15_MAX + u_q
        if room >= 0:
            room = s.u_max * s.u_max - u_d * u_d - u_q * u_q
        if room < 0:
            opposed = s.i_q ^ u_q
            first = u_d
            if opposed < 0:
                first = u_q
            first = sat(first, d_limit)
            rest = root_of(s, s.u_max * s.u_max - first * first)
            q_limit = rest
            if opposed < 0:
                q_limit = d_limit
                d_limit = rest
            asked = u_d
            u_d = sat(asked, d_limit)
            short = sat15(u_d - asked)
            d_push = sat15(d_push + short)
            d_growth = d_growth + amplify(short, s.k_d_a, s.k_d_a_shift)
            asked = u_q
            u_q = sat(asked, q_limit)
            short = sat15(u_q - asked)
            q_push = sat15(q_push + short)
            q_growth = q_growth + amplify(short, s.k_q_a, s.k_q_a_shift)
            if s.saturated < Q15_MAX:
                s.saturated = s.saturated + 1
        else:
            s.saturated = 0
        s.u_d = u_d
        s.u_q = u_q
        s.d_push = d_push
        s.q_push = q_push
        s.d_integral = sat30(s.d_integral + d_growth)
        s.q_integral = sat30(s.q_integral + q_growth)
        turn_voltage(s)
    else:
        s.u_d = 0
        s.u_q = 0
        s.d_push = 0
        s.q_push = 0
        s.d_integral = 0
        s.q_integral = 0
        s.saturated = 0
        s.u_alpha = 0
        s.u_beta = 0
        if s.bridge_mode == BRIDGE_VOLTAGE and (s.measure_start ^ s.measure_started | s.measure_left) != 0:
            s.u_alpha = s.u_alpha_test
            s.u_beta = s.u_beta_test
