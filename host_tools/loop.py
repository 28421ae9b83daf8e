"""Kernel and plant as one compiled loop: the fastest bench, and the one everything is tuned on.

One period k, as on every bench: sample the plant at t_k, run the linked steps, let the plant run
from t_k to t_k + T_s with the compare counts of period k - 1 (one period of computing delay),
latch the new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numba
import numpy as np

from boards.virtual import plant, sensors, thermal
from boards.virtual.plant import LOAD_TORQUE
from drivers.virtual import INPUTS, OUTPUTS
from eesm.cyclic import MASK
from eesm.kernel import Kernel
from host_tools.build import Linked, link_unit
from host_tools.jitted import compile_plant, is_healthy
from host_tools.linker import Program
from host_tools.units import Unit

_loops: dict[tuple[str, bool], tuple[Callable[..., None], Callable[..., None]]] = {}


def compile_loop(program: Program, may_fail: bool = True) -> tuple[Callable[..., None], Callable[..., None]]:
    """(run, record) of a linked kernel with the plant, compiled when first called."""
    routines = program.numba()
    fast_step, outer_step = routines["fast_step"], routines["outer_step"]
    run_period, sample = compile_plant(may_fail)

    @numba.njit(nogil=True)
    def run(bench, periods):
        """Run whole periods.  `at` holds the words of INPUTS, load_torque and OUTPUTS in the block."""
        block, at, load_gain, x, c, y, k, raw, latch = bench
        for _ in range(periods):
            sample(x, y, k, raw)
            for n in range(5):
                block[at[n]] = raw[n]
            block[at[5]] = max(-32767, min(32767, int(x[LOAD_TORQUE] * load_gain)))
            fast_step(block)
            outer_step(block)
            run_period(x, c, latch[0], latch[1], latch[2], latch[3], latch[4])
            for n in range(5):
                latch[n] = block[at[6 + n]]

    @numba.njit(nogil=True)
    def record(bench, every, words, states, signals, truths):
        """Run `every` periods for each row; a row is what its last period ended with."""
        block, x = bench[0], bench[3]
        for row in range(len(signals)):
            run(bench, every)
            for n in range(len(words)):
                signals[row, n] = block[words[n]]
            for n in range(len(states)):
                truths[row, n] = x[states[n]]

    return run, record


def _compiled(program: Program, may_fail: bool) -> tuple[Callable[..., None], Callable[..., None]]:
    """`compile_loop`, once for each kernel, with and without the plant's faults."""
    key = program.identity, may_fail
    if key not in _loops:
        _loops[key] = compile_loop(program, may_fail)
    return _loops[key]


class Loop:
    """A unit's kernel in closed loop with its plant.

    `plant_options` change the machine but not what the drive believes of it (see
    `boards.virtual.plant.make_plant`); `settings` change what the drive believes.  `heat.feedback` makes
    the windings' resistances follow their temperature, `heat.speedup` warms them faster.  `period` is where
    the count of periods begins, if not where a board's does.
    """

    def __init__(
        self,
        unit: Unit,
        seed: int = 1,
        plant_options: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        linked: Linked | None = None,
        period: int | None = None,
    ) -> None:
        self.unit = unit
        self.linked = linked or link_unit(unit, settings)
        program = self.linked.program
        self.block = np.zeros(program.layout.size, dtype=np.int32)
        self.kernel = Kernel(self.linked.unit, block=self.block, tables=self.linked.tables)
        self.bases: dict[str, float] = self.kernel.bases
        self.t_pwm = self.bases["t_pwm"]
        values, options = unit.as_plant(), dict(plant_options or {})
        self.x, self.c = (np.array(words) for words in plant.make_plant(values, seed, options))
        sensed, trimmed = sensors.make_sensors(values, seed, options)
        self.y = np.array(sensed, dtype=np.int64)
        self.k = np.array(trimmed)
        self.raw = np.zeros(5, dtype=np.int64)
        sensors.settle(self.x, self.y, self.k, self.raw)
        self.latch = np.zeros(5, dtype=np.int64)
        values |= options
        self.heat = thermal.Thermal(values)
        self._readings = thermal.Readings(values, self.heat, self.t_pwm)
        offset = self.kernel.offset
        if period is not None:
            self.block[offset["period"]] = period
        self._read_at = self.kernel.read("period")  # of the last readings
        at = np.array([offset[name] for name in (*INPUTS, "load_torque", *OUTPUTS)], dtype=np.uint64)
        self.load_gain = 32768 / self.bases["torque"]  # raw words of load_torque a N.m
        self._bench = (self.block, at, self.load_gain, self.x, self.c, self.y, self.k, self.raw, self.latch)

    def inject(self, name: str, on: bool = True, amount: float | None = None) -> None:
        """Make or mend a fault of the plant, its sensors or its cooling; how bad it is says `amount`.

        Raises KeyError when there is none of that name, ValueError for an amount out of its range; what an
        amount is say `plant.inject`, `sensors.inject` and `Thermal.inject`.
        """
        if name in plant.FAULTS:
            plant.inject(self.c, name, on, amount, self.x)
        elif name in sensors.FAULTS:
            sensors.inject(self.k, name, on, amount)
        else:
            self.heat.inject(name, on, amount)

    def readings(self) -> dict[str, float]:
        """Slow quantities by name, as from a board's driver: temperatures in degrees Celsius, i_c in A."""
        now = self.kernel.read("period")
        periods = (now - self._read_at) & MASK
        self._read_at = now
        return self._readings.read(self.x, self.c, self.k, periods)

    def run(self, periods: int) -> None:
        """Run whole periods."""
        if self.heat.feedback:
            # Resistances follow every 10 ms.
            part = max(1, round(0.01 / self.t_pwm))
            while periods > part:
                self._run(part)
                self.readings()
                periods -= part
        self._run(periods)

    def compiled(self) -> tuple[Callable[..., None], Callable[..., None]]:
        """(run, record) of `compile_loop` for the plant as it is now; one made healthy knows no faults."""
        return _compiled(self.linked.program, not is_healthy(self.c, self.k))

    def _run(self, periods: int) -> None:
        self.compiled()[0](self._bench, periods)

    def record(
        self, periods: int, names: Sequence[str], truths: Sequence[int] = (), every: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run periods, a row each `every` of them; returns (signals, truths).

        Signals are the raw integers that the row's last step left, truths the words `truths` of the
        plant's state at the end of that period.
        """
        return self.record_words(periods, [self.kernel.offset[name] for name in names], truths, every)

    def record_words(
        self, periods: int, words: Sequence[int], truths: Sequence[int] = (), every: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """`record` for words of the block."""
        rows = periods // every
        signals = np.zeros((rows, len(words)), dtype=np.int64)
        found = np.zeros((rows, len(truths)))
        at, states = np.array(words, dtype=np.uint64), np.array(truths, dtype=np.int64)
        self.compiled()[1](self._bench, every, at, states, signals, found)
        return signals, found


class LoopDriver:
    """A loop as the driver that `eesm.drive` and `eesm.link` expect, as far as there is no port."""

    name = "simulation"
    waits = True  # periods wait for the main loop
    silent = False
    late = 0
    skipped = 0

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.readings = loop.readings

    def switch_off(self) -> None:
        """Bridges off at once, whatever the kernel says."""
        self.loop.latch[4] = 0
