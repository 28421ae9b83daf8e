"""Pass `layout`: the busiest signals get the low words, and a local stays where it pays.

A word below 32 costs no more than a local, so a signal there needs no local: its mirror made by
`promote` is merged back into its word.  For a signal further out the mirror stays when it saves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .cost import COLD, HOT, HOT_WORDS, LOCAL, WARM, WARM_WORDS, WordCost, weighted, word_cost
from .ir import (
    Assign,
    Body,
    Expr,
    If,
    Item,
    Load,
    Local,
    Routine,
    Stmt,
    is_memory,
    read_by,
    rewrite,
    rewrite_test,
)
from .layout import Layout
from .promote import cache_name, signal_of


@dataclass
class Tally:
    """Weighted accesses of one signal in one routine."""

    local: float = 0.0  # of the mirror
    kept_loads: float = 0.0  # of the word while the mirror stays
    kept_stores: float = 0.0
    merged_loads: float = 0.0  # of the word without a mirror
    merged_stores: float = 0.0

    def cost_kept(self, word: WordCost) -> float:
        """Cycles while the mirror stays."""
        return LOCAL * self.local + word.load * self.kept_loads + word.store * self.kept_stores

    def cost_merged(self, word: WordCost) -> float:
        """Cycles when the word is its own mirror."""
        return word.load * self.merged_loads + word.store * self.merged_stores


class Usage:
    """How one routine uses each signal, kept in a local or not."""

    def __init__(self, body: Body) -> None:
        self.tallies: dict[str, Tally] = defaultdict(Tally)
        self.mergeable = mergeable_signals(body)
        for stmt, weight in weighted(body):
            self._count(stmt, weight)

    def _count(self, stmt: Stmt, weight: float) -> None:
        # A copy between a signal and its mirror vanishes when the two are one.
        merged = 0.0 if isinstance(stmt, Assign) and _is_mirror_copy(stmt) else weight
        for node in read_by(stmt):
            if isinstance(node, Load):
                self.tallies[node.name].kept_loads += weight
                self.tallies[node.name].merged_loads += merged
            elif isinstance(node, Local) and (name := signal_of(node.name)):
                self.tallies[name].local += weight
                self.tallies[name].merged_loads += merged
        if isinstance(stmt, Assign):
            if isinstance(stmt.target, Load):
                self.tallies[stmt.target.name].kept_stores += weight
                self.tallies[stmt.target.name].merged_stores += merged
            elif isinstance(stmt.target, Local) and (name := signal_of(stmt.target.name)):
                self.tallies[name].local += weight
                self.tallies[name].merged_stores += merged

    def keeps(self, name: str, word: WordCost) -> bool:
        """Whether the mirror pays (or has to stay)."""
        tally = self.tallies[name]
        return name not in self.mergeable or tally.cost_kept(word) < tally.cost_merged(word)

    def cost(self, name: str, word: WordCost) -> float:
        """Cycles a call spends on a signal, the better way."""
        tally = self.tallies[name]
        return tally.cost_kept(word) if self.keeps(name, word) else tally.cost_merged(word)


def order_by_use(routines: Sequence[Routine], names: Sequence[str]) -> list[str]:
    """Scalars in the order of what a low word saves."""
    usages = [Usage(routine.body) for routine in routines]

    def saved(name: str, near: WordCost, far: WordCost) -> float:
        return sum(usage.cost(name, far) - usage.cost(name, near) for usage in usages)

    position = {name: n for n, name in enumerate(names)}
    order = sorted(names, key=lambda n: (-saved(n, HOT, COLD), position[n]))
    hot, rest = order[: HOT_WORDS - 1], order[HOT_WORDS - 1 :]
    rest.sort(key=lambda n: (-saved(n, WARM, COLD), position[n]))
    warm, cold = rest[: WARM_WORDS - HOT_WORDS], rest[WARM_WORDS - HOT_WORDS :]
    return hot + warm + sorted(cold, key=lambda n: position[n])


def merge_mirrors(body: Body, layout: Layout, near: bool = False) -> Body:
    """A copy of a routine's body without the mirrors that do not pay; `near`: all words cost as a local."""
    usage = Usage(body)
    names = list(usage.tallies)
    merged = {
        name for name in names if not usage.keeps(name, HOT if near else word_cost(layout.offset[name]))
    }
    mirrors: Mapping[str, str] = {cache_name(name): name for name in merged}

    def change(expr: Expr) -> Expr:
        return Load(mirrors[expr.name]) if isinstance(expr, Local) and expr.name in mirrors else expr

    def merge(inner: Body) -> Body:
        out: Body = []
        for stmt in inner:
            if isinstance(stmt, If):
                out.append(
                    If(rewrite_test(stmt.test, change), merge(stmt.then), merge(stmt.orelse), stmt.place)
                )
                continue
            assert isinstance(stmt, Assign)
            value, target = rewrite(stmt.value, change), stmt.target
            if isinstance(target, Item):
                target = Item(target.array, rewrite(target.index, change))
            elif isinstance(target, Local) and target.name in mirrors:
                target = Load(mirrors[target.name])
            if value != target:
                out.append(Assign(target, value, stmt.place))
        return out

    return merge(body)


