"""Runs one program on several engines over the same inputs and compares every word of every step.

Engines: `plain` (the stages themselves on a BlockView), `python` (linked, as plain Python),
`numba`, `c` and `native` (C as written and C for the board, both under UBSan), `viper` (on a real
32-bit MicroPython, heap locked).
"""

from __future__ import annotations

import subprocess
import tempfile
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .plain import BlockView
from .program import Program
from .schedule import Schedule

_C_MAIN = """
#include <stdio.h>
#include <stdlib.h>

static int32_t *read_words(FILE *file, size_t count)
{
    int32_t *words = malloc(4 * (count ? count : 1));
    if (words == NULL || fread(words, 4, count, file) != count)
        exit(2);
    return words;
}

int main(int count, char **names)
{
    FILE *in = count == 3 ? fopen(names[1], "rb") : NULL, *out = count == 3 ? fopen(names[2], "wb") : NULL;
    if (in == NULL || out == NULL)
        return 2;
    int32_t *head = read_words(in, 4);
    size_t columns = (size_t)head[1], size = (size_t)head[2], traced = (size_t)head[3];
    int32_t *words = read_words(in, columns), *block = read_words(in, size);
    for (int32_t step = 0; step < head[0]; step++) {
        int32_t *row = read_words(in, columns);
        for (size_t n = 0; n < columns; n++)
            block[words[n]] = row[n];
        free(row);
        CALLS
        fwrite(block, 4, traced, out);
        fflush(out);
    }
    fwrite(block, 4, size, out);
    return fclose(out) != 0;
}
"""

_VIPER_DRIVER = """
import sys
import micropython
from array import array
import kernel

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

def main(source, target):
    file = open(source, "rb")
    out = open(target, "wb")
    steps, columns, size, traced = read_words(file, 4)
    words = read_words(file, columns)
    block = read_words(file, size)
    row = array("i", bytes(4 * columns))
    head = memoryview(block)[:traced]
    routines = [getattr(kernel, name) for name in sys.argv[3:]]
    for step in range(steps):
        file.readinto(row)
        micropython.heap_lock()
        scatter(block, words, row, columns)
        for routine in routines:
            routine(block)
        micropython.heap_unlock()
        out.write(head)
    out.write(block)
    out.close()

main(sys.argv[1], sys.argv[2])
"""


class TraceMismatch(AssertionError):
    """Two engines disagree; the text names the first step and signal."""


class EngineFailure(AssertionError):
    """An engine stopped: an overflow found by UBSan, an exception, a crash."""


class Trace:
    """The scalars' words after each step, and the whole block after the last."""

    def __init__(self, scalars: np.ndarray, final: np.ndarray) -> None:
        self.scalars = scalars
        self.final = final


def compare_engines(program: Program, schedule: Schedule, engines: Sequence[str]) -> None:
    """Run the engines and raise TraceMismatch at the first difference from the first of them."""
    reference = run_engine(program, schedule, engines[0])
    for engine in engines[1:]:
        compare_traces(program, reference, run_engine(program, schedule, engine), engines[0], engine)


def run_engine(program: Program, schedule: Schedule, engine: str) -> Trace:
    """Trace of one engine by name; EngineFailure when it stops."""
    return ENGINES[engine](program, schedule)


def compare_traces(program: Program, left: Trace, right: Trace, left_name: str, right_name: str) -> None:
    """Raise TraceMismatch when two traces differ, naming step, signal and both values."""
    layout = program.layout
    different = np.argwhere(left.scalars != right.scalars)
    if len(different):
        step, word = (int(n) for n in different[0])
        raise TraceMismatch(
            f"step {step}: {layout.name_at(word)} is {left.scalars[step, word]} on {left_name}, "
            f"{right.scalars[step, word]} on {right_name}"
        )
    final = np.argwhere(left.final != right.final)
    if len(final):
        word = int(final[0, 0])
        raise TraceMismatch(
            f"after the last step: {layout.name_at(word)} is {left.final[word]} on {left_name}, "
            f"{right.final[word]} on {right_name}"
        )


def run_plain(program: Program, schedule: Schedule) -> Trace:
    """The stages as they are written, on CPython's integers."""
    block = array("i", schedule.initial.tobytes())
    view = BlockView(program.layout, block, program.table, program.constants)
    return _run_calls(program, schedule, block, [(lambda f=f: f(view)) for f in program.sources])


