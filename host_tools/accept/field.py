"""Field step: how fast, and how little it moves the stator currents."""

from __future__ import annotations

import numpy as np

from host_tools.accept.limits import ideal_field_time
from host_tools.accept.response import judge_step
from host_tools.accept.sheet import Sheet
from host_tools.experiment import Experiment, Rows
from host_tools.units import Unit

SPEED = 20.0  # rad/s, held


def check(unit: Unit, sheet: Sheet) -> None:
    """i_f from 0.5 to 0.9 of its limit at a quarter of i_max along q."""
    motor = unit.motor
    low, high = 0.5 * motor.i_f_max, 0.9 * motor.i_f_max
    rows = step_field(unit, low, high)
    step = judge_step(rows["t"], rows["true_i_f"], low, high)
    ideal = ideal_field_time(unit, low, high)
    note = f"{low:.3g} to {high:.3g} A, full voltage takes {1e3 * ideal:.3g} ms"
    sheet.at_most("field step: t98", 1e3 * step.t98, 1.15e3 * ideal, "ms", note)
    sheet.at_most("field step: i_d disturbed", 100 * disturbed(unit, rows, "d"), 1, "% i_max", note)
    sheet.at_most("field step: i_q disturbed", 100 * disturbed(unit, rows, "q"), 1, "% i_max", note)
    sheet.curve("i_f / A", "nominal", rows["t"], rows["true_i_f"])
    for axis in ("d", "q"):
        sheet.curve("i_d, i_q / A", f"i_{axis}", rows["t"], rows[f"true_i_{axis}"])
    worst = 0.0
    for share in (0.85, 1.15):
        rows = step_field(unit, low, high, {"M": share * motor.M})
        worst = max(worst, disturbed(unit, rows, "d"), disturbed(unit, rows, "q"))
        for axis in ("d", "q"):
            label = f"i_{axis}, M {100 * (share - 1):+.0f} %"
            sheet.curve("i_d, i_q / A", label, rows["t"], rows[f"true_i_{axis}"])
    sheet.at_most("field step, M off by 15 %: currents disturbed", 100 * worst, 4, "% i_max")


def step_field(unit: Unit, low: float, high: float, believed: dict[str, float] | None = None) -> Rows:
    """Record a field step."""
    i_q = 0.25 * unit.motor.i_max
    bench = Experiment(unit, SPEED, plant_options={"i_f": low}, believed=believed)
    bench.currents(0, i_q, low)
    bench.run(0.3)
    bench.currents(0, i_q, high)
    return bench.record(max(0.1, 4 * ideal_field_time(unit, low, high)))


def disturbed(unit: Unit, rows: Rows, axis: str) -> float:
    """Largest deviation from the reference as a share of i_max, over means of four periods."""
    goal = 0.25 * unit.motor.i_max if axis == "q" else 0.0
    off = rows[f"true_i_{axis}"] - goal
    off = off[: len(off) // 4 * 4].reshape(-1, 4).mean(axis=1)
    return float(np.abs(off).max()) / unit.motor.i_max
