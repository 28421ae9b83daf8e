"""Pass `dead`: writes that nothing reads go away.

All signals are read at the end of a routine (the driver, the main loop and the next period see
them) and at every access by signal index.  Expressions have no effect, so dropping one is safe.
"""

from __future__ import annotations

from .flow import Key, key_of
from .fold import prune
from .ir import Assign, Body, If, Item, Load, Local, is_memory, read_by, statements


def remove_dead(body: Body) -> Body:
    """A copy of a routine's body without dead writes."""
    signals: set[Key] = {
        ("signal", stmt.target.name)
        for stmt in statements(body)
        if isinstance(stmt, Assign) and isinstance(stmt.target, Load)
    }
    out, _ = _remove(body, set(signals), signals)
    return prune(out)


def _remove(body: Body, live: set[Key], signals: set[Key]) -> tuple[Body, set[Key]]:
    out: Body = []
    for stmt in reversed(body):
        if isinstance(stmt, If):
            then, live_then = _remove(stmt.then, set(live), signals)
            orelse, live_else = _remove(stmt.orelse, set(live), signals)
            if not then and not orelse:
                continue
            live = live_then | live_else
            stmt = If(stmt.test, then, orelse, stmt.place)
        elif isinstance(stmt, Assign) and isinstance(stmt.target, (Local, Load)):
            key = key_of(stmt.target)
            assert key is not None
            if key not in live or stmt.value == stmt.target:
                continue
            live.discard(key)
        for node in read_by(stmt):
            if is_memory(node):
                live |= signals
            elif not isinstance(node, Item):
                key = key_of(node)
                if key is not None:
                    live.add(key)
        out.append(stmt)
    out.reverse()
    return out, live
