"""The driver on the virtual Pico, with a law of three lines: pins, sampling instants, every way to end.

What is asked of the pins is what an oscilloscope beside the chip would show: dead times, overlaps, how
long the gate-enable pin takes to fall.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.rp2040_handler import handler_of
from host_tools import units
from host_tools.virtual_pico.pico import VirtualPico

FIRMWARE = Path(__file__).parents[2] / "firmware"
DEAD = 63
PERIOD = 6250  # cycles
pytestmark = pytest.mark.timeout(300)

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
    "compare_a",
    "compare_b",
    "compare_c",
    "compare_f",
    "drive_state",
    "moves",
)

# In place of the control law: latch what the hardware found, and let the compare counts wander if asked.
LAW = """
{period} = ({period} + 1) & 0x3fffffff
{faults} = {faults} | {board_faults}
if {faults}:
    {gate_enable} = 0
if {moves}:
    r_m = {moves}
    {moves} = (r_m * 75 + 74) & 0xffff | 1
    {compare_a} = r_m % 3126
    {compare_b} = 3125 if r_m & 2048 else 0
    {compare_c} = r_m >> 5
    {compare_f} = (r_m % 6251) - 3125
    {gate_enable} = 3 if r_m & 12 else r_m & 3
"""

MAIN = """
import json, machine, micropython, sys, time
from array import array
micropython.alloc_emergency_exception_buf(100)
from drivers.rp2040 import Rp2040Driver
import linked
with open("plan.json") as file:
    plan = json.load(file)
class Port:
    def wait(self, milliseconds):
        time.sleep_ms(milliseconds)
    def close(self):
        pass
class Kernel:
    block = array("i", [0] * 64)
    offset = plan["offset"]
    settings = {"w_m_max": 400.0, "encoder_counts": 4096}
    on_samples = linked.on_samples
driver = Rp2040Driver(plan["unit"], (), Port())
block = Kernel.block
def put(**words):
    for name in words:
        block[Kernel.offset[name]] = words[name]
def run(milliseconds):
    end = time.ticks_add(time.ticks_ms(), milliseconds)
    while time.ticks_diff(end, time.ticks_ms()) > 0:
        driver.poll(True)
def arm():
    driver.start(Kernel)
    put(drive_state=7, compare_a=1000, compare_b=2000, compare_c=1500, compare_f=500)
    run(2)
    put(gate_enable=3)
    run(2)
    print("armed")
def tell():
    print(json.dumps({name: block[Kernel.offset[name]] for name in Kernel.offset}))
try:
    BODY
finally:
    driver.stop()
    print("stopped")
"""


def write_files(folder: Path, board: dict[str, Any]) -> None:
    """What a board's file system holds for these tests."""
    offset = {name: n for n, name in enumerate(SIGNALS)}
    lines = handler_of(board)
    text = [*lines["head"], *LAW.strip().split("\n"), *lines["after_fast"], *lines["after_outer"]]
    indented = ("    " + re.sub(r"\{(\w+)\}", lambda match: f"p[{offset[match[1]]}]", line) for line in text)
    linked = ["import micropython", "@micropython.viper", "def on_samples():", *indented]
    folder.mkdir()
    (folder / "linked.py").write_text("\n".join(linked) + "\n")
    (folder / "plan.json").write_text(json.dumps({"offset": offset, "unit": {"board": board}}))
    for package in ("drivers", "eesm"):
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
    for source in FIRMWARE.glob("drivers/rp2040*.py"):
        if source.stem != "rp2040_handler":
            shutil.copy(source, folder / "drivers")
    shutil.copy(FIRMWARE / "eesm" / "cyclic.py", folder / "eesm")
    (folder / "eesm" / "drive.py").write_text("TICK_PERIODS = 20\n")


def mpremote(pico: VirtualPico, *words: str) -> list[str]:
    return [sys.executable, "-m", "mpremote", "connect", pico.port, *words]


