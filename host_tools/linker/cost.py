"""What an access costs on the smallest target, in cycles of an RP2040 running viper code.

Only ratios matter: they decide which signals get the low words and which stay in locals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .ir import Body, If, Stmt

LOCAL = 2.0  # a local on the stack
HOT_WORDS = 32  # p[i] below this is one instruction
WARM_WORDS = 95  # below this the offset fits two instructions' literals
BRANCH_SHARE = 0.5  # how often a branch is taken, as far as the linker knows


@dataclass(frozen=True, slots=True)
class WordCost:
    """Cycles of one access to a word at a constant index."""

    load: float
    store: float


HOT = WordCost(2.0, 2.0)
WARM = WordCost(4.0, 7.0)
COLD = WordCost(6.0, 13.0)


def word_cost(offset: int) -> WordCost:
    """Cost of the word at a constant index (a far store saves and restores registers)."""
    if offset < HOT_WORDS:
        return HOT
    return WARM if offset < WARM_WORDS else COLD


def weighted(body: Body, weight: float = 1.0) -> Iterator[tuple[Stmt, float]]:
    """Every statement with how often it runs in a call, guessed from its nesting."""
    for stmt in body:
        yield stmt, weight
        if isinstance(stmt, If):
            yield from weighted(stmt.then, weight * BRANCH_SHARE)
            yield from weighted(stmt.orelse, weight * BRANCH_SHARE)
