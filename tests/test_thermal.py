"""Heat of the simulated machine against its closed form, and the readings that every bench offers."""

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boards.virtual import plant as P  # noqa: N812
from boards.virtual import thermal
from boards.virtual.thermal import BOARD, ROTOR, STATOR, Thermal
from host_tools.experiment import Experiment
from host_tools.simulate import Simulation
from host_tools.units import load

from .drive_bench import Bench
from .test_virtual_driver import make_driver


def heated(name: str = "a", **how: Any) -> tuple[Thermal, list[float], list[float], dict[str, Any]]:
    values = load(name).as_plant()
    x, c = P.make_plant(values, 1)
    return Thermal(values, **how), x, c, values


@pytest.mark.parametrize("speedup", [1.0, 50.0])
@pytest.mark.parametrize("step", [0.001, 0.1, 7.0])
def test_a_step_of_losses_warms_as_the_closed_form_says(step: float, speedup: float) -> None:
    """T = T_around + P*R*(1 - exp(-t/(R*C))), however often it is looked at."""
    heat, x, c, values = heated(speedup=speedup)
    stator, field, iron, seconds = 60.0, 40.0, 20.0, 14.0
    for _ in range(round(seconds / step)):
        x[P.E_COPPER_S] += stator * step
        x[P.E_COPPER_F] += field * step
        x[P.E_IRON] += iron * step
        heat.advance(x, c, step)
    for node, name, loss, around in (
        (STATOR, "stator", stator + 0.5 * iron, 25.0),
        (ROTOR, "rotor", field, 25.0),
        (BOARD, "board", 0.25 * stator, 25.0),
    ):
        resistance, capacity = float(values[name + "_R_th"]), float(values[name + "_C_th"])
        risen = loss * resistance * (1 - math.exp(-seconds * speedup / (resistance * capacity)))
        assert heat.temperatures[node] == pytest.approx(around + risen, rel=1e-9)
    assert c == P.make_plant(values, 1)[1]  # without feedback the machine is the same


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_the_motors_stand_what_their_data_say(name: str) -> None:
    """0.55 of i_max for ever at 140 degrees, i_max from there for 10 s to 160, bridge 60 K up."""
    heat, x, c, values = heated(name, feedback=True)
    m = load(name).motor
    iron = {"a": 15.0, "b": 40.0, "c": 900.0}[name]

    def warm(share: float, seconds: float, field: float) -> None:
        for _ in range(round(seconds / 0.1)):
            x[P.E_COPPER_S] += 0.1 * 1.5 * c[P.R_S] * (share * m.i_max) ** 2
            x[P.E_COPPER_F] += 0.1 * field * c[P.R_F] * m.i_f_max**2
            x[P.E_IRON] += 0.1 * iron
            heat.advance(x, c, 0.1)

    warm(0.55, 2000, 0.55)
    assert heat.temperatures[STATOR] == pytest.approx(140, abs=4)
    assert heat.temperatures[ROTOR] == pytest.approx(150, abs=4)
    warm(1.0, 10, 0.55)
    assert heat.temperatures[STATOR] == pytest.approx(160, abs=4)
    assert values["board_R_th"] * values["board_loss"] * 1.5 * m.R_s * (0.55 * m.i_max) ** 2 == pytest.approx(
        60
    )


def test_resistances_follow_copper() -> None:
    heat, x, c, _ = heated("a", feedback=True)
    heat.temperatures[:2] = [120.0, 170.0]
    heat.advance(x, c, 1e-6)
    assert c[P.R_S] == pytest.approx(0.06 * (1 + 0.00393 * 100), rel=1e-6)
    assert c[P.R_F] == pytest.approx(6 * (1 + 0.00393 * 150), rel=1e-6)
    P.inject(c, "field_shorted", True, 0.5, x)
    assert c[P.R_F] == pytest.approx(3 * (1 + 0.00393 * 150), rel=1e-6)
    # Motor c's data are those of a winding of 100 degrees.
    heat, x, c, _ = heated("c", feedback=True)
    heat.temperatures[STATOR] = 100.0
    heat.advance(x, c, 1e-6)
    assert c[P.R_S] == pytest.approx(0.008, rel=1e-6)


def test_a_loop_warms_its_machine_and_the_field_current_tells() -> None:
    """Full field, heat 200 times faster: the rotor's resistance shows in u_f/i_f."""
    bench = Experiment(load("a"), w_m=0.0)
    bench.loop.heat.feedback, bench.loop.heat.speedup = True, 200.0
    bench.currents(i_d=0, i_q=0, i_f=3)
    bench.run(0.3)
    rotor = bench.loop.heat.temperatures[ROTOR]
    bench.run(2.0)
    warmer = bench.loop.heat.temperatures[ROTOR]
    assert warmer > rotor + 30
    bench.loop.heat.speedup = 1.0
    before = bench.x[P.E_FIELD]
    bench.run(0.2)
    resistance = (bench.x[P.E_FIELD] - before) / 0.2 / bench.x[P.I_F] ** 2
    assert resistance == pytest.approx(6 * (1 + 0.00393 * (warmer - 20)), rel=0.02)
    assert bench.loop.readings()["temperature_stator"] < 40


