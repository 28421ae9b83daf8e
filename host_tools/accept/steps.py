"""Current steps: rise, overshoot, settling, the field's excursion."""

from __future__ import annotations

import math

import numpy as np

from host_tools.accept.limits import u_max
from host_tools.accept.response import judge_step
from host_tools.accept.sheet import Sheet
from host_tools.experiment import Experiment, Rows
from host_tools.units import Unit

SIGNALS = ("saturated", "faults")
# Responses are means over so many steps with different noise: at top speed the voltage left makes steps so
# small that converter noise alone would leave a band of 2 %.
REPEATS = 12


def check(unit: Unit, sheet: Sheet) -> None:
    """i_q and i_d steps at standstill and at the highest speed."""
    motor = unit.motor
    top = unit.limits.w_m_max
    # At the highest speed the field leaves half of the voltage.
    weak = min(0.5 * motor.i_f_max, 0.5 * u_max(unit) / (top * motor.pole_pairs * motor.M))
    for where, w_m, i_f in (("at standstill", 0.0, 0.5 * motor.i_f_max), ("at top speed", top, weak)):
        step_q(unit, sheet, where, w_m, i_f)
        step_d(unit, sheet, where, w_m, i_f)


def voltage_left(unit: Unit, w_m: float, i_f: float) -> float:
    """Voltage in V beside the emf, at right angles to it for d, along it for q: the smaller."""
    return u_max(unit) - w_m * unit.motor.pole_pairs * unit.motor.M * i_f


def mean_step(
    unit: Unit,
    w_m: float,
    i_f: float,
    i_d: float,
    i_q: float,
    seconds: float,
    believed: dict[str, float] | None = None,
    repeats: int = REPEATS,
) -> Rows:
    """Mean response to a step of i_d and i_q from zero; of saturation and faults the worst."""
    found: list[Rows] = []
    for seed in range(repeats):
        bench = Experiment(unit, w_m, seed, plant_options={"i_f": i_f}, believed=believed)
        bench.currents(0, 0, i_f)
        bench.run(0.1)
        bench.currents(i_d, i_q, i_f)
        found.append(bench.record(seconds, SIGNALS))
    rows = {name: np.mean([each[name] for each in found], axis=0) for name in found[0]}
    for name in SIGNALS:
        rows[name] = np.max([each[name] for each in found], axis=0)
    return rows


def step_q(unit: Unit, sheet: Sheet, where: str, w_m: float, i_f: float) -> None:
    """i_q from 0 to 25 % of i_max, or as far as 90 % of the voltage left carries."""
    motor = unit.motor
    w_c = 2 * math.pi * unit.control.bandwidth_current
    w_e = w_m * motor.pole_pairs
    need = math.hypot(motor.L_q * w_c + motor.R_s, w_e * motor.L_q)  # V per A
    goal = min(0.25 * motor.i_max, 0.9 * voltage_left(unit, w_m, i_f) / need)
    rows = mean_step(unit, w_m, i_f, 0, goal, 0.02)
    step = judge_step(rows["t"], rows["true_i_q"], 0.0, goal)
    name = f"i_q step {where}"
    note = f"0 to {goal:.3g} A at {w_m * 30 / math.pi:.0f} rpm"
    if rows["saturated"].max() > 0:
        note += ", saturates"
    sheet.at_most(f"{name}: rise 10-90 %", 1e3 * step.rise, 0.45, "ms", note)
    sheet.at_most(f"{name}: overshoot", 100 * step.overshoot, 5, "%", note)
    sheet.at_most(f"{name}: settled to 2 %", 1e3 * step.settled, 1.5, "ms", note)
    early = rows["t"] < 5e-3
    sheet.curve("i_q / A", where, rows["t"][early], rows["true_i_q"][early])


def step_d(unit: Unit, sheet: Sheet, where: str, w_m: float, i_f: float) -> None:
    """i_d from 0 to -15 % of i_max, or as far as 90 % of the voltage left carries."""
    motor = unit.motor
    w_c = 2 * math.pi * unit.control.bandwidth_current
    left = math.sqrt(u_max(unit) ** 2 - (w_m * motor.pole_pairs * motor.M * i_f) ** 2)
    need = motor.sigma_L_d * w_c + motor.R_s + motor.R_f * 1.5 * motor.M**2 / motor.L_f**2
    # The exciter saturates and then pushes with all its voltage; d carries M/L_f of that.
    left -= motor.M / motor.L_f * (unit.exciter.u_nominal + motor.R_f * i_f)
    goal = -min(0.15 * motor.i_max, 0.9 * left / need)
    rows = mean_step(unit, w_m, i_f, goal, 0, 0.06)
    step = judge_step(rows["t"], rows["true_i_d"], 0.0, goal)
    name = f"i_d step {where}"
    note = f"0 to {goal:.3g} A at {w_m * 30 / math.pi:.0f} rpm"
    if rows["saturated"].max() > 0:
        note += ", saturates"
    sheet.at_most(f"{name}: overshoot", 100 * step.overshoot, 5, "%", note)
    off = np.abs(rows["true_i_f"] - i_f)
    most = 1.5 * motor.M / motor.L_f * abs(goal)
    sheet.at_most(f"{name}: field excursion", float(off.max()), 1.05 * most, "A", note)
    away = np.nonzero(off > 0.02 * motor.i_f_max)[0]
    back = 0.0 if len(away) == 0 else float(rows["t"][away[-1]])
    sheet.at_most(f"{name}: field back", 1e3 * back, 20, "ms", note)
    sheet.curve("i_d / A", where, rows["t"], rows["true_i_d"])
    sheet.curve("i_f / A", where, rows["t"], rows["true_i_f"])
