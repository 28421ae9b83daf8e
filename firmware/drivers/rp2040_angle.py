"""Angle sensors: a quadrature counter in PIO, or an absolute sensor read by SPI at every trigger.

Both end in the block's encoder_raw without the processor: the counter's value, or the sensor's
frame, which the interrupt's first line shifts and masks.
"""

from array import array

from micropython import const
from uctypes import addressof

from drivers import rp2040_dma as dma
from drivers import rp2040_pins as pins
from drivers import rp2040_pio as pio
from drivers import rp2040_spi as spi

QUADRATURE = const(0)  # state machine of PIO0
LOOP = const(16)
LONGEST = const(11)  # clocks of the state machine for one count

# Jump table by (state before, state now), each B << 1 | A; then the loop.  X counts, Y is the state.
# A state that skips one is a lost count: nothing is counted, the next edge goes on from there.
QUADRATURE_PROGRAM = (
    0x0010,  # jmp 16
    0x0015,  # jmp 21
    0x001A,  # jmp 26
    0x0010,  # jmp 16
    0x001A,  # jmp 26
    0x0010,  # jmp 16
    0x0010,  # jmp 16
    0x0015,  # jmp 21
    0x0015,  # jmp 21
    0x0010,  # jmp 16
    0x0010,  # jmp 16
    0x001A,  # jmp 26
    0x0010,  # jmp 16
    0x001A,  # jmp 26
    0x0015,  # jmp 21
    0x0010,  # jmp 16
    0xA0C3,  # mov isr, null
    0x4042,  # in y, 2
    0xA040,  # mov y, pins
    0x4042,  # in y, 2
    0xA0A6,  # mov pc, isr
    0xA029,  # mov x, !x
    0x0057,  # jmp x--, 23
    0xA029,  # mov x, !x
    0xA0C1,  # mov isr, x
    0x8000,  # push noblock
    0x0058,  # jmp x--, 24
    0x0018,  # jmp 24
)


class Incremental:
    """Quadrature encoder: A leading B counts up; every count is fetched by DMA as it happens.

    `rate` is the highest count rate in Hz that must not be lost.  Slower looks at the pins filter
    more, so they are no faster than four times that needs.
    """

    def __init__(self, board, place, clock, rate):
        first = board["pin_encoder_a"]
        for pin in (first, first + 1):
            pins.route(pin, pins.NONE, True)
        divider = max(1, int(clock / (4 * LONGEST * rate)))
        pio.load(pio.PIO0, QUADRATURE_PROGRAM)
        pio.set_up(pio.PIO0, QUADRATURE, LOOP, LOOP + 9, divider, first)
        pio.execute(pio.PIO0, QUADRATURE, 0xE020)  # set x, 0
        pio.execute(pio.PIO0, QUADRATURE, 0xA040)  # mov y, pins
        self._count = array("I", [0])
        # 16 of the 32 bits: the kernel's counter wraps there.
        source = pio.PIO0 + 0x20 + 4 * QUADRATURE
        dma.repeat(dma.ENCODER, dma.PIO0_RX + QUADRATURE, source, addressof(self._count), 1 << 2)
        self.transfers = (((addressof(self._count), place, dma.PWM_WRAP),), ())

    def start(self):
        """Count from now on."""
        dma.start(1 << dma.ENCODER)
        pio.start(pio.PIO0, 1 << QUADRATURE)

    def stop(self):
        """Count no more."""
        pio.stop(pio.PIO0)


class Absolute:
    """Absolute sensor by SPI: a frame is sent at the carrier's zero, its answer fetched at the end."""

    def __init__(self, board, place):
        spi.set_up(board, "angle")
        port = board["angle_spi"]
        self._command = array("I", [board["angle_command"]])
        self.transfers = (
            ((addressof(self._command), spi.data(port), dma.PWM_WRAP),),
            ((spi.data(port), place, spi.received(port)),),
        )

    def start(self):
        """It runs with the chain."""

    def stop(self):
        """It ends with the chain."""