def test_who_asks_for_readings_changes_nothing() -> None:
    runs = []
    for asks in (False, True):
        bench = Experiment(load("a"), w_m=50.0)
        bench.currents(i_d=0, i_q=10, i_f=2)
        for _ in range(20):
            bench.run(0.005)
            if asks:
                bench.loop.readings()
        runs.append((bench.x.tolist(), bench.block.tolist()))
    assert runs[0] == runs[1]


# --- readings --------------------------------------------------------------------------------------------


def test_every_bench_offers_the_same_readings() -> None:
    driver, _ = make_driver("--fast", "--seed", "1")
    driver.run(400)
    bench = Bench("a")
    simulation = Simulation(load("a"))
    found = [
        driver.readings(),
        bench.drive.driver.readings(),  # pyright: ignore[reportOptionalMemberAccess]
        simulation.drive.driver.readings(),  # pyright: ignore[reportOptionalMemberAccess]
    ]
    for readings in found:
        assert sorted(readings) == ["i_c", "temperature_board", "temperature_stator"]
        assert readings["temperature_stator"] == pytest.approx(25, abs=0.1)
        assert abs(readings["i_c"]) < 0.5
    assert load("a", board="rpi_pico").as_plant()["phase_sensors"] == 2


def test_the_third_sensor_balances_the_other_two_until_current_leaks() -> None:
    """i_c belongs to the samples that the last step had: noise and rounding are what is left of the sum."""
    bench = Experiment(load("a"), w_m=200.0)
    loop = bench.loop
    bench.currents(i_d=0, i_q=15, i_f=2)
    bench.run(0.1)
    step = loop.unit.sensing.i_full_scale / 2048

    def sums() -> np.ndarray:
        found = []
        for _ in range(300):
            loop.run(7)
            found.append(loop.readings()["i_c"] + bench.get("i_a") + bench.get("i_b"))
        return np.array(found)

    healthy = sums()
    assert np.abs(healthy).max() < 8 * step
    assert 0.5 * step < healthy.std() < 4 * step
    loop.inject("ground_fault")
    assert sums().mean() == pytest.approx(4.0, rel=0.1)
    loop.inject("ground_fault", False)
    assert np.abs(sums()).max() < 8 * step


@pytest.mark.parametrize("how", ["broken", "shorted"])
def test_a_lost_sensor_reads_nan_and_recovers(how: str) -> None:
    loop = Bench("a").loop
    for place, other in (("stator", "board"), ("board", "stator")):
        loop.inject(f"{place}_sensor_{how}")
        readings = loop.readings()
        assert math.isnan(readings["temperature_" + place])
        assert readings["temperature_" + other] > 20
        loop.inject(f"{place}_sensor_{how}", False)
        assert loop.readings()["temperature_" + place] > 20
    with pytest.raises(KeyError):
        loop.inject("rain")


def test_without_coolant_the_windings_settle_higher() -> None:
    for name, node in (("coolant_lost", STATOR), ("fan_lost", BOARD)):
        ends = []
        for amount in (None, 4.0):
            heat, x, c, _ = heated()
            if amount:
                heat.inject(name, True, amount)
            x[P.E_COPPER_S] += 10.0 * 1e6
            heat.advance(x, c, 1e6)
            ends.append(heat.temperatures[node] - 25)
            heat.inject(name, False)
            x[P.E_COPPER_S] += 10.0 * 1e6
            heat.advance(x, c, 1e6)
            assert heat.temperatures[node] - 25 == pytest.approx(ends[0])
        assert ends[1] == pytest.approx(4 * ends[0])
    with pytest.raises(ValueError, match=r"amount of fan_lost is 0.5, the factor .* 1 .. 1e\+06"):
        thermal.Thermal(load("a").as_plant()).inject("fan_lost", True, 0.5)


SCRIPT = """
import sys, json
sys.path.insert(0, {root!r})
from boards.virtual import plant as P, sensors, thermal
values = json.loads({values!r})
x, c = P.make_plant(values, 1)
y, k = sensors.make_sensors(values, 1)
heat = thermal.Thermal(values, True)
readings = thermal.Readings(values, heat, 5e-5)
for n in range(50):
    x[P.E_COPPER_S] += 5.0 * n
    x[P.E_COPPER_F] += 7.0
    found = readings.read(x, c, k, 2000)
print(json.dumps([heat.temperatures, c[P.R_S], c[P.R_F], found["temperature_board"], found["i_c"]]))
"""


@pytest.mark.micropython
def test_micropython_warms_alike(micropython: list[str], tmp_path: Path) -> None:
    words = {"root": str(Path(thermal.__file__).parents[2]), "values": json.dumps(load("a").as_plant())}
    script = tmp_path / "warm.py"
    script.write_text(SCRIPT.format(**words))
    done = subprocess.run([*micropython, str(script)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    here: dict[str, Any] = {}
    exec(SCRIPT.format(**words).replace("print(", "said = ("), here)
    said = json.loads(done.stdout)
    expected = json.loads(here["said"])
    assert said[0] == pytest.approx(expected[0], rel=1e-9)
    assert said[1:] == pytest.approx(expected[1:], rel=1e-9)
    assert expected[0][STATOR] > 50
