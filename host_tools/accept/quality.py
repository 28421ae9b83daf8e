"""Harmonics of a phase current at low speed, with and without dead-time compensation."""

from __future__ import annotations

import math

import numpy as np

from boards.virtual import plant
from host_tools.accept.sheet import Sheet
from host_tools.experiment import Experiment
from host_tools.units import Unit

SPEED = 300 * math.pi / 30  # rad/s, held
HARMONICS = 50


def check(unit: Unit, sheet: Sheet) -> None:
    """Half of i_max along q at 300 rpm."""
    thd, current = distortion(unit, unit.control.dead_time_compensated)
    without, raw = distortion(unit, 0.0)
    sheet.at_most("phase-current THD at 50 % current, 300 rpm", 100 * thd, 3, "%", "harmonics 2 to 50")
    note = f"{100 * without:.2f} % without"
    sheet.at_least("THD without dead-time compensation over that with", without / thd, 2, "", note)
    t = np.arange(len(current)) / unit.board.f_pwm
    turn = t < 2 * 2 * math.pi / (SPEED * unit.motor.pole_pairs)
    sheet.curve("i_a / A", "compensated", t[turn], current[turn])
    sheet.curve("i_a / A", "not compensated", t[turn], raw[turn])


def distortion(unit: Unit, compensated: float) -> tuple[float, np.ndarray]:
    """(total harmonic distortion, phase current) over ten electrical turns."""
    turns = 10
    seconds = turns * 2 * math.pi / (SPEED * unit.motor.pole_pairs)
    bench = Experiment(unit, SPEED, believed={"dead_time_compensated": compensated})
    bench.currents(0, 0.5 * unit.motor.i_max, 0.3 * unit.motor.i_f_max)
    bench.run(0.5)
    current = bench.record(seconds, truths={"i_a": plant.I_A})["i_a"]
    lines = np.abs(np.fft.rfft(current))[: turns * HARMONICS + 1 : turns]
    return float(np.sqrt((lines[2:] ** 2).sum()) / lines[1]), current
