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
from host_tools.references.machine import loss
from host_tools.references.machine import torque as torque_of
from host_tools.references.oracle import least_loss as scipy_least_loss
from host_tools.references.solver import solve
from host_tools.units import Unit

POINTS = 200
LOW_SPEED = 20.0  # rad/s
NO_IRON_SPEED = 1.0
# The iron of the plant takes its current beside the machine, the optimum only its loss.
IRON = {"iron_loss": 1}


def check(unit: Unit, sheet: Sheet) -> None:
    """Copper and iron loss; the field floor is off but for the last row."""
    sheet.x_label = "torque / N.m"
    # A floor is a choice against the optimum, for quick torque.
    free = replace(unit, control=replace(unit.control, field_floor=0.0))
    try_points(free, sheet)
    compare_equality(free, sheet)
    compare_constant_field(unit, sheet)


def try_points(unit: Unit, sheet: Sheet) -> None:
    """Random torques and speeds within the envelope, motoring and braking.

    Loss and torque are those of the sampled currents by the model that the optimum has, so that both
    speak of the same machine.  The note tells the loss as energy: of a plant whose iron takes its current
    from the terminals, and with the torque as a mean over the period, which at 17 samples a turn is
    0.4 % less than that of the samples.
    """
    machine, p = machine_of(unit), unit.motor.pole_pairs
    draw = np.random.default_rng(1)
    penalties, torques, energies = [], [], []
    for _ in range(POINTS):
        w_m = draw.uniform(0.01, 1.0) * unit.limits.w_m_max
        sign = draw.choice((-1.0, 1.0))
        most = min(unit.limits.torque_limit, float(max_torque(machine, sign * w_m * p, u_max(unit))))
        goal = sign * draw.uniform(0.03, 0.97) * most
        for options in ({}, IRON):
            bench = Experiment(unit, w_m, plant_options=options)
            bench.torque(goal)
            bench.run(0.8)
            before = bench.x.copy()
            rows = bench.record(0.05)
            limit = u_max(unit, float(rows["true_u_dc"].mean()))
            if options:
                spent = (bench.x - before) / 0.05
                watts = spent[[plant.E_COPPER_S, plant.E_COPPER_F, plant.E_IRON]].sum()
                # Torque before the iron takes its part: what the currents are for.
                torque = float(spent[plant.E_SHAFT] + spent[plant.E_IRON]) / w_m
                found = solve(machine, torque, w_m * p, limit)
                if found.ok:
                    energies.append(float(watts / found.loss) - 1)
                continue
            i_d, i_q, i_f = (float(rows[name].mean()) for name in ("true_i_d", "true_i_q", "true_i_f"))
            watts = float(loss(machine, i_d, i_q, i_f, w_m * p))
            torque = float(torque_of(machine, i_d, i_q, i_f))
            best = scipy_least_loss(machine, torque, w_m * p, limit)
            if best is not None:
                penalties.append(watts / best.loss - 1)
                torques.append(torque)
    found = np.sort(penalties)
    share = 100 * float(np.mean(found <= 0.01))
    note = (
        f"{len(found)} of {POINTS} points have an optimum; mean {100 * found.mean():+.2f} %; "
        f"as energy {100 * np.mean(np.array(energies) <= 0.01):.0f} %, worst {100 * max(energies):.2f} %"
    )
    sheet.at_least("loss within 1 % of scipy's optimum: share of random points", share, 95, "%", note)
    sheet.at_most("loss over scipy's optimum: worst random point", 100 * float(found[-1]), 3, "%")
    order = np.argsort(torques)
    sheet.curve("loss over optimum / %", "", np.array(torques)[order], 100 * np.array(penalties)[order])


def compare_equality(unit: Unit, sheet: Sheet) -> None:
    """1.5*R_s*i_q^2 = R_f*i_f^2 + 1.5*R_s*i_d^2, which copper alone asks for: nearly at rest.

    The optimum counts the iron too: at 20 rad/s that is 3 % of the field's loss on unit b already.
    """
    motor = unit.motor
    worst = 0.0
    for share in (0.2, 0.5, 0.8):
        bench = Experiment(unit, NO_IRON_SPEED)
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
