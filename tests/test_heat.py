"""Heat: overload and temperatures take torque before they trip, by name; sensors that fail are seen."""

# pyright: reportOptionalMemberAccess=false

from __future__ import annotations

import math
from typing import Any

import pytest

from boards.virtual import plant
from eesm.drive import FAULT, OFF, READY, RUNNING, Refused
from eesm.fault_table import BY_NAME
from eesm.stages.derate import LIMITED_OVERLOAD, LIMITED_TEMPERATURE
from tests.drive_bench import Bench

UNITS = ("a", "b", "b_12v", "c")
COOL = {
    name + kind: 400.0 + 10 * (kind == "_hot")
    for name in ("board", "stator", "rotor")
    for kind in ("_warm", "_hot")
}


def held(unit: str, speed: float = 0.05, settings: dict[str, Any] | None = None, **options: Any) -> Bench:
    """A ready drive whose shaft is held at a share of w_m_max."""
    bench = Bench(unit, 3, settings=settings, **options).ready()
    w_m = speed * bench.kernel.settings["w_m_max"]
    bench.loop.c[plant.HELD] = 1
    for n in range(400):
        bench.x[plant.W_M] = w_m * (n + 1) / 400
        bench.run(0.001)
    assert bench.drive.state == READY, bench.story()
    return bench


def claimed(name: str) -> int:
    """Periods that the fault table claims."""
    periods = BY_NAME[name].periods
    assert periods is not None
    return periods


def rotor_of(bench: Bench) -> float:
    """Temperature of the rotor that the drive knows."""
    found = bench.drive.heat.temperatures[2]
    assert found is not None
    return found


def read(bench: Bench, name: str, value: float) -> None:
    """Let the board's sensor of a place read a temperature."""
    readings = bench.loop.readings

    def instead() -> dict[str, float]:
        return readings() | {"temperature_" + name: value}

    assert bench.drive.driver is not None
    bench.drive.driver.readings = instead


@pytest.mark.parametrize("speed", [0.02, 0.5, 1.0])
@pytest.mark.parametrize("unit", UNITS)
def test_overload_takes_torque_and_does_not_trip(unit: str, speed: float) -> None:
    """Full torque without end: whole for overload_time at i_max, then about what i_continuous makes."""
    bench = held(unit, speed, {"overload_time": 2.0, **COOL})
    s = bench.kernel.settings
    bench.drive.set_torque(s["torque_limit"])
    bench.run(1.2)
    whole = bench.drive.si("torque")
    assert bench.kernel.read("limited") & LIMITED_OVERLOAD == 0
    bench.run(20.0)
    assert bench.drive.state == RUNNING, bench.story()
    assert bench.kernel.read("limited") == LIMITED_OVERLOAD
    assert 0.1 * whole < bench.drive.si("torque") < 0.85 * whole
    current = math.hypot(bench.x[plant.I_D], bench.x[plant.I_Q])
    assert 0.85 < current / s["i_continuous"] < 1.12
    bench.drive.set_torque(0.0)
    bench.run(4.0)
    bench.drive.set_torque(s["torque_limit"])
    bench.run(0.5)
    assert bench.kernel.read("limited") & LIMITED_OVERLOAD == 0
    assert bench.drive.si("torque") == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize("unit", ["a", "b", "c"])
def test_i_max_may_flow_for_overload_time_in_a_cool_stator_and_trips_thereafter_in_current_mode(
    unit: str,
) -> None:
    bench = held(unit, 0.0, {"overload_time": 3.0, **COOL})
    bench.drive.set_currents(
        0.0, 0.98 * bench.kernel.settings["i_max"], 0.2 * bench.kernel.settings["i_f_max"]
    )
    bench.run(3.0)
    assert bench.drive.state == RUNNING, bench.story()
    assert bench.run(2.5, lambda: bench.drive.state == FAULT)
    assert bench.names() == ["STATOR_OVERLOAD"]
    bench.run(0.2)
    with pytest.raises(Refused, match="STATOR_OVERLOAD still holds"):
        bench.drive.clear()
    bench.run(2.0)
    bench.drive.clear()
    bench.run_to(OFF)


def test_i_continuous_may_flow_for_ever() -> None:
    bench = held("a", 0.0, {"overload_time": 0.5, **COOL})
    bench.drive.set_currents(0.0, 0.99 * bench.kernel.settings["i_continuous"], 0.8)
    bench.run(10.0)
    assert bench.drive.state == RUNNING
    assert bench.kernel.read("heat_share") == 32767


@pytest.mark.parametrize("place", ["board", "stator"])
@pytest.mark.parametrize("unit", ["a", "c"])
def test_a_sensor_takes_torque_between_warm_and_hot_and_trips_at_hot(unit: str, place: str) -> None:
    bench = held(unit)
    s = bench.kernel.settings
    warm, hot = s[place + "_warm"], s[place + "_hot"]
    bench.drive.set_torque(0.5 * s["torque_limit"])
    for share in (-0.5, 0.25, 0.75, 0.99):
        read(bench, place, warm + share * (hot - warm))
        bench.run(0.4)
        left = min(0.5, max(0.0, 1 - share))
        assert bench.drive.si("torque") == pytest.approx(
            left * s["torque_limit"], abs=0.02 * s["torque_limit"]
        )
        assert bench.kernel.read("limited") == (LIMITED_TEMPERATURE if share > 0.5 else 0)
        assert bench.drive.si("temperature_" + place) == pytest.approx(warm + share * (hot - warm), abs=0.6)
        assert bench.drive.state == RUNNING, bench.story()
    read(bench, place, hot + 0.1)
    start = bench.kernel.read("period")
    assert bench.run(1.0, lambda: bench.drive.state == FAULT)
    assert bench.names() == [place.upper() + "_HOT"]
    assert bench.kernel.read("period") - start <= claimed(place.upper() + "_HOT")
    bench.run(0.3)
    with pytest.raises(Refused, match="_HOT still holds"):
        bench.drive.clear()
    read(bench, place, warm)
    bench.run(0.3)
    bench.drive.clear()
    bench.run_to(OFF)
    assert bench.names() == []


