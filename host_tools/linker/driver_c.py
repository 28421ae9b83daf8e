"""A driver's own lines of the interrupt, written for viper, as C.

The lines are the little of Python that `handler` of `emit_viper` has: assignments and `if` with integers of
32 bits that wrap, `ptr32(address)`, subscripts, and `{signal}` for a signal's word.  What a
line reads or writes by a `ptr32` is a register of the chip and so volatile; a signal's word is plain memory.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from .errors import LinkError
from .layout import Layout

WORD = "word_of_"
WRAPPING = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.LShift: "<<"}
PLAIN = {ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^"}
REGISTERS = "(volatile int32_t *)"
BLOCK = "p"


class DriverText:
    """Turns lines into C; remembers the locals that they use."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.pointers: set[str] = set()
        self.numbers: set[str] = set()

    def declarations(self) -> list[str]:
        """The locals of all lines so far."""
        lines = [f"    int32_t *{BLOCK};"]
        lines += [f"    volatile int32_t *{name};" for name in sorted(self.pointers - {BLOCK})]
        return lines + [f"    int32_t {name};" for name in sorted(self.numbers)]

    def lines(self, lines: Sequence[str]) -> list[str]:
        """C of some lines.  LinkError for what is not known here."""
        text = re.sub(r"\{(\w+)\}", rf"{WORD}\1", "\n".join(lines))
        return self.body(ast.parse(text).body, 1)

    def body(self, body: Sequence[ast.stmt], depth: int) -> list[str]:
        pad = "    " * depth
        out: list[str] = []
        for stmt in body:
            if isinstance(stmt, ast.If):
                out += [f"{pad}if ({self.value(stmt.test)}) {{", *self.body(stmt.body, depth + 1)]
                if stmt.orelse:
                    out += [pad + "} else {", *self.body(stmt.orelse, depth + 1)]
                out.append(pad + "}")
            elif isinstance(stmt, ast.Assign) and len(stmt.targets) == 1:
                out.append(f"{pad}{self.assignment(stmt.targets[0], stmt.value)};")
            else:
                raise unknown(stmt)
        return out

    def assignment(self, target: ast.expr, value: ast.expr) -> str:
        if isinstance(target, ast.Name) and is_call(value, "ptr32"):
            self.pointers.add(target.id)
            kind = "(int32_t *)" if target.id == BLOCK else REGISTERS
            return f"{target.id} = {kind}{self.argument(value)}"
        if isinstance(target, ast.Name) and not target.id.startswith(WORD):
            self.numbers.add(target.id)
        return f"{self.value(target)} = {self.value(value)}"

    def argument(self, call: ast.expr) -> str:
        assert isinstance(call, ast.Call)
        return self.value(call.args[0])

    def value(self, expr: ast.expr) -> str:
        if isinstance(expr, ast.Constant) and isinstance(expr.value, int):
            return str(expr.value)
        if isinstance(expr, ast.Name):
            return self.name(expr.id)
        if is_call(expr, "int"):
            return f"(int32_t){self.argument(expr)}"
        if is_call(expr, "ptr32"):
            return f"({REGISTERS}{self.argument(expr)})"
        if isinstance(expr, ast.Subscript):
            base = self.value(expr.value)
            return f"{f'({REGISTERS}{BLOCK})' if base == BLOCK else base}[{self.value(expr.slice)}]"
        if isinstance(expr, ast.BinOp):
            left, right, kind = self.value(expr.left), self.value(expr.right), type(expr.op)
            if kind in WRAPPING:
                return f"WRAP({left}, {WRAPPING[kind]}, {right})"
            if kind in PLAIN:
                return f"({left} {PLAIN[kind]} {right})"
        raise unknown(expr)

    def name(self, name: str) -> str:
        if not name.startswith(WORD):
            return name
        signal = name.removeprefix(WORD)
        if signal not in self.layout.offset:
            raise LinkError(f"the driver's handler names `{signal}`, which has no word in the block")
        return f"{BLOCK}[{self.layout.offset[signal]}]"


def is_call(expr: ast.expr, name: str) -> bool:
    """Whether an expression calls a function of this name with one argument."""
    return (
        isinstance(expr, ast.Call)
        and isinstance(expr.func, ast.Name)
        and expr.func.id == name
        and len(expr.args) == 1
    )


def unknown(node: ast.AST) -> LinkError:
    """The error about a line that has no form in C."""
    return LinkError(f"the driver's handler has `{ast.unparse(node)}`, which has no form in C")