class Board:
    """A virtual Pico that runs `body` with the driver around it."""

    def __init__(self, pico: VirtualPico, folder: Path) -> None:
        self.pico, self.folder = pico, folder
        self.process: subprocess.Popen[str] | None = None

    def begin(self, *body: str) -> None:
        """Start a program; `said` waits for its lines."""
        path = self.folder / "main_of_test.py"
        path.write_text(MAIN.replace("BODY", "\n    ".join(body)))
        self.process = subprocess.Popen(
            mpremote(self.pico, "run", str(path)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def said(self, beginning: str) -> str:
        """The next line that begins so."""
        assert self.process is not None and self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith(beginning):
                return line.strip()
        pytest.fail(f"nothing began with {beginning!r}:\n" + "".join(lines) + self.pico.said())

    def words(self) -> dict[str, int]:
        return json.loads(self.said("{"))

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()

    def pins(self) -> dict[str, Any]:
        return self.pico.control("pins")

    def assert_off(self) -> dict[str, Any]:
        """Every switch off, and no two of a leg have ever been on together."""
        pins = self.pins()
        assert pins["all_off"] and not pins["gate"], pins
        for name, bridge in pins["bridges"].items():
            assert bridge["overlaps"] == 0, (name, bridge)
            assert bridge["dead_cycles_min"] is None or bridge["dead_cycles_min"] >= DEAD, (name, bridge)
        return pins

    def wait_for(self, met: Callable[[], bool], seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < end, self.pico.said()
            time.sleep(0.05)


@pytest.fixture(scope="module")
def flashes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """The flash of a board with the driver on it, made once for each (unit, board)."""
    made: dict[tuple[str, str], Path] = {}

    def flash_of(unit: str, board: str) -> Path:
        if (unit, board) not in made:
            folder = tmp_path_factory.mktemp(board)
            write_files(folder / "fs", units.load(unit, board=board).as_board())
            image = folder / "flash.bin"
            with VirtualPico("", flash=image, registry=folder) as pico:
                items = [str(item) for item in sorted((folder / "fs").iterdir())]
                subprocess.run(mpremote(pico, "cp", "-r", *items, ":"), check=True, timeout=120)
            made[unit, board] = image
        return made[unit, board]

    return flash_of


@pytest.fixture
def make(flashes: Callable[[str, str], Path], tmp_path: Path) -> Iterator[Callable[..., Board]]:
    made: list[Board] = []

    def make_board(board: str = "rpi_pico", unit: str = "a") -> Board:
        flash = tmp_path / "flash.bin"
        shutil.copy(flashes(unit, board), flash)
        pico = VirtualPico(unit, board=board, flash=flash, registry=tmp_path)
        made.append(Board(pico.start(), tmp_path))
        return made[-1]

    yield make_board
    for board in made:
        board.end()
        board.pico.stop()


@pytest.fixture
def board(make: Callable[..., Board]) -> Board:
    return make()


def test_currents_are_sampled_around_the_carriers_zero_and_no_period_is_missed(board: Board) -> None:
    board.begin("arm()", "run(100)", "tell()")
    words = board.words()
    assert words["missed_periods"] == 0 and words["faults"] == 0
    assert words["period"] > 1500
    board.said("stopped")
    times = board.assert_off()["sampling_cycles"]
    assert times["i_f"]["count"] >= words["period"]
    # Half a conversion to either side, the centre within 0.1 us.
    assert -140 < times["i_a"]["last"] < -120 < 0 < 120 < times["i_b"]["last"] < 140
    assert abs(times["i_a"]["last"] + times["i_b"]["last"]) < 12
    # clk_adc is not clk_sys: a conversion begins on a clock of its own.
    assert times["i_a"]["max"] - times["i_a"]["min"] <= 3
    assert times["i_b"]["max"] - times["i_b"]["min"] <= 3
    # u_dc every second period, the temperatures in turn.
    assert times["u_dc"]["count"] == pytest.approx(times["i_a"]["count"] / 2, abs=2)
    assert times["temperature_stator"]["count"] == pytest.approx(times["i_a"]["count"] / 4, abs=2)


def test_a_converter_on_spi_samples_every_quantity_in_time(make: Callable[..., Board]) -> None:
    board = make("rpi_pico_spi")
    board.begin("driver.start(Kernel)", "run(100)", "tell()")
    words = board.words()
    assert words["missed_periods"] == 0 and words["faults"] == 0
    assert all(2000 < words[name] < 2100 for name in ("i_a_raw", "i_b_raw", "i_f_raw"))
    assert 2300 < words["u_dc_raw"] < 2600
    board.said("stopped")
    times = board.assert_off()["sampling_cycles"]
    assert -160 < times["i_a"]["last"] < -60 < 0 < times["i_b"]["last"] < 160


def test_no_leg_ever_overlaps_while_levels_and_gates_jump_about(board: Board) -> None:
    board.begin("arm()", "put(moves=1)", "run(400)", "put(moves=0)", "tell()")
    assert board.words()["missed_periods"] == 0
    board.said("stopped")
    pins = board.assert_off()
    assert all(bridge["dead_cycles_min"] == DEAD for bridge in pins["bridges"].values())


def test_the_fault_pin_opens_the_bridges_within_a_fraction_of_a_microsecond(board: Board) -> None:
    board.begin("arm()", "tell()", "run(300)", "tell()")
    begun = board.words()
    now = board.pico.control("bench")["period"]
    board.pico.control("inject", name="fault_pin", on=True, period=now + 1500, cycle=3000)
    words = board.words()
    assert begun["faults"] == 0 and words["faults"] == 128 and words["missed_periods"] == 0
    pins = board.assert_off()
    assert [row["cause"] for row in pins["shutdowns"]] == ["fault_pin"]
    assert pins["shutdowns"][0]["cycles"] <= 10
    board.said("stopped")


def test_a_missing_trigger_opens_the_bridges_in_two_periods_and_ends_in_the_watchdogs_reset(
    board: Board,
) -> None:
    board.begin("arm()", "tell()", "run(100000)")
    board.words()
    now = board.pico.control("bench")["period"]
    board.pico.control("inject", name="missing_trigger", on=True, period=now + 2000, cycle=3000)
    board.wait_for(lambda: board.pico.control("counters")["resets"] == 1)
    pins = board.assert_off()
    # Two periods after the last sign of life, which is 600 cycles after the zero before the fault.
    assert [row["cause"] for row in pins["shutdowns"]] == ["missing_trigger"]
    assert pins["shutdowns"][0]["cycles"] <= 2 * PERIOD


def test_a_dead_interrupt_opens_the_bridges_while_the_main_loop_knows_nothing(board: Board) -> None:
    board.begin(
        "arm()",
        "machine.mem32[0xe000e180] = 1 << 12",
        "time.sleep_us(90)",
        "print('early', machine.mem32[0xd0000004] >> 14 & 1)",
        "time.sleep_us(60)",
        "print('late', machine.mem32[0xd0000004] >> 14 & 1, machine.mem32[0x40014004] & 0x300)",
    )
    assert board.said("late") == "late 0 512"
    board.said("stopped")
    board.assert_off()


def test_an_interrupt_that_overruns_is_counted_and_opens_the_bridges(board: Board) -> None:
    board.begin(
        "arm()",
        "state = machine.disable_irq()",
        "time.sleep_us(75)",
        "machine.enable_irq(state)",
        "run(5)",
        "tell()",
        "print(driver.late)",
    )
    words = board.words()
    assert words["missed_periods"] >= 1 and words["faults"] == 64
    board.said("stopped")
    board.assert_off()


ENDINGS = {
    "an exception": "raise ValueError('of the main loop')",
    "a soft reset": "machine.soft_reset()",
    "no memory": "bytearray(10000000)",
    "the end": "pass",
}


@pytest.mark.parametrize("how", ENDINGS)
def test_every_way_out_of_the_main_loop_switches_off(board: Board, how: str) -> None:
    board.begin("arm()", "run(20)", ENDINGS[how])
    board.said("armed")
    board.said("stopped")
    board.assert_off()
    # The watchdog has not been left running.
    time.sleep(0.5)
    assert board.pico.control("counters")["resets"] == 0
    board.assert_off()


def test_control_c_switches_off(board: Board) -> None:
    board.begin("arm()", "run(100000)")
    board.said("armed")
    with open(board.pico.port, "wb", buffering=0) as port:
        port.write(b"\x03")
    board.said("stopped")
    board.assert_off()


def test_a_main_loop_that_hangs_ends_in_the_watchdogs_reset(board: Board) -> None:
    board.begin("arm()", "while True: pass")
    board.said("armed")
    board.wait_for(lambda: board.pico.control("counters")["resets"] == 1)
    board.assert_off()


def test_a_hard_reset_in_the_middle_of_a_period_leaves_the_pins_low(board: Board) -> None:
    board.begin("arm()", "run(20)", "machine.reset()")
    board.said("armed")
    board.wait_for(lambda: board.pico.control("counters")["resets"] == 1)
    board.assert_off()


def test_memory_is_collected_and_printed_to_without_a_period_missed(board: Board) -> None:
    board.begin(
        "arm()",
        "import gc",
        "for k in range(60):",
        "    x = [bytearray(100) for _ in range(50)]",
        "    gc.collect(); driver.poll(); print('x' * 60)",
        "tell()",
    )
    words = board.words()
    assert words["missed_periods"] == 0 and words["faults"] == 0
    board.said("stopped")


def test_the_encoder_follows_the_shaft(board: Board) -> None:
    board.begin(
        "arm()",
        "put(gate_enable=0)",
        "driver.poll()",
        "tell()",
        "run(300)",
        "tell()",
    )
    first = board.words()
    board.pico.control("set_load", torque=-0.3)
    second = board.words()
    assert first["missed_periods"] == second["missed_periods"] == 0
    turned = (second["encoder_raw"] - first["encoder_raw"] + 0x8000 & 0xFFFF) - 0x8000
    assert turned != 0
    board.said("stopped")
