"""SPI ports of the RP2040 (PL022) for DMA: frames with their own chip select (datasheet 4.4).

A frame is sent by one write of the data register; its answer raises a request.
"""

from machine import mem32
from micropython import const

from drivers import rp2040_pins as pins

_BASE = const(0x4003C000)
_STRIDE = const(0x4000)
_CR0 = const(0x00)
_CR1 = const(0x04)
_DR = const(0x08)
_SR = const(0x0C)
_CPSR = const(0x10)
_DMACR = const(0x24)
_ENABLE = const(2)
_RECEIVED = const(4)
_BUSY = const(16)
_BOTH = const(3)
_RX_REQUEST = const(17)


def data(port):
    """Address of a port's data register."""
    return _BASE + port * _STRIDE + _DR


def received(port):
    """DMA request of an answer."""
    return _RX_REQUEST + 2 * port


def set_up(board, device):
    """Prepare the port of a device of the board file: "angle" or "converter"; clk_peri is clk_sys."""
    port = board[device + "_spi"]
    for name in ("rx", "cs", "sck", "tx"):
        pins.route(board["pin_" + device + "_" + name], pins.SPI, name == "rx")
    at = _BASE + port * _STRIDE
    even, rest = divisors(board["clock"], board[device + "_clock"])
    mode = board[device + "_mode"]
    mem32[at + _CR1] = 0
    mem32[at + _CPSR] = even
    # Polarity is bit 6, phase bit 7: mode's bits the other way round.
    mem32[at + _CR0] = rest << 8 | (mode & 1) << 7 | (mode >> 1) << 6 | board[device + "_frame_bits"] - 1
    mem32[at + _DMACR] = _BOTH
    mem32[at + _CR1] = _ENABLE
    while mem32[at + _SR] & _RECEIVED:
        mem32[at + _DR]


def divisors(clock, rate):
    """(even prescaler 2 .. 254, further divisor less one 0 .. 255) for at most `rate`."""
    ratio = -(-clock // rate)
    even = 2
    while even * 256 < ratio:
        even += 2
    return even, -(-ratio // even) - 1


def exchange(port, word):
    """Send a frame and return its answer."""
    at = _BASE + port * _STRIDE
    mem32[at + _DR] = word
    while mem32[at + _SR] & _BUSY or not mem32[at + _SR] & _RECEIVED:
        pass
    return mem32[at + _DR]
