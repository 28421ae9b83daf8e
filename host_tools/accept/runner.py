"""Runs families in parallel processes; prints the table; writes build/accept.json and plots."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from host_tools.accept.sheet import Result
from host_tools.accept.suite import FAMILIES, Outcome, applies, families, run_family
from host_tools.references.machine import U_MAX_FACTOR
from host_tools.units import load

UNITS = ("a", "b", "c", "c_saturated")


def run(
    units: Sequence[str] = UNITS,
    only: Sequence[str] = (),
    out: Path = Path("build"),
    jobs: int | None = None,
    plots: bool = True,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Outcome]:
    """Measure units (names or files); every outcome in the order of units and families.

    Writes out/accept.json, and out/accept/<unit>-<family>.png unless `plots` is off.
    Raises UnitError for a unit that cannot be read.
    """
    loaded = {name: load(name) for name in units}
    chosen = families(tuple(only))
    tasks = [(family, name) for family in chosen for name in units if applies(family, loaded[name])]
    outcomes: list[Outcome] = []
    begun = time.perf_counter()
    (out / "accept").mkdir(parents=True, exist_ok=True)
    # A fresh interpreter each: numba's threads and locks do not survive a fork.
    context = multiprocessing.get_context("spawn")
    jobs = jobs or min(len(tasks), os.cpu_count() or 1) or 1
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        waiting = [pool.submit(_measure, family, name, out if plots else None) for family, name in tasks]
        for done in as_completed(waiting):
            outcome = done.result()
            outcomes.append(outcome)
            missed = sum(not result.ok for result in outcome.results)
            verdict = f"{missed} missed" if missed else "ok"
            tell(f"{outcome.unit} {outcome.family}: {verdict}, {outcome.seconds:.1f} s")
    order = {name: place for place, name in enumerate(unit.name for unit in loaded.values())}
    outcomes.sort(key=lambda each: (order[each.unit], list(FAMILIES).index(each.family)))
    write_json(outcomes, out / "accept.json", time.perf_counter() - begun)
    return outcomes


def _measure(family: str, name: str, out: Path | None) -> Outcome:
    outcome = run_family(family, name)
    if out is not None and outcome.curves:
        from host_tools.accept.draw import draw  # matplotlib, which only plots need

        draw(outcome, out / "accept" / f"{outcome.unit}-{family}.png")
    return outcome


def rows_of(outcomes: Sequence[Outcome]) -> list[Result]:
    """Every result."""
    return [result for outcome in outcomes for result in outcome.results]


def write_json(outcomes: Sequence[Outcome], path: Path, seconds: float) -> None:
    """A list of requirement, unit, measured, limit, ok and what else is known of each."""
    rows: list[dict[str, Any]] = []
    for result in rows_of(outcomes):
        row = result.as_row() | {"u_max": f"{U_MAX_FACTOR} * u_dc / sqrt(3)"}
        row["measured"] = row["measured"] if math.isfinite(result.measured) else None
        rows.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def print_table(outcomes: Sequence[Outcome], seconds: float, console: Console | None = None) -> bool:
    """Print every requirement by unit; True when all hold."""
    console = console or Console()
    if not console.is_terminal:  # a file or a pipe need not wrap
        console.width = max(console.width, 130)
    results = rows_of(outcomes)
    title = f"Acceptance, references within U_max = {U_MAX_FACTOR} u_dc/sqrt(3)"
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("requirement")
    table.add_column("unit")
    table.add_column("measured", justify="right")
    table.add_column("limit", justify="right")
    table.add_column("margin", justify="right")
    table.add_column("", justify="left")
    last = ""
    for result in results:
        if last and result.unit != last:
            table.add_section()
        last = result.unit
        sign = "≥" if result.at_least else "≤"
        style = "" if result.ok else "bold red"
        table.add_row(
            result.requirement,
            result.unit,
            f"{result.measured:.4g} {result.in_unit}",
            f"{sign} {result.limit:.4g}",
            f"{100 * result.margin:+.0f} %" if math.isfinite(result.margin) else "-",
            "ok" if result.ok else "MISSED",
            style=style,
        )
    console.print(table)
    missed = [result for result in results if not result.ok]
    for result in missed:
        note = f" ({result.note})" if result.note else ""
        console.print(f"missed: {result.unit}, {result.requirement}{note}", style="red", highlight=False)
    for outcome in outcomes:
        for reason in outcome.skipped:
            console.print(f"skipped: {outcome.unit}, {reason}", style="yellow", highlight=False, markup=False)
    console.print(f"{len(results) - len(missed)} of {len(results)} requirements hold; {seconds:.0f} s.")
    return not missed
