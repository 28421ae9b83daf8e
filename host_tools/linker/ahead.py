"""Pass `ahead`: an operand is computed ahead into a register that is free, where that is cheaper.

The board's compiler puts a left operand on the stack while it computes the right one, and fetches a word
anew each time.  A register local that holds nothing at that point (often the one that is about to be written)
takes the operand for less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .emit_viper import saturated_span
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
    Logic,
    Neg,
    Op,
    Stmt,
    Test,
    read_by,
    walk,
)

STEPS = 4  # operands taken ahead of one statement
Price = Callable[[Stmt], float]


class _Mover:
    def __init__(self, registers: Sequence[str], price: Price) -> None:
        self.registers = registers
        self.price = price

    def run(self, body: Body, live: set[str]) -> tuple[Body, set[str]]:
        """A copy of a body, and the registers whose values are used from its beginning on."""
        out: list[Body] = []
        for stmt in reversed(body):
            live = set(live)
            if isinstance(stmt, If):
                then, live_then = self.run(stmt.then, live)
                orelse, live_else = self.run(stmt.orelse, live)
                live = live_then | live_else
                whole = If(stmt.test, then, orelse, stmt.place)
                ahead = [] if saturated_span(stmt) else self._improve(whole, live)
                out.append([*ahead, whole])
            else:
                assert isinstance(stmt, Assign)
                if isinstance(stmt.target, Local):
                    live.discard(stmt.target.name)
                copy = Assign(stmt.target, stmt.value, stmt.place)
                out.append([*self._improve(copy, live), copy])
            for each in reversed(out[-1]):
                if isinstance(each, Assign) and isinstance(each.target, Local):
                    live.discard(each.target.name)
                live |= {node.name for node in read_by(each) if isinstance(node, Local)}
        return [stmt for piece in reversed(out) for stmt in piece], live

    def _improve(self, stmt: Assign | If, live_after: set[str]) -> list[Stmt]:
        """Statements to put in front; the statement itself is changed to use what they compute."""
        ahead: list[Stmt] = []
        for _ in range(STEPS):
            best: tuple[float, Expr, str] | None = None
            now = self.price(stmt)
            for operand in dict.fromkeys(_operands(stmt)):
                for register in self.registers:
                    if register in live_after or any(_writes(each, register) for each in ahead):
                        continue
                    changed = _replace(stmt, operand, Local(register))
                    if any(node == Local(register) for node in _reads(_replace(stmt, operand, Const(0)))):
                        continue
                    cost = self.price(changed) + self.price(Assign(Local(register), operand, stmt.place))
                    if cost < now and (best is None or cost < best[0]):
                        best = cost, operand, register
            if best is None:
                break
            _, operand, register = best
            front = Assign(Local(register), operand, stmt.place)
            changed = _replace(stmt, operand, Local(register))
            if isinstance(stmt, If):
                assert isinstance(changed, If)
                stmt.test = changed.test
            else:
                assert isinstance(changed, Assign)
                stmt.value, stmt.target = changed.value, changed.target
            # What reads the register's old value must stay before; only `front` may.
            ahead.append(front)
            live_after = live_after | {register}
        return ahead


def _writes(stmt: Stmt, name: str) -> bool:
    return isinstance(stmt, Assign) and stmt.target == Local(name)


def _reads(stmt: Stmt) -> Iterator[Expr | Test]:
    return read_by(stmt)


def _operands(stmt: Stmt) -> Iterator[Expr]:
    """Expressions that could be computed ahead: words, locals, operations; none of a later condition."""
    roots: list[Expr | Test] = []
    if isinstance(stmt, Assign):
        if isinstance(stmt.value, (Op, Neg)):
            roots += [stmt.value.left, stmt.value.right] if isinstance(stmt.value, Op) else [stmt.value.value]
        if isinstance(stmt.target, Item):
            roots.append(stmt.target.index)
    elif isinstance(stmt, If):
        test = stmt.test.parts[0] if isinstance(stmt.test, Logic) else stmt.test
        if isinstance(test, Compare):
            roots += [test.left, test.right]
    for root in roots:
        for node in walk(root):
            if isinstance(node, (Op, Load, Item, Local)):
                yield node


def _replace(stmt: Assign | If, operand: Expr, by: Expr) -> Assign | If:
    def expr(node: Expr) -> Expr:
        if node == operand:
            return by
        if isinstance(node, Op):
            return Op(node.op, expr(node.left), expr(node.right))
        if isinstance(node, Neg):
            return Neg(expr(node.value))
        if isinstance(node, Item):
            return Item(node.array, expr(node.index))
        return node

    def test(node: Test) -> Test:
        if isinstance(node, Compare):
            return Compare(node.op, expr(node.left), expr(node.right))
        if isinstance(node, Logic):
            return Logic(node.op, tuple(test(part) for part in node.parts))
        return node

    if isinstance(stmt, If):
        return If(test(stmt.test), stmt.then, stmt.orelse, stmt.place)
    target = (
        Item(stmt.target.array, expr(stmt.target.index)) if isinstance(stmt.target, Item) else stmt.target
    )
    return Assign(target, expr(stmt.value), stmt.place)


def move_ahead(body: Body, registers: Sequence[str], price: Price) -> Body:
    """A copy of a coloured body; `price` gives a statement's cycles (of an `if`: its condition's)."""
    return _Mover(registers, price).run(body, set())[0]
