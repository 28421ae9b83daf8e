"""To the end of the envelope and back: torque over speed, saturation, i_f at constant power."""

from __future__ import annotations

import math

import numpy as np

from boards.virtual import plant
from host_tools.accept.limits import machine_of, u_max
from host_tools.accept.sheet import Sheet
from host_tools.experiment import Experiment, Rows
from host_tools.references.envelope import max_torque
from host_tools.units import Unit

SPEEDS = (0.25, 0.5, 0.75, 1.0)  # of the highest
RPM = 30 / math.pi
LONGEST = 5.0  # ms that the voltage limit may bind without a break
# The shaft gets this much of its own inertia, so that a sweep takes long against the current control
# and short against anything thermal.
FULL_SWEEP = 1.0  # s that full torque takes to the highest speed, at least
SIGNALS = ("saturated", "torque_ref", "i_f_ref", "i_d_ref", "i_q_ref")


def check(unit: Unit, sheet: Sheet) -> None:
    """Held speeds, then sweeps."""
    sheet.x_label = "speed / rpm"
    hold_speeds(unit, sheet)
    hold_power(unit, sheet)
    for share in (0.3, 1.0):
        sweep(unit, sheet, share)


def hold_speeds(unit: Unit, sheet: Sheet) -> None:
    """All torque there is at four speeds, motoring and braking, against the envelope at u_max."""
    machine, p = machine_of(unit), unit.motor.pole_pairs
    limit = unit.limits.torque_limit
    for sign, word in ((1.0, "motoring"), (-1.0, "braking")):
        worst, ideal_share, held, given, allowed = math.inf, math.inf, 0.0, [], []
        for share in SPEEDS:
            w_m = share * unit.limits.w_m_max
            bench = Experiment(unit, w_m)
            bench.torque(sign * limit)
            bench.run(0.8)
            rows = bench.record(0.1, SIGNALS)
            held = max(held, longest_bound(rows, bench.t_pwm))
            torque = abs(float(rows["true_torque"].mean()))
            # The link is where the load left it: the envelope belongs to that voltage.
            u_dc = float(rows["true_u_dc"].mean())
            most = min(limit, float(max_torque(machine, sign * w_m * p, u_max(unit, u_dc))))
            ideal = min(limit, float(max_torque(machine, sign * w_m * p, u_dc / math.sqrt(3))))
            given.append(torque)
            allowed.append(most)
            worst, ideal_share = min(worst, torque / most), min(ideal_share, torque / ideal)
        note = f"U_max = 0.92 u_dc/sqrt(3); {100 * ideal_share:.1f} % of the ideal circle, aim 92 %"
        sheet.at_least(f"envelope, {word}: torque at four speeds", 100 * worst, 97, "%", note)
        sheet.at_most(f"envelope, {word}: saturated at a held speed", 1e3 * held, LONGEST, "ms")
        rpm = [share * unit.limits.n_max for share in SPEEDS]
        sheet.curve("torque / N.m", word, rpm, given)
        sheet.curve("torque / N.m", f"{word}, envelope", rpm, allowed, True)


def hold_power(unit: Unit, sheet: Sheet) -> None:
    """i_f falls with speed at constant power: 60 % of the power of top speed."""
    machine, p = machine_of(unit), unit.motor.pole_pairs
    top = unit.limits.w_m_max
    power = 0.6 * top * float(max_torque(machine, top * p, u_max(unit)))
    for sign, word in ((1.0, "motoring"), (-1.0, "braking")):
        fields, speeds = [], np.linspace(0.4, 1.0, 7) * top
        for w_m in speeds:
            bench = Experiment(unit, w_m)
            bench.torque(0)
            bench.run(0.3)
            bench.torque(sign * power / w_m)
            bench.run(0.6)
            fields.append(float(bench.record(0.05)["true_i_f"].mean()))
        rise = float(np.diff(fields).max()) / unit.motor.i_f_max
        note = f"{power:.3g} W, i_f {fields[0]:.3g} to {fields[-1]:.3g} A; largest rise between speeds"
        sheet.at_most(f"constant power, {word}: i_f falls with speed", 100 * rise, 0.2, "% i_f_max", note)
        sheet.curve("i_f / A", word, speeds * RPM, fields)


def sweep(unit: Unit, sheet: Sheet, share: float) -> None:
    """Accelerate from rest to the highest speed and brake back to rest with a share of all torque."""
    limit, top = share * unit.limits.torque_limit, unit.limits.w_m_max
    machine = machine_of(unit)
    power = top * float(max_torque(machine, top * unit.motor.pole_pairs, u_max(unit)))
    inertia = max(float(unit.as_plant()["J"]), FULL_SWEEP * power / top**2)
    bench = Experiment(unit, 0.0, held=False, plant_options={"J": inertia})
    bench.torque(0)
    bench.run(0.3)
    found: list[Rows] = []
    for sign in (1.0, -1.0):
        bench.torque(sign * limit)
        while True:
            found.append(bench.record(0.02, SIGNALS))
            w_m = float(bench.x[plant.W_M])
            done = w_m >= 0.97 * top if sign > 0 else w_m <= 0.02 * top
            if done or bench.faults or bench.time > 60:
                break
    rows = {name: np.concatenate([each[name] for each in found]) for name in found[0]}
    held = longest_bound(rows, bench.t_pwm)
    word = f"{100 * share:.0f} % torque"
    note = f"0 to {0.97 * top * RPM:.0f} rpm and back in {bench.time - 0.3:.2f} s"
    if bench.faults:
        note = f"fault {bench.faults:#x} at {rows['true_w_m'][-1] * RPM:.0f} rpm"
        held = math.inf
    sheet.at_most(f"sweep, {word}: saturated", 1e3 * held, LONGEST, "ms", note)
    current = np.hypot(rows["true_i_d"], rows["true_i_q"]).max() / unit.motor.i_max
    trip = 100 * unit.limits.i_trip / unit.motor.i_max
    sheet.at_most(
        f"sweep, {word}: largest current, torque reversed at top speed", 100 * current, trip, "% i_max"
    )
    error = np.abs(rows["true_torque"] - rows["torque_ref"]) / unit.limits.torque_rated
    sheet.curve("sweep: i_f / A", word, rows["true_w_m"] * RPM, rows["true_i_f"])
    sheet.curve("sweep: torque error / % rated", word, rows["true_w_m"] * RPM, 100 * error)


def longest_bound(rows: Rows, t_pwm: float) -> float:
    """Longest time in s that the voltage limit bound."""
    return float(rows["saturated"].max()) * t_pwm
