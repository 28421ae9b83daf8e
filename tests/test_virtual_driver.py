"""The virtual board's driver: time is paced or granted, loads come at their period, faults by name."""

from array import array

import pytest

from boards.virtual import plant
from drivers import virtual
from drivers.virtual import VirtualDriver, parse
from eesm.drive import TICK_PERIODS
from eesm.kernel import Kernel
from host_tools.loop import Loop
from tests.drive_bench import linked_unit


class Port:
    """A port at which nothing happens."""

    closed = False

    def wait(self, milliseconds):
        pass

    def close(self):
        self.closed = True


class Clock:
    """Wall time in the hands of the test."""

    now = 0

    def ticks_us(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    hand = Clock()
    monkeypatch.setattr(virtual, "ticks_us", hand.ticks_us)
    return hand


def make_driver(*arguments):
    """A driver with a kernel of linked plain Python, started."""
    _, linked = linked_unit("a")
    routines = linked.program.python_functions()
    kernel = Kernel(
        linked.unit,
        routines["fast_step"],
        routines["outer_step"],
        array("q", bytes(8 * linked.unit["size"])),
        linked.tables,
    )
    driver = VirtualDriver(linked.unit, arguments, Port())
    driver.start(kernel)
    return driver, kernel


def periods(kernel):
    return (kernel.read("period") + 1) & ((1 << 30) - 1)


def test_a_paced_drive_runs_one_tick_each_millisecond(clock):
    driver, kernel = make_driver()
    assert driver.poll()
    assert periods(kernel) == TICK_PERIODS
    assert not driver.poll()
    clock.now += 999
    assert not driver.poll()
    clock.now += 1
    assert driver.poll()
    assert periods(kernel) == 2 * TICK_PERIODS


def test_a_short_delay_is_caught_up_and_no_period_is_lost(clock):
    driver, kernel = make_driver()
    clock.now += 30_000
    ticks = sum(driver.poll() for _ in range(100))
    assert ticks == 31
    assert periods(kernel) == 31 * TICK_PERIODS
    assert driver.late == 0


def test_a_long_delay_drops_wall_time_and_is_counted(clock):
    driver, kernel = make_driver()
    driver.poll()
    clock.now += 1_000_000
    assert sum(driver.poll() for _ in range(100)) == 1
    assert driver.late == 1
    assert periods(kernel) == 2 * TICK_PERIODS


def test_in_lock_step_only_granted_periods_run_and_ticks_keep_their_places():
    driver, kernel = make_driver("--fast")
    assert not driver.poll()
    driver.advance(TICK_PERIODS + 5)
    assert driver.poll()
    assert not driver.poll()
    assert periods(kernel) == TICK_PERIODS + 5
    driver.advance(TICK_PERIODS)
    assert driver.poll()
    assert periods(kernel) == 2 * TICK_PERIODS
    assert not driver.poll(busy=True)
    assert driver.granted == 5


def test_a_load_comes_at_its_period_and_in_order():
    driver, kernel = make_driver("--fast")
    driver.set_load(-2.0, 150)
    driver.set_load(1.0, 100)
    seen = {}
    for _ in range(200):
        driver.run(1)
        seen.setdefault(float(driver.x[plant.LOAD_TORQUE]), kernel.read("period"))
    assert seen == {0.0: 0, 1.0: 100, -2.0: 150}
    assert kernel.si("load_torque") == pytest.approx(-2.0, abs=0.001)
    driver.set_load(0.5)
    driver.run(1)
    assert driver.x[plant.LOAD_TORQUE] == 0.5


def test_driver_and_compiled_loop_give_the_same_words():
    driver, kernel = make_driver("--fast", "--seed", "7")
    unit, linked = linked_unit("a")
    loop = Loop(unit, 7, linked=linked)
    for block in (kernel.block, loop.block):
        block[kernel.offset["bridge_mode"]] = 2
        block[kernel.offset["field_mode"]] = 1
        block[kernel.offset["i_f_set"]] = 3000
        block[kernel.offset["i_q_set"]] = 500
    driver.run(2000)
    loop.run(2000)
    assert list(kernel.block) == list(loop.block)
    assert list(driver.x) == list(loop.x)


def test_quitting_and_a_hang_up_end_the_main_loop():
    driver, _ = make_driver()
    assert driver.alive()
    driver.quit()
    assert not driver.alive()
    driver, _ = make_driver()
    driver.port.closed = True
    assert not driver.alive()


def test_arguments_are_read_and_wrong_ones_refused_with_what_is_known():
    assert parse([]) == (False, 1, [], None)
    assert parse(["--fast", "--seed", "9", "--fault", "exciter_open,encoder_reversed", "--store", "x"]) == (
        True,
        9,
        ["exciter_open", "encoder_reversed"],
        "x",
    )
    with pytest.raises(ValueError, match="no fault of the virtual board is called smoke; known: adc_stuck_a"):
        parse(["--fault", "smoke"])
    with pytest.raises(ValueError, match="unknown argument --sed; known: --fast"):
        parse(["--sed", "9"])
    with pytest.raises(ValueError, match="unknown argument --seed"):
        parse(["--seed"])


def test_faults_come_with_an_amount_and_reach_plant_sensors_and_heat():
    driver, _ = make_driver("--fast", "--fault", "stator_sensor_broken,phase_open")
    assert driver.c[plant.PHASE_OPEN] == 1
    readings = driver.readings()
    assert readings["temperature_stator"] != readings["temperature_stator"]  # nan
    driver.inject("supply_sag", True, 0.25)
    assert driver.c[plant.EMF] == pytest.approx(36)
    driver.inject("range_u", True, 100)
    driver.run(1)
    assert driver.raw[3] == 100
    with pytest.raises(ValueError, match="amount of gain_a is 9"):
        driver.inject("gain_a", True, 9)
    with pytest.raises(KeyError):
        driver.inject("rain")


def test_the_driver_warms_with_its_losses_by_the_periods_that_passed():
    driver, kernel = make_driver("--fast")
    driver.readings()
    driver.x[plant.E_COPPER_S] += 7.3
    driver.run(200)
    found = driver.readings()
    # 7.3 J into 73 J/K; 10 ms are nothing against its time constant.
    assert found["temperature_stator"] == pytest.approx(25.1, abs=0.005)
    kernel.block[kernel.offset["period"]] = (1 << 30) - 1
    driver.run(200)
    assert driver.readings()["temperature_stator"] > 20


def test_a_faulty_drive_and_a_faulty_loop_give_the_same_words():
    """The loop takes its other compiled half while a fault acts, and goes back."""
    driver, kernel = make_driver("--fast", "--seed", "7")
    unit, linked = linked_unit("a")
    loop = Loop(unit, 7, linked=linked)
    for block in (kernel.block, loop.block):
        block[kernel.offset["bridge_mode"]] = 2
        block[kernel.offset["field_mode"]] = 1
        block[kernel.offset["i_f_set"]] = 3000
        block[kernel.offset["i_q_set"]] = 500
    for name in ("exciter_stuck_low", "phase_open", "encoder_slips", "encoder_noisy", "ground_fault"):
        for on in (True, False):
            driver.inject(name, on)
            loop.inject(name, on)
            driver.run(100)
            loop.run(100)
            assert list(kernel.block) == list(loop.block)
            assert list(driver.x) == list(loop.x)
            assert list(driver.k) == list(loop.k)
