"""A small signal table and a way to make stage modules from text, for the linker's own tests."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path
from types import ModuleType

from eesm.table import (
    SignalSet,
    constant,
    input_,
    letter,
    output,
    parameter,
    ring,
    state,
    table,
    transient,
    whole,
)

WORD = 1 << 20


class Small(SignalSet):
    """One signal of each kind, and a few more to compute with."""

    x: int = input_("one", 0, -WORD, WORD, "1", "an input")
    y: int = input_("one", 0, -WORD, WORD, "1", "another input")
    gain: int = parameter("one", 0, -100, 100, "1", "a parameter", 3)
    where: int = parameter("one", 0, 0, 6, "1", "a memory index", 2)
    scale: int = constant("one", 0, 0, 64, "1", "a constant", 5)
    kept: int = state("one", 0, -WORD, WORD, "1", "a state")
    other: int = state("one", 0, -WORD, WORD, "1", "another state", 7)
    third: int = state("one", 0, -WORD, WORD, "1", "a third state", -9)
    result: int = output("one", 0, -WORD, WORD, "1", "an output")
    passing: int = transient("one", 0, -WORD, WORD, "1", "a transient")
    brief: int = transient("one", 0, -WORD, WORD, "1", "another transient")
    curve: list[int] = table("one", 0, -WORD, WORD, "1", "a table", 11, 8)
    post: list[int] = letter("one", 0, -WORD, WORD, "1", "a letter", 0, 4)
    trail: list[int] = ring("one", 0, -WORD, WORD, "1", "a ring", 0, 8)
    memory: list[int] = whole("one", 0, -WORD, WORD, "1", "the block", 0, 1)


_numbers = itertools.count()


def make_module(folder: Path, text: str, imports: str = "") -> ModuleType:
    """Import a module made of stage text; helpers `sat` and `magnitude` are there."""
    name = f"made_stages_{next(_numbers)}"
    file = folder / f"{name}.py"
    file.write_text(f"from eesm.stages.fixed import magnitude, sat\n{imports}\n{text}\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
