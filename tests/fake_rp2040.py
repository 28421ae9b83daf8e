"""Stands in for the modules that only MicroPython's rp2 port has, over a memory that records writes.

`modules(memory)` is what goes into sys.modules.  Registers are words by address; the SET and CLEAR
aliases work, the converter is always ready, a FIFO is always empty.  `addressof` gives each array a
place of its own, and reading there reads the array.
"""

import types
from typing import Any, ClassVar

ADC_CS = 0x4004C000
SPI_DR = (0x4003C008, 0x40040008)
PIO_IRQ = (0x50200030, 0x50300030)  # a bit written clears that flag
SRAM = 0x20000000


class Memory:
    """Words by address; `writes` holds (address, value) in order."""

    def __init__(self):
        self.words = {}
        self.arrays = []  # (address, array)
        self.writes = []
        self._end = SRAM

    def addressof(self, buffer):
        for address, known in self.arrays:
            if known is buffer:
                return address
        address, self._end = self._end, self._end + 4 * len(buffer) + 60 & ~15
        self.arrays.append((address, buffer))
        return address

    def __getitem__(self, address):
        assert address % 4 == 0
        for start, known in self.arrays:
            if start <= address < start + 4 * len(known):
                return known[(address - start) // 4] & 0xFFFFFFFF
        value = self.words.get(address, 0)
        return value | 0x100 if address == ADC_CS else value

    def __setitem__(self, address, value):
        assert address % 4 == 0 and 0 <= value < 1 << 32, (hex(address), value)
        self.writes.append((address, value))
        for start, known in self.arrays:
            if start <= address < start + 4 * len(known):
                known[(address - start) // 4] = value
                return
        alias = address & 0x3000 if address >> 28 in (4, 5) else 0
        base = address & ~0x3000
        if address in PIO_IRQ:
            value = self[address] & ~value
        if alias == 0x2000:
            self.words[base] = self[base] | value
        elif alias == 0x3000:
            self.words[base] = self[base] & ~value
        else:
            self.words[address] = value

    def ptr32(self, address):
        """What viper's pointer is: indexed by words."""
        return Pointer(self, address & 0xFFFFFFFF)


class Pointer:
    """A pointer to words."""

    def __init__(self, memory, address):
        self.memory, self.address = memory, address

    def __getitem__(self, index):
        value = self.memory[self.address + 4 * index]
        return value - (1 << 32) if value >> 31 else value

    def __setitem__(self, index, value):
        self.memory[self.address + 4 * index] = value & 0xFFFFFFFF


class Dma:
    """rp2.DMA: a channel of MicroPython's."""

    open: ClassVar[list[int]] = []

    def __init__(self):
        self.channel = next(n for n in range(12) if n not in Dma.open)
        Dma.open.append(self.channel)
        self.handler = None

    def irq(self, handler=None, hard=False):
        self.handler = handler

    def close(self):
        Dma.open.remove(self.channel)


class Wdt:
    """machine.WDT: counts how often it is fed."""

    made: ClassVar[list[Any]] = []

    def __init__(self, timeout):
        self.timeout, self.fed = timeout, 0
        Wdt.made.append(self)

    def feed(self):
        self.fed += 1


def modules(memory):
    """{name: module} for sys.modules; `machine.asked` holds the clocks that were set."""
    Dma.open, Wdt.made = [], []
    machine: Any = types.ModuleType("machine")
    machine.asked = []
    machine.mem32 = memory
    machine.WDT = Wdt
    machine.freq = lambda *values: machine.asked.append(values) if values else 125_000_000
    micropython: Any = types.ModuleType("micropython")
    micropython.const = lambda value: value
    micropython.viper = micropython.native = lambda function: function
    rp2: Any = types.ModuleType("rp2")
    rp2.DMA = Dma
    uctypes: Any = types.ModuleType("uctypes")
    uctypes.addressof = memory.addressof
    return {"machine": machine, "micropython": micropython, "rp2": rp2, "uctypes": uctypes}


class StateMachine:
    """A PIO state machine (RP2040 datasheet 3.4), as far as this board's programs need one.

    `program` is {address: word}; `pins` is a function that gives the input levels as bits.
    """

    def __init__(self, program, first, last, pins, in_base=0, jump_pin=0, set_base=0, out_count=0):
        self.program, self.first, self.last = program, first, last
        self.pins, self.in_base, self.jump_pin = pins, in_base, jump_pin
        self.set_base, self.out_count = set_base, out_count
        self.pc, self.x, self.y, self.isr, self.osr = first, 0, 0, 0, 0
        self.delay = 0
        self.flags = set()
        self.sent = []  # words for it
        self.received = []  # words from it
        self.levels = {}  # pins that it drives

    def clock(self, times=1):
        """Run so many of its clocks; returns itself."""
        for _ in range(times):
            if self.delay:
                self.delay -= 1
                continue
            self.step(self.program[self.pc])
        return self

    def step(self, word, forced=False):
        """One instruction; `forced` ones come from outside and do not move on."""
        code, field, low = word >> 13, word >> 5 & 7, word & 31
        following = self.first if self.pc == self.last else self.pc + 1
        if code == 0:
            if self.condition(field):
                following = low
                forced = False
        elif code == 1:
            if field & 3 == 2:
                met = low in self.flags
                if met:
                    self.flags.discard(low)
            else:
                met = (self.pins() >> low & 1) == field >> 2
            if not met:
                return
        elif code == 2:
            self.isr = (self.isr << low | self.source(field) & (1 << low) - 1) & 0xFFFFFFFF
        elif code == 3:
            assert field == 0
            for n in range(self.out_count):
                self.levels[self.set_base + n] = self.osr >> n & 1
        elif code == 4 and word & 0x80:
            if not self.sent:
                return
            self.osr = self.sent.pop(0)
        elif code == 4:
            self.received.append(self.isr)
            self.isr = 0
        elif code == 5:
            value = self.source(word & 7)
            value = ~value & 0xFFFFFFFF if word >> 3 & 3 == 1 else value
            if field == 5:
                following = value & 31
            else:
                setattr(self, {1: "x", 2: "y", 6: "isr", 7: "osr"}[field], value)
        elif code == 6:
            self.flags.add(low)
        elif field == 0:
            self.levels[self.set_base] = low
        else:
            assert field in (1, 2)
            setattr(self, "xy"[field - 1], low)
        self.delay = word >> 8 & 31
        if not forced:
            self.pc = following

    def condition(self, field):
        if field == 2:
            was, self.x = self.x, (self.x - 1) & 0xFFFFFFFF
            return was != 0
        return {0: True, 1: self.x == 0, 3: self.y == 0, 6: self.pins() >> self.jump_pin & 1}[field]

    def source(self, field):
        if field == 0:
            return self.pins() >> self.in_base
        if field == 5:
            return 0 if self.sent else 0xFFFFFFFF
        return {1: self.x, 2: self.y, 3: 0, 6: self.isr, 7: self.osr}[field]


def assemble(text):
    """The word of a line of PIO assembler, as written beside the programs."""
    words = text.replace(",", "").split()
    name, rest = words[0], words[1:]
    delay = int(rest.pop().strip("[]")) if rest and rest[-1].startswith("[") else 0
    sources = {"pins": 0, "x": 1, "y": 2, "null": 3, "status": 5, "isr": 6, "osr": 7}
    if name == "jmp":
        conditions = {"!x": 1, "x--": 2, "!y": 3, "y--": 4, "pin": 6}
        return conditions.get(rest[0], 0) << 5 | int(rest[-1])
    if name == "wait":
        kind = {"gpio": 0, "pin": 1, "irq": 2}[rest[1]]
        return 0x2000 | int(rest[0]) << 7 | kind << 5 | int(rest[2])
    if name == "in":
        return 0x4000 | sources[rest[0]] << 5 | int(rest[1])
    if name == "out":
        return 0x6000 | sources[rest[0]] << 5 | int(rest[1])
    if name == "push":
        return 0x8000 | (rest == ["block"]) << 5
    if name == "pull":
        return 0x8080 | (rest == ["block"]) << 5
    if name == "nop":
        return 0xA042 | delay << 8
    if name == "mov":
        targets = {"x": 1, "y": 2, "pc": 5, "isr": 6, "osr": 7}
        inverted = rest[1].startswith("!")
        return 0xA000 | targets[rest[0]] << 5 | inverted << 3 | sources[rest[1].lstrip("!")]
    if name == "irq":
        return 0xC000 | int(rest[0])
    assert name == "set"
    return 0xE000 | {"pins": 0, "x": 1, "y": 2}[rest[0]] << 5 | int(rest[1])
