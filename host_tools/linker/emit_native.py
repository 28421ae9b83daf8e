"""Linked code as C for a Cortex-M0+: the same integers as `emit_c`, in the forms that gcc makes little of.

- A word is one instruction within 31 of where a pointer points, and further out two or three: the pointer
  slides along as in viper code (`windows`), and gcc is kept from seeing where it came from.
- Saturation at constants is two comparisons with literals (10 cycles); whether a word is what remains of it
  after its upper bits are shifted out and back is seen in 4, and tells that nothing is to be saturated.
- `((x + 2**n) & mask) - 2**n`, a phase brought to -180 .. 180 degrees, is such a pair of shifts itself.

With a driver's `handler` the routines become one interrupt, `on_samples`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .driver_c import DriverText
from .emit_c import PROLOGUE, CEmitter
from .emit_viper import HANDLER, saturated_span
from .ir import Body, Const, Expr, If, Item, Load, Op, Routine
from .layout import Layout
from .text import split_index

WORD_BITS = 32

FORMS = """\
/* What remains of x without its k upper bits, with its sign. */
#define NARROW(x, k) ((int32_t)((uint32_t)(x) << (k)) >> (k))
/* a op b modulo 2**32. */
#define WRAP(a, op, b) ((int32_t)((uint32_t)(a) op (uint32_t)(b)))
#define RARE(x) __builtin_expect(!!(x), 0)
#ifdef __thumb__
#define SLIDE(p, n) do { (p) += (n); __asm__("" : "+l"(p)); } while (0)
#else
#define SLIDE(p, n) ((p) += (n))
#endif
"""


class NativeEmitter(CEmitter):
    """Writes C for speed: the pointer `p` moves from word to word."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout, trace_lines=False)
        self.base = 0  # the word of the block to which `p` points

    def routine(self, routine: Routine, prefix: str = "") -> list[str]:
        """A function of one routine; `prefix` stands before its result."""
        self.base = 0
        return [prefix + line if n == 0 else line for n, line in enumerate(super().routine(routine))]

    def inner(self, routine: Routine) -> list[str]:
        lines: list[str] = []
        starts = routine.windows or [0] * len(routine.body)
        for stmt, start in zip(routine.body, starts, strict=True):
            if start != self.base:
                lines.append(f"    SLIDE(p, {start - self.base});")
                self.base = start
            lines += self.body([stmt], 1)
        return lines

    def body(self, body: Body, depth: int) -> list[str]:
        lines: list[str] = []
        pad = "    " * depth
        for stmt in body:
            span = saturated_span(stmt) if isinstance(stmt, If) else None
            if span is None:
                lines += super().body([stmt], depth)
            else:
                assert isinstance(stmt, If)
                name = self.expr(stmt.test.left)  # type: ignore[union-attr]
                lines.append(f"{pad}if (RARE(NARROW({name}, {WORD_BITS - span}) != {name})) {{")
                lines += [*super().body([stmt], depth + 1), pad + "}"]
        return lines

    def expr(self, expr: Expr) -> str:
        if isinstance(expr, Load):
            return f"p[{self.layout.offset[expr.name] - self.base}]"
        if isinstance(expr, Item):
            offset, rest = split_index(expr, self.layout)
            place = str(offset - self.base)
            return f"p[{place}]" if rest is None else f"p[{self.expr(rest)} + ({place})]"
        wrapped = wrapped_value(expr)
        if wrapped is not None:
            value, bits = wrapped
            return f"NARROW({self.expr(value)}, {WORD_BITS - bits})"
        return super().expr(expr)


def wrapped_value(expr: Expr) -> tuple[Expr, int] | None:
    """(x, n) where an expression is x taken modulo 2**n to -2**(n-1) .. 2**(n-1) - 1, else None."""
    if not (isinstance(expr, Op) and expr.op == "-" and isinstance(expr.right, Const)):
        return None
    half, masked = expr.right.value, expr.left
    if half <= 0 or half & (half - 1) or not (isinstance(masked, Op) and masked.op == "&"):
        return None
    raised, mask = masked.left, masked.right
    if mask != Const(2 * half - 1):
        return None
    bits = half.bit_length()
    if isinstance(raised, Op) and raised.op == "+" and raised.right == expr.right:
        return raised.left, bits
    return Op("-", raised, expr.right), bits


def emit_native(routines: Sequence[Routine], layout: Layout, handler: Mapping[str, Any] | None = None) -> str:
    """Text of a C file: `void name(int32_t *p)` for each routine, or with a driver's `handler` (see
    `emit_viper_handler`) `void on_samples(void)`, the whole interrupt.
    """
    emitter = NativeEmitter(layout)
    kind = "" if handler is None else "static "
    blocks = [PROLOGUE, FORMS]
    blocks += ["\n".join(emitter.routine(routine, kind)) + "\n" for routine in routines]
    if handler is not None:
        blocks.append(
            "\n".join(handler_lines([routine.name for routine in routines], layout, handler)) + "\n"
        )
    return "\n".join(blocks)


def handler_lines(names: Sequence[str], layout: Layout, handler: Mapping[str, Any]) -> list[str]:
    """The function that is the interrupt: a driver's lines around calls of the routines."""
    driver = DriverText(layout)
    lines = driver.lines(handler["head"])
    for number, name in enumerate(names):
        lines.append(f"    {name}(p);")
        lines += driver.lines(handler["after_outer" if number else "after_fast"])
    return [f"void {HANDLER}(void)", "{", *driver.declarations(), *lines, "}"]
