"""Cyclic numbers of 30 bits: PWM periods and stream rows begin again after 2**30, a turn is 2**30."""

TURN = 1 << 30
MASK = TURN - 1
HALF = TURN >> 1


def signed(difference):
    """The shorter way between two cyclic numbers, -2**29 .. 2**29 - 1, from their plain difference."""
    return ((difference + HALF) & MASK) - HALF
