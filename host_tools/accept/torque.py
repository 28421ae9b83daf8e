"""Torque step below base speed: time to torque, overshoot, currents, steady error, ripple."""

from __future__ import annotations

import numpy as np

from host_tools.accept.limits import ideal_t90, t90_limit
from host_tools.accept.response import judge_step
from host_tools.accept.sheet import Sheet
from host_tools.experiment import Experiment
from host_tools.units import Unit

SPEED = 20.0  # rad/s, held


def check(unit: Unit, sheet: Sheet) -> None:
    """Torque from 10 to 100 % of rated."""
    motor, rated = unit.motor, unit.limits.torque_rated
    bench = Experiment(unit, SPEED)
    bench.torque(0.1 * rated)
    bench.run(0.6)
    bench.torque(rated)
    rows = bench.record(0.5, ["i_d_ref", "i_q_ref", "i_f_ref"])
    t, torque = rows["t"], rows["true_torque"]
    late = torque[t > 0.4]
    step = judge_step(t, torque, 0.1 * rated, rated)
    ideal = ideal_t90(unit, 0.1 * rated, rated)
    note = f"{0.1 * rated:.3g} to {rated:.3g} N.m, physics allows {1e3 * ideal:.2f} ms"
    sheet.at_most("torque step 10-100 %: T90", 1e3 * step.t90, 1e3 * t90_limit(unit), "ms", note)
    sheet.at_most("torque step 10-100 %: overshoot", 100 * step.overshoot, 5, "%", note)
    reference = np.hypot(rows["i_d_ref"], rows["i_q_ref"]).max() / motor.i_max
    # The references are rounded to the raw step.
    raw_step = bench.kernel.step["i_d_ref"] / motor.i_max
    sheet.at_most("torque step 10-100 %: reference current", 100 * reference, 100 + 200 * raw_step, "% i_max")
    measured = np.hypot(rows["true_i_d"], rows["true_i_q"]).max() / motor.i_max
    sheet.at_most("torque step 10-100 %: measured current", 100 * measured, 103, "% i_max")
    limit = 3 if motor.saturation is not None else 1
    sheet.at_most("torque: steady error", 100 * abs(late.mean() / rated - 1), limit, "%")
    sheet.at_most("torque: ripple, rms", 100 * late.std() / rated, 1, "% rated")
    early = t < 0.1
    sheet.curve("torque / N.m", "torque", t[early], torque[early])
    for name in ("i_d", "i_q"):
        sheet.curve("i_d, i_q / A", name, t[early], rows["true_" + name][early])
        sheet.curve("i_d, i_q / A", name + " reference", t[early], rows[name + "_ref"][early], True)
    sheet.curve("i_f / A", "i_f", t[early], rows["true_i_f"][early])
    sheet.curve("i_f / A", "i_f reference", t[early], rows["i_f_ref"][early], True)
