"""Passes `propagate` and `substitute`: values go to where they are used.

`propagate` replaces a local by the constant or the local that it is a copy of.  `substitute`
moves the expression of a local that is written once and read once into its use, when nothing
that it reads changes in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .flow import Key, count_reads, count_writes, disturbs, is_leaf, key_of, reads_of, written_by
from .fold import LiteralRange, fold_constants
from .ir import (
    Assign,
    Body,
    Expr,
    If,
    Item,
    Local,
    Op,
    Stmt,
    Test,
    read_by,
    rewrite,
    rewrite_test,
    walk,
)

# A longer expression is left in two statements: the board's parser recurses.
LONGEST = 24


def propagate(body: Body) -> Body:
    """A copy of a body with copies and constants replaced by their origin."""
    out: Body = []
    _propagate(body, {}, out)
    return out


def _changes(known: dict[str, Expr]) -> list[Callable[[Expr], Expr]]:
    """Ways to replace known locals: constants folded, else copies of locals only."""
    copies = {name: value for name, value in known.items() if isinstance(value, Local)}

    def change_and_fold(node: Expr) -> Expr:
        return fold_constants(known.get(node.name, node) if isinstance(node, Local) else node)

    def change_copies(node: Expr) -> Expr:
        return copies.get(node.name, node) if isinstance(node, Local) else node

    return [change_and_fold, change_copies]


def _replace(expr: Expr, known: dict[str, Expr]) -> Expr:
    fold, copy = _changes(known)
    try:
        return rewrite(expr, fold)
    except LiteralRange:
        return rewrite(expr, copy)


def _replace_test(test: Test, known: dict[str, Expr]) -> Test:
    fold, copy = _changes(known)
    try:
        return rewrite_test(test, fold)
    except LiteralRange:
        return rewrite_test(test, copy)


def _forget(name: str, known: dict[str, Expr]) -> None:
    known.pop(name, None)
    for other in [other for other, value in known.items() if value == Local(name)]:
        del known[other]


def _propagate(body: Body, known: dict[str, Expr], out: Body) -> None:
    for stmt in body:
        if isinstance(stmt, If):
            branch = If(_replace_test(stmt.test, known), [], [], stmt.place)
            then, orelse = dict(known), dict(known)
            _propagate(stmt.then, then, branch.then)
            _propagate(stmt.orelse, orelse, branch.orelse)
            known.clear()
            known.update({name: value for name, value in then.items() if orelse.get(name) == value})
            out.append(branch)
            continue
        assert isinstance(stmt, Assign)
        value, target = _replace(stmt.value, known), stmt.target
        if isinstance(target, Item):
            target = Item(target.array, _replace(target.index, known))
        out.append(Assign(target, value, stmt.place))
        if isinstance(target, Local):
            _forget(target.name, known)
            if is_leaf(value) and value != target:
                known[target.name] = value


@dataclass
class _Pending:
    value: Expr
    reads: frozenset[Key]


class _Substituter:
    """Finds the locals whose only use can take their expression, then puts it there."""

    def __init__(self, body: Body) -> None:
        reads, writes = count_reads(body), count_writes(body)
        self.once = {name for name, count in reads.items() if count == 1 and writes[name] == 1}
        self.moved: dict[str, Expr] = {}
        self.body = body

    def run(self) -> Body:
        self._find(self.body, {})
        return self._place(self.body) if self.moved else self.body

    def _expand(self, expr: Expr) -> Expr:
        return rewrite(
            expr, lambda node: self.moved.get(node.name, node) if isinstance(node, Local) else node
        )

    def _take(self, stmt: Stmt, pending: dict[str, _Pending]) -> None:
        """Mark the pending locals that this statement reads as moved into it."""
        size = sum(1 for node in read_by(stmt) if isinstance(node, Op))
        for node in list(read_by(stmt)):
            if isinstance(node, Local) and node.name in pending:
                entry = pending.pop(node.name)
                size += sum(1 for inner in walk(entry.value) if isinstance(inner, Op))
                if size <= LONGEST:
                    self.moved[node.name] = entry.value

    def _find(self, body: Body, pending: dict[str, _Pending]) -> None:
        for stmt in body:
            self._take(stmt, pending)
            if isinstance(stmt, If):
                self._find(stmt.then, dict(pending))
                self._find(stmt.orelse, dict(pending))
                for written in written_by(stmt.then) | written_by(stmt.orelse):
                    _drop(written, pending)
                continue
            assert isinstance(stmt, Assign)
            written = key_of(stmt.target)
            assert written is not None
            _drop(written, pending)
            if isinstance(stmt.target, Local) and stmt.target.name in self.once:
                value = self._expand(stmt.value)
                pending[stmt.target.name] = _Pending(value, reads_of(value))

    def _place(self, body: Body) -> Body:
        out: Body = []
        for stmt in body:
            if isinstance(stmt, If):
                test = rewrite_test(
                    stmt.test,
                    lambda node: self.moved.get(node.name, node) if isinstance(node, Local) else node,
                )
                out.append(If(test, self._place(stmt.then), self._place(stmt.orelse), stmt.place))
                continue
            assert isinstance(stmt, Assign)
            target = stmt.target
            if isinstance(target, Local) and target.name in self.moved:
                continue
            if isinstance(target, Item):
                target = Item(target.array, self._expand(target.index))
            out.append(Assign(target, self._expand(stmt.value), stmt.place))
        return out


def _drop(written: Key, pending: dict[str, _Pending]) -> None:
    for name in [name for name, entry in pending.items() if disturbs(written, entry.reads)]:
        del pending[name]


def substitute(body: Body) -> Body:
    """A copy of a body with single uses replaced by their expression."""
    return _Substituter(body).run()
