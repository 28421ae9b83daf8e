"""What one PWM period samples, as a chain of DMA transfers: converter, multiplexer, encoder, trips.

The trigger starts the first conversion; each result goes straight into its word of the block and
starts the next one; the angle is read at the carrier's zero, between the two phase currents, which
lie symmetric about it.  The last result raises the interrupt.  Slow quantities take turns, one a
period, so the chain covers as many periods as there are turns.

The on-chip converter has one input behind an analogue multiplexer (select pins by PIO, a while after
the present sample is taken); the other board reads a converter by SPI.
"""

from array import array

from machine import mem32
from micropython import const
from uctypes import addressof

from drivers import rp2040_dma as dma
from drivers import rp2040_pins as pins
from drivers import rp2040_pio as pio
from drivers import rp2040_spi as spi

_ADC = const(0x4004C000)
_CS = const(0x00)
_FCS = const(0x08)
_FIFO = const(0x0C)
_ENABLE = const(1)
_START_ONCE = const(4)
_READY = const(1 << 8)
_FIFO_ON = const(1 << 24 | 1 << 3 | 1)  # a request at one sample, no error bits

SELECT = const(2)  # state machine of PIO1
SELECT_AT = const(20)  # place of its program
# The present sample is held 64 clocks after the start of a conversion; the input then settles to its end.
SELECT_PROGRAM = (
    0x80A0,  # pull block
    0xBF42,  # nop [31]
    0xBF42,  # nop [31]
    0x6003,  # out pins, 3
)

SLOW_WORDS = ("temperature_stator", "temperature_board")


class Sampling:
    """Converter and chain of a board.

    `board` is that of unit.json, `place(name)` the address of a signal's word, `angle` the pair
    (transfers at the carrier's zero, transfers at the end) of the angle sensor, each a tuple of
    (source, target, request); `trips` the address whose word goes to board_faults.
    """

    def __init__(self, board, place, angle, trips):
        self._board = board
        self._place = place
        self._adc = board["converter"] == "adc"
        self._order = board["order"]
        self._slow = board["slow"]
        names = [self._named(word, turn) for turn in range(len(self._slow)) for word in self._order]
        self._names = names
        self.slow = array("I", [0] * len(SLOW_WORDS))
        self.dump = array("I", [0])  # takes what nobody reads
        channels = max(board[key] for key in board if key.startswith("channel_"))
        self._starts = array("I", [self._start_word(n) for n in range(channels + 1)])
        self._selects = array("I", range(8))
        if self._adc:
            self._result, self._request = _ADC + _FIFO, dma.ADC
        else:
            port = board["converter_spi"]
            self._result, self._request = spi.data(port), spi.received(port)
        self._set_up_converter()
        self.chain = dma.Chain(len(self._slow) * (3 * len(self._order) + 6))
        for k in range(len(names)):
            self._convert(k, angle[0], angle[1], trips)
        self.chain.close()

    def _named(self, word, turn):
        return self._slow[turn] if word == "slow" else word

    def _first_after_zero(self):
        """Place in the order of the first conversion that starts after the carrier's zero."""
        for k in range(len(self._order)):
            if self._board["sample_time_" + self._order[k]] > 0:
                return k
        return len(self._order)

    def _convert(self, k, at_zero, at_end, trips):
        """One conversion: start it when the last one is done, fetch the last one's result.

        The start does not wait for the fetch, so nothing but its own few clocks lie between two
        conversions; the result is there by then and is fetched at once.
        """
        names, chain = self._names, self.chain
        name, turn = names[k], k % len(self._order)
        self._start_conversion(k, dma.PWM_WRAP + 7 if turn == 0 else self._request)
        if turn > 0:
            chain.move(self._result, self._target(names[k - 1]))
        if turn == self._first_after_zero() - 1:
            for transfer in at_zero:
                chain.move(*transfer)
        if turn == len(self._order) - 1:
            for transfer in at_end:
                chain.move(*transfer)
            chain.move(trips, self._place("board_faults"))
            chain.move(self._result, self._target(name), self._request, True)

    def _start_conversion(self, k, request):
        board, names, chain = self._board, self._names, self.chain
        name = names[k]
        if self._adc:
            chain.move(self._start(board["channel_" + name]), _ADC + _CS, request)
            if "select_" + name in board:
                select = board["select_" + self._next_selected(k)]
                chain.move(addressof(self._selects) + 4 * select, pio.PIO1 + 0x10 + 4 * SELECT)
            return
        asked = names[(k + 1) % len(names)] if board["converter_pipeline"] else name
        chain.move(self._start(board["channel_" + asked]), self._result, request)

    def _next_selected(self, k):
        """Name of the conversion after number k that needs the multiplexer."""
        names = self._names
        for further in range(1, len(names) + 1):
            name = names[(k + further) % len(names)]
            if "select_" + name in self._board:
                return name
        raise ValueError("nothing is behind the multiplexer")

    def _target(self, name):
        if name in SLOW_WORDS:
            return addressof(self.slow) + 4 * SLOW_WORDS.index(name)
        return self._place(name + "_raw")

    def _start(self, channel):
        return addressof(self._starts) + 4 * channel

    def _start_word(self, channel):
        """What starts a conversion of a channel, written to the converter."""
        if self._adc:
            return channel << 12 | _START_ONCE | _ENABLE
        return channel << self._board["converter_address_shift"]

    def _set_up_converter(self):
        board = self._board
        if not self._adc:
            spi.set_up(board, "converter")
            return
        for name in ("i_a", "i_b", "multiplexed"):
            pins.route_analogue(board["pin_adc_" + name])
        mem32[_ADC + _FCS] = 0
        mem32[_ADC + _CS] = _ENABLE
        while not mem32[_ADC + _CS] & _READY:
            pass
        while mem32[_ADC + _FCS] >> 16 & 15:
            mem32[_ADC + _FIFO]
        mem32[_ADC + _FCS] = _FIFO_ON
        first = board["pin_select_0"]
        pio.load(pio.PIO1, SELECT_PROGRAM, SELECT_AT)
        pio.set_up(pio.PIO1, SELECT, SELECT_AT, SELECT_AT + len(SELECT_PROGRAM) - 1, pin=first, out=3)
        pio.execute(pio.PIO1, SELECT, 0xA0EB)  # mov osr, !null
        pio.execute(pio.PIO1, SELECT, 0x6083)  # out pindirs, 3
        for pin in range(first, first + 3):
            pins.route(pin, pins.PIO1)

    def start(self):
        """Select the first input and let the chain wait for the trigger."""
        if self._adc:
            pio.start(pio.PIO1, 1 << SELECT)
            pio.put(pio.PIO1, SELECT, self._board["select_" + self._next_selected(len(self._names) - 1)])
        elif self._board["converter_pipeline"]:
            spi.exchange(
                self._board["converter_spi"], self._start_word(self._board["channel_" + self._names[0]])
            )
        dma.start(1 << dma.READER)
