"""Torque while the dc link's voltage ramps from 80 to 120 %."""

from __future__ import annotations

import math

import numpy as np

from host_tools.accept.limits import machine_of, u_max
from host_tools.accept.sheet import Sheet
from host_tools.experiment import Experiment, Rows
from host_tools.references.envelope import max_torque
from host_tools.units import Unit

SLOPE = 1000.0  # V/s
STEP = 5e-4  # s between changes of the battery
RPM = 30 / math.pi


def check(unit: Unit, sheet: Sheet) -> None:
    """60 % of what the lowest voltage allows, at low speed and in field weakening, both directions."""
    for share in (0.1, 0.6):
        w_m = share * unit.limits.w_m_max
        rows, goal = ramp(unit, w_m)
        # Means over half a millisecond, so that ripple is not counted.
        torque = rows["true_torque"][: len(rows["t"]) // 10 * 10].reshape(-1, 10).mean(axis=1)
        error = float(np.abs(torque / goal - 1).max())
        note = f"{goal:.3g} N.m, link {rows['true_u_dc'].min():.0f} to {rows['true_u_dc'].max():.0f} V"
        name = f"u_dc ramp 80-120 % at {w_m * RPM:.0f} rpm: torque error"
        sheet.at_most(name, 100 * error, 2, "%", note)
        sheet.curve(
            "torque error / %",
            f"{w_m * RPM:.0f} rpm",
            rows["t"][::10][: len(torque)],
            100 * (torque / goal - 1),
        )


def ramp(unit: Unit, w_m: float) -> tuple[Rows, float]:
    """Up and down again; (rows, torque asked for)."""
    nominal = unit.dc_link.u_nominal
    low, high = 0.8 * nominal, 1.2 * nominal
    high = min(high, 0.98 * unit.dc_link.u_trip)
    w_e = w_m * unit.motor.pole_pairs
    most = min(unit.limits.torque_limit, float(max_torque(machine_of(unit), w_e, u_max(unit, low))))
    goal = 0.6 * most
    bench = Experiment(unit, w_m)
    bench.start_link_at(low)
    bench.torque(goal)
    bench.run(0.8)
    bench.record(0.05)
    count = round((high - low) / SLOPE / STEP)
    emfs = np.concatenate([np.linspace(low, high, count), np.linspace(high, low, count)])
    found: list[Rows] = []
    for emf in emfs:
        bench.battery(float(emf))
        found.append(bench.record(STEP))
    rows = {name: np.concatenate([each[name] for each in found]) for name in found[0]}
    rows["t"] = (np.arange(len(rows["t"])) + 1) * bench.t_pwm
    return rows, goal
