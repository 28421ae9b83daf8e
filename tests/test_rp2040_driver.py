"""The RP2040 driver against a memory that records: chain of transfers, PIO programs, arming, stopping."""

import importlib
import inspect
import re
import sys
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools import units
from tests.fake_rp2040 import Dma, Memory, StateMachine, Wdt, assemble, modules

MODULES = ("pins", "pio", "interrupt", "dma", "spi", "pwm", "angle", "sampling", "safety")
SIGNALS = (
    "period",
    "i_a_raw",
    "i_b_raw",
    "i_f_raw",
    "u_dc_raw",
    "encoder_raw",
    "board_faults",
    "missed_periods",
    "period_check",
    "faults",
    "gate_enable",
    "drive_state",
)
ENABLE = 0x400500A0
PIO1_IRQ = 0x50300030
PIO1_INSTR = 0x503000D8
INPUTS = 0xD0000004
FUNCTION = 0x10002000  # where the routine's object lies, its code 0x1000 before it
HELD_LOW = 0x204
LIVE = 4


class Chip:
    """The driver's modules over a fake chip."""

    pins: Any
    interrupt: Any
    pio: Any
    dma: Any
    spi: Any
    pwm: Any
    angle: Any
    sampling: Any
    safety: Any
    driver: Any

    def __init__(self, monkeypatch):
        self.memory = Memory()
        self.modules: dict[str, Any] = modules(self.memory)
        for name, module in self.modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        for name in ("rp2040", *("rp2040_" + name for name in MODULES)):
            monkeypatch.delitem(sys.modules, "drivers." + name, raising=False)
        for name in MODULES:
            setattr(self, name, importlib.import_module("drivers.rp2040_" + name))
        self.safety.ptr32 = self.memory.ptr32
        self.interrupt.id = lambda function: FUNCTION
        self.memory.words[FUNCTION + 12] = FUNCTION - 0x1000
        self.driver = importlib.import_module("drivers.rp2040")
        self.block = array("i", [0] * len(SIGNALS))

    def place(self, name):
        return self.memory.addressof(self.block) + 4 * SIGNALS.index(name)

    def name_of(self, address):
        """Signal or register behind an address."""
        start = self.memory.addressof(self.block)
        if start <= address < start + 4 * len(self.block):
            return SIGNALS[(address - start) // 4]
        known = {
            0x4004C000: "ADC_CS",
            0x4004C00C: "ADC_FIFO",
            0x50300018: "SELECT",
            0x4003C008: "SPI0",
            0x40040008: "SPI1",
            PIO1_IRQ: "TRIPS",
            0x50000040: "READER",
        }
        return known.get(address, "memory")


@pytest.fixture
def chip(monkeypatch):
    yield Chip(monkeypatch)
    for name in ("rp2040", *("rp2040_" + name for name in MODULES)):
        sys.modules.pop("drivers." + name, None)


def board_of(name="rpi_pico", unit="a", **changes):
    return {**units.load(unit, board=name).as_board(), **changes}


def transfers(chip, about, angle):
    """What the chain does, as (value or source, target, request, interrupts), once round."""
    sampling = chip.sampling.Sampling(about, chip.place, angle.transfers, PIO1_IRQ)
    return read_chain(chip), sampling


def read_chain(chip):
    memory = chip.memory
    begin = at = memory[0x50000040]
    found = []
    while True:
        source, target, count, ctrl = (memory[at + 4 * n] for n in range(4))
        assert count == 1
        assert ctrl & 1 and ctrl >> 2 & 3 == 2, "enabled, words"
        assert ctrl >> 11 & 15 == 1, "the reader goes on"
        name = chip.name_of(source)
        value = memory[source] if name == "memory" else name
        found.append((value, chip.name_of(target), ctrl >> 15 & 63, not ctrl >> 21 & 1))
        at += 16
        if found[-1][1] == "READER":
            assert value == begin
            return found[:-1]


def incremental(chip, about):
    return chip.angle.Incremental(about, chip.place("encoder_raw"), 125_000_000, 1e6)


def test_a_period_samples_in_the_boards_order_around_the_carriers_zero(chip) -> None:
    about = board_of()
    found, _ = transfers(chip, about, incremental(chip, about))
    length = len(found) // 4
    cs = [channel << 12 | 5 for channel in range(3)]
    assert found[:length] == [
        (cs[2], "ADC_CS", 31, False),
        (0, "SELECT", 63, False),
        (cs[2], "ADC_CS", 36, False),
        (2, "SELECT", 63, False),
        ("ADC_FIFO", "u_dc_raw", 63, False),
        (cs[0], "ADC_CS", 36, False),
        ("ADC_FIFO", "i_f_raw", 63, False),
        (0, "encoder_raw", 24, False),
        (cs[1], "ADC_CS", 36, False),
        ("ADC_FIFO", "i_a_raw", 63, False),
        ("TRIPS", "board_faults", 63, False),
        ("ADC_FIFO", "i_b_raw", 36, True),
    ]


def test_slow_quantities_take_turns_and_the_multiplexer_is_ahead_of_them(chip) -> None:
    about = board_of()
    found, sampling = transfers(chip, about, incremental(chip, about))
    length = len(found) // 4
    chip.memory.words[0x4004C00C] = 0
    for turn, name in enumerate(about["slow"]):
        part = found[turn * length : (turn + 1) * length]
        following = about["slow"][(turn + 1) % 4]
        assert [row[0] for row in part if row[1] == "SELECT"] == [0, about["select_" + following]]
        assert part[4][1] == ("u_dc_raw" if name == "u_dc" else "memory")
        assert [row[3] for row in part] == [False] * (length - 1) + [True]
    sampling.start()
    assert chip.memory.words[0x50300018] == about["select_u_dc"]


def test_a_converter_on_spi_is_asked_one_frame_ahead(chip) -> None:
    about = board_of("rpi_pico_spi")
    found, _ = transfers(chip, about, incremental(chip, about))
    period = found[: len(found) // 4]
    words = {
        name[8:]: about[name] << about["converter_address_shift"] for name in about if name[:8] == "channel_"
    }
    sent = [row for row in period if row[1] == "SPI1"]
    assert [row[0] for row in sent] == [words["i_f"], words["i_a"], words["i_b"], words[about["slow"][1]]]
    assert [row[2] for row in sent] == [31, 19, 19, 19]
    results = [row[1] for row in period if row[0] == "SPI1"]
    assert results == ["u_dc_raw", "i_f_raw", "i_a_raw", "i_b_raw"]
    assert period[-1] == ("SPI1", "i_b_raw", 19, True)


def test_an_absolute_sensor_is_asked_at_the_carriers_zero_and_answers_before_the_interrupt(chip) -> None:
    about = {
        **board_of(),
        "encoder_kind": "absolute",
        "angle_spi": 0,
        "angle_clock": 7_812_500,
        "angle_mode": 1,
        "angle_frame_bits": 16,
        "angle_command": 0xFFFF,
        **{"pin_angle_" + name: 16 + n for n, name in enumerate(("rx", "cs", "sck", "tx"))},
    }
    found, _ = transfers(chip, about, chip.angle.Absolute(about, chip.place("encoder_raw")))
    period = found[: len(found) // 4]
    asked = period.index((0xFFFF, "SPI0", 24, False))
    fetched = period.index(("SPI0", "encoder_raw", 17, False))
    assert period[asked - 2][1] == "ADC_CS" and asked < fetched < len(period) - 1
    assert chip.memory[0x4003C010] * (1 + (chip.memory[0x4003C000] >> 8)) == 16
    assert chip.memory[0x4003C000] & 0xFF == 15 | 1 << 7  # 16 bits, mode 1


@given(clock=st.integers(48_000_000, 200_000_000), rate=st.integers(10_000, 20_000_000))
def test_spi_is_never_faster_than_asked_and_hardly_slower(clock, rate) -> None:
    from pytest import MonkeyPatch

    with MonkeyPatch.context() as patch:
        even, rest = Chip(patch).spi.divisors(clock, rate)
    assert even % 2 == 0 and 2 <= even <= 254 and 0 <= rest <= 255
    made = clock / (even * (1 + rest))
    assert made <= rate
    assert clock / made - 2 <= max(2, clock / rate * 1.02)


# --- PIO ------------------------------------------------------------------------------------------


def texts_beside(module, name):
    """Assembler lines that stand beside the words of a program."""
    source = inspect.getsource(module)
    body = source[source.index(name) :]
    return re.findall(r"^\s+0x[^#\n]*# (.+)$", body[: body.index("\n)") if "\n)" in body else None], re.M)


def test_programs_are_what_stands_beside_them(chip) -> None:
    for module, name, words in (
        (chip.angle, "QUADRATURE_PROGRAM = (", chip.angle.QUADRATURE_PROGRAM),
        (chip.sampling, "SELECT_PROGRAM = (", chip.sampling.SELECT_PROGRAM),
        (chip.safety, "BEAT_PROGRAM = (", chip.safety.BEAT_PROGRAM),
    ):
        lines = texts_beside(module, name)
        assert [assemble(line) for line in lines] == list(words), name
    source = inspect.getsource(chip.safety.fault_program)
    lines = [line.replace("of the fault pin", "15") for line in re.findall(r"# (.+)$", source, re.M)]
    assert tuple(assemble(line) for line in lines) == chip.safety.fault_program(15)


def quadrature(chip, pins):
    words = dict(enumerate(chip.angle.QUADRATURE_PROGRAM))
    machine = StateMachine(words, chip.angle.LOOP, chip.angle.LOOP + 9, pins, in_base=10)
    machine.step(0xA040, forced=True)  # mov y, pins
    return machine


STATES = (0b00, 0b01, 0b11, 0b10)  # B << 1 | A, as A leads


@given(moves=st.lists(st.sampled_from([-1, 0, 1]), max_size=120), start=st.integers(0, 3))
def test_the_encoder_counts_every_edge_at_its_highest_rate(moves, start) -> None:
    from pytest import MonkeyPatch

    with MonkeyPatch.context() as patch:
        chip = Chip(patch)
        place = start

        def pins():
            return STATES[place & 3] << 10 | 1 << 20

        machine = quadrature(chip, pins).clock(20)
        assert machine.received == []
        longest = chip.angle.LONGEST
        for move in moves:
            place += move
            machine.clock(longest)
        machine.clock(2 * longest)
    count = place - start
    expected = count & 0xFFFFFFFF
    assert (machine.received[-1] if machine.received else 0) == expected
    assert len(machine.received) == sum(map(abs, moves))


def test_an_edge_that_skips_a_state_counts_nothing_and_the_next_ones_go_on(chip) -> None:
    place = [0]
    machine = quadrature(chip, lambda: STATES[place[0] & 3] << 10).clock(20)
    for step in (2, 1, 1, -1):
        place[0] += step
        machine.clock(20)
    assert machine.received == [1, 2, 1]


def fault_machine(chip, level):
    words = dict(enumerate(chip.safety.fault_program(15)))
    return StateMachine(words, 0, 7, lambda: level[0] << 15, jump_pin=15, set_base=14)


def test_the_gate_goes_live_only_when_armed_and_ends_a_few_clocks_after_the_fault_pin(chip) -> None:
    level = [1]
    machine = fault_machine(chip, level).clock(50)
    assert machine.levels == {}
    machine.step(1)  # jmp 1: armed
    machine.clock(5)
    assert machine.levels == {14: 1}
    level[0] = 0
    machine.clock(2)
    assert machine.levels == {14: 0}
    machine.clock(2)
    assert machine.flags == {7} and len(machine.received) == 1
    level[0] = 1
    machine.clock(100)
    assert machine.levels == {14: 0}, "it stays off until it is armed again"
    level[0] = 0
    machine.step(1)
    for _ in range(20):
        machine.clock()
        assert machine.levels == {14: 0}, "a fault pin that is low already lets nothing go live"


def beat_machine(chip):
    first = chip.safety.BEAT_AT
    words = {first + n: word for n, word in enumerate(chip.safety.BEAT_PROGRAM)}
    return StateMachine(words, first, first + len(words) - 1, lambda: 0, set_base=14)


def test_signs_of_life_keep_it_quiet_and_two_periods_without_one_trip(chip) -> None:
    machine = beat_machine(chip)
    machine.clock(1000)
    assert machine.levels == {}, "before the first interrupt it waits"
    period = 3 * chip.safety.LOOKS_PER_PERIOD
    for k in range(200):
        machine.sent.append(chip.safety.LOOKS)
        # An interrupt may come as late as three quarters of a period.
        machine.clock(period + (36 if k % 2 else -36))
    assert machine.levels == {}
    machine.sent.append(chip.safety.LOOKS)
    clocks = 0
    while machine.levels == {}:
        machine.clock()
        clocks += 1
    assert 1.8 * period < clocks <= 2 * period
    machine.clock(4)
    assert machine.flags == {6} and len(machine.received) == 1
    machine.sent.append(30)
    machine.clock(1000)
    assert machine.pc == chip.safety.BEAT_AT + len(chip.safety.BEAT_PROGRAM) - 1, "it rests until it is armed"


def test_the_multiplexer_moves_when_the_present_sample_is_held(chip) -> None:
    words = {20 + n: word for n, word in enumerate(chip.sampling.SELECT_PROGRAM)}
    machine = StateMachine(words, 20, 23, lambda: 0, set_base=20, out_count=3)
    machine.sent.append(0b101)
    machine.clock(60)
    assert machine.levels == {}
    machine.clock(8)
    assert machine.levels == {20: 1, 21: 0, 22: 1}


# --- the driver -----------------------------------------------------------------------------------


class Port:
    def __init__(self):
        self.closed = False
        self.waits = 0

    def wait(self, milliseconds):
        self.waits += 1

    def close(self):
        self.closed = True


class Kernel:
    """What the driver needs of a kernel."""

    def __init__(self, block):
        self.block = block
        self.offset = {name: n for n, name in enumerate(SIGNALS)}
        self.settings = {"w_m_max": 400.0, "encoder_counts": 4096}

    def on_samples(self):
        """The interrupt."""


@pytest.fixture
def driver(chip, monkeypatch):
    """A driver that runs: each millisecond of sleep is 20 periods."""
    now = [0]

    def sleep(milliseconds):
        now[0] += milliseconds
        if chip.memory.words.get(ENABLE):
            chip.block[0] = (chip.block[0] + 20 * milliseconds) & 0x3FFFFFFF

    clock = chip.driver.time
    fake = type(clock)("time")
    fake.sleep_ms, fake.ticks_ms, fake.ticks_diff = sleep, lambda: now[0], lambda a, b: a - b
    monkeypatch.setattr(chip.driver, "time", fake)
    made = chip.driver.Rp2040Driver({"board": board_of()}, (), Port())
    made.fake_time = fake
    return made


def started(driver, chip):
    driver.start(Kernel(chip.block))
    return driver


def put(chip, **words):
    for name, value in words.items():
        chip.block[SIGNALS.index(name)] = value


def pins_held(chip):
    """Whether every pin of the bridges is held low, and none."""
    states = {chip.memory.words[0x40014004 + 8 * pin] for pin in range(8)}
    return states == {HELD_LOW}


def test_pins_are_held_low_before_anything_else_and_the_gate_before_it_is_driven(chip, driver) -> None:
    writes = chip.memory.writes
    routed = [address for address, value in writes if value == HELD_LOW]
    assert routed == [0x40014004 + 8 * pin for pin in range(8)]
    gate = writes.index((0x40014004 + 8 * 14, 7))
    assert (PIO1_INSTR, 0xE000) in writes[:gate]
    started(driver, chip)
    assert pins_held(chip)


def test_all_slices_start_with_one_write_after_the_chain_waits(chip, driver) -> None:
    started(driver, chip)
    writes = chip.memory.writes
    enable = writes.index((ENABLE, 0b10001111))
    assert writes.index((0x50000430, 1 << 1)) < enable, "the reader runs"
    assert [value for address, value in writes[:enable] if address == ENABLE] == [0]
    for number in range(4):
        base = 0x40050000 + 0x14 * number
        assert chip.memory.words[base] == 2 | 4
        assert chip.memory.words[base + 0x10] == 3124
        assert chip.memory.words[base + 0xC] == 0xFFFF
    assert chip.memory.words[0x40050000 + 0x14 * 7 + 0x10] == 6249
    assert chip.memory.words[0x40050000 + 0x14 * 7 + 8] == 657


def test_the_gates_go_live_when_the_drive_leaves_off_and_not_while_a_switch_is_on(chip, driver) -> None:
    started(driver, chip)
    driver.poll()
    assert pins_held(chip) and not Wdt.made
    put(chip, drive_state=1, gate_enable=2)
    driver.poll()
    assert pins_held(chip), "switches are on: the gates would go live in the middle of a period"
    put(chip, gate_enable=0)
    driver.poll()
    assert {chip.memory.words[0x40014004 + 8 * pin] for pin in range(8)} == {LIVE}
    assert chip.memory.writes[-1] == (PIO1_INSTR, 1)
    assert Wdt.made[0].timeout == 200
    put(chip, drive_state=10, gate_enable=2)
    driver.poll()
    assert not pins_held(chip), "the field is driven down"
    put(chip, gate_enable=0)
    driver.poll()
    assert pins_held(chip)


def test_the_watchdog_is_fed_only_while_periods_pass(chip, driver) -> None:
    started(driver, chip)
    put(chip, drive_state=1)
    driver.poll()
    fed = Wdt.made[0].fed
    for _ in range(5):
        driver.poll()
    assert Wdt.made[0].fed == fed
    chip.block[0] += 20
    driver.poll()
    assert Wdt.made[0].fed == fed + 1
    assert not pins_held(chip)
    driver.fake_time.sleep_ms(0)
    ticks = driver.fake_time.ticks_ms()
    driver.fake_time.ticks_ms = lambda: ticks + 21
    driver.poll()
    assert pins_held(chip), "the interrupt is silent"


def test_a_pause_ends_periods_and_watchdog_and_what_it_tripped_is_forgotten(chip, driver) -> None:
    driver.pause()
    driver.resume()  # before the start there is nothing that could rest
    started(driver, chip)
    put(chip, drive_state=1)
    driver.poll()
    assert not pins_held(chip)
    put(chip, drive_state=0, gate_enable=0)
    chip.memory.writes.clear()
    driver.pause()
    assert pins_held(chip)
    watchdog = chip.memory.writes.index((0x4005B000, 1 << 30))
    assert chip.memory.writes.index((ENABLE, 0)) > watchdog
    # No sign of life comes meanwhile, and much time passes.
    chip.memory.words[PIO1_IRQ] = 64
    ticks = driver.fake_time.ticks_ms()
    driver.fake_time.ticks_ms = lambda: ticks + 300
    chip.memory.writes.clear()
    driver.resume()
    assert chip.memory[PIO1_IRQ] == 0
    forgotten = chip.memory.writes.index((PIO1_IRQ, 0xC0))
    assert chip.memory.writes.index((ENABLE, 0b10001111)) > forgotten, "the chain would fetch the flag"
    driver.poll()
    assert not driver.silent and pins_held(chip)
    fed = Wdt.made[-1].fed
    chip.block[0] += 20
    driver.poll()
    assert Wdt.made[-1].fed == fed, "the watchdog rests until the next arming"
    put(chip, drive_state=1)
    driver.poll()
    assert len(Wdt.made) == 2 and not pins_held(chip)


def test_hardware_forgets_a_trip_when_the_kernel_has_latched_it_and_the_pin_is_good(chip, driver) -> None:
    started(driver, chip)
    put(chip, drive_state=7)
    driver.poll()
    chip.memory.words[PIO1_IRQ] = 128
    driver.poll()
    assert pins_held(chip)
    driver.poll()
    put(chip, drive_state=10, gate_enable=2, faults=128)
    driver.poll()
    assert chip.memory.words[PIO1_IRQ] == 128, "the pin still says fault"
    assert not driver._safety.arm()
    chip.memory.words[INPUTS] = 1 << 15
    driver.poll()
    assert chip.memory.words[PIO1_IRQ] == 0
    driver.poll()
    assert pins_held(chip), "not live in a fault, nor while a switch is on"


def test_the_interrupts_vector_is_set_and_given_back(chip, driver) -> None:
    chip.memory.words[0xE000ED08] = 0x20000000 - 0x1000
    vector = 0x20000000 - 0x1000 + 4 * 28
    chip.memory.words[vector] = 0x10000101
    kernel = Kernel(chip.block)
    driver.start(kernel)
    entry = chip.memory.words[vector]
    assert entry & 1
    words = [chip.memory[entry - 1 + 4 * n] for n in range(5)]
    assert words[3] == FUNCTION and words[4] == FUNCTION - 0x1000 + 1
    halves = [word >> shift & 0xFFFF for word in words[:3] for shift in (0, 16)]
    assert halves[1] == 0x2100 and halves[2] == 0x2200, "no arguments"
    for place, register, target in ((0, 0, 12), (3, 3, 16)):
        assert halves[place] & 0xFF00 == 0x4800 | register << 8
        assert (2 * place + 4 & ~3) + 4 * (halves[place] & 0xFF) == target
    assert halves[4] == 0x4718
    assert chip.memory.words[0xE000E40C] & 0xFF == 0
    driver.stop()
    assert chip.memory.words[vector] == 0x10000101
    assert chip.memory.words[0xE000E180] == 1 << 12


def test_ticks_follow_the_periods_and_a_long_absence_is_given_up(chip, driver) -> None:
    started(driver, chip)
    start = chip.block[0]
    ticks = 0
    for k in range(1, 401):
        chip.block[0] = (start + k) & 0x3FFFFFFF
        ticks += driver.poll()
    assert ticks == 20
    chip.block[0] += 20 * 5
    assert [driver.poll() for _ in range(6)] == [True] * 5 + [False], "a short one is made up for"
    chip.block[0] += 20 * 1000
    assert [driver.poll(), driver.poll()] == [True, False]
    assert driver.skipped == 999


def test_a_chain_that_stands_still_is_an_error_and_leaves_everything_off(chip, driver) -> None:
    driver.fake_time.sleep_ms = lambda milliseconds: None
    with pytest.raises(chip.driver.DriverError, match="no interrupt"):
        started(driver, chip)
    assert pins_held(chip) and chip.memory.words[ENABLE] == 0
    assert Dma.open == [] and driver.port.closed and not driver.alive()


def test_stop_switches_off_first_and_may_be_called_twice(chip, driver) -> None:
    started(driver, chip)
    put(chip, drive_state=7)
    driver.poll()
    assert not pins_held(chip)
    chip.memory.writes.clear()
    driver.stop()
    order = [address for address, _ in chip.memory.writes]
    assert order[:2] == [PIO1_INSTR, PIO1_INSTR]
    assert chip.memory.writes[:2] == [(PIO1_INSTR, 0xE000), (PIO1_INSTR, 0)]
    assert order[2:10] == [0x40014004 + 8 * pin for pin in range(8)]
    assert order.index(ENABLE) > 9
    assert (0x50000444, 0x3FF) in chip.memory.writes
    assert (0x4005B000, 1 << 30) in chip.memory.writes, "the watchdog rests"
    assert Dma.open == [] and driver.port.closed
    driver.stop()
    assert pins_held(chip)


def test_a_channel_in_use_is_named(chip, driver) -> None:
    Dma()
    with pytest.raises(chip.dma.Taken, match="DMA channel 0 is in use"):
        started(driver, chip)
    assert Dma.open == [0]


def test_temperatures_come_from_the_divider(chip, driver) -> None:
    started(driver, chip)
    celsius = chip.driver.celsius
    assert celsius(board_of(), 2048) == pytest.approx(25, abs=0.01)
    assert celsius(board_of(), 600) == pytest.approx(70.75, abs=0.05)
    assert celsius(board_of(), 4090) != celsius(board_of(), 4090), "nan: broken wire"
    driver._sampling.slow[0] = 2048
    assert driver.readings()["temperature_stator"] == pytest.approx(25, abs=0.01)


def test_a_faster_clock_is_set_before_anything_depends_on_it(chip, driver) -> None:
    driver._board["clock"] = 200_000_000
    started(driver, chip)
    assert chip.modules["machine"].asked == [(200_000_000, 200_000_000)]


def test_a_native_interrupt_is_the_vector_itself(chip, driver) -> None:
    chip.memory.words[0xE000ED08] = 0x20000000 - 0x1000
    vector = 0x20000000 - 0x1000 + 4 * 28
    kernel: Any = Kernel(chip.block)
    kernel.on_samples = 0x20012345
    driver.start(kernel)
    assert chip.memory.words[vector] == 0x20012345
    driver.stop()
    assert chip.memory.words[vector] == 0
