"""PIO of the RP2040 by register: load a program, set up a state machine, run one instruction.

Registers and instruction codes: RP2040 datasheet 3.4 and 3.7.  The programs of this board are tuples
of instruction words with their assembler text beside them; a test assembles the text and compares.
MicroPython's own `rp2.PIO` is not used: it cannot place a program at address 0, which the encoder's
jump table needs, and would take the state machines away at a soft reset in an order of its own.
"""

from machine import mem32
from micropython import const

PIO0 = 0x50200000
PIO1 = 0x50300000

_CTRL = const(0x00)
_FDEBUG = const(0x08)
_TXF = const(0x10)
_IRQ = const(0x30)
_INSTR_MEM = const(0x48)
_CLKDIV = const(0xC8)  # and 0x18 on for the next state machine
_EXECCTRL = const(0xCC)
_SHIFTCTRL = const(0xD0)
_INSTR = const(0xD8)
_PINCTRL = const(0xDC)
_STRIDE = const(0x18)
_SET = const(0x2000)  # alias: sets the bits that are written
_CLEAR = const(0x3000)
_OUT_RIGHT = const(1 << 19)  # SHIFTCTRL: out takes the lowest bits first; in shifts left


def load(pio, program, origin=0):
    """Write a program's words from address `origin` on."""
    for word in program:
        mem32[pio + _INSTR_MEM + 4 * origin] = word
        origin += 1


def set_up(pio, machine, first, last, divider=1, pin=0, out=0, jump_pin=0):
    """Prepare a state machine that is stopped; it will start at `first` and wrap from `last` to it.

    `divider` 1 .. 65535 of clk_sys; `pin` is the lowest of its pins, as input and for SET and OUT,
    `out` the number of pins that OUT drives (SET drives one if it is 0).  STATUS tells whether
    the transmit FIFO is empty.
    """
    mem32[pio + _CTRL + _CLEAR] = 1 << machine
    at = pio + machine * _STRIDE
    mem32[at + _CLKDIV] = divider << 16
    mem32[at + _EXECCTRL] = jump_pin << 24 | last << 12 | first << 7 | 1
    # Joining and parting the FIFOs empties them.
    mem32[at + _SHIFTCTRL] = _OUT_RIGHT | 1 << 31
    mem32[at + _SHIFTCTRL] = _OUT_RIGHT
    mem32[at + _PINCTRL] = (0 if out else 1) << 26 | out << 20 | pin << 15 | pin << 5 | pin
    mem32[pio + _CTRL + _SET] = 1 << (4 + machine)  # restart: forget ISR, OSR and stalls
    execute(pio, machine, first)  # a jump there


def execute(pio, machine, instruction):
    """Run one instruction at once, also in a state machine that waits or is stopped."""
    mem32[pio + machine * _STRIDE + _INSTR] = instruction


def put(pio, machine, word):
    """A word for the transmit FIFO."""
    mem32[pio + _TXF + 4 * machine] = word


def start(pio, machines):
    """Let the state machines run whose bits are set, together."""
    mem32[pio + _CTRL + _SET] = machines


def stop(pio):
    """Halt all four state machines; pins stay as they are."""
    mem32[pio + _CTRL + _CLEAR] = 15
    mem32[pio + _IRQ] = 255
