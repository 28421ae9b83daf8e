"""DMA of the RP2040: channels that keep each other going without the processor (datasheet 2.5).

The sampling chain is a list of transfers in memory that one channel, the worker, carries out for
ever: a second channel copies the next four words of the list into the worker's registers, which
starts it, and the worker starts the second when it is done.  Each transfer waits for its own request
(a PWM wrap, a converter's FIFO); the last one of the list sends the reader back to its beginning.

Channel numbers are fixed, since the interrupt's code is linked for them:
0 worker, 1 reader of the list, 2 period counter and 3 its second, 4 and 5 encoder, 6 and 7 trips,
8 and 9 what holds the pins low after each.
"""

from array import array

from machine import mem32
from micropython import const
from rp2 import DMA
from uctypes import addressof

WORKER = const(0)
READER = const(1)
COUNTER = const(2)
ENCODER = const(4)
TRIP = const(6)
HOLD_LOW = const(8)
CHANNELS = const(10)

# Requests, datasheet 2.5.3.1; add the state machine, slice or channel.
AT_ONCE = const(0x3F)
PIO0_RX = const(4)
PIO1_RX = const(12)
SPI0_RX = const(17)
SPI1_RX = const(19)
PWM_WRAP = const(24)
ADC = const(36)

_BASE = const(0x50000000)
_STRIDE = const(0x40)
_READ = const(0x00)
_WRITE = const(0x04)
_COUNT = const(0x08)
_CTRL = const(0x10)  # an alias that does not start the channel
_START = const(0x430)  # MULTI_CHAN_TRIGGER
_ABORT = const(0x444)
_RING_OF_4_WRITTEN = const(4 << 6 | 1 << 10)
_INCREMENT_BOTH = const(3 << 4)
_QUIET = const(1 << 21)
_HALFWORD = const(1 << 2)
_WORD = const(2 << 2)
FOREVER = 1 << 30  # a count that the interrupt can look at modulo 2**30 while the channel starts over


class Taken(Exception):
    """A channel that the drive needs is in use."""


def control(channel, chain_to, request=AT_ONCE, size=_WORD, more=_QUIET):
    """Control word of an enabled channel; `chain_to` itself means: none."""
    return 1 | size | more | chain_to << 11 | request << 15


def register(channel, offset):
    """Address of a channel's register."""
    return _BASE + channel * _STRIDE + offset


def claim():
    """The channels 0 .. CHANNELS - 1 of MicroPython; Taken when another program has one of them.

    The caller closes them.
    """
    held = []
    try:
        for number in range(CHANNELS):
            held.append(DMA())
            if held[number].channel != number:
                raise Taken("DMA channel %d is in use; reset the board" % number)
    except Exception:
        release(held)
        raise
    return held


def release(held):
    """Stop and give back channels."""
    halt()
    for channel in held:
        channel.close()


def halt():
    """Stop every channel of the drive at once, also one that waits."""
    for number in range(CHANNELS):
        mem32[register(number, _CTRL)] = 0
    mem32[_BASE + _ABORT] = (1 << CHANNELS) - 1


def configure(channel, ctrl, read, write, count=1):
    """Set a channel up without starting it."""
    mem32[register(channel, _CTRL)] = ctrl
    mem32[register(channel, _READ)] = read
    mem32[register(channel, _WRITE)] = write
    mem32[register(channel, _COUNT)] = count


def start(channels):
    """Start the channels whose bits are set."""
    mem32[_BASE + _START] = channels


def repeat(channel, request, read, write, size=_WORD):
    """Move a word from `read` to `write` at each request, for ever: two channels start each other.

    Started by the caller; uses `channel` and the next one.
    """
    configure(channel, control(channel, channel + 1, request, size), read, write, FOREVER)
    configure(channel + 1, control(channel + 1, channel, request, size), read, write, FOREVER)


def count(channel, request, word):
    """Count requests down from FOREVER in a channel's TRANS_COUNT, again and again.

    `word` is the address of a word that may be written.  The next channel only starts the first
    one again, at once, so the count goes on modulo 2**30.
    """
    configure(channel, control(channel, channel + 1, request), word, word, FOREVER)
    configure(channel + 1, control(channel + 1, channel), word, word)


class Chain:
    """The list of transfers, written once and then carried out for ever.

    chain.move(source, target, request)   one word; `interrupt` raises the worker's interrupt after it
    chain.close()                         start over after the last one
    """

    def __init__(self, length):
        self._words = array("I", bytes(16 * (length + 1)))
        self._start = array("I", [addressof(self._words)])
        self._next = 0

    def move(self, source, target, request=AT_ONCE, interrupt=False):
        """Add a transfer of one word."""
        more = 0 if interrupt else _QUIET
        self._add(source, target, control(WORKER, READER, request, more=more))

    def close(self):
        """Add the transfer that sends the reader back; set up both channels."""
        self._add(addressof(self._start), register(READER, _READ), control(WORKER, READER))
        ctrl = control(READER, READER, more=_QUIET | _INCREMENT_BOTH | _RING_OF_4_WRITTEN)
        configure(READER, ctrl, self._start[0], register(WORKER, _READ), 4)

    def _add(self, source, target, ctrl):
        at = 4 * self._next
        self._words[at] = source
        self._words[at + 1] = target
        self._words[at + 2] = 1
        self._words[at + 3] = ctrl
        self._next += 1


class HoldLow:
    """What a trip does to the pins: its channel writes all their control registers in one burst.

    `pins` are held low; the registers of pins between them are written with what they hold.
    """

    def __init__(self, pins, function, control_of, held_low):
        first, last = min(pins), max(pins)
        self._first = control_of(first)
        # Each control register is followed by a status register, which ignores writes.
        self._words = array("I", bytes(8 * (last - first) + 4))
        for pin in range(first, last + 1):
            known = function | held_low if pin in pins else mem32[control_of(pin)]
            self._words[2 * (pin - first)] = known

    def arm(self, fifos, dump):
        """Let a word in either of two FIFOs (their addresses) start the burst."""
        for number in (0, 1):
            # A burst for each: a channel's second one would go on behind the first, into other pins.
            hold = HOLD_LOW + number
            ctrl = control(hold, hold, more=_QUIET | _INCREMENT_BOTH)
            configure(hold, ctrl, addressof(self._words), self._first, len(self._words))
            ctrl = control(TRIP + number, hold, PIO1_RX + number)
            configure(TRIP + number, ctrl, fifos[number], dump)
        start(3 << TRIP)
