"""Linked code for the simulator: numba functions over an int32 array.

Values are computed in 64 bits (numba's rule for integers) and cut to 32 where they are stored:
as on the board, whenever nothing overflows.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from host_tools.cache import cache_folder

from .ir import Item, Routine
from .layout import Layout
from .text import TextEmitter, split_index


class NumbaEmitter(TextEmitter):
    """Indices are unsigned, so that numba does not look for negative ones."""

    indent = "    "

    def index(self, item: Item) -> str:
        _, rest = split_index(item, self.layout)
        text = super().index(item)
        return text if rest is None else f"uintp({text})"


def emit_numba(routines: Sequence[Routine], layout: Layout) -> str:
    """Text of a module with one njit function `name(p)` for each routine."""
    emitter = NumbaEmitter(layout)
    lines = ["from numba import njit", "from numpy import uintp"]
    for routine in routines:
        lines += ["", "", "@njit(cache=True, boundscheck=False, fastmath=False)", *emitter.routine(routine)]
    return "\n".join(lines) + "\n"


def load_numba(
    text: str, names: Sequence[str], folder: Path | None = None
) -> dict[str, Callable[[Any], None]]:
    """The functions of an emitted module, from a file, so that numba can keep what it compiled."""
    name = "eesm_kernel_" + hashlib.sha256(text.encode()).hexdigest()[:16]
    file = (folder or cache_folder() / "kernels") / f"{name}.py"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part")
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    if name in sys.modules:
        return {routine: getattr(sys.modules[name], routine) for routine in names}
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # numba finds what it cached by the module's name
    spec.loader.exec_module(module)
    return {routine: getattr(module, routine) for routine in names}
