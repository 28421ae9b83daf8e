"""What switches the bridges off without the interpreter, and how they go live.

Two state machines of PIO1 drive the gate-enable pin.  One waits for the fault pin and makes the
gate-enable pin low a few clocks after it falls.  The other counts the time since the interrupt's
last sign of life and does the same after two periods without one.  Each also raises a flag, which
the sampling chain copies into the block's board_faults, and asks DMA to hold every pin of the
bridges low.  Only `Safety.arm` makes the gate-enable pin high.  `switch_off` is safe at any time,
also half way through `start` or twice, and allocates nothing.
"""

from array import array

import micropython
from machine import WDT, mem32
from micropython import const
from uctypes import addressof

from drivers import rp2040_dma as dma
from drivers import rp2040_pins as pins
from drivers import rp2040_pio as pio

FAULT = const(0)  # state machines of PIO1
BEAT = const(1)
BEAT_AT = const(8)
LOOKS_PER_PERIOD = const(16)
LOOKS = const(29)  # a sign of life is missed after one look more than these
TRIPS = const(0xC0)  # flags: 64 no sign of life, 128 fault pin; as in `faults`

_FLAGS = const(0x50300030)  # IRQ of PIO1; whole, since a sum beyond 30 bits would take memory at each look
_RXF = const(0x20)
_INPUTS = const(0xD0000004)  # SIO: levels of all pins
_WATCHDOG_CLEAR = const(0x4005B000)
_WATCHDOG_ENABLE = const(1 << 30)


def fault_program(pin):
    """Words of the state machine that waits for the fault pin; it rests at 0, a jump to 1 arms it."""
    return (
        0x20C4,  # wait 1 irq 4
        0x00C3,  # jmp pin, 3
        0x0005,  # jmp 5
        0xE001,  # set pins, 1
        0x2000 | pin,  # wait 0 gpio, of the fault pin
        0xE000,  # set pins, 0
        0xC007,  # irq 7
        0x8000,  # push noblock
    )


# A sign of life is a word: the number of looks after which the next one is late.  It rests at its end.
BEAT_PROGRAM = (
    0x80A0,  # pull block
    0xA027,  # mov x, osr
    0xA045,  # mov y, status
    0x0068,  # jmp !y, 8
    0x004A,  # jmp x--, 10
    0xE000,  # set pins, 0
    0xC006,  # irq 6
    0x8000,  # push noblock
    0x20C5,  # wait 1 irq 5
)


@micropython.viper
def hold_low(mask: int):
    """Gate-enable pin low, every pin whose bit is set low; no allocation, 10 us."""
    base = 0x140C0000  # PIO1, a quarter of its address: a literal has 30 bits
    word = ptr32(base << 2)
    word[54] = 0xE000  # INSTR of the fault machine: set pins, 0
    word[54] = 0  # jmp 0: it rests
    base = 0x10005000  # IO_BANK0
    word = ptr32(base << 2)
    pin = 0
    while pin < 30:
        if mask >> pin & 1:
            word[2 * pin + 1] = word[2 * pin + 1] & 0x3FFFFCFF | 0x200
        pin = pin + 1


class Safety:
    """Gate enable, fault pin, sign of life and watchdog of a board."""

    def __init__(self, board):
        self.live = False
        self._pins = [board[key] for key in board if key.startswith(("pin_phase_", "pin_exciter_"))]
        self._mask = 0
        for pin in self._pins:
            self._mask |= 1 << pin
        self._gate = board["pin_gate_enable"]
        self._fault = board["pin_fault"]
        self._timeout = board["watchdog_ms"]
        self._watchdog = None
        self._hold = None
        self._dump = array("I", [0])
        for pin in self._pins:
            pins.route(pin, pins.PWM | pins.HELD_LOW)
        pins.route(self._fault, pins.NONE, True)
        pio.load(pio.PIO1, fault_program(self._fault))
        pio.load(pio.PIO1, BEAT_PROGRAM, BEAT_AT)
        pio.set_up(pio.PIO1, FAULT, 0, BEAT_AT - 1, pin=self._gate, jump_pin=self._fault)
        divider = max(1, round(2 * board["pwm_top"] / (3 * LOOKS_PER_PERIOD)))
        pio.set_up(pio.PIO1, BEAT, BEAT_AT, BEAT_AT + len(BEAT_PROGRAM) - 1, divider, self._gate)
        pio.execute(pio.PIO1, FAULT, 0xE000)  # set pins, 0
        pio.execute(pio.PIO1, FAULT, 0xE081)  # set pindirs, 1
        pins.route(self._gate, pins.PIO1)
        pio.execute(pio.PIO1, FAULT, 0)

    def start(self):
        """Let the two state machines run; the bridges stay off."""
        self._hold = dma.HoldLow(self._pins, pins.PWM, pins.control, pins.HELD_LOW)
        mem32[_FLAGS] = 0xFF
        pio.start(pio.PIO1, 1 << FAULT | 1 << BEAT)

    def trips(self):
        """Flags of what has tripped: 64 no sign of life, 128 fault pin."""
        return mem32[_FLAGS] & TRIPS

    def pin_is_good(self):
        """Whether the fault pin is high."""
        return mem32[_INPUTS] >> self._fault & 1 == 1

    def arm(self):
        """Bridges live, unless something has tripped; the levels must say off for a period already.

        From now on the watchdog runs: feed it.  Returns whether they are live.
        """
        if self.trips() or self._hold is None:
            return False
        fifos = [pio.PIO1 + _RXF + 4 * machine for machine in (FAULT, BEAT)]
        # Trips since the last arming, of which each keeps four, would hold the pins low at once.
        for fifo in fifos:
            for _ in range(4):
                mem32[fifo]  # pyright: ignore[reportUnusedExpression]
        self._hold.arm(fifos, addressof(self._dump))
        for pin in self._pins:
            mem32[pins.control(pin)] = pins.PWM
        self._watchdog = WDT(timeout=self._timeout)
        self.live = True
        pio.execute(pio.PIO1, BEAT, BEAT_AT)
        pio.execute(pio.PIO1, FAULT, 1)
        return True

    def feed(self):
        """Tell the watchdog that interrupt and main loop live."""
        if self._watchdog is not None:
            self._watchdog.feed()

    def switch_off(self):
        """Gate-enable pin and all pins of the bridges low."""
        hold_low(self._mask)
        self.live = False

    def forget_trips(self):
        """Let what has tripped be armed again; refused while the bridges are live."""
        if not self.live:
            mem32[_FLAGS] = TRIPS
            pio.execute(pio.PIO1, BEAT, BEAT_AT)

    def rest(self):
        """Bridges off, and no watchdog until they go live again."""
        self.switch_off()
        mem32[_WATCHDOG_CLEAR] = _WATCHDOG_ENABLE
        self._watchdog = None

    def stop(self):
        """Off for good: the state machines halt and the watchdog rests, so that a prompt lives on."""
        self.rest()
        pio.stop(pio.PIO1)
