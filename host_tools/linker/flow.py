"""What is read and written where: the ground under the passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from .ir import (
    Assign,
    Body,
    Const,
    Expr,
    If,
    Item,
    Load,
    Local,
    Test,
    read_by,
    statements,
    walk,
)

# The words that an expression or a statement touches are named by keys: ("local", x),
# ("signal", x), ("array", x).  Access by signal index may be any signal or array.
Key = tuple[str, str]
MEMORY: Key = ("array", "memory")


def key_of(node: Expr | Test) -> Key | None:
    """Key of a node that reads (or, as a target, writes) something."""
    if isinstance(node, Local):
        return ("local", node.name)
    if isinstance(node, Load):
        return ("signal", node.name)
    if isinstance(node, Item):
        return ("array", node.array)
    return None


def reads_of(expr: Expr | Test) -> frozenset[Key]:
    """Keys of everything that an expression reads."""
    return frozenset(key for node in walk(expr) if (key := key_of(node)) is not None)


def disturbs(written: Key, reads: Iterable[Key]) -> bool:
    """Whether a write to `written` may change what `reads` name."""
    if written == MEMORY:
        return any(kind != "local" for kind, _ in reads)
    if written[0] == "local":
        return written in reads
    return written in reads or MEMORY in reads


def written_by(body: Body) -> set[Key]:
    """Keys of everything that a tree writes."""
    out: set[Key] = set()
    for stmt in statements(body):
        if isinstance(stmt, Assign):
            key = key_of(stmt.target)
            assert key is not None
            out.add(key)
    return out


def count_reads(body: Body) -> Counter[str]:
    """How often each local is read, in the text."""
    return Counter(
        node.name for stmt in statements(body) for node in read_by(stmt) if isinstance(node, Local)
    )


def count_writes(body: Body) -> Counter[str]:
    """How often each local is written, in the text."""
    return Counter(
        stmt.target.name
        for stmt in statements(body)
        if isinstance(stmt, Assign) and isinstance(stmt.target, Local)
    )


def is_leaf(expr: Expr) -> bool:
    """A constant or a local."""
    return isinstance(expr, (Const, Local))


def live_before(body: Body, live: set[Key]) -> set[Key]:
    """Locals that are read in or after a tree before they are written; `live` holds after it."""
    live = set(live)
    for stmt in reversed(body):
        if isinstance(stmt, If):
            live = live_before(stmt.then, live) | live_before(stmt.orelse, live)
        elif isinstance(stmt, Assign) and isinstance(stmt.target, Local):
            live.discard(("local", stmt.target.name))
        live |= {("local", node.name) for node in read_by(stmt) if isinstance(node, Local)}
    return live