@pytest.mark.parametrize("unit", UNITS)
def test_a_field_winding_that_becomes_hot_takes_torque_and_trips(unit: str) -> None:
    bench = held(unit, settings={"rotor_warm": 150.0, "rotor_hot": 180.0})
    s = bench.kernel.settings
    known = s["winding_temperature"]

    def warm_to(temperature: float) -> None:
        bench.loop.c[plant.HEAT_F] = (1 + 0.00393 * (temperature - 20)) / (1 + 0.00393 * (known - 20))
        plant.wind(bench.loop.c)

    bench.drive.set_torque(0.25 * s["torque_limit"])
    bench.run(1.0)
    whole = bench.drive.si("torque")
    warm_to(176.0)
    bench.run(3.0)
    assert bench.drive.state == RUNNING, bench.story()
    assert bench.kernel.read("limited") == LIMITED_TEMPERATURE
    assert bench.drive.si("torque") < 0.95 * whole
    bench.drive.set_currents(0.0, 0.0, 0.5 * s["i_f_max"])  # where nobody can take torque
    bench.run(1.0)
    warm_to(195.0)
    start = bench.kernel.read("period")
    assert bench.run(3.0, lambda: bench.drive.state == FAULT)
    assert bench.names() == ["ROTOR_HOT"], bench.story()
    assert bench.kernel.read("period") - start <= claimed("ROTOR_HOT")


@pytest.mark.parametrize("place", ["board", "stator"])
@pytest.mark.parametrize("value", [math.nan, -200.0, 900.0])
def test_a_sensor_that_fails_is_seen_after_a_second(place: str, value: float) -> None:
    bench = held("a")
    read(bench, place, value)
    bench.run(0.9)
    assert bench.drive.state == READY, bench.story()
    start = bench.kernel.read("period")
    assert bench.run(1.0, lambda: bench.drive.state == FAULT)
    assert bench.names() == ["TEMPERATURE_LOST"]
    assert bench.kernel.read("period") - start <= claimed("TEMPERATURE_LOST")
    with pytest.raises(Refused, match=r"still carries|TEMPERATURE_LOST"):
        bench.drive.clear()
    read(bench, place, 30.0)
    bench.run(0.4)
    bench.drive.clear()
    bench.run_to(OFF)


def test_a_sensor_that_fails_for_a_moment_is_no_fault_and_a_board_without_sensors_lists_none() -> None:
    bench = held("a")
    read(bench, "stator", math.nan)
    bench.run(0.7)
    read(bench, "stator", 30.0)
    bench.run(2.0)
    assert bench.drive.state == READY
    bench = Bench("a")
    assert bench.drive.driver is not None
    bench.drive.driver.readings = dict
    bench.drive.heat.temperatures = [None, None, None]
    bench.ready()
    bench.run(3.0)
    assert bench.drive.state == READY
    assert bench.drive.heat.temperatures[0] is None


def test_temperatures_are_watched_while_the_drive_is_off_and_listed_while_it_has_a_fault() -> None:
    bench = Bench("a")
    bench.run(0.3)
    read(bench, "board", 140.0)
    bench.run(0.3)
    assert bench.names() == ["BOARD_HOT"]
    assert bench.drive.driver is not None
    bench.drive.driver.readings = lambda: {"temperature_board": 140.0, "temperature_stator": math.nan}
    bench.run(2.0)
    assert bench.names() == ["BOARD_HOT", "TEMPERATURE_LOST"]
    assert bench.drive.first_faults == 1 << (BY_NAME["BOARD_HOT"].number - 1)


@pytest.mark.parametrize("unit", ["a", "b", "c"])
def test_derating_precedes_the_trip_in_a_long_overload_of_the_simulated_machine(unit: str) -> None:
    """Its windings warm by their losses and their resistances follow; 10 times faster than real ones."""
    bench = held(unit, 0.1, {"overload_time": 600.0, "i_continuous": 10000.0})
    bench.loop.heat.feedback, bench.loop.heat.speedup = True, 10.0
    bench.drive.set_torque(bench.kernel.settings["torque_limit"])
    bench.run(0.3)
    whole = bench.drive.si("torque")
    seen = 0
    for _ in range(150):
        bench.run(0.2)
        seen |= bench.kernel.read("limited")
        assert bench.drive.state == RUNNING, bench.story()
        rotor = rotor_of(bench)
        if bench.i_f > 0.25 * bench.kernel.settings["i_f_max"]:
            assert abs(rotor - bench.loop.heat.temperatures[1]) < 10
    assert seen & LIMITED_TEMPERATURE
    assert bench.drive.si("torque") < 0.8 * whole


def test_letters_are_few() -> None:
    bench = held("a", 0.05)
    bench.run(3.0)
    before = bench.kernel.read("mailbox_taken")
    bench.run(10.0)
    assert bench.kernel.read("mailbox_taken") - before <= 3
