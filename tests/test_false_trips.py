"""The watches of the main loop over a drive cycle: noise, crawling, rest, reversals, looks that come late."""

from __future__ import annotations

import random

import pytest

from eesm.drive import FAULT, TICK_PERIODS
from tests.drive_bench import Bench

# Shares of w_m_max, with the seconds they are asked for.
CYCLE = (
    (0.0, 0.3),
    (0.01, 0.3),
    (-0.01, 0.3),
    (0.07, 0.2),
    (-0.07, 0.3),
    (0.4, 0.5),
    (0.0, 0.3),
    (-0.4, 0.6),
    (0.2, 0.5),
)


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.5])
@pytest.mark.parametrize("unit", ["a", "b", "c"])
def test_a_drive_cycle_ends_without_a_fault(unit, noise):
    bench = Bench(unit, 3, adc_noise=noise).ready()
    rng = random.Random(f"{unit}{noise}")
    for share, seconds in CYCLE:
        bench.drive.set_speed(share * bench.kernel.settings["w_m_max"])
        left = round(seconds * bench.kernel.settings["f_pwm"])
        while left > 0:
            late = 40 if rng.random() < 0.01 else rng.choice((1, 1, 1, 2, 5))  # a collection, now and then
            for _ in range(late):
                bench.loop.run(TICK_PERIODS)
                bench.mailbox.pump()
            left -= late * TICK_PERIODS
            bench.drive.host_seen()
            for _ in range(late):
                bench.drive.tick()
            assert bench.drive.state != FAULT, f"at {share} of w_m_max: {bench.story()}"
