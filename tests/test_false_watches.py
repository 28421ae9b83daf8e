"""The watches of angle, motion, currents and torque while nothing is wrong: quick torque, loads that drive
and come and go, top speed both ways, a converter as noisy as a Pico's, looks that come late; five units."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from boards.virtual import plant, sensors
from eesm.drive import FAULT, TICK_PERIODS
from tests.drive_bench import Bench

SHARES = (0.02, 0.1, 0.12, 0.3, 0.6, 1.0)  # of w_m_max


def pass_time(bench: Bench, seconds: float, rng: random.Random) -> None:
    """Ticks as a busy board makes them: some late, 40 ms now and then."""
    left = round(seconds * bench.kernel.settings["f_pwm"])
    while left > 0:
        late = 40 if rng.random() < 0.01 else rng.choice((1, 1, 1, 2, 5))
        for _ in range(late):
            bench.loop.run(TICK_PERIODS)
            bench.mailbox.pump()
        left -= late * TICK_PERIODS
        bench.drive.host_seen()
        for _ in range(late):
            bench.drive.tick()
        assert bench.drive.state != FAULT, bench.story()


@pytest.mark.parametrize("seed", [2, 4])
@pytest.mark.parametrize("converter", [{}, sensors.PICO], ids=["quiet", "pico"])
@pytest.mark.parametrize("unit", ["a", "b", "b_12v", "c", "c_saturated"])
def test_a_wild_drive_ends_without_a_fault(unit, converter, seed):
    bench = Bench(unit, seed, **converter).ready()
    rng = random.Random(seed)
    settings = bench.kernel.settings
    w_max, torque = settings["w_m_max"], settings["torque_max"]
    for _ in range(30):
        if rng.randrange(5) < 2:
            bench.drive.set_speed(rng.choice((1, -1)) * rng.choice(SHARES) * w_max)
            bench.x[plant.LOAD_TORQUE] = rng.choice((0, 0, 0.2, -0.2)) * torque
            pass_time(bench, rng.uniform(0.1, 0.8), rng)
            continue
        bench.x[plant.LOAD_TORQUE] = 0
        for _ in range(8):
            quick = abs(bench.w_m) > 0.25 * w_max
            wanted = rng.uniform(-0.5, 0.5) * settings["torque_limit"] * (0.4 if quick else 1)
            if abs(bench.w_m) > 0.9 * w_max:
                wanted = -math.copysign(wanted, bench.w_m)
            bench.drive.set_torque(wanted)
            pass_time(bench, rng.uniform(0.03, 0.12), rng)


@pytest.mark.parametrize("unit", ["a", "b", "c"])
def test_sensors_within_their_tolerance_are_no_fault(unit):
    """2 % of gain, the other way in each phase; a stator 60 kelvin warmer than R_s says."""
    wrong: dict[str, Any] = {"gain_error_i_a": 0.02, "gain_error_i_b": -0.02, "gain_error_u_dc": 0.02}
    wrong |= sensors.PICO
    bench = Bench(unit, 5, **wrong).ready()
    settings = bench.kernel.settings
    settings["R_s"] *= 0.8
    rng = random.Random(1)
    for share in (0.09, 0.12, 0.5, -0.5, -0.8):
        bench.x[plant.LOAD_TORQUE] = 0
        bench.drive.set_speed(share * settings["w_m_max"])
        pass_time(bench, settings["w_m_max"] / settings["acceleration"] * 1.5 + 0.2, rng)
        for load in (0.4, -0.4, 0.0):
            bench.x[plant.LOAD_TORQUE] = load * settings["torque_max"] * (0.3 if abs(share) >= 0.5 else 1)
            pass_time(bench, 0.5, rng)


@pytest.mark.parametrize("seed", [1, 2])
def test_an_encoder_that_beats_with_the_periods_is_no_unbalance(seed):
    """5.99 counts a period ripple 167 times a second; looks every 20 ms take that for twice w_e."""
    bench = Bench("a", seed).ready()
    bench.x[plant.LOAD_TORQUE] = -0.1
    bench.drive.set_speed(-183.83)
    bench.run(1.0)
    for _ in range(600):
        bench.loop.run(20 * TICK_PERIODS)
        bench.mailbox.pump()
        bench.drive.host_seen()
        bench.drive.tick()
        assert bench.drive.state != FAULT, bench.story()
