"""Linked code for the board: a module of MicroPython viper functions.

The block's pointer is the parameter itself, `p: ptr32`, so it takes one register and not two; a
caller passes the block (any buffer of words) or its address.

What the board's compiler makes of a text decides its form here (cycles on armv6m):
- locals live in registers in the order in which they appear, so the busiest two are named first;
- a comparison makes a bool and tests that (9); an integer is tested at once (4): `x == c` is
  written as `not x ^ c`, `x < 0` as `x >> 31`;
- the left operand waits on the stack while the right one is computed: the simple one comes right;
- saturation at constants compares twice (31): one range test (13) lets what is far inside pass.
Words wrap on the board and in these forms only signs and zeros are looked at, so each form is
exact for all words.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .colour import REGISTERS, slot_name
from .cost import weighted
from .errors import LinkError
from .ir import (
    BINDING,
    COMMUTATIVE,
    Assign,
    Compare,
    Const,
    Expr,
    If,
    Load,
    Local,
    Neg,
    Op,
    Routine,
    Stmt,
    Test,
    Truth,
    read_by,
)
from .layout import Layout
from .ranges import WORD, Facts, Interval, State, note_tests
from .text import NEG_BINDING, TextEmitter
from .viper_cost import statement_cost

SIGN_SHIFT = 31
RANGE_TEST_FROM = 256  # narrower ranges are mostly left, and cheap to compare with


class ViperEmitter(TextEmitter):
    """Text that the board's compiler turns into the fewest instructions."""

    def __init__(
        self, layout: Layout, notes: bool = False, facts: Facts | None = None, near: bool = False
    ) -> None:
        super().__init__(layout, notes)
        self.near = near  # to price statements as if every word were within reach
        self.facts = facts
        self.known: State | None = None
        self.registers: list[str] = []

    def routine(self, routine: Routine) -> list[str]:
        lines = self.inner(routine)
        head = ["@micropython.viper", f"def {routine.name}(p: ptr32):"]
        return [*head, *(f"{self.indent}{name} = 0" for name in self.registers), *lines]

    def inner(self, routine: Routine) -> list[str]:
        """The lines of a routine's body; the locals in `registers` must come first in their function."""
        if self.facts is not None:
            note_tests(routine.body, self.facts)
        self.registers = register_locals(routine)
        if not any(routine.windows):
            return self.body(routine.body, 1)
        lines: list[str] = []
        for stmt, start in zip(routine.body, routine.windows, strict=True):
            lines += [*self.move_window(start, stmt), *self.body([stmt], 1)]
        return [*lines, *self.move_window(0, routine.body[-1])]

    def move_window(self, start: int, stmt: Stmt) -> list[str]:
        """The line that lets `p` point to another word of the block, if it must."""
        step = 4 * (start - self.base)
        self.base = start
        sign = "-" if step < 0 else "+"
        return [f"{self.indent}p = ptr32(int(p) {sign} {abs(step)}){self.note(stmt)}"] if step else []

    def branch(self, stmt: If, depth: int, word: str = "if") -> list[str]:
        outside, self.known = self.known, self.facts.at(stmt) if self.facts is not None else None
        guard = self.guard(stmt) if word == "if" else None
        if guard is None:
            lines = super().branch(stmt, depth, word)
        else:
            lines = [f"{self.indent * depth}if {guard}:{self.note(stmt)}", *super().branch(stmt, depth + 1)]
        self.known = outside
        return lines

    def price(self, stmt: Stmt, registers: Collection[str]) -> float:
        """Cycles of a statement, of an `if` its condition's, with these locals in registers."""
        self.registers = list(registers)
        if isinstance(stmt, If):
            self.known = self.facts.at(stmt) if self.facts is not None else None
            guard, test = self.guard(stmt), f"if {self.test(stmt.test)}:"
            self.known = None
            return statement_cost(f"if {guard}:" if guard else test, registers).cycles
        assert isinstance(stmt, Assign)
        return statement_cost(f"{self.expr(stmt.target)} = {self.expr(stmt.value)}", registers).cycles

    def note_copy(self, old: If, new: If, name: str, register: str) -> None:
        """Hear that an `if` was copied with a local renamed: the same is known there."""
        known = self.facts.at(old) if self.facts is not None else None
        if self.facts is not None and known is not None:
            if "." + name in known:
                known = known.written("." + register, known["." + name])
            self.facts.note(new, known)

    def guard(self, stmt: If) -> str | None:
        """A cheap test that lets most of what needs no saturation pass."""
        span = saturated_span(stmt)
        if span is None:
            return None
        assert isinstance(stmt.test, Compare)
        name = self.expr(stmt.test.left, BINDING["+"])
        return f"{name} + {1 << (span - 1)} >> {span}"

    def interval(self, expr: Expr) -> Interval:
        """What an expression can be at the present condition."""
        if self.facts is None or self.known is None:
            return WORD
        return self.facts.interval(expr, self.known)

    def test(self, test: Test, nested: bool = False) -> str:
        # `not x ^ c and y` would bind as meant, but parentheses cost nothing and read better.
        if isinstance(test, (Compare, Truth)):
            return super().test(test, nested)
        text = f" {test.op} ".join(self.test(part, True) for part in test.parts)
        return f"({text})" if nested else text

    def expr(self, expr: Expr, outer: int = 0) -> str:
        # `-a` of a local in a register negates the local itself (MicroPython 1.25, every machine).
        if self.near and isinstance(expr, Load):
            return "p[1]"
        if isinstance(expr, Neg) and isinstance(expr.value, Local):
            expr = Op("-", Const(0), expr.value)
        if isinstance(expr, Op) and expr.op in COMMUTATIVE and is_simple(expr.left) > is_simple(expr.right):
            expr = Op(expr.op, expr.right, expr.left)
        return super().expr(expr, outer)

    def comparison(self, test: Compare) -> str:
        op, left, right = test.op, test.left, test.right
        zero = isinstance(right, Const) and right.value == 0
        if op in ("==", "!="):
            word = "not " if op == "==" else ""
            if zero:
                return word + self.expr(left, NEG_BINDING if word else 0)
            return word + self.expr(Op("^", left, right), 0)
        if zero and op in ("<", ">="):
            word = "not " if op == ">=" else ""
            return word + self.expr(Op(">>", left, Const(SIGN_SHIFT)), 0)
        return self.sign_form(op, left, right) or super().comparison(test)

    def sign_form(self, op: str, left: Expr, right: Expr) -> str | None:
        """A comparison as the sign of a difference, or as what is left of a shift, where that is exact."""
        low, _ = self.interval(left)
        if isinstance(right, Const) and low >= 0:
            limit = right.value + (op in (">", "<="))
            word = "" if op in (">", ">=") else "not "
            if limit == 1:
                return word + self.expr(left, NEG_BINDING if word else 0)
            if limit > 1 and limit & (limit - 1) == 0:
                shift = limit.bit_length() - 1
                return word + self.expr(Op(">>", left, Const(shift)), 0)
        first, second = (left, right) if op in ("<", ">=") else (right, left)
        word = "not " if op in (">=", "<=") else ""
        difference: Expr = Op("-", first, second)
        if isinstance(second, Const) and second.value < 0:
            difference = Op("+", first, Const(-second.value))
        if not is_simple(second) or not within(self.interval(difference), (WORD[0] + 1, WORD[1] - 1)):
            return None
        return word + self.expr(Op(">>", difference, Const(SIGN_SHIFT)), 0)


