"""Linked code as plain Python over a list or an array: for debugging, and for speed on CPython."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .ir import Routine
from .layout import Layout
from .text import TextEmitter


def emit_python(routines: Sequence[Routine], layout: Layout) -> str:
    """Text of a module with one function `name(p)` for each routine."""
    emitter = TextEmitter(layout)
    emitter.indent = "    "
    blocks = ["\n".join(emitter.routine(routine)) for routine in routines]
    return "\n\n\n".join(blocks) + "\n"


def load_python(text: str, names: Sequence[str]) -> dict[str, Callable[[Any], None]]:
    """The functions of an emitted module."""
    scope: dict[str, Any] = {}
    exec(compile(text, "<linked>", "exec"), scope)
    return {name: scope[name] for name in names}
