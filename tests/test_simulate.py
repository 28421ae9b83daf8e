"""The drive in one process: same integers as plain CPython, scenarios to the end, faults told."""

from typing import Any

import pytest

from boards.virtual import plant, sensors
from boards.virtual.plant import LOAD_TORQUE
from drivers.virtual import INPUTS, OUTPUTS
from eesm.steps import fast_step, outer_step
from host_tools.linker import BlockView
from host_tools.loop import Loop
from host_tools.simulate import Simulation
from host_tools.units import load

UNITS = ("a", "b", "c")


def ready(unit: str, seed: int = 1) -> Simulation:
    simulation = Simulation(load(unit), seed)
    simulation.arm()
    assert simulation.state == "ready"
    simulation.events()
    return simulation


@pytest.mark.parametrize("unit", UNITS)
def test_the_compiled_loop_equals_plain_stages_and_plain_plant_word_for_word(unit: str) -> None:
    """Closed loop: kernel, sensors and plant agree in every word of the block for 2000 periods."""
    simulation = ready(unit)
    simulation.set_speed(150.0)
    simulation.advance(3000)
    loop: Loop = simulation.loop
    program = loop.linked.program
    words = loop.block.tolist()
    view: Any = BlockView(program.layout, words, program.table, program.constants)
    x, c, y, k = (array.tolist() for array in (loop.x, loop.c, loop.y, loop.k))
    raw, latch = loop.raw.tolist(), loop.latch.tolist()
    x[LOAD_TORQUE] = loop.x[LOAD_TORQUE] = 0.5
    for n in range(2000):
        sensors.sample(x, y, k, raw)
        for name, value in zip(INPUTS, raw, strict=True):
            setattr(view, name, value)
        view.load_torque = int(x[LOAD_TORQUE] * loop.load_gain)
        fast_step(view)
        outer_step(view)
        plant.run_period(x, c, *latch)
        latch = [getattr(view, name) for name in OUTPUTS]
        loop.run(1)
        if n % 50 == 0 or n > 1980:
            assert loop.x.tolist() == x
            assert loop.block.tolist() == words
    assert simulation.drive.si("w_e") > 0


def test_a_load_beyond_the_transducers_range_reads_as_its_end() -> None:
    simulation = ready("a")
    simulation.loop.x[LOAD_TORQUE] = 1000.0
    simulation.loop.run(1)
    assert simulation.loop.kernel.read("load_torque") == 32767


@pytest.mark.parametrize("unit", UNITS)
def test_speed_is_held_against_a_load(unit: str) -> None:
    simulation = ready(unit)
    simulation.set_speed(200.0)
    simulation.advance(30_000)
    simulation.load(2.0)
    simulation.advance(30_000)
    pole_pairs = simulation.drive.settings["pole_pairs"]
    assert simulation.drive.si("w_e") / pole_pairs == pytest.approx(200.0, rel=0.005)
    assert simulation.drive.si("torque") > 1.9
    simulation.stop()
    assert simulation.state == "off"
    assert simulation.loop.x[plant.I_F] < 0.02 * simulation.drive.settings["i_f_max"]


def test_a_setpoint_acts_at_the_period_it_names() -> None:
    simulation = ready("a")
    simulation.set_torque(0.5, simulation.now() + 777)
    rows = simulation.stream(["torque_set"], 20_000)
    simulation.advance(1000)
    first = simulation.now()
    seen = [row for row in rows.read() if row["torque_set"] > 0.4]
    assert seen
    assert first - 1000 < seen[0].period <= first
    assert seen[0].period == simulation.loop.kernel.read("mailbox_period")


def test_a_setpoint_for_later_acts_after_one_for_now_that_comes_shortly_before_it() -> None:
    simulation = ready("a")
    simulation.set_speed(100.0, simulation.now() + 2000)
    simulation.advance(1960)
    simulation.set_speed(-200.0)
    simulation.advance(round(2 / simulation.t_pwm))
    assert simulation.state == "running", simulation.drive.fault_texts
    assert simulation.read("w_e") / simulation.drive.settings["pole_pairs"] == pytest.approx(100.0, rel=0.02)


def test_an_injected_fault_opens_the_bridge_and_brings_the_field_down() -> None:
    simulation = ready("a")
    simulation.set_torque(1.0)
    simulation.advance(2000)
    assert simulation.loop.x[plant.I_F] > 0.4
    simulation.loop.inject("adc_stuck_a")
    simulation.loop.raw[0] = 4095
    simulation.advance(2)
    assert simulation.loop.latch[4] & 1 == 0
    simulation.advance(2000)
    assert simulation.state == "fault"
    assert simulation.loop.x[plant.I_F] < 0.02 * simulation.drive.settings["i_f_max"]


def test_two_runs_with_one_seed_are_the_same_and_another_seed_differs() -> None:
    def run(seed: int) -> list[int]:
        simulation = ready("a", seed)
        simulation.set_speed(100.0)
        simulation.advance(5000)
        return simulation.loop.block.tolist()

    assert run(3) == run(3)
    assert run(3) != run(4)
