"""Functions, pulls and overrides of the RP2040's pins, by register (datasheet 2.19).

In reset every pad is an input with its pull-down on, so a bridge whose gates have pull-downs of
their own stays off until `route` gives a pin away.
"""

from machine import mem32
from micropython import const

PWM = const(4)
PIO0 = const(6)
PIO1 = const(7)
SPI = const(1)
NONE = const(31)
HELD_LOW = const(2 << 8)  # OUTOVER: the pin is low whatever its function says

_IO = const(0x40014000)
_PADS = const(0x4001C000)
# Pads: input enable, Schmitt trigger, 4 mA; without output driver and input for the converter.
_PULL_DOWN = const(0x56)
_PULL_UP = const(0x5A)
_ANALOGUE = const(0x80)


def route(pin, function, pull_up=False):
    """Give a pin to a function (with HELD_LOW: but keep it low); the other pull is off."""
    mem32[_PADS + 4 + 4 * pin] = _PULL_UP if pull_up else _PULL_DOWN
    mem32[control(pin)] = function


def route_analogue(pin):
    """Leave a pin to the converter."""
    mem32[_PADS + 4 + 4 * pin] = _ANALOGUE
    mem32[control(pin)] = NONE


def control(pin):
    """Address of a pin's control register: function and overrides."""
    return _IO + 8 * pin + 4
