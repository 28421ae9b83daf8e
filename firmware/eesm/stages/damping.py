"""Damping of a driveline that swings: a torque against what the shaft's speed does quickly."""

from eesm.signals import REFERENCE_CURRENT, Signals
from eesm.stages.fixed import amplify, sat, sat15

W_SLOW_MAX = 1 << 28  # Q28: the base of speed


def damp_driveline(s: Signals) -> None:
    """Take K_d times the high-pass of the shaft's speed off the torque demand, within driveline_limit.

    A stiff gear on a soft shaft swings at some hertz (8 Hz at 10 kN.m/rad and J = 0.05 behind 8.8:1);
    the high-pass, 1 to 2 Hz, leaves the driver's acceleration alone.
    """
    quick = sat15(s.w_e - (s.w_slow >> 13))
    s.w_slow = sat(s.w_slow + amplify(quick, s.k_slow, s.k_slow_shift), W_SLOW_MAX)
    torque = sat(amplify(quick, s.k_driveline, s.k_driveline_shift), s.driveline_limit)
    s.torque_damping = -torque
    if s.reference_mode != REFERENCE_CURRENT:
        s.torque_demand = sat15(s.torque_demand - torque)
