"""Stator voltage to compare counts."""

from eesm.signals import (
    BRIDGE_OFF,
    BRIDGE_SHORT,
    BRIDGE_VOLTAGE,
    GATE_INVERTER,
    Signals,
)
from eesm.stages.fixed import amplify, sat15
from eesm.stages.transforms import predict_current, turn_voltage

SQRT3_HALF = 28378  # sqrt(3)/2, Q15


def choose_voltage(s: Signals) -> None:
    """The controllers' voltage, or the test voltage of bridge mode 3."""
    turn_voltage(s)
    if s.bridge_mode == BRIDGE_VOLTAGE:
        s.u_alpha = s.u_alpha_test
        s.u_beta = s.u_beta_test


def compare_of(s: Signals, voltage: int, current: int) -> int:
    """Compare count of one leg: duty 1/2 plus its voltage over u_dc, plus what dead time takes.

    The leg loses t_dead/T_pwm of duty against the sign of its current; a linear zone around
    zero current keeps the compensation from chattering.
    """
    duty = 0x4000 + ((sat15(voltage) * s.inv_u_dc) >> 13)
    duty = duty + ((sat15(amplify(sat15(current), s.k_dead, s.k_dead_shift)) * s.dead_duty) >> 15)
    if duty < 0:
        duty = 0
    elif duty > 0x8000:
        duty = 0x8000
    return (duty * s.pwm_top + 0x4000) >> 15


def modulate(s: Signals) -> None:
    """Space-vector modulation by the common voltage -(max + min)/2, dead-time compensation.

    Short: all low sides on and none switching, so no dead time disturbs what the angle search
    and the offsets measure.
    """
    s.compare_a = 0
    s.compare_b = 0
    s.compare_c = 0
    s.gate_enable = 0
    if s.bridge_mode != BRIDGE_OFF and s.faults == 0:
        s.gate_enable = GATE_INVERTER
        if s.bridge_mode != BRIDGE_SHORT:
            predict_current(s)
            half_a = s.u_alpha >> 1
            u_beta = (s.u_beta * SQRT3_HALF) >> 15
            u_b = u_beta - half_a
            u_c = -u_beta - half_a
            highest = s.u_alpha
            lowest = s.u_alpha
            if u_b > highest:
                highest = u_b
            elif u_b < lowest:
                lowest = u_b
            if u_c > highest:
                highest = u_c
            elif u_c < lowest:
                lowest = u_c
            middle = (highest + lowest) >> 1
            half_i = s.i_alpha_out >> 1
            i_beta = (s.i_beta_out * SQRT3_HALF) >> 15
            s.compare_a = compare_of(s, s.u_alpha - middle, s.i_alpha_out)
            s.compare_b = compare_of(s, u_b - middle, i_beta - half_i)
            s.compare_c = compare_of(s, u_c - middle, -i_beta - half_i)
