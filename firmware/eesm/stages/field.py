"""Field current control and the exciter."""

from eesm.signals import (
    BRIDGE_CURRENT,
    FIELD_CURRENT,
    FIELD_OFF,
    FIELD_REVERSE,
    FIELD_VOLTAGE,
    GATE_EXCITER,
    Signals,
)
from eesm.stages.fixed import amplify, magnitude, sat, sat15, sat30


def limit_exciter(s: Signals) -> None:
    """Highest exciter voltage now: the dc link, or a share of the exciter's own supply."""
    if s.exciter_from_link == 1:
        s.u_f_max = s.u_dc
    else:
        s.u_f_max = s.k_u_f_max


def control_field(s: Signals) -> None:
    """u_f for the field mode, within what the exciter can do; `field_excess` is u_f - R_f*i_f.

    Current control is the field row of the internal-model design for the coupled d-f plant:
    u_f = I_f + L_f*w_f*e_f + 1.5*M*w_d*e_d, anti-windup by back-calculation.  While the field lags,
    an i_d that falls to help it may not turn the exciter against it.  Reverse voltage
    is not counted on once the current is so low that the exciter's diodes end it.
    """
    u_f_min = 0
    if s.exciter_reverses == 1 and (s.exciter_blocks == 0 or s.i_f > s.i_f_blocked):
        u_f_min = -s.u_f_max
    s.d_error = 0
    if s.bridge_mode == BRIDGE_CURRENT:
        s.d_error = s.i_d_ref - s.i_d
    if s.field_mode == FIELD_CURRENT and s.faults == 0:
        error = s.i_f_ref - s.i_f
        drop = s.field_integral >> 15
        kick = amplify(s.d_error, s.k_f_d, s.k_f_d_shift)
        if kick < 0 and error > s.i_f_slack:
            kick = 0
        u_f = drop + amplify(error, s.k_f_p, s.k_f_p_shift) + kick
        growth = amplify(error, s.k_f_i, s.k_f_i_shift)
        if (s.u_f_max - u_f | u_f - u_f_min) < 0:
            asked = u_f
            u_f = u_f_min
            if asked > 0:
                u_f = s.u_f_max
            growth = growth + amplify(sat15(u_f - asked), s.k_f_a, s.k_f_a_shift)
        s.u_f = u_f
        s.field_excess = u_f - drop
        s.field_integral = sat30(s.field_integral + growth)
    else:
        u_f = 0
        if s.faults != 0 or s.field_mode == FIELD_REVERSE:
            watch_link(s)
            # Of either sign: a sensor that is turned round must not leave the field up.
            if magnitude(s.i_f) > s.i_f_safe and s.link_full == 0 and s.exciter_reverses == 1:
                u_f = -s.u_f_max
                if s.exciter_blocks == 0 and s.i_f < 0:
                    u_f = s.u_f_max
        elif s.field_mode == FIELD_VOLTAGE:
            u_f = s.field_voltage
            if u_f > s.u_f_max:
                u_f = s.u_f_max
            elif u_f < u_f_min:
                u_f = u_f_min
        s.u_f = u_f
        s.field_integral = 0
        s.field_excess = u_f


def watch_link(s: Signals) -> None:
    """The link takes the field's energy below u_dc_brake, and once full again from below u_dc_again."""
    if s.u_dc >= s.u_dc_brake:
        s.link_full = 1
    elif s.u_dc < s.u_dc_again:
        s.link_full = 0


def excite(s: Signals) -> None:
    """Exciter voltage to a signed compare count; its gates stay on while a field is wanted or feared."""
    if s.exciter_from_link == 1:
        s.compare_f = sat((s.u_f * s.count_gain) >> (28 - s.pwm_shift), s.pwm_top)
    else:
        s.compare_f = (s.u_f * s.pwm_top) >> 15
    if s.field_mode != FIELD_OFF or magnitude(s.i_f) > s.i_f_safe:
        s.gate_enable = s.gate_enable | GATE_EXCITER
