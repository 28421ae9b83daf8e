"""Recordings: all that a kernel was given, period by period, so that any engine can run it again.

A kernel is a function of its block, the sampled inputs and the letters of the main loop.  A
recording holds the block at its beginning and those words for every period.  Replayed on plain
stages, linked code, C or a board, it gives the same integers or shows where they part.
"""

from __future__ import annotations

import numpy as np

from eesm.table import INPUT, LETTER
from host_tools.linker import Program
from host_tools.linker.schedule import Schedule
from host_tools.loop import Loop


def given_words(program: Program) -> list[int]:
    """Words of the block that are written from outside: samples, and the mailbox."""
    words: list[int] = []
    for name, row in program.table.items():
        # Of the letters only the mailbox is written from outside; the others the kernel writes.
        if row.role == INPUT or (row.role == LETTER and name.startswith("mailbox_")):
            first = program.layout.offset[name]
            words += range(first, first + max(1, row.length))
    return words


class Recording:
    """What a loop's kernel is given from now on."""

    def __init__(self, loop: Loop) -> None:
        self.initial = loop.block.copy()
        self._words = given_words(loop.linked.program)
        self._parts: list[np.ndarray] = []

    def run(self, loop: Loop, periods: int) -> None:
        """Run periods of the loop and keep what the kernel is given."""
        # Steps leave their inputs as they are, so they can be read when a period is over.
        words, _ = loop.record_words(periods, self._words)
        self._parts.append(words.astype(np.int32))

    def schedule(self) -> Schedule:
        """The recording in the form that `host_tools.linker.trace` runs on every engine."""
        return Schedule(np.array(self._words, dtype=np.int32), np.concatenate(self._parts), self.initial)
