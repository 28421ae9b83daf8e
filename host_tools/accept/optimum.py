"""Loss of the closed loop beside scipy's optimum; loss equality; gain over a constant field."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from boards.virtual import plant
from host_tools.accept.limits import machine_of, u_max
from host_tools.accept.sheet import Sheet
from host_tools.experiment import Experiment
from host_tools.references.closed_form import least_loss
from host_tools.references.envelope import max_torque
from host_tools.references.oracle import least_loss as scipy_least_loss
from host_tools.units import Unit

POINTS = 200
LOW_SPEED = 20.0  # rad/s
# The iron of the plant takes its current beside the machine, the optimum only its loss.
IRON = {"iron_loss": 1}


def check(unit: Unit, sheet: Sheet) -> None:
    """Copper and iron loss, measured as energy; the field floor is off but for the last row."""
    sheet.x_label = "torque / N.m"
    # A floor is a choice against the optimum, for quick torque.
    free = replace(unit, control=replace(unit.control, field_floor=0.0))
    try_points(free, sheet)
    compare_equality(free, sheet)
    compare_constant_field(unit, sheet)


def try_points(unit: Unit, sheet: Sheet) -> None:
    """Random torques and speeds within the envelope, motoring and braking."""
    machine, p = machine_of(unit), unit.motor.pole_pairs
    draw = np.random.default_rng(1)
    penalties, torques, speeds = [], [], []
    for _ in range(POINTS):
        w_m = draw.uniform(0.01, 1.0) * unit.limits.w_m_max
        sign = draw.choice((-1.0, 1.0))
        most = min(unit.limits.torque_limit, float(max_torque(machine, sign * w_m * p, u_max(unit))))
        bench = Experiment(unit, w_m, plant_options=IRON)
        bench.torque(sign * draw.uniform(0.03, 0.97) * most)
        bench.run(0.8)
        before = bench.x.copy()
        rows = bench.record(0.05)
        words = [plant.E_COPPER_S, plant.E_COPPER_F, plant.E_IRON]
        watts = float((bench.x[words] - before[words]).sum()) / 0.05
        # Torque before the iron takes its part: what the currents of the optimum are for.
        torque = float(bench.x[plant.E_SHAFT] - before[plant.E_SHAFT]) / 0.05 / w_m
        torque += float(bench.x[plant.E_IRON] - before[plant.E_IRON]) / 0.05 / w_m
        best = scipy_least_loss(machine, torque, w_m * p, u_max(unit, float(rows["true_u_dc"].mean())))
        if best is not None:
            penalties.append(watts / best.loss - 1)
            torques.append(torque)
            speeds.append(w_m)
    found = np.sort(penalties)
    share = 100 * float(np.mean(found <= 0.01))
    note = (
        f"{len(found)} of {POINTS} points have an optimum within the limits; mean {100 * found.mean():+.2f} %"
    )
    sheet.at_least("loss within 1 % of scipy's optimum: share of random points", share, 95, "%", note)
    sheet.at_most("loss over scipy's optimum: worst random point", 100 * float(found[-1]), 3, "%")
    order = np.argsort(torques)
    sheet.curve("loss over optimum / %", "", np.array(torques)[order], 100 * np.array(penalties)[order])


def compare_equality(unit: Unit, sheet: Sheet) -> None:
    """1.5*R_s*i_q^2 = R_f*i_f^2 + 1.5*R_s*i_d^2 below base speed."""
    motor = unit.motor
    worst = 0.0
    for share in (0.2, 0.5, 0.8):
        bench = Experiment(unit, LOW_SPEED)
        bench.torque(share * unit.limits.torque_rated)
        bench.run(0.8)
        rows = bench.record(0.1)
        i_d, i_q, i_f = (float(rows[name].mean()) for name in ("true_i_d", "true_i_q", "true_i_f"))
        if i_f > 0.97 * motor.i_f_max:
            continue
        ratio = 1.5 * motor.R_s * i_q**2 / (motor.R_f * i_f**2 + 1.5 * motor.R_s * i_d**2)
        worst = max(worst, abs(ratio - 1))
    sheet.at_most("loss equality of q against d and field, below base speed", 100 * worst, 3, "%")


def compare_constant_field(unit: Unit, sheet: Sheet) -> None:
    """A twentieth of rated torque at low speed: optimum beside the field of rated torque, i_d = 0."""
    motor, rated = unit.motor, unit.limits.torque_rated
    torque = 0.05 * rated
    bench = Experiment(unit, LOW_SPEED, plant_options=IRON)
    bench.torque(torque)
    bench.run(0.6)
    watts = bench.loss(0.1)
    field = min(motor.i_f_max, float(least_loss(machine_of(unit), rated)[2]))
    constant = Experiment(unit, LOW_SPEED, plant_options=IRON)
    constant.currents(0, torque / (1.5 * motor.pole_pairs * motor.M * field), field)
    constant.run(0.6)
    naive = constant.loss(0.1)
    note = (
        f"{watts:.3g} W, with constant rated field {naive:.3g} W; field floor {unit.control.field_floor:.0%}"
    )
    sheet.at_least(
        "5 % torque: loss saved over constant rated field", 100 * (1 - watts / naive), 80, "%", note
    )