def within(inner: Interval, outer: Interval) -> bool:
    """Whether an interval lies in another."""
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def is_simple(expr: Expr) -> bool:
    """Whether a value is one load: it can come last, so that nothing waits on the stack for it."""
    return isinstance(expr, (Const, Local, Load))


def saturated_span(stmt: If) -> int | None:
    """Width in bits of a range far inside of a saturation at constants, else None.

    The form is `if x > high: ... elif x < low: ...` without an else: nothing happens for
    low <= x <= high, thus for -2**(n-1) <= x < 2**(n-1) when that lies within.
    """
    if len(stmt.orelse) != 1 or not isinstance(stmt.orelse[0], If) or stmt.orelse[0].orelse:
        return None
    upper, lower = stmt.test, stmt.orelse[0].test
    if not (isinstance(upper, Compare) and isinstance(lower, Compare)):
        return None
    if (upper.op, lower.op) != (">", "<") or upper.left != lower.left or not isinstance(upper.left, Local):
        return None
    if not (isinstance(upper.right, Const) and isinstance(lower.right, Const)):
        return None
    reach = min(upper.right.value + 1, -lower.right.value)
    return reach.bit_length() if reach >= RANGE_TEST_FROM else None


def register_locals(routine: Routine) -> list[str]:
    """The locals that get the registers: what `colour` chose, else the busiest; none when all get one."""
    use: dict[str, float] = defaultdict(float)
    for stmt, weight in weighted(routine.body):
        for node in read_by(stmt):
            if isinstance(node, Local):
                use[node.name] += weight
        if isinstance(stmt, Assign) and isinstance(stmt.target, Local):
            use[stmt.target.name] += weight
    if len(use) <= 1:
        return []
    chosen = [slot_name(number) for number in range(REGISTERS)]
    if all(name in use for name in chosen):
        return chosen
    return sorted(use, key=lambda name: (-use[name], name))[:REGISTERS]


