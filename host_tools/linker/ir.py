"""The linker's own form of a program: expressions are values, statements are a tree of `if`s.

There are no loops, so a routine is a tree that is walked once: every analysis here is one
forward or one backward walk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

LITERAL_LOW = -(1 << 30)
LITERAL_HIGH = (1 << 30) - 1
MEMORY_WORD = 1  # memory[i] is word i + MEMORY_WORD of the block

# Operators by their text; the value is how tightly they bind (as in Python).
BINDING = {"|": 1, "^": 2, "&": 3, "<<": 4, ">>": 4, "+": 5, "-": 5, "*": 6}
COMMUTATIVE = {"|", "^", "&", "+", "*"}
INVERSE_COMPARISON = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
MIRRORED_COMPARISON = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a statement was written: file, line, and the stage it belongs to."""

    file: str
    line: int
    stage: str


@dataclass(frozen=True, slots=True)
class Const:
    """An integer literal."""

    value: int


@dataclass(frozen=True, slots=True)
class Local:
    """A local variable of the routine."""

    name: str


@dataclass(frozen=True, slots=True)
class Load:
    """The word of a scalar signal (as a target: a store to it)."""

    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """One word of an array signal; the array `memory` is the whole block."""

    array: str
    index: Expr


@dataclass(frozen=True, slots=True)
class Neg:
    """Unary minus."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Op:
    """A binary operation of `BINDING`."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a helper, before inlining.  `function` is the key of a parsed function."""

    function: int
    name: str
    args: tuple[Expr, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison; it occurs in conditions only."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Logic:
    """`and` or `or` of conditions."""

    op: str
    parts: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """A condition whose outcome the linker knows."""

    value: bool


Expr: TypeAlias = Const | Local | Load | Item | Neg | Op | Call
Test: TypeAlias = Compare | Logic | Truth
Target: TypeAlias = Local | Load | Item


@dataclass(slots=True)
class Assign:
    """target = value."""

    target: Target
    value: Expr
    place: Place


@dataclass(slots=True)
class If:
    """A condition with its two branches."""

    test: Test
    then: list[Stmt]
    orelse: list[Stmt]
    place: Place


@dataclass(slots=True)
class Do:
    """A call for its effect, before inlining."""

    call: Call
    place: Place


Stmt: TypeAlias = Assign | If | Do
Body: TypeAlias = list[Stmt]


@dataclass(slots=True)
class Function:
    """A parsed stage or helper.  `params` leaves out the signal object."""

    key: int
    name: str
    file: str
    line: int
    takes_signals: bool
    params: list[str]
    body: Body
    result: Expr | None
    assigned: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Routine:
    """One entry point after inlining: what one emitted function does."""

    name: str
    body: Body
    windows: list[int] = field(
        default_factory=list
    )  # where `p` points at each statement of `body`; empty: at 0


def children(expr: Expr | Test) -> tuple[Expr | Test, ...]:
    """Direct operands of an expression or a condition."""
    if isinstance(expr, (Op, Compare)):
        return (expr.left, expr.right)
    if isinstance(expr, Neg):
        return (expr.value,)
    if isinstance(expr, Item):
        return (expr.index,)
    if isinstance(expr, Logic):
        return expr.parts
    if isinstance(expr, Call):
        return expr.args
    return ()


def walk(expr: Expr | Test) -> Iterator[Expr | Test]:
    """An expression and everything in it."""
    yield expr
    for child in children(expr):
        yield from walk(child)


def rewrite(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """Rebuild an expression from the leaves up, passing every node through `change`."""
    if isinstance(expr, Op):
        left, right = rewrite(expr.left, change), rewrite(expr.right, change)
        if left is not expr.left or right is not expr.right:
            expr = Op(expr.op, left, right)
    elif isinstance(expr, Neg):
        value = rewrite(expr.value, change)
        if value is not expr.value:
            expr = Neg(value)
    elif isinstance(expr, Item):
        index = rewrite(expr.index, change)
        if index is not expr.index:
            expr = Item(expr.array, index)
    elif isinstance(expr, Call):
        expr = Call(expr.function, expr.name, tuple(rewrite(a, change) for a in expr.args), expr.line)
    return change(expr)


def rewrite_test(test: Test, change: Callable[[Expr], Expr]) -> Test:
    """The same for the expressions in a condition."""
    if isinstance(test, Compare):
        return Compare(test.op, rewrite(test.left, change), rewrite(test.right, change))
    if isinstance(test, Logic):
        return Logic(test.op, tuple(rewrite_test(part, change) for part in test.parts))
    return test


def statements(body: Body) -> Iterator[Stmt]:
    """Every statement of a tree, in the order of the text."""
    for stmt in body:
        yield stmt
        if isinstance(stmt, If):
            yield from statements(stmt.then)
            yield from statements(stmt.orelse)


def read_by(stmt: Stmt) -> Iterator[Expr | Test]:
    """Every node that a statement itself evaluates (not its branches): its reads are among them."""
    if isinstance(stmt, Assign):
        yield from walk(stmt.value)
        if isinstance(stmt.target, Item):
            yield from walk(stmt.target.index)
    elif isinstance(stmt, If):
        yield from walk(stmt.test)
    else:
        yield from walk(stmt.call)


def is_memory(node: object) -> bool:
    """Whether a node is an access by signal index, which may be any signal."""
    return isinstance(node, Item) and node.array == "memory"


def map_body(body: Body, change: Callable[[Expr], Expr]) -> Body:
    """A copy of a tree with every evaluated expression rewritten (targets stay)."""
    out: Body = []
    for stmt in body:
        if isinstance(stmt, Assign):
            target = stmt.target
            if isinstance(target, Item):
                target = Item(target.array, rewrite(target.index, change))
            out.append(Assign(target, rewrite(stmt.value, change), stmt.place))
        elif isinstance(stmt, If):
            test = rewrite_test(stmt.test, change)
            out.append(If(test, map_body(stmt.then, change), map_body(stmt.orelse, change), stmt.place))
        else:
            out.append(stmt)
    return out


def rename_body(body: Body, names: Callable[[str], str]) -> Body:
    """A copy of a tree with every local renamed, where read and where written."""

    def rename(expr: Expr) -> Expr:
        return Local(names(expr.name)) if isinstance(expr, Local) else expr

    out = map_body(body, rename)
    for stmt in statements(out):
        if isinstance(stmt, Assign) and isinstance(stmt.target, Local):
            stmt.target = Local(names(stmt.target.name))
    return out
