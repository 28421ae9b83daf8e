"""Converter counts to currents and dc-link voltage."""

from eesm.signals import Q15_MAX, Signals
from eesm.stages.fixed import sat15, within


def sense(s: Signals) -> None:
    """Remove offsets (kept with 4 fraction bits), apply gains.

    The phase and field sensors are bipolar: half the converter range is one base current.
    """
    s.i_a = sat15((((s.i_a_raw << 4) - s.i_a_offset) * s.i_a_gain) >> 14)
    s.i_b = sat15((((s.i_b_raw << 4) - s.i_b_offset) * s.i_b_gain) >> 14)
    s.i_f = sat15((((s.i_f_raw << 4) - s.i_f_offset) * s.i_f_gain) >> 14)
    s.u_dc = sat15(((s.u_dc_raw << 3) * s.u_dc_gain) >> 14)


def invert_u_dc(s: Signals) -> None:
    """Reciprocal of u_dc by one Newton step a period: r += r * (1 - u_dc * r).

    The error squares every period: a 10 % step of u_dc leaves 1 %, then 0.01 %.  No period more than halves
    the reciprocal, so one that is above its least, 8192, never falls to half of that.  PWM counts per volt
    follow, for the legs and the exciter alike.
    """
    error = (0x10000000 - s.u_dc * s.inv_u_dc) >> 13
    if error < -0x4000:
        error = -0x4000
    inverse = within(s.inv_u_dc + ((s.inv_u_dc * error) >> 15), Q15_MAX)
    s.inv_u_dc = inverse
    s.count_gain = (inverse * s.pwm_top) >> s.pwm_shift
    s.u_max = (s.u_dc * s.k_u_max) >> 15
