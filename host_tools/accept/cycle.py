"""Drive cycle WLTC class 3b: loss of the machine against its optimum, every PWM period simulated.

The vehicle holds the shaft on the trace's speed and asks for the torque that it needs there; the
optimum and the constant field are judged at the torque and speed that the machine really had.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numba
import numpy as np

from boards.virtual import plant
from eesm.signals import REFERENCE_TORQUE
from host_tools.accept.limits import machine_of
from host_tools.accept.sheet import Sheet
from host_tools.accept.vehicle import Vehicle, fill, load_trace
from host_tools.errors import ToolError
from host_tools.experiment import Experiment
from host_tools.references.closed_form import least_loss
from host_tools.references.machine import u_max_of
from host_tools.references.solver import solve
from host_tools.references.strategies import solve_strategy
from host_tools.units import Unit

RATE = 1000  # new speed and torque a second
ROW = 100  # steps of a row that is recorded
LOSSES = (plant.E_COPPER_S, plant.E_COPPER_F, plant.E_IRON)
NAME = "WLTC 3b"


@dataclass(frozen=True)
class Drive:
    """What happened: rows of ROW steps, and totals."""

    torque: np.ndarray  # N.m, air gap, mean of a row
    w_m: np.ndarray  # rad/s
    u_dc: np.ndarray  # V
    i_f: np.ndarray  # A
    loss: np.ndarray  # W
    asked: np.ndarray  # N.m
    energy: float  # J, loss of copper and iron
    shaft: float  # J
    wanted: float  # J at the shaft
    turned: float  # J at the shaft, motoring and braking both counted positive
    residual: float  # of the plant's energy, as a share of its throughput
    seconds: float  # of processor time
    faults: int


def applies(unit: Unit) -> bool:
    """Whether the unit can carry the vehicle through the cycle, and its optimum is known."""
    # The trace's hardest start is 1.8 m/s2 or so.  A saturated machine has another optimum.
    force = unit.limits.torque_limit * unit.transmission.ratio / Vehicle().radius
    return unit.motor.saturation is None and force > 1.8 * Vehicle().mass


def check(unit: Unit, sheet: Sheet) -> None:
    """The whole cycle."""
    try:
        trace = load_trace()
    except ToolError as error:
        sheet.skip(NAME, f"{error.message}; {error.hint}")
        return
    judge(unit, sheet, drive(unit, trace, Vehicle()))


def drive(unit: Unit, trace: np.ndarray, vehicle: Vehicle) -> Drive:
    """Drive a trace (m/s, once a second) with the real kernel in closed loop."""
    gear = unit.transmission
    v, a = fill(trace, RATE)
    torque, w_m = vehicle.motor(v, a, gear.ratio, gear.efficiency)
    bench = Experiment(unit, 0.0, plant_options={"iron_loss": 1})
    bench.torque(0)
    bench.run(0.3)  # the field is up
    bench.set_raw(reference_mode=REFERENCE_TORQUE)
    words = np.round(torque * 32768 / bench.loop.bases["torque"]).astype(np.int32)
    at, steps = bench.kernel.offset["torque_set"], round(1 / (RATE * bench.t_pwm))
    follow = compile_follow(bench.loop.compiled()[0])
    rows = np.zeros((len(w_m) // ROW, 5))
    follow(bench.loop._bench, at, steps, w_m[:ROW], words[:ROW], rows[:1])  # compiles
    x, c = bench.x, bench.c
    rows[:] = 0
    stored = sum(plant.stored_energy(x, c))
    before = {word: float(x[word]) for word in (*LOSSES, plant.E_SHAFT, plant.E_THROUGHPUT)}
    residual = plant.energy_residual(x, c, stored)
    began = time.thread_time()
    follow(bench.loop._bench, at, steps, w_m, words, rows)
    seconds = time.thread_time() - began
    # Speeds are set from outside: what the shaft stores is not the plant's.
    bench.x[plant.W_M] = 0.0
    residual = plant.energy_residual(x, c, stored) - residual
    gone = {word: float(x[word]) - value for word, value in before.items()}
    watts = np.diff(rows[:, 4], prepend=sum(before[word] for word in LOSSES)) * RATE / ROW
    return Drive(
        torque=rows[:, 0],
        w_m=rows[:, 1],
        u_dc=rows[:, 2],
        i_f=rows[:, 3],
        loss=watts,
        asked=torque[: len(rows) * ROW].reshape(-1, ROW).mean(axis=1),
        energy=sum(gone[word] for word in LOSSES),
        shaft=gone[plant.E_SHAFT],
        wanted=float((torque * w_m).sum()) / RATE,
        turned=float(np.abs(torque * w_m).sum()) / RATE,
        residual=abs(residual) / gone[plant.E_THROUGHPUT],
        seconds=seconds,
        faults=bench.faults,
    )


def compile_follow(run):
    """A compiled loop that sets speed and torque anew before every step of some periods."""

    @numba.njit(nogil=True)
    def follow(bench, at, steps, w_m, words, rows):
        block, x = bench[0], bench[3]
        for row in range(len(rows)):
            for n in range(row * ROW, (row + 1) * ROW):
                x[plant.W_M] = w_m[n]
                block[at] = words[n]
                run(bench, steps)
                rows[row, 0] += x[plant.TORQUE] / ROW
                rows[row, 1] += x[plant.W_M] / ROW
                rows[row, 2] += x[plant.U_DC] / ROW
                rows[row, 3] += x[plant.I_F] / ROW
            rows[row, 4] = x[plant.E_COPPER_S] + x[plant.E_COPPER_F] + x[plant.E_IRON]

    return follow


def judge(unit: Unit, sheet: Sheet, driven: Drive) -> None:
    """Rows and curves."""
    machine, p = machine_of(unit), unit.motor.pole_pairs
    w_e, most = driven.w_m * p, u_max_of(driven.u_dc)
    row = ROW / RATE
    best = solve(machine, driven.torque, w_e, most)
    optimum = float(np.nansum(best.loss)) * row
    rated = float(least_loss(machine, unit.limits.torque_rated)[2])
    naive = solve_strategy("constant_field", machine, driven.torque, w_e, most, field=rated)
    # Where even i_d cannot hold the voltage the naive drive is let off with the optimum.
    constant = float(np.where(naive.ok, naive.loss, best.loss).sum()) * row
    length = float(driven.w_m.sum() * row / unit.transmission.ratio * Vehicle().radius) / 1e3
    per_km = 3600 * length
    note = f"{driven.energy / per_km:.2f} Wh/km, optimum {optimum / per_km:.2f}, {length:.2f} km"
    sheet.at_most(f"{NAME}: machine loss over the optimum", 100 * (driven.energy / optimum - 1), 3, "%", note)
    note = f"i_f = {rated:.3g} A takes {constant / per_km:.1f} Wh/km"
    sheet.at_most(f"{NAME}: loss of constant rated field", 100 * driven.energy / constant, 20, "%", note)
    off = 100 * abs(driven.shaft - driven.wanted) / driven.turned
    note = (
        f"{driven.shaft / per_km:.1f} Wh/km, {driven.wanted / per_km:.1f} needed, faults {driven.faults:#x}"
    )
    sheet.at_most(f"{NAME}: shaft energy off what the vehicle needs", off, 1, "% of that turned over", note)
    sheet.at_most(f"{NAME}: energy from nowhere", 1e6 * driven.residual, 100, "ppm", "of the throughput")
    periods = round(len(driven.w_m) * row * unit.board.f_pwm)
    note = f"{periods} periods, {1e9 * driven.seconds / periods:.0f} ns each, one core"
    sheet.at_most(f"{NAME}: processor time", driven.seconds, 20, "s", note)
    t = np.arange(len(driven.w_m)) * row
    sheet.curve("speed / rpm", "motor", t, driven.w_m * 30 / np.pi)
    sheet.curve("torque / N.m", "torque", t, driven.torque)
    sheet.curve("torque / N.m", "asked", t, driven.asked, True)
    sheet.curve("i_f / A", "i_f", t, driven.i_f)
    sheet.curve("i_f / A", "optimum", t, np.asarray(best.i_f), True)
    sheet.curve("energy lost / Wh", "drive", t, np.cumsum(driven.loss) * row / 3600)
    sheet.curve("energy lost / Wh", "optimum", t, np.cumsum(np.nan_to_num(best.loss)) * row / 3600, True)
