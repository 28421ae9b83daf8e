"""Steady current error over speed; the same with the delay compensation taken out must fail."""

from __future__ import annotations

import math

import numpy as np

from host_tools.accept.limits import machine_of, u_max
from host_tools.accept.sheet import Sheet
from host_tools.build import Linked, link_unit
from host_tools.experiment import Experiment
from host_tools.references.envelope import max_torque
from host_tools.references.solver import solve
from host_tools.units import Unit

RPM = 30 / math.pi
COUNTER_SPEED = 16000  # rpm
SAMPLES = 25  # PWM periods of an electrical turn up to which the strict limit holds


def check(unit: Unit, sheet: Sheet) -> None:
    """Half of the torque there is, as currents, at seven speeds."""
    sheet.x_label = "speed / rpm"
    p, top = unit.motor.pole_pairs, unit.limits.w_m_max
    border = 2 * math.pi * unit.board.f_pwm / SAMPLES / p
    slow = np.linspace(0.1, 1.0, 6) * min(border, top)
    errors = [steady_error(unit, w_m) for w_m in slow]
    note = f"to {slow[-1] * RPM:.0f} rpm"
    sheet.at_most("steady current error up to f_s/25", 100 * max(errors), 0.2, "% i_max", note)
    sheet.curve("error / % i_max", "", slow * RPM, 100 * np.array(errors))
    if top > 1.01 * border:
        error = steady_error(unit, top)
        note = f"{top * RPM:.0f} rpm, f_s/{2 * math.pi * unit.board.f_pwm / (top * p):.1f}"
        sheet.at_most("steady current error at top speed", 100 * error, 1, "% i_max", note)
    if unit.limits.n_max >= COUNTER_SPEED:
        linked = link_unit(unit, {"delay_periods": 0})
        error = steady_error(unit, COUNTER_SPEED / RPM, linked)
        note = f"{COUNTER_SPEED} rpm; shows that the test can fail"
        sheet.at_least(
            "delay compensation taken out: current error", 100 * min(error, 10), 1, "% i_max", note
        )


def steady_error(unit: Unit, w_m: float, linked: Linked | None = None) -> float:
    """Largest deviation of mean i_d and i_q from what was asked, over i_max; inf when the drive trips."""
    machine, w_e = machine_of(unit), w_m * unit.motor.pole_pairs
    limit = 0.95 * u_max(unit)
    torque = 0.5 * min(unit.limits.torque_limit, float(max_torque(machine, w_e, limit)))
    point = solve(machine, torque, w_e, limit)
    i_d, i_q, i_f = float(point.i_d), float(point.i_q), float(point.i_f)
    bench = Experiment(unit, w_m, linked=linked)
    # Weakened first: at top speed the emf of all the field is beyond the voltage.
    bench.currents(i_d, 0.0, 0.2 * i_f)
    bench.run(0.2)
    bench.currents(i_d, i_q, i_f)
    bench.run(0.6)
    rows = bench.record(0.2)
    if bench.faults:
        return math.inf
    # Set points are rounded to the raw step; the error counts from what the kernel was told.
    off_d = float(rows["true_i_d"].mean()) - bench.get("i_d_ref")
    off_q = float(rows["true_i_q"].mean()) - bench.get("i_q_ref")
    asked = max(abs(bench.get("i_d_ref") - i_d), abs(bench.get("i_q_ref") - i_q))
    if asked > 0.01 * unit.motor.i_max:
        return math.inf  # the kernel would not follow
    return max(abs(off_d), abs(off_q)) / unit.motor.i_max
