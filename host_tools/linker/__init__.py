"""The linker: stages written in plain Python become one native routine.

`link` parses the routines and everything that they call, refuses what the board could not run
(with file, line and reason), fuses the stages, folds the unit's constants, lays out the block and
optimises.  The `Program` it returns writes the same integer code for each engine: viper (the
board), numba (simulation), C (native module, UBSan) and plain Python.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from eesm.table import CONSTANT, Signal, signals_of

from .check import check_assignment, check_transients
from .errors import BudgetError, LinkError
from .inline import inline_routine
from .ir import Routine
from .layout import Layout
from .parse import Parser
from .passes import ALL, optimise
from .plain import BlockView
from .program import Program

__all__ = ["ALL", "BlockView", "BudgetError", "Layout", "LinkError", "Program", "link"]


def link(
    routines: Sequence[Callable[[Any], None]] | None = None,
    table: Any = None,
    constants: Mapping[str, int] | None = None,
    passes: Collection[str] = ALL,
    memory_budget: int | None = None,
) -> Program:
    """Link routines (default: the kernel's) over a signal table into a Program.

    `constants` gives raw values of the table's constants, its initial values stand in for the
    rest; `memory_budget` is what the block may take, in bytes.  Raises LinkError for a stage
    outside the language and BudgetError (one of its kind) when the block does not fit.
    """
    if routines is None:
        from eesm.steps import fast_step, outer_step

        routines = (fast_step, outer_step)
    if table is None:
        from eesm.signals import Signals

        table = Signals
    rows = signals_of(table)
    values = _settle_constants(rows, constants or {})
    parser = Parser(rows)
    inlined: list[Routine] = []
    for function in routines:
        routine = inline_routine(parser, parser.parse(function), rows, values)
        check_assignment(routine, rows)
        inlined.append(routine)
    check_transients(inlined, rows)
    finished, layout, facts = optimise(inlined, rows, passes, memory_budget)
    return Program(finished, layout, rows, values, tuple(routines), facts)


def _settle_constants(rows: Mapping[str, Signal], given: Mapping[str, int]) -> dict[str, int]:
    values = {name: row.initial for name, row in rows.items() if row.role == CONSTANT}
    for name, value in given.items():
        if name not in values:
            raise LinkError(f"no constant of the signal table is called `{name}`")
        row = rows[name]
        if not row.low <= value <= row.high:
            raise LinkError(f"the constant {name} = {value} is outside {row.low} .. {row.high}")
        values[name] = int(value)
    return values
