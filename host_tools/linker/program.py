"""What the linker returns: one program, in the words of every engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from eesm.table import Signal

from .emit_c import emit_c
from .emit_native import emit_native
from .emit_numba import emit_numba, load_numba
from .emit_python import emit_python, load_python
from .emit_viper import emit_viper, emit_viper_handler
from .ir import Routine
from .layout import Layout
from .ranges import Facts
from .report import write_report


class Program:
    """Linked routines with the layout of their block."""

    def __init__(
        self,
        routines: Sequence[Routine],
        layout: Layout,
        table: Mapping[str, Signal],
        constants: Mapping[str, int],
        sources: Sequence[Callable[[Any], None]],
        facts: Facts | None = None,
    ) -> None:
        self.routines = list(routines)
        self.layout = layout
        self.table = table
        self.constants = dict(constants)
        self.sources = tuple(sources)
        self.facts = facts

    @property
    def names(self) -> list[str]:
        """Names of the routines, in the order in which a period runs them."""
        return [routine.name for routine in self.routines]

    def viper(self, notes: bool = False, handler: Mapping[str, Any] | None = None) -> str:
        """Text of the board's module: `name(p)` for each routine, p the block or its address.

        With a driver's `handler` it is one function instead, `on_samples`, which is the whole interrupt (see
        `emit_viper.emit_viper_handler`).  `notes` adds the stage of each line as a comment.
        """
        if handler is not None:
            return emit_viper_handler(self.routines, self.layout, handler, notes, self.facts)
        return emit_viper(self.routines, self.layout, notes, self.facts)

    def python(self) -> str:
        """The same code as plain Python over a list or an array of words."""
        return emit_python(self.routines, self.layout)

    def python_functions(self) -> dict[str, Callable[[Any], None]]:
        """The plain Python code, loaded."""
        return load_python(self.python(), self.names)

    def numba(self, folder: Path | None = None) -> dict[str, Callable[[Any], None]]:
        """Compiled functions over an int32 array; numba keeps them in `folder` between runs."""
        return load_numba(emit_numba(self.routines, self.layout), self.names, folder)

    def c(self, trace_lines: bool = False) -> str:
        """Text of a C file: `void name(int32_t *p)` for each routine."""
        return emit_c(self.routines, self.layout, trace_lines)

    def native(self, handler: Mapping[str, Any] | None = None) -> str:
        """Text of a C file for the board's processor; with a driver's `handler` the whole interrupt."""
        return emit_native(self.routines, self.layout, handler)

    def initial_block(self) -> list[int]:
        """The block with every signal at its initial value."""
        words = [0] * self.layout.size
        for name, offset in self.layout.offset.items():
            length = self.layout.length[name]
            words[offset : offset + max(1, length)] = [self.table[name].initial] * max(1, length)
        return words

    @cached_property
    def identity(self) -> str:
        """Hash of what the board runs: emitted kernel, constants and layout."""
        parts = {
            "kernel": self.viper(),
            "constants": sorted(self.constants.items()),
            "layout": [[name, word, self.layout.length[name]] for name, word in self.layout.offset.items()],
        }
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def report(self) -> str:
        """Size, locals, hot words and an estimate of cycles by stage, as text."""
        return write_report(self)
