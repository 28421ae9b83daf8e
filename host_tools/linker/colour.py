"""Pass `colour` and its helpers: few names for many locals, the busiest first.

The board's compiler keeps the first locals of a function in registers and the others on the
stack.  Lifetimes are spans of the text (there are no loops), so the best set of lifetimes for a
register is found exactly, as in scheduling weighted jobs on one machine.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from .cost import BRANCH_SHARE
from .ir import Assign, Body, If, Local, Stmt, read_by, rename_body, statements

Price = Callable[[Stmt, frozenset[str]], float]
ROUNDS = 2  # of choosing a register's locals anew, given the others'
REGISTERS = 2  # besides the block's pointer, which is the first


@dataclass(slots=True)
class Span:
    """Lifetime of a local: from its first write to its last read, with what its accesses weigh."""

    name: str
    start: int
    end: int
    weight: float


Gain = Callable[[Stmt, str], float]


def count_accesses(stmt: Stmt, name: str) -> float:
    """How often a statement accesses a local: a measure of what a register saves there."""
    reads = sum(1 for node in read_by(stmt) if node == Local(name))
    return reads + (isinstance(stmt, Assign) and stmt.target == Local(name))


def find_spans(body: Body, gain: Gain = count_accesses) -> list[Span]:
    """Lifetimes of all locals, by their start; `gain` says what a register saves in a statement."""
    spans: dict[str, Span] = {}
    clock = 0

    def touch(name: str, time: int, weight: float) -> None:
        span = spans.get(name)
        if span is None:
            spans[name] = Span(name, time, time, weight)
        else:
            span.end = time
            span.weight += weight

    def walk(inner: Body, weight: float) -> None:
        nonlocal clock
        for stmt in inner:
            clock += 2
            read = dict.fromkeys(node.name for node in read_by(stmt) if isinstance(node, Local))
            for name in read:
                touch(name, clock, weight * gain(stmt, name))
            if isinstance(stmt, Assign) and isinstance(stmt.target, Local):
                name = stmt.target.name
                touch(name, clock + 1, 0.0 if name in read else weight * gain(stmt, name))
            elif isinstance(stmt, If):
                walk(stmt.then, weight * BRANCH_SHARE)
                walk(stmt.orelse, weight * BRANCH_SHARE)

    walk(body, 1.0)
    return sorted(spans.values(), key=lambda span: (span.start, span.name))


def heaviest_set(spans: list[Span]) -> list[Span]:
    """The spans without overlap whose weight is largest."""
    jobs = sorted(spans, key=lambda span: (span.end, span.start, span.name))
    ends = [job.end for job in jobs]
    best: list[float] = [0.0]
    before: list[int] = []
    for n, job in enumerate(jobs):
        before.append(min(bisect_right(ends, job.start), n))
        best.append(max(best[n], job.weight + best[before[n]]))
    chosen: list[Span] = []
    n = len(jobs)
    while n:
        if best[n] == best[n - 1]:
            n -= 1
        else:
            chosen.append(jobs[n - 1])
            n = before[n - 1]
    return chosen


def colour(body: Body, price: Price | None = None) -> Body:
    """A copy of a body with few local names: `a`, `b` (registers), then the stack's.

    `price` gives the cycles of a statement (of an `if`: its condition's) with some locals in registers.
    """
    if price is None:  # else the price is known of these very statements
        body = split_webs(body)
    sets: list[set[str]] = [set() for _ in range(REGISTERS)]
    for _ in range(1 if price is None else ROUNDS):
        for number in range(REGISTERS):
            others = frozenset(name for n, each in enumerate(sets) if n != number for name in each)

            def gain(stmt: Stmt, name: str, others: frozenset[str] = others) -> float:
                if price is None:
                    return count_accesses(stmt, name)
                return price(stmt, others) - price(stmt, others | {name})

            free = [span for span in find_spans(body, gain) if span.name not in others]
            sets[number] = {span.name for span in heaviest_set(free)}
    slot = {name: number for number, each in enumerate(sets) for name in each}
    count = sum(1 for each in sets if each)
    left = [span for span in find_spans(body) if span.name not in slot]
    free_at: list[int] = []
    for span in left:
        for n, end in enumerate(free_at):
            if end <= span.start:
                free_at[n] = span.end
                slot[span.name] = count + n
                break
        else:
            slot[span.name] = count + len(free_at)
            free_at.append(span.end)
    return rename_body(body, lambda name: slot_name(slot[name]))


def slot_name(number: int) -> str:
    """a, b, ... z, a1, b1, ... (without p, the block's pointer)."""
    letters = "abcdefghijklmnoqrstuvwxyz"
    turn, letter = divmod(number, len(letters))
    return letters[letter] + (str(turn) if turn else "")


def split_webs(body: Body, splits: Callable[[str], bool] = lambda name: True) -> Body:
    """A copy in which writes of a local that never meet at a read have names of their own."""
    parent: list[int] = []
    names: list[str] = []

    def find(n: int) -> int:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    reads: dict[tuple[int, str], int] = {}  # a statement's read of a name -> one of its writes
    writes: dict[int, int] = {}

    def visit(inner: Body, reaching: dict[str, frozenset[int]]) -> None:
        for stmt in inner:
            for node in read_by(stmt):
                if isinstance(node, Local):
                    origin = sorted(reaching[node.name])
                    for other in origin[1:]:
                        parent[find(other)] = find(origin[0])
                    reads[id(stmt), node.name] = origin[0]
            if isinstance(stmt, If):
                then, orelse = dict(reaching), dict(reaching)
                visit(stmt.then, then)
                visit(stmt.orelse, orelse)
                for name in then.keys() | orelse.keys():
                    reaching[name] = then.get(name, frozenset()) | orelse.get(name, frozenset())
            elif isinstance(stmt, Assign) and isinstance(stmt.target, Local):
                number = len(parent)
                parent.append(number)
                names.append(stmt.target.name)
                writes[id(stmt)] = number
                reaching[stmt.target.name] = frozenset([number])

    visit(body, {})
    webs: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(names):
        root = find(number)
        if root not in webs[name]:
            webs[name].append(root)

    taken = set(names)  # an earlier split may have left names of the same form
    fresh: dict[tuple[str, int], str] = {}

    def name_of(number: int) -> str:
        name = names[number]
        turn = webs[name].index(find(number))
        if not turn or not splits(name):
            return name
        if (name, turn) not in fresh:
            fresh[name, turn] = _unused(f"{name}__w", turn, taken)
        return fresh[name, turn]

    def rename(inner: Body) -> Body:
        out: Body = []
        for stmt in inner:
            local_name = {name: name_of(origin) for name, origin in _reads_at(stmt, reads)}
            single = rename_body([_head(stmt)], lambda n, known=local_name: known.get(n, n))[0]
            if isinstance(stmt, If):
                assert isinstance(single, If)
                single.then, single.orelse = rename(stmt.then), rename(stmt.orelse)
            elif isinstance(stmt, Assign) and isinstance(stmt.target, Local):
                assert isinstance(single, Assign)
                single.target = Local(name_of(writes[id(stmt)]))
            out.append(single)
        return out

    return rename(body)


def _unused(stem: str, number: int, taken: set[str]) -> str:
    """stem + number, or with the next number whose name is free; the name is then taken."""
    while f"{stem}{number}" in taken:
        number += 1
    taken.add(f"{stem}{number}")
    return f"{stem}{number}"


def _head(stmt: object) -> Assign | If:
    """A statement without its branches."""
    if isinstance(stmt, If):
        return If(stmt.test, [], [], stmt.place)
    assert isinstance(stmt, Assign)
    return stmt


def _reads_at(stmt: object, reads: dict[tuple[int, str], int]) -> list[tuple[str, int]]:
    assert isinstance(stmt, (Assign, If))
    names = {node.name for node in read_by(stmt) if isinstance(node, Local)}
    return [(name, reads[id(stmt), name]) for name in sorted(names)]


def coalesce(body: Body, joins: Callable[[str, str], bool]) -> Body:
    """Give the two sides of a copy `a = b` one name where they never hold different values at once.

    `joins(a, b)` says which copies to try; the left name stays.
    """
    touching: dict[str, set[str]] = defaultdict(set)
    _find_conflicts(body, set(), touching)
    alias: dict[str, str] = {}

    def name_of(name: str) -> str:
        while name in alias:
            name = alias[name]
        return name

    for stmt in statements(body):
        if not (
            isinstance(stmt, Assign) and isinstance(stmt.target, Local) and isinstance(stmt.value, Local)
        ):
            continue
        left, right = name_of(stmt.target.name), name_of(stmt.value.name)
        if left == right or not joins(left, right) or right in touching[left]:
            continue
        alias[right] = left
        for other in touching.pop(right, set()):
            touching[other].discard(right)
            touching[other].add(left)
            touching[left].add(other)
    return _drop_self_copies(rename_body(body, name_of))


def _find_conflicts(body: Body, live: set[str], touching: dict[str, set[str]]) -> None:
    """Walk backward; a write meets everything that lives behind it."""
    for stmt in reversed(body):
        if isinstance(stmt, If):
            other = set(live)
            _find_conflicts(stmt.then, live, touching)
            _find_conflicts(stmt.orelse, other, touching)
            live |= other
        elif isinstance(stmt, Assign) and isinstance(stmt.target, Local):
            name = stmt.target.name
            live.discard(name)
            for other_name in live:
                if stmt.value != Local(other_name):
                    touching[name].add(other_name)
                    touching[other_name].add(name)
        live |= {node.name for node in read_by(stmt) if isinstance(node, Local)}


def _drop_self_copies(body: Body) -> Body:
    out: Body = []
    for stmt in body:
        if isinstance(stmt, If):
            out.append(
                If(stmt.test, _drop_self_copies(stmt.then), _drop_self_copies(stmt.orelse), stmt.place)
            )
        elif not (isinstance(stmt, Assign) and stmt.target == stmt.value):
            out.append(stmt)
    return out
