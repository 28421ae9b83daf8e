"""Pass `windows`: the block's pointer slides along with the words in use.

`p[i]` below 32 is one instruction, further out it takes three more.  So scalars lie in the order in which the
routines come to use them, and between two statements of a routine's own level `p` may be moved on, which
costs about as much as two far accesses save.  Only viper code has windows; the other engines index the block.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from .cost import HOT_WORDS, weighted
from .ir import Assign, Body, Load, Routine, read_by
from .layout import Layout
from .viper_cost import literal_cost

STEP = 4  # words; a multiple, so that most moves are a literal below 256 bytes
MOVE = 5.0  # cycles
NEAR = 2.0
Accesses = Mapping[str, float]


def accesses(body: Body) -> list[Accesses]:
    """How often each statement of the outermost level, with all in it, reads or writes each signal."""
    rows: list[Accesses] = []
    for top in body:
        row: dict[str, float] = defaultdict(float)
        for stmt, weight in weighted([top]):
            for node in read_by(stmt):
                if isinstance(node, Load):
                    row[node.name] += weight
            if isinstance(stmt, Assign) and isinstance(stmt.target, Load):
                row[stmt.target.name] += weight
        rows.append(row)
    return rows


def access_cost(distance: int) -> float:
    """Cycles of a word at a distance from where `p` points."""
    return NEAR if 0 <= distance < HOT_WORDS else NEAR + 1 + literal_cost(4 * distance)[0]


def order_by_time(routines: Sequence[Routine], names: Sequence[str]) -> list[str]:
    """Scalars in the order in which the routines use them, at the mean place of their use."""
    place: dict[str, tuple[int, float]] = {}
    for number, routine in enumerate(routines):
        sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for time, row in enumerate(accesses(routine.body)):
            for name, weight in row.items():
                sums[name][0] += weight * time
                sums[name][1] += weight
        for name, (moment, weight) in sums.items():
            place.setdefault(name, (number, moment / weight))
    position = {name: n for n, name in enumerate(names)}
    return sorted(names, key=lambda name: (place.get(name, (len(routines), 0.0)), position[name]))


def plan_windows(body: Body, layout: Layout) -> list[int]:
    """The word to which `p` points at each statement of a routine's own level; begins and ends at 0."""
    rows = accesses(body)
    starts = list(range(0, max(1, layout.scalar_end - HOT_WORDS + STEP), STEP))
    costs = [0.0 if start == 0 else MOVE for start in starts]
    history: list[list[int]] = []
    for row in rows:
        cheapest = min(range(len(starts)), key=costs.__getitem__)
        came = [n if costs[n] <= costs[cheapest] + MOVE else cheapest for n in range(len(starts))]
        costs = [
            min(costs[n], costs[cheapest] + MOVE)
            + sum(weight * access_cost(layout.offset[name] - start) for name, weight in row.items())
            for n, start in enumerate(starts)
        ]
        history.append(came)
    end = min(range(len(starts)), key=lambda n: costs[n] + (MOVE if n else 0.0))
    plan: list[int] = []
    for came in reversed(history):
        plan.append(starts[end])
        end = came[end]
    return plan[::-1]
