"""Integer helpers of the stages: saturation, Q15 products, square root, table look-up.

Helpers are pure functions over integers; those that take `s` read a table and nothing else.
"""

from eesm.signals import PHASE_MASK, Q15_MAX, Q30_MAX, SINE_STEPS, Signals

SINE_SHIFT = 21
QUARTER_TURN_STEPS = SINE_STEPS >> 2


def sat(x: int, limit: int) -> int:
    """x held within -limit .. limit."""
    y = x
    if y > limit:
        y = limit
    elif y < -limit:
        y = -limit
    return y


def sat15(x: int) -> int:
    """x held within the range of a Q15 signal."""
    return sat(x, Q15_MAX)


def sat30(x: int) -> int:
    """x held within the range of an integrator."""
    return sat(x, Q30_MAX)


def within(x: int, high: int) -> int:
    """x held within 0 .. high."""
    y = x
    if y < 0:
        y = 0
    elif y > high:
        y = high
    return y


def magnitude(x: int) -> int:
    """Absolute value."""
    y = x
    if y < 0:
        y = -y
    return y


def mul15(x: int, y: int) -> int:
    """Product of two Q15 numbers, rounded; |x|, |y| <= 32767."""
    return (x * y + 0x4000) >> 15


def amplify(x: int, k: int, k_shift: int) -> int:
    """x times a gain of mantissa k and right shift k_shift; |x| <= 65535 where k <= 32767."""
    return (x * k) >> k_shift


def wrap(phase: int) -> int:
    """The phase difference nearest to zero: -half a turn .. half a turn less one."""
    return ((phase + 0x20000000) & PHASE_MASK) - 0x20000000


def root_of(s: Signals, square: int) -> int:
    """Square root of a Q30 number as Q15; 0 <= square < 2**30.

    The number is shifted up by an even count until its leading bits index the table, which is
    interpolated; the root is shifted down by half that count.
    """
    x = square
    half = 0
    if x < 0x4000:
        x = x << 16
        half = 8
    if x < 0x400000:
        x = x << 8
        half = half + 4
    if x < 0x4000000:
        x = x << 4
        half = half + 2
    if x < 0x10000000:
        x = x << 2
        half = half + 1
    index = x >> 22
    low = s.root[index]
    y = low + (((s.root[index + 1] - low) * ((x >> 7) & 0x7FFF)) >> 15)
    return y >> half


def divide(x: int, y: int, q: int) -> int:
    """x * 2**q / y for |x| <= 32767, 1 <= y <= 32767, without a division: relative error 1e-4.

    The divisor is shifted up to 15 bits; its reciprocal starts from 48/17 - 32/17*y and gains by two
    Newton steps.  29 - q less the bits that y lacks of 15 must not be negative.
    """
    places = 29 - q
    if y < 0x80:
        y = y << 8
        places = places - 8
    if y < 0x800:
        y = y << 4
        places = places - 4
    if y < 0x2000:
        y = y << 2
        places = places - 2
    if y < 0x4000:
        y = y << 1
        places = places - 1
    inverse = 46261 - ((y * 30840) >> 15)
    inverse = (inverse * (0x8000 - ((y * inverse) >> 15))) >> 14
    inverse = (inverse * (0x8000 - ((y * inverse) >> 15))) >> 14
    return (x * inverse) >> places
