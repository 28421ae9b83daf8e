"""The passes by name and the order in which they run.  Any may be left out; results stay the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from eesm.table import Signal

from .ahead import move_ahead
from .colour import REGISTERS, coalesce, colour, slot_name, split_webs
from .dead import remove_dead
from .emit_viper import ViperEmitter
from .fold import prune, simplify_body
from .ir import Body, Routine
from .layout import Layout, lay_out, scalar_names
from .lend import lend
from .place import merge_mirrors, order_by_use
from .promote import promote, signal_of
from .propagate import propagate, substitute
from .ranges import Facts, find_facts, note_tests, use_ranges
from .report import estimate_bytes
from .split import split
from .windows import order_by_time, plan_windows

# algebra: integer identities, known branches closed.  propagate: copies and constants follow to
# their uses.  substitute: single uses take the expression.  cache: signals live in locals.  dead:
# writes nobody reads go.  coalesce: both sides of a copy share a name.  layout: busy signals get
# low words.  split: no branch too long for the board.  colour: few locals, in
# registers those that save most.  lend: a free register holds a stack local for
# some statements.  ahead: operands computed ahead into a free register.
# windows: the block's pointer slides along with the words in use.
ALL = (
    "algebra",
    "propagate",
    "substitute",
    "ranges",
    "cache",
    "dead",
    "coalesce",
    "layout",
    "split",
    "colour",
    "lend",
    "ahead",
    "windows",
)
ROUNDS = 3


def optimise(
    routines: Sequence[Routine],
    table: Mapping[str, Signal],
    passes: Collection[str],
    memory_budget: int | None = None,
) -> tuple[list[Routine], Layout, Facts | None]:
    """Run the named passes over all routines; returns them with their layout and proven ranges."""
    unknown = set(passes) - set(ALL)
    if unknown:
        raise ValueError(f"no pass is called {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    bodies = [_clean(split_webs(routine.body), passes) for routine in routines]
    facts = None
    if "ranges" in passes:
        facts = find_facts(bodies, table)
        bodies = [_clean(use_ranges(body, facts), passes) for body in bodies]
    improved = [
        Routine(routine.name, _improve(body, passes)) for routine, body in zip(routines, bodies, strict=True)
    ]
    names = scalar_names(table)
    order = names
    if "layout" in passes:
        order = (order_by_time if "windows" in passes else order_by_use)(improved, names)
    layout = lay_out(table, order, memory_budget)
    finished = [Routine(routine.name, _finish(routine.body, layout, passes, facts)) for routine in improved]
    if "windows" in passes:
        for routine in finished:
            routine.windows = plan_windows(routine.body, layout)
    return finished, layout, facts


def _clean(body: Body, passes: Collection[str]) -> Body:
    for _ in range(ROUNDS):
        if "propagate" in passes:
            body = propagate(body)
        if "algebra" in passes:
            body = simplify_body(body)
        if "substitute" in passes:
            body = substitute(body)
        if "dead" in passes:
            body = remove_dead(body)
    return prune(body)


def _improve(body: Body, passes: Collection[str]) -> Body:
    if "cache" in passes:
        body = _clean(promote(body), passes)
    if "coalesce" in passes:
        # A value computed for a signal is computed in the signal's own local.
        body = coalesce(body, lambda left, right: bool(signal_of(left)) and not signal_of(right))
        body = _clean(body, passes)
    return body


def _finish(body: Body, layout: Layout, passes: Collection[str], facts: Facts | None) -> Body:
    if "cache" in passes and "layout" in passes:
        body = _clean(merge_mirrors(body, layout, near="windows" in passes), passes)
    if "coalesce" in passes:
        body = coalesce(body, lambda left, right: True)
    if "split" in passes:
        body = split(body, lambda piece: estimate_bytes(piece, layout))
    if "colour" in passes:
        body = split_webs(body)
        if facts is not None:
            note_tests(body, facts)
        emitter = ViperEmitter(layout, facts=facts, near="windows" in passes)
        body = colour(body, emitter.price)
        registers = [slot_name(n) for n in range(REGISTERS)]
        if "lend" in passes:
            if facts is not None:
                note_tests(body, facts)
            body = lend(body, registers, lambda stmt: emitter.price(stmt, registers), emitter.note_copy)
        if "ahead" in passes:
            body = move_ahead(body, registers, lambda stmt: emitter.price(stmt, registers))
    return body
