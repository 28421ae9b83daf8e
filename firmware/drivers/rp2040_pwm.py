"""PWM slices of the RP2040 as half bridges (datasheet 4.5).

A centre-aligned slice counts 0 .. TOP .. 0 in 2 * (TOP + 1) clocks.  A is inverted: high while the
count is at or above its level, so the high side is on around the top; B is high while the count is
below its level, so the low side is on around zero, where the counter wraps, the levels change and the
currents are sampled.  The words of levels are those of `rp2040_handler`.
"""

from machine import mem32
from micropython import const

TRIGGER = const(7)  # the slice whose wrap starts the conversions; its pins are not used

_BASE = const(0x40050000)
_STRIDE = const(0x14)
_CSR = const(0x00)
_DIV = const(0x04)
_CTR = const(0x08)
_CC = const(0x0C)
_TOP = const(0x10)
_ENABLE = const(0xA0)
_CENTRE_ALIGNED = const(2)
_INVERT_A = const(4)

OFF = 0xFFFF  # levels with which neither A nor B is ever high


def set_up(slices, top, lead):
    """Prepare the slices of the bridges, off, and the trigger's slice, `lead` clocks ahead of them.

    `top` counts are half a period, 64 .. 32767; 0 <= lead < 2 * top.
    """
    mem32[_BASE + _ENABLE] = 0
    for number in slices:
        at = _BASE + number * _STRIDE
        mem32[at + _CSR] = _CENTRE_ALIGNED | _INVERT_A
        mem32[at + _DIV] = 1 << 4
        mem32[at + _TOP] = top - 1
        mem32[at + _CC] = OFF
        mem32[at + _CTR] = 0
    at = _BASE + TRIGGER * _STRIDE
    mem32[at + _CSR] = 0
    mem32[at + _DIV] = 1 << 4
    mem32[at + _TOP] = 2 * top - 1
    mem32[at + _CTR] = lead


def start(slices):
    """Let the slices and the trigger run, all from the same clock on."""
    mask = 1 << TRIGGER
    for number in slices:
        mask |= 1 << number
    mem32[_BASE + _ENABLE] = mask


def stop():
    """Halt all slices where they are; their pins must be held low before."""
    mem32[_BASE + _ENABLE] = 0
