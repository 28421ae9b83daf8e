"""Speed control, one slot of the outer law."""

from eesm.signals import REFERENCE_SPEED, REFERENCE_TORQUE, Signals
from eesm.stages.fixed import amplify, sat15, sat30


def ramp_speed(s: Signals) -> int:
    """Move the ramp towards the speed asked for; returns the torque that the inertia needs."""
    torque = 0
    goal = s.w_m_set << 13
    if s.w_ramp < goal - s.w_ramp_step:
        s.w_ramp = s.w_ramp + s.w_ramp_step
        torque = s.torque_ramp
    elif s.w_ramp > goal + s.w_ramp_step:
        s.w_ramp = s.w_ramp - s.w_ramp_step
        torque = -s.torque_ramp
    else:
        s.w_ramp = goal
    s.w_m_ref = sat15(s.w_ramp >> 13)
    return torque


def control_speed(s: Signals) -> None:
    """Torque demand: of the user, or of a PI controller on the ramped speed.

    The inertia's torque is fed forward, the integrator stops while the torque limit binds in
    its direction, and outside speed mode everything follows, so that a change has no bump.
    """
    if s.reference_mode == REFERENCE_SPEED:
        inertia = ramp_speed(s)
        error = sat15(s.w_m_ref - s.w_e)
        demand = sat15(
            sat15((s.speed_integral >> 15) + inertia) + sat15(amplify(error, s.k_w_p, s.k_w_p_shift))
        )
        if (demand < s.torque_max or error < 0) and (demand > -s.torque_max or error > 0):
            s.speed_integral = sat30(s.speed_integral + amplify(error, s.k_w_i, s.k_w_i_shift))
        s.torque_demand = demand
    else:
        s.w_ramp = s.w_e << 13
        s.w_m_ref = s.w_e
        s.speed_integral = 0
        s.torque_demand = 0
        if s.reference_mode == REFERENCE_TORQUE:
            s.torque_demand = s.torque_set
            s.speed_integral = s.torque_ref << 15
