"""Runs the campaign in parallel processes; writes build/faults.json and the table of claims."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path

from eesm.fault_table import FAULTS
from host_tools.build import Linked, link_unit
from host_tools.campaign.arming import ARMINGS, measure_arming
from host_tools.campaign.cases import CASES
from host_tools.campaign.firmware import run_firmware
from host_tools.campaign.measure import Row, measure
from host_tools.campaign.rig import POINTS, Rig
from host_tools.units import Unit, load

UNITS = ("a", "b", "c")
EXTRA = ("b_12v",)  # a unipolar exciter, whose field falls by itself only


@cache
def linked_unit(name: str) -> tuple[Unit, Linked]:
    """A unit, linked once in a process."""
    unit = load(name)
    return unit, link_unit(unit)


def run_point(name: str, place: int, only: tuple[str, ...]) -> list[Row]:
    """Every case of a running drive at one operating point; each begins from the same state."""
    unit, linked = linked_unit(name)
    point = POINTS[place]
    rig = Rig(unit, linked)
    rig.go_to(point)
    rows = []
    for case in CASES:
        if case.where(point) and unit.name.partition("_")[0] in case.units and wanted(case.fault, only):
            rows.append(measure(rig.branch(), case, point))
    return rows


def run_arming(name: str, only: tuple[str, ...]) -> list[Row]:
    """Every case of the start-up and the ordered stop."""
    unit, linked = linked_unit(name)
    return [measure_arming(unit, linked, case) for case in ARMINGS if wanted(case.fault, only)]


def run_inside(name: str, only: tuple[str, ...]) -> list[Row]:
    """Every case of the firmware itself."""
    return run_firmware(linked_unit(name)[0], lambda fault: wanted(fault, only))


def wanted(fault: str, only: tuple[str, ...]) -> bool:
    return not only or fault in only


def run(
    units: Sequence[str] = (*UNITS, *EXTRA),
    only: tuple[str, ...] = (),
    jobs: int | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Row]:
    """Inject every fault of the table, or those of `only`; a row for each injection.

    Raises rig.NotReached when a drive has a fault before anything was injected.
    """
    rows: list[Row] = []
    # A fresh interpreter each: numba's threads and locks do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs or os.cpu_count() or 1, mp_context=context) as pool:
        waiting = {}
        for name in units:
            for place, point in enumerate(POINTS):
                waiting[pool.submit(run_point, name, place, only)] = f"{name} at {point.name}"
            waiting[pool.submit(run_arming, name, only)] = f"{name}, arming and stopping"
            waiting[pool.submit(run_inside, name, only)] = f"{name} on MicroPython"
        for done in as_completed(waiting):
            found = done.result()
            rows += found
            missed = sum(not row.ok for row in found)
            tell(f"{waiting[done]}: {len(found)} faults, {missed or 'none'} not as claimed")
    order = [fault.name for fault in FAULTS]
    rows.sort(key=lambda row: (order.index(row.fault), row.how, row.unit, row.point))
    return rows


def write_json(rows: Sequence[Row], path: Path) -> None:
    """A list of fault, unit, point, claimed_periods, measured_periods, ok and what else was measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([row.as_row() for row in rows], indent=1) + "\n", encoding="utf-8")


def worst(values: Sequence[float | None], form: str = "{:.4g}") -> str:
    """The largest of the values that there are."""
    known = [value for value in values if value is not None]
    return form.format(max(known)) if known else "-"


def table(rows: Sequence[Row]) -> str:
    """Claimed against measured, a line for each cause, as Markdown."""
    lines = [
        "| fault | injected | units | points | claimed, periods | measured | field down, ms "
        "| torque gone, ms | u_dc over nominal | as claimed |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for fault, how in dict.fromkeys((row.fault, row.how) for row in rows):
        group = [row for row in rows if (row.fault, row.how) == (fault, how)]
        units = " ".join(dict.fromkeys(row.unit for row in group))
        claimed = group[0].claimed_periods
        cells = (
            fault,
            how,
            units,
            str(len(group)),
            "before torque" if claimed is None else str(claimed),
            worst([row.measured_periods for row in group]),
            worst([row.field_ms for row in group]),
            worst([row.torque_ms for row in group]),
            worst([row.u_dc for row in group], "{:.2f}"),
            f"{sum(row.ok for row in group)} of {len(group)}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
