"""The model of the board's compiler against the compiler: bytes and cycles of statements of every form."""

import re
import subprocess

import numpy as np
import pytest

from host_tools.linker.cycles import Machine, count, find_board_compiler
from host_tools.linker.mpy import viper_functions
from host_tools.linker.schedule import Schedule
from host_tools.linker.viper_cost import statement_cost

# `a` is in a register, `c` and `d` on the stack; all words are 0, so that no index leaves the block.
STATEMENTS = [
    "a = 5",
    "a = -5",
    "a = 300",
    "a = 16384",
    "a = 32767",
    "a = -32767",
    "c = a",
    "a = c",
    "c = d",
    "a = p[3]",
    "c = p[3]",
    "a = p[40]",
    "a = p[100]",
    "a = p[301]",
    "a = p[-3]",
    "p[3] = a",
    "p[3] = c",
    "p[40] = a",
    "p[301] = c",
    "p[3] = p[4]",
    "p[70] = p[80]",
    "p[3] = 0",
    "a = a + 1",
    "a = a + c",
    "a = c + a",
    "a = c - d",
    "a = p[3] + p[4]",
    "a = p[70] - p[80]",
    "a = (c << 4) - p[88]",
    "a = (c << 4) - a",
    "a = a * p[8] >> 14",
    "a = a * p[80] >> p[81]",
    "c = (c * p[80] >> p[81]) + (d * p[82] >> p[83])",
    "p[3] = (a * p[4] >> p[5]) + c & 65535",
    "a = p[d + 9]",
    "a = (p[d + 10] - a) * (c >> 6 & 31) >> 15",
    "p[d + 9] = a",
    "p[p[3] + 9] = p[4]",
    "c = 0 - c",
    "if a:",
    "if not a ^ 0:",
    "if a + 16384 >> 15:",
    "if c + 16384 >> 15:",
    "if a > 0:",
    "if c > p[3]:",
    "if p[3] > 32767:",
    "if p[3] - 32767 >> 30:",
    "p[-3] = a",
]


@pytest.fixture(scope="module")
def cycles(tmp_path_factory):
    """Cycles of each statement: of a function that has it twice, less those of one that has it once."""
    folder = tmp_path_factory.mktemp("cost")
    lines = ["import micropython"]
    for number, text in enumerate(STATEMENTS):
        piece = [text] + ["    a = 7"] * text.endswith(":")
        for times in (1, 2):
            lines += ["@micropython.viper", f"def f{number}_{times}(p: ptr32):"]
            lines += [f"    {line}" for line in ["a = 0", "c = 0", "d = 0", *piece * times]]
    (folder / "forms.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [str(find_board_compiler()), "-march=armv6m", str(folder / "forms.py")]
    subprocess.run(command, check=True, capture_output=True)
    machine = Machine(b"", [])
    for number, code in enumerate(viper_functions((folder / "forms.mpy").read_bytes())):
        machine.entries.append((f"f{number}", len(machine.code), True))
        machine.code += code + bytes(-len(code) % 4)
    block, empty = np.zeros(400, dtype=np.int32), np.empty((1, 0), dtype=np.int32)
    found = count(machine, Schedule(np.empty(0, dtype=np.int32), empty, block)).cycles[0]
    return found[1::2] - found[::2]


def addresses_far(text):
    """Whether a statement computes an address; MicroPython 1.29 needs fewer instructions for it than 1.25."""
    return any(not 0 <= int(n) < 32 for n in re.findall(r"p\[(-?\d+)", text)) or re.search(r"p\[[dp]", text)


@pytest.mark.parametrize("number", range(len(STATEMENTS)), ids=STATEMENTS)
def test_cycles_are_as_the_compiler_makes_them(cycles, number):
    said = subprocess.run([str(find_board_compiler()), "--version"], capture_output=True, text=True).stdout
    version = [int(each) for each in re.findall(r"v(\d+)\.(\d+)", said)[0]]
    if version > [1, 25] and addresses_far(STATEMENTS[number]):
        pytest.skip(f"the model is of MicroPython 1.25, this is {said.split()[1]}")
    # An mpy-cross keeps 2 locals in registers (a board's own compiler 3), the first of which is `p`.
    assert int(cycles[number]) == statement_cost(STATEMENTS[number], ("a",)).cycles
