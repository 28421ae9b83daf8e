"""The part of the voltages that turns backwards, which three phases that are alike do not ask for.

Seen from the rotor such a part turns twice as quick as the rotor does, and the other way: the mean of
(u_d + j*u_q) * exp(2j*theta_e) is that part alone.  For the main loop, which looks far too seldom to tell
it from a dead time's ripple.
"""

from eesm.signals import Signals
from eesm.stages.average import MEAN_SHIFT, POINTS
from eesm.stages.fixed import QUARTER_TURN_STEPS

BACK_SHIFT = 10  # means over 2**10 cycles
BACK_POINTS = 11  # Q15 to Q26: the sum of two products has room
TWICE_SHIFT = 20  # of a phase, to steps of the sine of twice that phase
STEPS_MASK = 511


def find_backward(s: Signals) -> None:
    """Take one cycle into the means.

    What is steady adds nothing, since its own mean, a quicker one, is taken off before.
    """
    place = (s.theta_e >> TWICE_SHIFT) & STEPS_MASK
    sine = s.sine[place]
    cosine = s.sine[place + QUARTER_TURN_STEPS]
    s.u_d_mean = s.u_d_mean + (((s.u_d << POINTS) - s.u_d_mean) >> MEAN_SHIFT)
    s.u_q_mean = s.u_q_mean + (((s.u_q << POINTS) - s.u_q_mean) >> MEAN_SHIFT)
    d = s.u_d - (s.u_d_mean >> POINTS)
    q = s.u_q - (s.u_q_mean >> POINTS)
    s.u_back_along = approach(s.u_back_along, ((d * cosine) >> 15) - ((q * sine) >> 15))
    s.u_back_across = approach(s.u_back_across, ((d * sine) >> 15) + ((q * cosine) >> 15))


def approach(mean: int, value: int) -> int:
    """The mean after one more value."""
    return mean + (((value << BACK_POINTS) - mean) >> BACK_SHIFT)
