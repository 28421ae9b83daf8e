"""Linked code for the board: a module of MicroPython viper functions.

The block's pointer is the parameter itself, `p: ptr32`, so it takes one register and not two; a
caller passes the block (any buffer of words) or its address.
"""

from __future__ import annotations

from collections.abc import Sequence

from .ir import Compare, Const, Routine
from .layout import Layout
from .text import NEG_BINDING, TextEmitter


class ViperEmitter(TextEmitter):
    """Text that the board's compiler turns into the fewest instructions."""

    def routine(self, routine: Routine) -> list[str]:
        return [
            "@micropython.viper",
            f"def {routine.name}(p: ptr32):",
            *self.body(routine.body, 1),
        ]

    def comparison(self, test: Compare) -> str:
        """A comparison makes a bool and tests that; an integer is tested at once."""
        zero = isinstance(test.right, Const) and test.right.value == 0
        if zero and test.op == "!=":
            return self.expr(test.left, 1)
        if zero and test.op == "==":
            return "not " + self.expr(test.left, NEG_BINDING)
        return super().comparison(test)


def emit_viper(routines: Sequence[Routine], layout: Layout) -> str:
    """Text of the module that is compiled on the board."""
    emitter = ViperEmitter(layout)
    lines = ["import micropython"]
    for routine in routines:
        lines += ["", "", *emitter.routine(routine)]
    return "\n".join(lines) + "\n"


