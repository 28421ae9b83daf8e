"""Means for the main loop, which looks now and then and late: first-order, over 128 cycles of the outer law.

By them the watches of the main loop know what the voltage did between two looks.  Over a first-order mean
of the time t, the slope of x has the mean (x - mean of x) / t: so the voltage equation of a winding holds
between means and present values, at rest and in motion.
"""

from eesm.signals import Signals

MEAN_SHIFT = 7  # 2**7 cycles
POINTS = 13  # Q15 to Q28


def average(s: Signals) -> None:
    """Take one cycle into the means."""
    s.u_f_mean = s.u_f_mean + (((s.u_f << POINTS) - s.u_f_mean) >> MEAN_SHIFT)
    s.i_f_mean = s.i_f_mean + (((s.i_f << POINTS) - s.i_f_mean) >> MEAN_SHIFT)
    s.i_d_mean = s.i_d_mean + (((s.i_d << POINTS) - s.i_d_mean) >> MEAN_SHIFT)
    square = ((s.i_d * s.i_d) >> 15) + ((s.i_q * s.i_q) >> 15)
    s.i_square_mean = s.i_square_mean + (((square << POINTS) - s.i_square_mean) >> MEAN_SHIFT)
