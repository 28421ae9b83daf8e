"""The three forms of a kernel on the virtual Pico: the same inputs give the same words in every period.

The interrupt is raised by hand, so each form runs as it does in a drive: by the vector that the driver
sets, with the block's address in the interpolator, to the compare registers' writes at its end.  What
the chip computes is compared with the stages as they are written, on CPython.
"""

from __future__ import annotations

import subprocess
import sys
from binascii import crc32
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from host_tools import build
from host_tools.devices import Device
from host_tools.flash import flash_folder
from host_tools.linker import Program, board_compiler
from host_tools.linker.cycles import compile_viper
from host_tools.linker.schedule import Schedule
from host_tools.linker.trace import run_engine
from host_tools.recording import Recording
from host_tools.simulate import Simulation
from host_tools.units import load
from host_tools.virtual_pico.pico import VirtualPico

STEPS = 1200
FORMS = ("viper", "mpy", "native")
OWN = ("period_check", "missed_periods")  # the driver's lines write these; no stage does
FILES = (
    "tables.bin",
    "linked.py",
    "linked_compiled.mpy",
    "linked_native.mpy",
    "eesm/__init__.mpy",
    "eesm/routines.mpy",
    "drivers/__init__.mpy",
    "drivers/rp2040_interrupt.mpy",
)
pytestmark = pytest.mark.timeout(300)

RUN = """
import gc
from array import array
from binascii import crc32
from machine import mem32
from uctypes import addressof
from eesm.routines import load_routines

@micropython.viper
def scatter(block: ptr32, words: ptr32, row: ptr32, count: int):
    n = 0
    while n < count:
        block[words[n + 0] + 0] = row[n + 0]
        n += 1

def read_words(file, count):
    words = array("i", bytes(4 * count))
    file.readinto(words)
    return words

routines = load_routines(kernel=%r)
from drivers.rp2040_interrupt import Interrupt
block = routines.block
print(routines.source, routines.failure)
file = open("inputs.bin", "rb")
steps, columns, cuts = read_words(file, 3)
cuts = read_words(file, cuts)
words = read_words(file, columns)
file.readinto(block)
expected = read_words(file, steps)
row = array("i", bytes(4 * columns))
wrong = []
bytes_of = memoryview(block)
pieces = [bytes_of[cuts[n] : cuts[n + 1] - 1] for n in range(len(cuts) - 1)]
mem32[0xD0000080] = addressof(block)
interrupt = Interrupt(routines.on_samples, 1)
for step in range(steps):
    file.readinto(row)
    scatter(block, words, row, columns)
    mem32[0xE000E200] = 1 << 12
    crc = 0
    for piece in pieces:
        crc = crc32(piece, crc)
    if crc - (crc >> 31 << 32) != expected[step]:
        wrong.append(step)
print(len(wrong), wrong[:1], crc32(bytes_of))
interrupt.remove()
"""


COMPARE = """
from machine import mem32
from uctypes import bytearray_at
from eesm.routines import load_routines
routines = load_routines(kernel="viper")
with open("code.bin", "rb") as file:
    code = file.read()
there = bytearray_at(mem32[id(routines.on_samples) + 12], len(code))
different = [n for n in range(len(code)) if there[n] != code[n]]
print(len(code), len(different), different[:8])
"""


