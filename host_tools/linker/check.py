"""Definite assignment: a local or a transient is written on every path before it is read.

The block keeps nothing of a transient, so one that was not written in this very routine would be
whatever a register held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eesm.table import TRANSIENT, Signal

from .errors import LinkError
from .ir import Assign, Body, If, Local, Routine, Stmt, read_by, statements


def check_assignment(routine: Routine, table: Mapping[str, Signal]) -> None:
    """LinkError at the first read of a name that some path leaves unwritten."""
    _check_body(routine.body, set(), table)


def _check_body(body: Body, known: set[str], table: Mapping[str, Signal]) -> None:
    for stmt in body:
        for node in read_by(stmt):
            if isinstance(node, Local) and node.name not in known:
                raise LinkError(_advice(node.name, table), stmt.place.file, stmt.place.line)
        if isinstance(stmt, Assign):
            if isinstance(stmt.target, Local):
                known.add(stmt.target.name)
        elif isinstance(stmt, If):
            then, orelse = set(known), set(known)
            _check_body(stmt.then, then, table)
            _check_body(stmt.orelse, orelse, table)
            known |= then & orelse


def _advice(name: str, table: Mapping[str, Signal]) -> str:
    if name in table:
        return (
            f"the transient `{name}` is read here, but not every path has written it in this routine; "
            "call the stage that writes it before, or declare it as a state"
        )
    written = name.split("__")[0]
    return f"`{written}` is read here, but not every path has written it; give it a value before the `if`"


def check_transients(routines: Sequence[Routine], table: Mapping[str, Signal]) -> None:
    """LinkError when two routines use one transient: it does not outlive either."""
    user: dict[str, str] = {}
    for routine in routines:
        for stmt in statements(routine.body):
            for name in _transients_of(stmt, table):
                first = user.setdefault(name, routine.name)
                if first != routine.name:
                    raise LinkError(
                        f"the transient `{name}` is used by {first} and by {routine.name}, but lives in one "
                        "routine only; declare it as a state",
                        stmt.place.file,
                        stmt.place.line,
                    )


def _transients_of(stmt: Stmt, table: Mapping[str, Signal]) -> list[str]:
    names = [node.name for node in read_by(stmt) if isinstance(node, Local)]
    if isinstance(stmt, Assign) and isinstance(stmt.target, Local):
        names.append(stmt.target.name)
    return [name for name in names if name in table and table[name].role == TRANSIENT]
