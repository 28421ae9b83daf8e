"""Linked code as C, as it is written: under UBSan the witness that nothing overflows.

Everything is int32_t.  A left shift is a multiplication, so that it is defined for negative
numbers and an overflow is seen; a right shift is arithmetic (as every C compiler in use has it).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from .ir import (
    Assign,
    Body,
    Compare,
    Const,
    Expr,
    If,
    Item,
    Load,
    Local,
    Neg,
    Op,
    Routine,
    Test,
    Truth,
    statements,
)
from .layout import Layout
from .text import split_index

PROLOGUE = """\
#include <stdint.h>

/* x * 2**k, for k the stages computed; an overflow of either step is an overflow of the product. */
static inline int32_t shift_left(int32_t x, int32_t k)
{
    if (x == 0)
        return 0;
    return k > 30 ? (x * 1073741824) * (k == 31 ? 2 : 1 << k) : x * (1 << k);
}
"""


class CEmitter:
    """Writes C with every operation in parentheses."""

    def __init__(self, layout: Layout, trace_lines: bool) -> None:
        self.layout = layout
        self.trace_lines = trace_lines

    def routine(self, routine: Routine) -> list[str]:
        names = sorted(
            {
                stmt.target.name
                for stmt in statements(routine.body)
                if isinstance(stmt, Assign) and isinstance(stmt.target, Local)
            }
        )
        head = [f"void {routine.name}(int32_t *p)", "{"]
        if names:
            head.append("    int32_t " + ", ".join(f"{name} = 0" for name in names) + ";")
            head += [f"    (void){name};" for name in names]
        return [*head, *self.inner(routine), "}"]

    def inner(self, routine: Routine) -> list[str]:
        """The statements of a routine."""
        return self.body(routine.body, 1)

    def body(self, body: Body, depth: int) -> list[str]:
        pad = "    " * depth
        lines: list[str] = []
        for stmt in body:
            if self.trace_lines:
                lines.append(f'#line {stmt.place.line} "{stmt.place.stage}@{PurePath(stmt.place.file).name}"')
            if isinstance(stmt, If):
                lines += [f"{pad}if ({self.test(stmt.test)}) {{", *self.body(stmt.then, depth + 1)]
                if stmt.orelse:
                    lines += [pad + "} else {", *self.body(stmt.orelse, depth + 1)]
                lines.append(pad + "}")
            else:
                assert isinstance(stmt, Assign)
                lines.append(f"{pad}{self.expr(stmt.target)} = {self.expr(stmt.value)};")
        return lines

    def test(self, test: Test) -> str:
        if isinstance(test, Compare):
            return f"({self.expr(test.left)} {test.op} {self.expr(test.right)})"
        if isinstance(test, Truth):
            return "1" if test.value else "0"
        sign = " && " if test.op == "and" else " || "
        return "(" + sign.join(self.test(part) for part in test.parts) + ")"

    def expr(self, expr: Expr) -> str:
        if isinstance(expr, Const):
            return str(expr.value) if expr.value >= 0 else f"({expr.value})"
        if isinstance(expr, Local):
            return expr.name
        if isinstance(expr, Load):
            return f"p[{self.layout.offset[expr.name]}]"
        if isinstance(expr, Item):
            offset, rest = split_index(expr, self.layout)
            return f"p[{offset}]" if rest is None else f"p[{self.expr(rest)} + {offset}]"
        if isinstance(expr, Neg):
            return f"(-{self.expr(expr.value)})"
        assert isinstance(expr, Op)
        if expr.op == "<<":
            if isinstance(expr.right, Const) and expr.right.value <= 30:
                return f"({self.expr(expr.left)} * {1 << expr.right.value})"
            return f"shift_left({self.expr(expr.left)}, {self.expr(expr.right)})"
        return f"({self.expr(expr.left)} {expr.op} {self.expr(expr.right)})"


def emit_c(routines: Sequence[Routine], layout: Layout, trace_lines: bool = False) -> str:
    """Text of a C file with `void name(int32_t *p)` for each routine.

    `trace_lines` lets a finding of UBSan name the stage's own file and line.
    """
    emitter = CEmitter(layout, trace_lines)
    blocks = [PROLOGUE]
    blocks += ["\n".join(emitter.routine(routine)) + "\n" for routine in routines]
    return "\n".join(blocks)
