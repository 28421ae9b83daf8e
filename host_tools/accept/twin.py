"""Fixed point against the float twin of the same law, on the same machine with the same noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from host_tools.accept.floats import Twin
from host_tools.accept.limits import machine_of, u_max
from host_tools.accept.sheet import Sheet
from host_tools.experiment import Experiment, Rows
from host_tools.references.envelope import max_torque
from host_tools.units import Unit

LIMIT = 0.5  # % of full scale, rms
STUCK = 0.3  # % of full scale
RUNGS = (0.0003, 0.0007, 0.0015, 0.003, 0.005, 0.0031, 0.0014, 0.0004)  # of full scale
REST = 0.2  # s on a rung; the last quarter is judged


def check(unit: Unit, sheet: Sheet) -> None:
    """Four runs beside the twin, then tiny references that integrators must still reach."""
    for name, run in (
        ("current steps", step_currents),
        ("torque below base speed", step_torque),
        ("torque at top speed", step_at_top),
        ("speed ramp", ramp_speed),
    ):
        compare(unit, sheet, name, run)
    for where, w_m in (("at standstill", 0.0), ("at half speed", 0.5 * unit.limits.w_m_max)):
        sheet.at_most(f"tiny currents {where}: off", stick(unit, w_m), STUCK, "% full scale", "without noise")
    sheet.at_most("tiny speeds: off", stick_speed(unit), STUCK, "% of top speed", "without noise")


def compare(unit: Unit, sheet: Sheet, name: str, run: Callable[[type[Experiment], Unit], Rows]) -> None:
    """Worst of the three currents' rms differences."""
    words, floats = run(Experiment, unit), run(Twin, unit)
    full = {"i_d": unit.sensing.i_full_scale, "i_q": unit.sensing.i_full_scale}
    full["i_f"] = unit.sensing.i_f_full_scale
    off: dict[str, float] = {}
    for axis, scale in full.items():
        gap = (words["true_" + axis] - floats["true_" + axis]) / scale
        off[axis] = 100 * float(np.sqrt(np.mean(gap**2)))
        sheet.curve(f"{name}: fixed point less float / % full scale", axis, words["t"], 100 * gap)
    note = ", ".join(f"{axis} {value:.3f}" for axis, value in off.items())
    sheet.at_most(f"fixed point beside float: {name}", max(off.values()), LIMIT, "% full scale rms", note)


def step_currents(kind: type[Experiment], unit: Unit) -> Rows:
    """Each current by a step, at a tenth of the highest speed."""
    motor = unit.motor
    bench = kind(unit, 0.1 * unit.limits.w_m_max, plant_options={"i_f": 0.3 * motor.i_f_max})
    found = []
    for i_d, i_q, i_f in (
        (0, 0, 0.3),
        (0, 0.25, 0.3),
        (-0.15, 0.25, 0.3),
        (-0.15, 0.25, 0.5),
        (0, -0.25, 0.5),
    ):
        bench.currents(i_d * motor.i_max, i_q * motor.i_max, i_f * motor.i_f_max)
        found.append(bench.record(0.05))
    return join(found)


def step_torque(kind: type[Experiment], unit: Unit) -> Rows:
    """10, 60, -30 % of rated torque at a quarter of the highest speed."""
    bench = kind(unit, 0.25 * unit.limits.w_m_max)
    found = []
    for share in (0.1, 0.6, -0.3):
        bench.torque(share * unit.limits.torque_rated)
        found.append(bench.record(0.15))
    return join(found)


def step_at_top(kind: type[Experiment], unit: Unit) -> Rows:
    """10, 60 and -40 % of what the voltage allows at the highest speed."""
    top = unit.limits.w_m_max
    most = float(max_torque(machine_of(unit), top * unit.motor.pole_pairs, u_max(unit)))
    bench = kind(unit, top)
    bench.torque(0)
    bench.run(0.3)
    found = []
    for share in (0.1, 0.6, -0.4):
        bench.torque(share * most)
        found.append(bench.record(0.1))
    return join(found)


def ramp_speed(kind: type[Experiment], unit: Unit) -> Rows:
    """The free shaft up a ramp under speed control."""
    bench = kind(unit, 0.0, held=False)
    bench.speed(0)
    bench.run(0.2)
    bench.speed(0.2 * unit.limits.w_m_max)
    return bench.record(0.3)


def join(found: list[Rows]) -> Rows:
    """Records one after the other."""
    rows = {name: np.concatenate([each[name] for each in found]) for name in found[0]}
    rows["t"] = np.arange(len(rows["t"])) * (found[0]["t"][1] - found[0]["t"][0])
    return rows


def stick(unit: Unit, w_m: float) -> float:
    """How far the mean of any current stays off tiny references, in % of full scale."""
    motor, sensing = unit.motor, unit.sensing
    # Little enough field for the highest voltage; the diodes of an exciter need some.
    i_f = min(0.2 * motor.i_f_max, 0.5 * u_max(unit) / max(1e-9, w_m * motor.pole_pairs * motor.M))
    bench = Experiment(unit, w_m, plant_options={"adc_noise": 0.0, "i_f": i_f})
    worst = 0.0
    for rung in RUNGS:
        wanted = {"i_d": -rung * sensing.i_full_scale, "i_q": rung * sensing.i_full_scale}
        wanted["i_f"] = i_f + rung * sensing.i_f_full_scale
        bench.currents(wanted["i_d"], wanted["i_q"], wanted["i_f"])
        bench.run(0.75 * REST)
        rows = bench.record(0.25 * REST)
        for axis, goal in wanted.items():
            full = sensing.i_f_full_scale if axis == "i_f" else sensing.i_full_scale
            worst = max(worst, abs(float(rows["true_" + axis].mean()) - goal) / full)
    return 100 * worst


def stick_speed(unit: Unit) -> float:
    """How far the mean speed of a loaded shaft stays off tiny references, in % of the highest."""
    top = unit.limits.w_m_max
    bench = Experiment(unit, 0.0, held=False, plant_options={"adc_noise": 0.0})
    bench.speed(0)
    bench.run(0.2)
    bench.load(0.02 * unit.limits.torque_rated)
    worst = 0.0
    for rung in RUNGS:
        bench.speed(10 * rung * top)
        bench.run(4 / unit.control.bandwidth_speed)
        worst = max(worst, abs(float(bench.record(0.2)["true_w_m"].mean()) - 10 * rung * top) / top)
    return 100 * worst
