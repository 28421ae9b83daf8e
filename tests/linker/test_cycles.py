"""The kernel's machine code, run instruction by instruction, does what the linked Python does."""

import random

import numpy as np
import pytest

from host_tools.errors import ToolError
from host_tools.linker import link
from host_tools.linker.cycles import Machine, compile_viper, count, find_board_compiler, instruction
from host_tools.linker.schedule import Schedule, corner_schedule, walk_schedule
from host_tools.linker.trace import run_engine

from .kernel_inputs import make_kernel, tuned_walk
from .random_stages import StageWriter
from .small_table import Small, make_module

# MicroPython until 1.25 refuses a jump beyond 2047 bytes; newer ones write it as BL.
BL_FIRST, BL_MASK = 0xF000, 0xF800


@pytest.fixture(scope="module")
def kernel():
    program, block = make_kernel("a")
    return program, block, compile_viper(program, find_board_compiler())


def test_the_kernels_machine_code_computes_what_python_does(kernel):
    program, block, machine = kernel
    schedule = tuned_walk(program, block, 400, 3)
    counted = count(machine, schedule, program.layout.scalar_end)
    python = run_engine(program, schedule, "python")
    assert np.array_equal(counted.trace, python.scalars)
    assert np.array_equal(counted.block, python.final)


def test_the_kernel_jumps_no_further_than_an_old_compiler_can(kernel):
    machine = kernel[2]
    words = np.frombuffer(machine.code, dtype="<u2")
    literals = {n + 2 + k for n, word in enumerate(words) if word & 0xF800 == 0x4800 for k in (0, 1)}
    calls = [n for n, word in enumerate(words) if word & BL_MASK == BL_FIRST and n not in literals]
    assert not calls


@pytest.mark.parametrize("seed", range(400, 406))
def test_machine_code_of_random_programs(seed, tmp_path):
    text = StageWriter(random.Random(seed).randrange).write()
    program = link([make_module(tmp_path, text).stage], Small)
    machine = compile_viper(program, find_board_compiler())
    for make in (walk_schedule, corner_schedule):
        schedule = make(program, 25, 5)
        where = list(schedule.words).index(program.layout.offset["where"])
        schedule.values[:, where] = np.arange(25) % 7
        counted = count(machine, schedule, program.layout.scalar_end)
        assert np.array_equal(counted.trace, run_engine(program, schedule, "python").scalars)


def run_words(words, block=(0, 0, 0, 0)):
    """Cycles and the block after a routine of plain machine words, r0 pointing to the block."""
    code = b"".join(word.to_bytes(2, "little") for word in words)
    machine = Machine(code + bytes(-len(code) % 4), [("made", 0, False)])
    schedule = Schedule(
        np.empty(0, dtype=np.int32), np.empty((1, 0), dtype=np.int32), np.array(block, dtype=np.int32)
    )
    counted = count(machine, schedule)
    return int(counted.cycles[0, 0]), [int(word) for word in counted.block]


BX_LR = 0x4770


@pytest.mark.parametrize(
    ("words", "cycles", "after"),
    [
        ([BX_LR], 2, [6, -7, 0, 0]),
        ([0x6801, 0x6081, BX_LR], 6, [6, -7, 6, 0]),  # ldr r1,[r0]; str r1,[r0,#8]
        ([0x6801, 0x6842, 0x4351, 0x6081, BX_LR], 9, [6, -7, -42, 0]),  # muls r1,r2 in one cycle
        ([0x6841, 0x1049, 0x6081, BX_LR], 7, [6, -7, -4, 0]),  # asrs r1,r1,#1
        ([0x2101, 0x2900, 0xD000, 0x6081, BX_LR], 7, [6, -7, 1, 0]),  # beq not taken: 1
        ([0x2100, 0x2900, 0xD000, 0x6081, BX_LR], 6, [6, -7, 0, 0]),  # beq taken: 2
        ([0xE000, 0x6080, BX_LR], 4, [6, -7, 0, 0]),  # b over a store
        ([0xB500, 0x2107, 0x6081, 0xBD00], 9, [6, -7, 7, 0]),  # push {lr}: 2, pop {pc}: 4
        ([0x6841, 0x4249, 0x6081, BX_LR], 7, [6, -7, 7, 0]),  # negs r1,r1
    ],
)
def test_cycles_of_instructions_are_those_of_the_manual(words, cycles, after):
    assert run_words(words, (6, -7, 0, 0)) == (cycles, after)


def test_the_table_of_kinds_has_the_same_cycles():
    assert instruction(BX_LR)[1:] == (1, 1)
    assert instruction(0x6801) == ("word load", 2, 0)
    assert instruction(0xB500) == ("push, pop", 2, 0)
    assert instruction(0xBD00) == ("push, pop", 2, 2)
    assert instruction(0x4351) == ("multiply", 1, 0)


def test_a_wild_load_stops_with_its_address():
    with pytest.raises(ToolError, match="load from 0x00000000"):
        run_words([0x2000, 0x6801, BX_LR])  # movs r0,#0; ldr r1,[r0]
