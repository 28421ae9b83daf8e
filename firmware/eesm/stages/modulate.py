"""Stator voltage to compare counts."""

from eesm.signals import ADC_TOP, BRIDGE_SHORT, GATE_INVERTER, Signals
from eesm.stages.fixed import amplify, magnitude, sat, sat15, within

SQRT3_HALF = 28378  # sqrt(3)/2, Q15
INVERSE_SQRT3 = 18919  # 1/sqrt(3), Q15


def make_up(s: Signals, current: int) -> int:
    """What dead time takes from a leg, counts with 12 fraction bits.

    The leg loses t_dead of every period against the sign of its current; a linear zone around
    zero current keeps the compensation from chattering.
    """
    return sat(amplify(current, s.k_dead, s.k_dead_shift), s.dead_count)


def choose_safe_state(s: Signals) -> None:
    """After a fault: six switches open, or all low sides on while open ones would feed a link that is full.

    Open switches rectify the EMF, sqrt(3) * w_e * M * i_f between two terminals; below u_dc_brake that
    feeds nothing (reference: safety).  A shorted machine brakes and carries a multiple of i_max, so the
    short ends as soon as the field is low enough, and only a bridge that bears it is shorted, not by the word
    of a converter at its end.
    """
    if s.short_allowed == 1:
        flux = sat15(amplify(s.i_f, s.k_m, s.k_m_shift))
        # What the EMF has beyond the voltage that the link takes, as phase voltages.
        over = (magnitude(s.w_e) * magnitude(flux)) >> s.emf_shift
        over = over - ((s.u_dc_brake * INVERSE_SQRT3) >> 15)
        if over + (s.u_dc_brake >> 4) < 0:
            s.shorted = 0
        elif over > 0 and (s.short_wanted == 1 or (s.u_dc > s.u_dc_trip and s.u_dc_raw < ADC_TOP)):
            s.shorted = 1


def modulate(s: Signals) -> None:
    """Space-vector modulation by the common voltage -(max + min)/2, dead-time compensation.

    Counts have 12 fraction bits until the end.  Dead time goes by the currents expected when the
    voltage acts: those sampled, turned on to the first order, which keeps their signs.
    Short: all low sides on and none switching, so no dead time disturbs what the angle search
    and the offsets measure.
    """
    if s.bridge_mode > BRIDGE_SHORT and s.faults == 0:
        s.gate_enable = GATE_INVERTER
        a = (s.u_alpha * s.count_gain) >> (16 - s.pwm_shift)
        b = (((s.u_beta * SQRT3_HALF) >> 15) * s.count_gain) >> (16 - s.pwm_shift)
        half = a >> 1
        c = -b - half
        b = b - half
        highest = a
        lowest = b
        if a < b:
            highest = b
            lowest = a
        if c > highest:
            highest = c
        elif c < lowest:
            lowest = c
        centre = (s.pwm_top << 11) + 0x800 - ((highest + lowest) >> 1)
        i_a = s.i_alpha - ((s.i_beta * s.turn_out) >> 15)
        half = i_a >> 1
        i_b = ((s.i_beta + ((s.i_alpha * s.turn_out) >> 15)) * SQRT3_HALF) >> 15
        a = a + centre + make_up(s, i_a)
        b = b + centre + make_up(s, i_b - half)
        c = c + centre + make_up(s, -i_b - half)
        if (s.pwm_top << 12) - (s.dead_count << 1) - highest + lowest < 0:
            a = within(a, s.pwm_top << 12)
            b = within(b, s.pwm_top << 12)
            c = within(c, s.pwm_top << 12)
        s.compare_a = a >> 12
        s.compare_b = b >> 12
        s.compare_c = c >> 12
    else:
        s.compare_a = 0
        s.compare_b = 0
        s.compare_c = 0
        s.gate_enable = 0
        if s.faults != 0:
            choose_safe_state(s)
            if s.shorted == 1:
                s.gate_enable = GATE_INVERTER
        elif s.bridge_mode == BRIDGE_SHORT:
            s.gate_enable = GATE_INVERTER
