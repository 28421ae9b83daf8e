"""Pass `cache`: signals live in locals while a routine works on them.

Every scalar signal gets one local, named `<signal>__v`.  It is loaded at the first read on a
path and stored through at every write, so the block is always up to date; an access by signal
index makes all of them stale.  Where keeping the local does not pay, `place` puts the word back.
"""

from __future__ import annotations

from .ir import (
    Assign,
    Body,
    Expr,
    If,
    Item,
    Load,
    Local,
    Place,
    Stmt,
    is_memory,
    read_by,
    rewrite,
    rewrite_test,
)

MARK = "__v"


def cache_name(signal: str) -> str:
    """Name of the local that mirrors a signal."""
    return signal + MARK


def signal_of(local: str) -> str | None:
    """The signal that a local mirrors, if any."""
    return local[: -len(MARK)] if local.endswith(MARK) else None


def promote(body: Body) -> Body:
    """A copy of a routine's body in which signals are read from locals."""
    out: Body = []
    _promote(body, set(), out)
    return out


def _mirror(expr: Expr) -> Expr:
    return Local(cache_name(expr.name)) if isinstance(expr, Load) else expr


def _load(stmt: Stmt, held: set[str], place: Place, out: Body) -> None:
    """Load what a statement reads and no local holds yet."""
    for node in read_by(stmt):
        if isinstance(node, Load) and node.name not in held:
            held.add(node.name)
            out.append(Assign(Local(cache_name(node.name)), node, place))


def _promote(body: Body, held: set[str], out: Body) -> None:
    for stmt in body:
        _load(stmt, held, stmt.place, out)
        if isinstance(stmt, If):
            then_held, else_held = set(held), set(held)
            branch = If(rewrite_test(stmt.test, _mirror), [], [], stmt.place)
            _promote(stmt.then, then_held, branch.then)
            _promote(stmt.orelse, else_held, branch.orelse)
            held.clear()
            held.update(then_held & else_held)
            out.append(branch)
            continue
        assert isinstance(stmt, Assign)
        value, target = rewrite(stmt.value, _mirror), stmt.target
        if isinstance(target, Load):
            local = Local(cache_name(target.name))
            out.append(Assign(local, value, stmt.place))
            out.append(Assign(target, local, stmt.place))
            held.add(target.name)
            continue
        if isinstance(target, Item):
            target = Item(target.array, rewrite(target.index, _mirror))
            if is_memory(target):
                held.clear()
        out.append(Assign(target, value, stmt.place))
