"""Linked code as Python text: the common ground of the plain, the viper and the numba emitter.

The block is `p`; every index is a constant or ends in `+ OFFSET` with an offset above 0.
"""

from __future__ import annotations

from .ir import (
    BINDING,
    MEMORY_WORD,
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
    Stmt,
    Test,
    Truth,
)
from .layout import Layout

NEG_BINDING = 7


class TextEmitter:
    """Writes a routine's body; subclasses change what their engine wants different."""

    indent = " "

    def __init__(self, layout: Layout, notes: bool = False) -> None:
        self.layout = layout
        self.notes = notes
        self.base = 0  # the word of the block to which `p` points

    def routine(self, routine: Routine) -> list[str]:
        """Lines of one function."""
        return [f"def {routine.name}(p):", *self.body(routine.body, 1)]

    def body(self, body: Body, depth: int) -> list[str]:
        pad = self.indent * depth
        if not body:
            return [pad + "pass"]
        lines: list[str] = []
        for stmt in body:
            if isinstance(stmt, If):
                lines += self.branch(stmt, depth)
            else:
                assert isinstance(stmt, Assign)
                lines.append(f"{pad}{self.expr(stmt.target)} = {self.expr(stmt.value)}{self.note(stmt)}")
        return lines

    def note(self, stmt: Stmt) -> str:
        """The stage that a statement comes from, as a comment, when wanted."""
        return f"  # {stmt.place.stage}" if self.notes else ""

    def branch(self, stmt: If, depth: int, word: str = "if") -> list[str]:
        pad = self.indent * depth
        lines = [f"{pad}{word} {self.test(stmt.test)}:{self.note(stmt)}", *self.body(stmt.then, depth + 1)]
        orelse = stmt.orelse
        if len(orelse) == 1 and isinstance(orelse[0], If):
            lines += self.branch(orelse[0], depth, "elif")
        elif orelse:
            lines += [pad + "else:", *self.body(orelse, depth + 1)]
        return lines

    def test(self, test: Test, nested: bool = False) -> str:
        if isinstance(test, Compare):
            return self.comparison(test)
        if isinstance(test, Truth):
            return "1 == 1" if test.value else "1 == 0"
        text = f" {test.op} ".join(self.test(part, True) for part in test.parts)
        return f"({text})" if nested else text

    def comparison(self, test: Compare) -> str:
        return f"{self.expr(test.left)} {test.op} {self.expr(test.right)}"

    def expr(self, expr: Expr, outer: int = 0) -> str:
        """Text of an expression, in parentheses when it binds looser than `outer`."""
        if isinstance(expr, Const):
            return str(expr.value)
        if isinstance(expr, Local):
            return expr.name
        if isinstance(expr, Load):
            return f"p[{self.layout.offset[expr.name] - self.base}]"
        if isinstance(expr, Item):
            return f"p[{self.index(expr)}]"
        if isinstance(expr, Neg):
            text, binding = "-" + self.expr(expr.value, NEG_BINDING), NEG_BINDING
        else:
            assert isinstance(expr, Op)
            binding = BINDING[expr.op]
            text = f"{self.expr(expr.left, binding)} {expr.op} {self.expr(expr.right, binding + 1)}"
        return f"({text})" if binding < outer else text

    def index(self, item: Item) -> str:
        offset, rest = split_index(item, self.layout)
        offset -= self.base
        if rest is None:
            return str(offset)
        assert offset != 0, "an index that is a bare local spoils that local on armv6m"
        return f"{self.expr(rest, BINDING['+'])} {'-' if offset < 0 else '+'} {abs(offset)}"


def split_index(item: Item, layout: Layout) -> tuple[int, Expr | None]:
    """An array access as offset (above 0) and the part that varies."""
    offset = MEMORY_WORD if item.array == "memory" else layout.offset[item.array]
    index = item.index
    if isinstance(index, Const):
        return offset + index.value, None
    if isinstance(index, Op) and isinstance(index.right, Const):
        step = {"+": index.right.value, "-": -index.right.value}.get(index.op)
        if step is not None and offset + step > 0:
            return offset + step, index.left
    return offset, index