def _is_mirror_copy(stmt: Assign) -> bool:
    """A load of a signal to its own mirror, or a store from it."""
    if isinstance(stmt.target, Local) and isinstance(stmt.value, Load):
        return signal_of(stmt.target.name) == stmt.value.name
    if isinstance(stmt.target, Load) and isinstance(stmt.value, Local):
        return signal_of(stmt.value.name) == stmt.target.name
    return False


class _Mirrors:
    """Walks a routine and finds the signals whose mirror may be merged with their word.

    `dirty`: on some path the mirror is newer than the word.  `stale`: on some path the mirror
    does not hold the signal.  Merging is wrong when a stale mirror is read, or when the word is
    read (by name or by index) or left at the end while the mirror is newer.
    """

    def __init__(self) -> None:
        self.bad: set[str] = set()
        self.seen: set[str] = set()

    def walk(self, body: Body, dirty: set[str], fresh: set[str]) -> None:
        for stmt in body:
            for node in read_by(stmt):
                if isinstance(node, Local) and (name := signal_of(node.name)):
                    if name not in fresh:
                        self.bad.add(name)
                elif isinstance(node, Load) and node.name in dirty:
                    self.bad.add(node.name)
                elif is_memory(node):
                    self.bad |= dirty
            if isinstance(stmt, If):
                then_dirty, then_fresh = set(dirty), set(fresh)
                else_dirty, else_fresh = set(dirty), set(fresh)
                self.walk(stmt.then, then_dirty, then_fresh)
                self.walk(stmt.orelse, else_dirty, else_fresh)
                dirty.clear()
                dirty.update(then_dirty | else_dirty)
                fresh.clear()
                fresh.update(then_fresh & else_fresh)
            elif isinstance(stmt, Assign):
                self._write(stmt, dirty, fresh)

    def _write(self, stmt: Assign, dirty: set[str], fresh: set[str]) -> None:
        target = stmt.target
        if isinstance(target, Local) and (name := signal_of(target.name)):
            self.seen.add(name)
            fresh.add(name)
            if _is_mirror_copy(stmt):
                dirty.discard(name)
            else:
                dirty.add(name)
        elif isinstance(target, Load):
            dirty.discard(target.name)
            if not _is_mirror_copy(stmt):
                fresh.discard(target.name)
        elif is_memory(target):
            self.bad |= dirty
            fresh.clear()


def mergeable_signals(body: Body) -> set[str]:
    """Signals whose mirror can be replaced by their word throughout a routine."""
    mirrors = _Mirrors()
    dirty: set[str] = set()
    mirrors.walk(body, dirty, set())
    return mirrors.seen - mirrors.bad - dirty