@pytest.fixture(scope="module")
def recorded() -> tuple[build.Linked, Schedule]:
    """A drive in closed loop that speeds up, turns round under a limit of torque, and is stopped."""
    simulation = Simulation(load("a", board="rpi_pico"))
    simulation.arm()
    simulation.recording = Recording(simulation.loop)
    simulation.set_speed(200.0)
    simulation.advance(STEPS // 2)
    simulation.set_speed(-150.0)
    simulation.advance(STEPS // 4)
    simulation.drive.stop()
    simulation.advance(STEPS // 4)
    return simulation.loop.linked, simulation.recording.schedule()


def cuts_of(program: Program) -> list[int]:
    """Where the stages' words begin and, one further, end: the block's words but for OWN and the arrays."""
    offsets = sorted(program.layout.offset[name] for name in OWN)
    return [0, *(offset + 1 for offset in offsets), program.layout.scalar_end + 1]


def sums_of(program: Program, schedule: Schedule) -> list[int]:
    """Checksum of the words after each period, by the stages on CPython."""
    rows = run_engine(program, schedule, "plain").scalars
    assert np.mean(rows[:, program.layout.offset["gate_enable"]] & 1) > 0.2, (
        "the drive was off for most of it"
    )
    cuts = cuts_of(program)
    sums: list[int] = []
    for row in rows:
        crc = 0
        for first, last in pairwise(cuts):
            crc = crc32(row[first : last - 1].astype("<i4").tobytes(), crc)
        sums.append(crc)
    return sums


@pytest.fixture(scope="module")
def image(recorded: tuple[build.Linked, Schedule], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flash with every form of the kernel and the inputs."""
    linked, schedule = recorded
    folder = tmp_path_factory.mktemp("kernels")
    unit = load("a", board="rpi_pico")
    build.build(unit, folder / "board")
    build.build(unit, folder / "native", "native")
    (folder / "native" / "linked_native.mpy").rename(folder / "board" / "linked_native.mpy")
    cuts = cuts_of(linked.program)
    head = np.array([schedule.steps, len(schedule.words), len(cuts)])
    sums = np.array(sums_of(linked.program, schedule), dtype=np.uint32)
    parts = (head, np.array(cuts), schedule.words, schedule.initial, sums, schedule.values)
    (folder / "inputs.bin").write_bytes(b"".join(part.astype("<i4").tobytes() for part in parts))
    flash = folder / "flash.bin"
    with VirtualPico("", flash=flash, pace="free", registry=folder) as pico:
        commands = ["mkdir", ":eesm", "+", "mkdir", ":drivers", "+", "cp", str(folder / "inputs.bin"), ":"]
        for name in FILES:
            commands += ["+", "cp", str(folder / "board" / name), f":{name}"]
        run(pico, *commands)
    return flash


def run(pico: VirtualPico, *words: str) -> str:
    """What mpremote says to a command."""
    command = [sys.executable, "-m", "mpremote", "connect", pico.port, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_form_computes_what_the_stages_say_in_every_period(image: Path, tmp_path: Path) -> None:
    ends = {}
    with VirtualPico("", flash=image, pace="free", registry=tmp_path) as pico:
        for form in FORMS:
            script = tmp_path / f"{form}.py"
            script.write_text(RUN % form)
            # Few words come back: which periods differ, and a checksum of the whole block at the end.
            first, said = run(pico, "run", str(script)).strip().splitlines()
            assert first == f"{form} None"
            wrong, _, ends[form] = said.rpartition(" ")
            assert wrong == "0 []", f"{form}: as many periods differ, and the first is: {wrong}"
    assert len(set(ends.values())) == 1, f"the arrays, or the driver's own words, differ at the end: {ends}"


@pytest.mark.full
def test_a_native_kernel_takes_the_place_of_a_compiled_one(tmp_path: Path) -> None:
    unit = load("a", board="rpi_pico")
    with VirtualPico("a", flash=tmp_path / "flash.bin", registry=tmp_path) as pico:
        device = Device(pico.port, "virtual", "virtual Pico", "a", pico.pid, board="rpi_pico")
        flash_folder(build.build(unit, tmp_path / "viper"), device)
        result = flash_folder(build.build(unit, tmp_path / "native", "native"), device)
        assert set(result.uploaded) == {"linked_native.mpy"}
        assert set(result.removed) == {"linked.py", "linked_compiled.mpy"}
        # flash_folder has heard from the drive, which answers when its periods run.
        assert result.identity["kernel_hash"]


@pytest.mark.full
def test_the_compiler_that_cycles_are_counted_with_is_the_boards_own(
    image: Path, recorded: tuple[build.Linked, Schedule], tmp_path: Path
) -> None:
    linked = recorded[0]
    program, handler = linked.program, build.handler_of_board(linked)
    machine = compile_viper(program, board_compiler.find(), handler)
    (tmp_path / "code.bin").write_bytes(machine.code)
    script = tmp_path / "compare.py"
    script.write_text(COMPARE)
    with VirtualPico("", flash=image, pace="free", registry=tmp_path) as pico:
        run(pico, "cp", str(tmp_path / "code.bin"), ":")
        said = run(pico, "run", str(script)).split()
    # One byte of the prologue says where in a module MicroPython keeps its tables, which its build decides.
    assert said == [str(len(machine.code)), "1", "[8]"]
