"""The kernel computes the same integers on every engine: stages, linked Python, numba, C, native C, viper.

C runs under UBSan, so a pass also says that nothing overflows on the way.
"""

import numpy as np
import pytest

from host_tools import scenario
from host_tools.linker import Program
from host_tools.linker.schedule import Schedule
from host_tools.linker.trace import EngineFailure, compare_traces, run_engine
from host_tools.recording import Recording
from host_tools.runner import Runner
from host_tools.simulate import Simulation
from host_tools.units import load

from .linker.kernel_inputs import corners, fill_tables_at_random, make_kernel, tuned_walk, walk

STEPS = 20_000
ENGINES = ("python", "numba", "c", "native", "viper")


@pytest.fixture(scope="module")
def kernel() -> tuple[Program, np.ndarray]:
    return make_kernel("a")


def compare(program: Program, schedule: Schedule) -> np.ndarray:
    """Compare all engines with the plain stages; returns the plain trace."""
    plain = run_engine(program, schedule, "plain")
    for engine in ENGINES:
        compare_traces(program, plain, run_engine(program, schedule, engine), "plain", engine)
    return plain.scalars


def share_of(program: Program, trace: np.ndarray, name: str, mask: int = -1) -> float:
    """Part of the steps in which a signal has any of the masked bits."""
    return float(np.mean((trace[:, program.layout.offset[name]] & mask) != 0))


@pytest.mark.micropython
def test_a_tuned_kernel_is_identical_on_all_engines(kernel):
    program, block = kernel
    trace = compare(program, tuned_walk(program, block, STEPS, 11))
    assert share_of(program, trace, "gate_enable", 1) > 0.4, "the drive was off for most of the walk"


@pytest.mark.micropython
def test_random_walks_are_identical_on_all_engines(kernel):
    program, block = kernel
    trace = compare(program, walk(program, fill_tables_at_random(program, block, 3), STEPS, 12))
    assert share_of(program, trace, "gate_enable", 1) > 0.3, "the drive was off for most of the walk"


@pytest.mark.micropython
def test_corners_are_identical_on_all_engines(kernel):
    program, block = kernel
    trace = compare(program, corners(program, fill_tables_at_random(program, block, 3), STEPS, 13))
    assert share_of(program, trace, "gate_enable", 1) > 0.2, "the drive was off for most of the corners"


class NoRecord:
    """Takes what the runner logs."""

    def begin(self, rows):
        pass

    def rows(self, rows):
        pass

    def note(self, kind, **content):
        pass


@pytest.mark.micropython
def test_the_demo_scenario_replays_identically_on_all_engines():
    """Every sample and letter of the whole scenario, recorded in closed loop, period by period."""
    simulation = Simulation(load("a"))
    simulation.recording = Recording(simulation.loop)
    outcome = Runner(scenario.load("demo"), simulation, NoRecord()).run()
    assert outcome.completed
    schedule = simulation.recording.schedule()
    assert schedule.steps > 150_000
    program = simulation.loop.linked.program
    trace = compare(program, schedule)
    final = simulation.loop.block[: program.layout.scalar_end].copy()
    turned = program.layout.offset["mailbox_pumps"]
    final[turned] = trace[-1][turned]  # the main loop has turned since
    assert trace[-1].tolist() == final.tolist()
    assert share_of(program, trace, "gate_enable", 1) > 0.8


@pytest.mark.parametrize("unit", ["b", "c"])
def test_other_units_do_not_overflow(unit):
    program, block = make_kernel(unit)
    schedule = corners(program, fill_tables_at_random(program, block, 4), STEPS, 14)
    compare_traces(
        program,
        run_engine(program, schedule, "python"),
        run_engine(program, schedule, "c"),
        "python",
        "c",
    )


def test_signals_stay_within_their_range(kernel):
    program, block = kernel
    tables = fill_tables_at_random(program, block, 5)
    for schedule in (walk(program, tables, 5000, 15), corners(program, tables, 5000, 16)):
        trace = run_engine(program, schedule, "python").scalars
        for name in program.layout.scalars():
            row, values = program.table[name], trace[:, program.layout.offset[name]]
            assert row.low <= values.min(), name
            assert values.max() <= row.high, name


def test_a_failing_engine_is_named(kernel):
    program, block = kernel
    broken = block.copy()
    broken[program.layout.offset["period"]] = 0x7FFFFFFF  # + 1 overflows
    schedule = Schedule(np.zeros(0, dtype=np.int32), np.zeros((3, 0), dtype=np.int32), broken)
    with pytest.raises(EngineFailure, match="step 0: C under UBSan"):
        run_engine(program, schedule, "c")
