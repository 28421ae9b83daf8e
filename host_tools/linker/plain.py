"""The block seen as signals: lets plain stages run on the words that linked code works on."""

from __future__ import annotations

from collections.abc import Mapping, MutableSequence
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from eesm.table import CONSTANT, MEMORY, TRANSIENT, Signal

from .ir import MEMORY_WORD
from .layout import Layout


class ArrayView:
    """Words of a list from an offset on, without negative indices."""

    __slots__ = ("_length", "_offset", "_words")

    def __init__(self, words: MutableSequence[int], offset: int, length: int) -> None:
        self._words, self._offset, self._length = words, offset, length

    def _at(self, index: int) -> int:
        if not 0 <= index < self._length:
            raise IndexError(f"index {index} of an array of {self._length} words")
        return index + self._offset

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> int:
        return self._words[self._at(index)]

    def __setitem__(self, index: int, value: int) -> None:
        self._words[self._at(index)] = value


class BlockView:
    """Every signal of a layout as an attribute of one object.

    Scalars read and write the array as Python integers; an int32 buffer (array('i'), numpy)
    refuses what does not fit with OverflowError or ValueError, a list takes anything.  Arrays are
    sub-views, transients plain attributes.
    """

    if TYPE_CHECKING:  # the signals are attributes of a subclass made for the layout

        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: int) -> None: ...

    def __init__(
        self,
        layout: Layout,
        array: Any,
        table: Mapping[str, Signal] | None = None,
        constants: Mapping[str, int] | None = None,
    ) -> None:
        if table is None:
            from eesm.signals import Signals
            from eesm.table import signals_of

            table = signals_of(Signals)
        words = cast(MutableSequence[int], array if isinstance(array, list) else memoryview(array))
        self.__class__ = _view_class(tuple(layout.offset.items()), tuple(layout.length.items()))
        attributes = vars(self)
        attributes["_words"] = words
        for name, length in layout.length.items():
            if length:
                attributes[name] = ArrayView(words, layout.offset[name], length)
        for name, row in table.items():
            if row.role == CONSTANT:
                attributes[name] = (constants or {}).get(name, row.initial)
            elif row.role == TRANSIENT:
                attributes[name] = row.initial
            elif row.role == MEMORY:
                attributes[name] = ArrayView(words, MEMORY_WORD, layout.size - MEMORY_WORD)


@cache
def _view_class(offsets: tuple[tuple[str, int], ...], lengths: tuple[tuple[str, int], ...]) -> type:
    """A subclass with one property for each scalar of a layout."""
    length = dict(lengths)

    def make(word: int) -> property:
        def get(self: Any) -> int:
            return self._words[word]

        def put(self: Any, value: int) -> None:
            self._words[word] = value

        return property(get, put)

    members = {name: make(offset) for name, offset in offsets if length[name] == 0}
    return type("BlockView", (BlockView,), members)
