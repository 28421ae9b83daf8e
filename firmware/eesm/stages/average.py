"""Means for the main loop, which looks now and then and late: first-order, over 128 cycles of the outer law.

By them the watches of the main loop know what the voltage did between two looks.  Over a first-order mean
of the time t, the slope of x has the mean (x - mean of x) / t: so the voltage equation of a winding holds
between means and present values, at rest and in motion.
"""

from eesm.signals import Signals

MEAN_SHIFT = 7  # 2**7 cycles
POINTS = 13  # Q15 to Q28


def average(s: Signals) -> None:
    """Take one cycle into the means.

    The exciter's voltage ripples with the slots of the outer law, so it is summed in every period; a cycle
    has a period more for each letter that was taken meanwhile (5461 is a sixth in Q15, 4681 a seventh).
    """
    s.u_f_sum = (s.u_f_sum * (5461 - 780 * s.cycle_letters)) >> 15
    s.u_f_mean = s.u_f_mean + (((s.u_f_sum << POINTS) - s.u_f_mean) >> MEAN_SHIFT)
    s.u_f_sum = 0
    s.cycle_letters = 0
    s.i_f_mean = s.i_f_mean + (((s.i_f << POINTS) - s.i_f_mean) >> MEAN_SHIFT)
    s.i_d_mean = s.i_d_mean + (((s.i_d << POINTS) - s.i_d_mean) >> MEAN_SHIFT)
    s.i_square_mean = s.i_square_mean + (
        (((((s.i_d * s.i_d) >> 15) + ((s.i_q * s.i_q) >> 15)) << POINTS) - s.i_square_mean) >> MEAN_SHIFT
    )


def sum_exciter(s: Signals) -> None:
    """Take one period into the cycle's sum; of those that take a letter two at most, however many come."""
    if s.slot_rests == 0:
        s.u_f_sum = s.u_f_sum + s.u_f
    elif s.cycle_letters < 2:
        s.u_f_sum = s.u_f_sum + s.u_f
        s.cycle_letters = s.cycle_letters + 1
