"""A virtual drive whose heap is watched: the whole firmware on MicroPython, its own words about memory."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from host_tools import build, units
from host_tools.soak.plant_in_c import compile_library
from host_tools.virtual_drive import VirtualDrive


@dataclass(frozen=True)
class Heap:
    """Bytes of heap at a tick: in use after a collection of garbage, and before it."""

    tick: int
    used: int
    before: int


def make_folder(folder: Path, unit: str = "a", *, every: int, period: int = 0, compiled: bool = True) -> Path:
    """A board folder that tells its heap each `every` ticks and counts its periods from `period` on."""
    build.build(units.load(unit), folder)
    (folder / "main.py").rename(folder / "entry.py")
    shutil.copy(Path(__file__).with_name("watched_main.py"), folder / "main.py")
    library = f"./{compile_library(folder).name}" if compiled else "-"
    (folder / "watch.txt").write_text(f"{every} {period} {library}\n")
    return folder


def heap_of(virtual: VirtualDrive) -> list[Heap]:
    """What a watched drive has told so far."""
    rows = [line.split() for line in virtual.said().splitlines() if line.startswith("heap ")]
    return [Heap(int(row[1]), int(row[2]), int(row[3])) for row in rows if len(row) == 4]


def complaints_of(virtual: VirtualDrive) -> str:
    """Whatever else the firmware has written: a traceback, most likely."""
    return "\n".join(line for line in virtual.said().splitlines() if not line.startswith("heap "))


def slope(heaps: list[Heap]) -> float:
    """Bytes a 1000 ticks that the heap grows by, from the least squares over all of them."""
    count = len(heaps)
    mean_x, mean_y = sum(heap.tick for heap in heaps) / count, sum(heap.used for heap in heaps) / count
    spread = sum((heap.tick - mean_x) ** 2 for heap in heaps)
    return (
        1000 * sum((heap.tick - mean_x) * (heap.used - mean_y) for heap in heaps) / spread if spread else 0.0
    )
