"""What the control law of a virtual Pico is given and what it makes of it, period by period, word by word.

The emulator writes down the law's block at each entry of its interrupt and at each end; the board takes no
part. What was given replays on any engine of `host_tools.linker.trace`; what came of it is the trace that the
engine must repeat, integer for integer.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from host_tools.linker import Program
from host_tools.linker.schedule import Schedule
from host_tools.linker.trace import Trace
from host_tools.recording import given_words
from host_tools.virtual_pico.pico import VirtualPico

INTERRUPT = 12  # DMA_IRQ_1, the law's (`drivers.rp2040_interrupt`)


class BlockRecording:
    """Of the law that `program` is, from `start` to `stop`; `file` takes its rows, 45 MB a second at 20 kHz.

    Nothing may be streamed when it starts or ends, since the rings are read only then.
    """

    def __init__(self, pico: VirtualPico, program: Program, file: Path) -> None:
        self._pico = pico
        self._program = program
        self._file = file
        self._words = given_words(program)
        # Scalars come first, then what letters are made of; behind them are tables and rings.
        self._width = max(program.layout.scalar_end, *(word + 1 for word in self._words))
        self._initial = np.zeros(0, dtype=np.int32)

    def start(self) -> None:
        """Write down every period from the next one on. Raises VirtualPicoError."""
        self._initial = self._read_block()
        self._pico.control("record", path=str(self._file), irq=INTERRUPT, words=self._width)

    def stop(self) -> tuple[Schedule, Trace]:
        """What the law was given in each period, and what it left. Raises VirtualPicoError."""
        self._pico.control("record_stop")
        rows = np.memmap(self._file, dtype="<i4", mode="r").reshape(-1, 2, self._width)
        entries, ends = rows[:, 0], rows[:, 1]
        initial, final = self._initial, self._read_block()
        initial[: self._width] = entries[0]
        final[: self._width] = ends[-1]
        given = np.array(self._words, dtype=np.int32)
        schedule = Schedule(given, entries[:, self._words].astype(np.int32), initial)
        return schedule, Trace(ends[:, : self._program.layout.scalar_end].astype(np.int32), final)

    def _read_block(self) -> np.ndarray:
        read = self._pico.control("read_block", first=0, count=self._program.layout.size)
        return np.array(read["words"], dtype=np.int32)