def emit_viper(
    routines: Sequence[Routine], layout: Layout, notes: bool = False, facts: Facts | None = None
) -> str:
    """Text of the module that is compiled on the board; `notes` adds the stage to each line."""
    emitter = ViperEmitter(layout, notes, facts)
    lines = ["import micropython"]
    for routine in routines:
        lines += ["", "", *emitter.routine(routine)]
    return "\n".join(lines) + "\n"


HANDLER = "on_samples"
DRIVER = "driver"  # stands for a stage in the notes


def emit_viper_handler(
    routines: Sequence[Routine],
    layout: Layout,
    handler: Mapping[str, Any],
    notes: bool = False,
    facts: Facts | None = None,
) -> str:
    """Text of a module with one function, `on_samples`: the routines with a driver's lines around them.

    `handler` has `argument` (the function's parameters as text) and three lists of viper lines: `head`,
    which sets `p`, the block, first of all locals, so that it gets a register; `after_fast` behind the first
    routine and `after_outer` behind the others.  In them `{signal}` stands for a signal's word; their locals
    begin with `r_`.  LinkError for a signal without a word.
    """
    emitter = ViperEmitter(layout, notes, facts)
    first = ViperEmitter(layout, facts=facts)
    lines = ["import micropython", "", "", "@micropython.viper", f"def {HANDLER}({handler['argument']}):"]
    lines += _driver_lines(handler["head"], layout, notes)
    first.routine(routines[0])
    lines += [f"{emitter.indent}{name} = 0" for name in first.registers]
    for number, routine in enumerate(routines):
        lines += emitter.inner(routine)
        lines += _driver_lines(handler["after_outer" if number else "after_fast"], layout, notes)
    return "\n".join(lines) + "\n"


def _driver_lines(lines: Sequence[str], layout: Layout, notes: bool) -> list[str]:
    def word(match: re.Match[str]) -> str:
        if match[1] not in layout.offset:
            raise LinkError(f"the driver's handler names `{match[1]}`, which has no word in the block")
        return f"p[{layout.offset[match[1]]}]"

    out: list[str] = []
    for line in lines:
        depth = (len(line) - len(line.lstrip())) // 4
        text = re.sub(r"\{(\w+)\}", word, line.strip())
        out.append(" " * (1 + depth) + text + (f"  # {DRIVER}" if notes else ""))
    return out
