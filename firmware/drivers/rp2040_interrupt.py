"""The control interrupt: the worker channel's interrupt line goes straight to linked code.

MicroPython's own way (`rp2.DMA.irq(hard=True)`) costs about 840 cycles a period, most of them in flash,
where they wait for the cache.  The linked routine allocates nothing, raises nothing and calls nothing,
so it needs none of that: the vector of the DMA's second line, which MicroPython leaves alone, points
at five words in RAM that load the arguments of a call without arguments and jump to the routine.  It
returns from the exception itself, as any C function does on this core (ARMv6-M B1.5.6).  A routine of
a native module takes no arguments, so the vector is its address.

The routine acknowledges the line (`rp2040_handler`); its priority is above everything else, so that
USB never delays it.
"""

from array import array

from machine import mem32
from micropython import const
from uctypes import addressof

_NUMBER = const(12)  # DMA_IRQ_1
_DMA_ENABLE = const(0x50000414)  # INTE1
_DMA_STATUS = const(0x5000041C)  # INTS1
_SET_ENABLE = const(0xE000E100)
_CLEAR_ENABLE = const(0xE000E180)
_CLEAR_PENDING = const(0xE000E280)
_PRIORITIES = const(0xE000E40C)  # of interrupts 12 .. 15, the lowest byte is ours
_VECTORS = const(0xE000ED08)
_CODE = const(12)  # offset of the machine code's address in a function object


class Interrupt:
    """The line of one DMA channel, led to a viper function without parameters or to an address of code."""

    def __init__(self, function, channel):
        if isinstance(function, int):
            entry = function
        else:
            self._function = function  # held, so that it stays in memory
            self._words = words_of(function)
            entry = addressof(self._words)
        self._place = mem32[_VECTORS] + 4 * (16 + _NUMBER)
        self._before = mem32[self._place]
        mem32[self._place] = entry | 1
        mem32[_PRIORITIES] = mem32[_PRIORITIES] & 0xFFFFFF00
        mem32[_DMA_STATUS] = 1 << channel
        mem32[_DMA_ENABLE] = 1 << channel
        mem32[_CLEAR_PENDING] = 1 << _NUMBER
        mem32[_SET_ENABLE] = 1 << _NUMBER

    def remove(self):
        """Never again; the vector is as it was found."""
        mem32[_CLEAR_ENABLE] = 1 << _NUMBER
        mem32[_DMA_ENABLE] = 0
        mem32[self._place] = self._before


def words_of(function):
    """The instructions that call a viper function as MicroPython would, without arguments."""
    at = id(function)
    return array(
        "I",
        [
            0x21004802,  # ldr r0, function object; movs r1, #0
            0x4B022200,  # movs r2, #0; ldr r3, its code
            0x46C04718,  # bx r3; nop
            at,
            mem32[at + _CODE] | 1,
        ],
    )
