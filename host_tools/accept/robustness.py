"""Wrong parameters: 16 combinations of sigma*L_d, L_q, R and M; sigma computed from a wrong M."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from host_tools.accept.response import judge_step
from host_tools.accept.sheet import Sheet
from host_tools.accept.steps import mean_step
from host_tools.experiment import Experiment
from host_tools.units import Unit

SPEED = 20.0  # rad/s, held
# Below this a computed sigma is not trusted: see `eesm.parameters`.
LOWEST_SIGMA = 0.1


def check(unit: Unit, sheet: Sheet) -> None:
    """What the drive believes is off by 30 % in L and R and by 15 % in M, in all combinations."""
    motor = unit.motor
    worst_q = worst_d = worst_error = 0.0
    lost = 0
    for off_sigma, off_q, off_r, off_m in product((0.7, 1.3), (0.7, 1.3), (0.7, 1.3), (0.85, 1.15)):
        believed = {
            "sigma_L_d": off_sigma * motor.sigma_L_d,
            "L_q": off_q * motor.L_q,
            "R_s": off_r * motor.R_s,
            "R_f": off_r * motor.R_f,
            "L_d": (2 - off_sigma) * motor.L_d,
            "M": off_m * motor.M,
        }
        over_q, over_d, error, stable = try_beliefs(unit, sheet, believed)
        lost += not stable
        worst_q, worst_d = max(worst_q, over_q), max(worst_d, over_d)
        worst_error = max(worst_error, error)
    sheet.at_most("16 combinations: unstable or tripped", lost, 0)
    sheet.at_most("16 combinations: i_q overshoot", 100 * worst_q, 15, "%")
    sheet.at_most("16 combinations: i_d overshoot", 100 * worst_d, 20, "%")
    sheet.at_most("16 combinations: steady current error", 100 * worst_error, 0.2, "% i_max")
    compute_sigma(unit, sheet)


def try_beliefs(unit: Unit, sheet: Sheet, believed: dict[str, float]) -> tuple[float, float, float, bool]:
    """(overshoot of i_q, of i_d, largest steady error over i_max, stable) with these beliefs."""
    motor = unit.motor
    i_f = 0.5 * motor.i_f_max
    over, error, stable = [], 0.0, True
    for axis, goal in (("q", step_size(unit)), ("d", -0.15 * motor.i_max)):
        rows = mean_step(
            unit, SPEED, i_f, *((0, goal) if axis == "q" else (goal, 0)), 0.15, believed, repeats=2
        )
        true = rows[f"true_i_{axis}"]
        over.append(judge_step(rows["t"], true, 0.0, goal).overshoot)
        late = rows["t"] > 0.12
        error = max(error, abs(float(true[late].mean()) - goal) / motor.i_max)
        stable = stable and rows["faults"].max() == 0 and float(true[late].std()) < 0.02 * motor.i_max
        early = rows["t"] < 6e-3
        sheet.curve(f"i_{axis} / A", "", rows["t"][early], true[early])
    return over[0], over[1], error, stable


def step_size(unit: Unit) -> float:
    """A quarter of i_max along q, or what 65 % of the voltage carries: gains 30 % too high must fit."""
    w_c = 2 * math.pi * unit.control.bandwidth_current
    return min(
        0.25 * unit.motor.i_max, 0.65 * 0.92 * unit.dc_link.u_nominal / math.sqrt(3) / (unit.motor.L_q * w_c)
    )


def compute_sigma(unit: Unit, sheet: Sheet) -> None:
    """sigma of L_d, L_f and an M 15 % too large may be negative; the clamp keeps the drive.

    `sigma_L_d` is what a user would compute; the firmware holds it within its clamp.
    """
    motor = unit.motor
    wrong = 1.15 * motor.M
    sigma = 1 - 1.5 * wrong**2 / (motor.L_d * motor.L_f)
    bench = Experiment(
        unit,
        SPEED,
        plant_options={"i_f": 0.5 * motor.i_f_max},
        believed={"M": wrong, "sigma_L_d": sigma * motor.L_d},
    )
    bench.currents(0, 0, 0.5 * motor.i_f_max)
    bench.run(0.1)
    bench.currents(-0.15 * motor.i_max, 0, 0.5 * motor.i_f_max)
    rows = bench.record(0.2)
    peak = float(np.hypot(rows["true_i_d"], rows["true_i_q"]).max()) / motor.i_max
    if bench.faults:
        peak = math.inf
    note = f"computed sigma {sigma:.3f}, clamped to {LOWEST_SIGMA:g} .. 1"
    sheet.at_most("sigma computed from M + 15 %: largest current", 100 * peak, 30, "% i_max", note)