def run_python(program: Program, schedule: Schedule) -> Trace:
    """The linked code as plain Python."""
    block = array("i", schedule.initial.tobytes())
    functions = program.python_functions()
    return _run_calls(program, schedule, block, [(lambda n=n: functions[n](block)) for n in program.names])


def _run_calls(
    program: Program, schedule: Schedule, block: array, calls: Sequence[Callable[[], None]]
) -> Trace:
    traced = program.layout.scalar_end
    words = np.frombuffer(block, dtype=np.int32)
    scalars = np.empty((schedule.steps, traced), dtype=np.int32)
    for step in range(schedule.steps):
        words[schedule.words] = schedule.values[step]
        for name, call in zip(program.names, calls, strict=True):
            try:
                call()
            except (OverflowError, ValueError, IndexError) as error:
                raise EngineFailure(f"step {step}: {name} on CPython: {error!r}") from error
        scalars[step] = words[:traced]
    return Trace(scalars, words.copy())


def run_numba(program: Program, schedule: Schedule) -> Trace:
    """The linked code compiled by numba."""
    functions = [program.numba()[name] for name in program.names]
    block = schedule.initial.copy()
    traced = program.layout.scalar_end
    scalars = np.empty((schedule.steps, traced), dtype=np.int32)
    for step in range(schedule.steps):
        block[schedule.words] = schedule.values[step]
        for function in functions:
            function(block)
        scalars[step] = block[:traced]
    return Trace(scalars, block)


def run_c(program: Program, schedule: Schedule) -> Trace:
    """The linked code as C under UBSan, in a process of its own; a finding is an EngineFailure."""
    return _run_c(program, schedule, program.c(trace_lines=True), "C under UBSan")


def run_native(program: Program, schedule: Schedule) -> Trace:
    """The C that a native module is compiled from, on this machine and under UBSan."""
    return _run_c(program, schedule, program.native(), "native C under UBSan")


def _run_c(program: Program, schedule: Schedule, code: str, title: str) -> Trace:
    from host_tools.compiler import find_compiler

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        calls = " ".join(f"{routine}(block);" for routine in program.names)
        text = code + '#line 1 "main"\n' + _C_MAIN.replace("CALLS", calls)
        source = folder / "kernel.c"
        source.write_text(text, encoding="utf-8")
        find_compiler().build(source, folder / "kernel", sanitize=True)
        return _run_process(program, schedule, folder, [str(folder / "kernel")], [], title)


def run_viper(program: Program, schedule: Schedule) -> Trace:
    """The linked code on a real 32-bit MicroPython, with the heap locked around each step."""
    from host_tools.interpreter import find_interpreter

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "kernel.py").write_text(program.viper(), encoding="utf-8")
        (folder / "driver.py").write_text(_VIPER_DRIVER, encoding="utf-8")
        command = [*find_interpreter(), str(folder / "driver.py")]
        return _run_process(program, schedule, folder, command, program.names, "viper on MicroPython")


def _run_process(
    program: Program, schedule: Schedule, folder: Path, command: list[str], names: list[str], title: str
) -> Trace:
    source, target = folder / "inputs.bin", folder / "trace.bin"
    traced, size = program.layout.scalar_end, program.layout.size
    head = np.array([schedule.steps, len(schedule.words), size, traced], dtype="<i4")
    parts = (head, schedule.words, schedule.initial, schedule.values)
    source.write_bytes(b"".join(part.astype("<i4").tobytes() for part in parts))
    done = subprocess.run(
        [*command, str(source), str(target), *names],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    words = np.fromfile(target, dtype="<i4") if target.exists() else np.empty(0, dtype="<i4")
    if done.returncode != 0 or len(words) != schedule.steps * traced + size:
        step = len(words) // traced
        said = (done.stderr or done.stdout).strip() or f"it ended with {done.returncode}"
        raise EngineFailure(f"step {step}: {title}: {said}")
    return Trace(words[:-size].reshape(schedule.steps, traced), words[-size:])


ENGINES: dict[str, Callable[[Program, Schedule], Trace]] = {
    "plain": run_plain,
    "python": run_python,
    "numba": run_numba,
    "c": run_c,
    "native": run_native,
    "viper": run_viper,
}
