"""Where each signal lives in the block.

Word 0 stays empty: an array's offset and a constant index are then always above 0, so that no
index is ever a bare local (`p[i]` spoils `i` on armv6m before MicroPython's PR 18821).  Scalars
come first, the busiest lowest; arrays follow.  `memory[i]` is word i + 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eesm.table import ARRAY_ROLES, CONSTANT, MEMORY, TRANSIENT, Signal

from .errors import BudgetError
from .ir import MEMORY_WORD


@dataclass(frozen=True)
class Layout:
    """Offset and length (0 = scalar) of every signal that has words, and the block's size in words."""

    offset: dict[str, int]
    length: dict[str, int]
    size: int
    scalar_end: int  # first word behind the scalars

    def memory_index(self, name: str) -> int:
        """Index of a signal in `memory`: what mailbox letters and stream channels carry.

        Raises KeyError for a signal without a word (constants and transients have none).
        """
        if name not in self.offset:
            raise KeyError(f"{name!r} has no word in the block: no such signal, or a constant or transient")
        return self.offset[name] - MEMORY_WORD

    def scalars(self) -> list[str]:
        """Names of the scalars in the order of their words."""
        return [name for name, words in self.length.items() if words == 0]

    def name_at(self, word: int) -> str:
        """Name of what lies at a word, with the index for arrays."""
        for name, offset in self.offset.items():
            if self.length[name] == 0 and offset == word:
                return name
            if offset <= word < offset + self.length[name]:
                return f"{name}[{word - offset}]"
        return f"word {word}"


def lay_out(table: Mapping[str, Signal], order: list[str], memory_budget: int | None = None) -> Layout:
    """Give words to the scalars in the given order, then to the arrays in order of declaration.

    BudgetError when the block is longer than `memory_budget` bytes.
    """
    offset: dict[str, int] = {}
    length: dict[str, int] = {}
    word = 1
    for name in order:
        offset[name], length[name] = word, 0
        word += 1
    scalar_end = word
    for name, row in table.items():
        if row.role in ARRAY_ROLES and row.role != MEMORY:
            offset[name], length[name] = word, row.length
            word += row.length
    if memory_budget is not None and 4 * word > memory_budget:
        arrays = sorted((n for n in length if length[n]), key=lambda n: -length[n])[:3]
        longest = ", ".join(f"{name} {4 * length[name]}" for name in arrays)
        raise BudgetError(
            f"the block takes {4 * word} bytes, {4 * word - memory_budget} over the budget of "
            f"{memory_budget}; the longest arrays (bytes): {longest}"
        )
    return Layout(offset, length, word, scalar_end)


def scalar_names(table: Mapping[str, Signal]) -> list[str]:
    """Scalars that have a word, in order of declaration."""
    return [
        name
        for name, row in table.items()
        if row.role not in ARRAY_ROLES and row.role not in (CONSTANT, TRANSIENT)
    ]
