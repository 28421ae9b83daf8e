"""Measures the simulation beside plain CPython, in one run: `python -m host_tools.bench`.

Writes build/bench/simulate.json:
    real_time_factor  drive seconds per second: state machine, stream, kernel, plant, all noise on
    kernel_ns         one period of the linked kernel (fast and outer step)
    plant_ns          one period of plant and sensors
    cpython_us        one period of the same stages and plant as plain Python, the baseline
    speed_up          cpython_us over the time of a compiled period
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

from boards.virtual import plant, sensors
from boards.virtual.plant import LOAD_TORQUE
from drivers.virtual import INPUTS, OUTPUTS
from eesm.steps import fast_step, outer_step
from host_tools.jitted import compile_plant
from host_tools.linker import BlockView
from host_tools.loop import Loop
from host_tools.simulate import Simulation
from host_tools.units import load

OUT = Path("build/bench/simulate.json")
ROUNDS = 5


def best(measure: Callable[[], float]) -> float:
    """The quickest of a few rounds: what the machine can do when nothing else runs."""
    return min(measure() for _ in range(ROUNDS))


def running(unit_name: str) -> Simulation:
    """A simulated drive at 1500 rpm under 2 N.m, streaming 10 signals at 1 kHz."""
    simulation = Simulation(load(unit_name))
    simulation.arm()
    names = ("w_e", "torque", "i_d", "i_q", "i_f", "i_d_ref", "i_q_ref", "i_f_ref", "u_d", "u_q")
    simulation.stream(names, 1000.0)
    simulation.set_speed(157.0)
    simulation.load(2.0)
    simulation.advance(round(1.0 / simulation.t_pwm))
    return simulation


def measure_factor(simulation: Simulation, seconds: float = 4.0) -> float:
    """Drive seconds per wall second."""
    periods = round(seconds / simulation.t_pwm)
    started = time.perf_counter()
    simulation.advance(periods)
    return seconds / (time.perf_counter() - started)


def measure_kernel(loop: Loop, periods: int = 100_000) -> float:
    """Seconds of one period of the linked kernel on a live block."""
    routines = loop.linked.program.numba()
    fast, outer = routines["fast_step"], routines["outer_step"]

    @numba.njit
    def run(block, count):
        for _ in range(count):
            fast(block)
            outer(block)

    block = loop.block.copy()
    run(block, 10)

    def once() -> float:
        block[:] = loop.block
        started = time.perf_counter()
        run(block, periods)
        return (time.perf_counter() - started) / periods

    return best(once)


def measure_plant(loop: Loop, periods: int = 100_000) -> float:
    """Seconds of one period of plant and sensors."""
    run_period, sample = compile_plant()

    @numba.njit
    def run(x, c, y, k, raw, latch, count):
        for _ in range(count):
            sample(x, y, k, raw)
            run_period(x, c, latch[0], latch[1], latch[2], latch[3], latch[4])

    x = loop.x.copy()
    run(x, loop.c, loop.y, loop.k, loop.raw, loop.latch, 10)

    def once() -> float:
        x[:] = loop.x
        started = time.perf_counter()
        run(x, loop.c, loop.y, loop.k, loop.raw, loop.latch, periods)
        return (time.perf_counter() - started) / periods

    return best(once)


def measure_cpython(loop: Loop, periods: int = 1_000) -> float:
    """Seconds of one period of plain stages, plant and sensors."""
    program = loop.linked.program
    block = loop.block.copy().tolist()
    view: Any = BlockView(program.layout, block, program.table, program.constants)
    x, c, y, k = (words.tolist() for words in (loop.x, loop.c, loop.y, loop.k))
    raw = [int(word) for word in loop.raw]
    latch = [int(word) for word in loop.latch]
    started = time.perf_counter()
    for _ in range(periods):
        sensors.sample(x, y, k, raw)
        for name, value in zip(INPUTS, raw, strict=True):
            setattr(view, name, value)
        view.load_torque = int(x[LOAD_TORQUE] * loop.load_gain)
        fast_step(view)
        outer_step(view)
        plant.run_period(x, c, *latch)
        latch = [getattr(view, name) for name in OUTPUTS]
    return (time.perf_counter() - started) / periods


def main() -> int:
    """Measure, print, write."""
    print("bench: compiling", flush=True)
    simulation = running("a")
    loop = simulation.loop
    print("bench: measuring", flush=True)
    factor = max(measure_factor(simulation) for _ in range(ROUNDS))
    kernel, machine = measure_kernel(loop), measure_plant(loop)
    plain = measure_cpython(loop)
    result = {
        "unit": simulation.identity.unit,
        "kernel_hash": simulation.identity.kernel_hash,
        "python": sys.version.split()[0],
        "numba": numba.__version__,
        "numpy": np.__version__,
        "real_time_factor": round(factor, 1),
        "kernel_ns": round(kernel * 1e9, 1),
        "plant_ns": round(machine * 1e9, 1),
        "cpython_us": round(plain * 1e6, 1),
        "speed_up": round(plain / (kernel + machine)),
        "state": simulation.state,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=2) + "\n")
    for name, value in result.items():
        print(f"  {name:17} {value}")
    print(f"bench: written to {OUT}")
    return 0 if simulation.state == "running" else 1


if __name__ == "__main__":
    sys.exit(main())
