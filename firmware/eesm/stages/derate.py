"""Torque given up for power, speed, heat and the dc link, before anything must trip.

What heat takes is the main loop's to say (`eesm.watch_heat`); it goes off the torque that the machine can
give (`limit_torque`).  Power and speed are limited with the torque, once in a cycle of the outer law.  A
lost battery fills the link within a millisecond (500 uF, 40 kW: 200 V/ms), so i_q gives way in every
period, by a share of the voltage expected when it will have followed.
"""

from eesm.signals import Q15_MAX, REFERENCE_CURRENT, Signals
from eesm.stages.fixed import amplify, divide, magnitude, sat15

# Bits of `limited`.
LIMITED_MACHINE = 1
LIMITED_USER = 2
LIMITED_POWER = 4
LIMITED_LINK_HIGH = 8
LIMITED_LINK_LOW = 16
LIMITED_OVERLOAD = 32
LIMITED_TEMPERATURE = 64
LIMITED_SPEED = 128

AHEAD_PERIODS = 6  # from a sample of u_dc until i_q has followed: delay and the current's rise
REVERSE_SHARE = 0x2000  # of the braking i_q that may turn to motoring, Q15
SLOW = 160  # |w_e|, Q15: below, torque moves no power worth limiting
PLACES = 15  # power and speed are both Q15 of bases whose quotient is that of torque


def limit_power(s: Signals) -> None:
    """Hold torque_ref within the power allowed, say in `limited` what holds it, lower torque_max alike.

    Beyond w_e_soft what would drive the shaft further falls linearly, to nothing at w_e_hold.
    torque_max is what the speed law stops its integrator at: it belongs to the direction asked for.
    """
    s.limited = 0
    if s.reference_mode != REFERENCE_CURRENT:
        if magnitude(s.torque_demand) > s.torque_max:
            s.limited = LIMITED_MACHINE
            if s.heat_share < Q15_MAX:
                s.limited = s.heat_reason
            elif s.torque_max == s.torque_limit:
                s.limited = LIMITED_USER
        w_e = magnitude(s.w_e)
        if w_e > SLOW:
            # Of a shaft that turns forward; for the other way they change places.
            forward = divide(s.power_motoring, w_e, PLACES)
            backward = divide(s.power_braking, w_e, PLACES)
            why = LIMITED_POWER
            if w_e > s.w_e_soft:
                most = 0
                if w_e < s.w_e_hold:
                    most = ((s.w_e_hold - w_e) * s.k_runaway) >> s.k_runaway_shift
                if forward > most:
                    forward = most
                    if (s.torque_demand ^ s.w_e) >= 0:
                        why = LIMITED_SPEED
            if s.w_e < 0:
                most = forward
                forward = backward
                backward = most
            if s.torque_ref > forward:
                s.torque_ref = forward
            elif s.torque_ref < -backward:
                s.torque_ref = -backward
            most = forward
            if s.torque_demand < 0:
                most = backward
            if magnitude(s.torque_demand) > most and s.torque_max > most:
                s.limited = why
            if s.torque_max > most:
                s.torque_max = most
        if s.link_share < Q15_MAX:
            if s.link_share < 0:
                s.torque_max = 0
            else:
                s.torque_max = (s.torque_max * s.link_share) >> 15
            # The voltage ahead counts, and a link that rings about its limit is still low.
            if s.u_dc > s.u_dc_low + ((s.u_dc_soft - s.u_dc_low) >> 4):
                s.limited = s.limited | LIMITED_LINK_HIGH
            else:
                s.limited = s.limited | LIMITED_LINK_LOW


def note_i_q(s: Signals) -> None:
    """Remember the i_q of the outer law, of which `yield_to_link` takes a share."""
    s.i_q_asked = s.i_q_ref


def yield_to_link(s: Signals) -> None:
    """i_q_ref by how far u_dc is expected beyond its soft limits, every period.

    Braking falls linearly from u_dc_soft to nothing at u_dc_hold and turns to a little motoring from
    there to u_dc_trip, which takes out of the link what arrived late.  Motoring falls from u_dc_low to
    nothing at u_dc_min.  The field stays as it was: its energy would have to go to the same link.
    """
    ahead = s.u_dc + (s.u_dc - s.u_dc_last) * AHEAD_PERIODS
    s.u_dc_last = s.u_dc
    if (s.u_dc_soft - ahead | ahead - s.u_dc_low | s.link_share - Q15_MAX) < 0:
        take_share(s, ahead)


def take_share(s: Signals, ahead: int) -> None:
    """The share of i_q that the link leaves, or all of it again."""
    share = Q15_MAX
    if ahead > s.u_dc_soft:
        if (s.w_e > SLOW and s.i_q_asked < 0) or (s.w_e < -SLOW and s.i_q_asked > 0):
            share = amplify(sat15(s.u_dc_hold - ahead), s.k_link_high, s.k_link_high_shift)
            if share < -REVERSE_SHARE:
                share = -REVERSE_SHARE
    elif ahead < s.u_dc_low:
        if (s.w_e > SLOW and s.i_q_asked > 0) or (s.w_e < -SLOW and s.i_q_asked < 0):
            room = sat15(ahead - s.u_dc_min)
            if room < 0:
                room = 0
            share = amplify(room, s.k_link_low, s.k_link_low_shift)
    if share < Q15_MAX:
        s.i_q_ref = (s.i_q_asked * share) >> 15
    else:
        share = Q15_MAX
        if s.link_share < Q15_MAX:
            s.i_q_ref = s.i_q_asked
    s.link_share = share
