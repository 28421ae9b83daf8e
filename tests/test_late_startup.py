"""A main loop that is late while pulses are given: they are given again, nothing is concluded from them."""

import pytest

from boards.virtual import plant
from eesm import drive as states
from eesm.faults import Failed
from eesm.startup import Direction
from tests.drive_bench import Bench

TICK = states.TICK_PERIODS / 20_000  # s


def arm_with_gaps(bench: Bench, state: int, after: float, gap: int, gaps: int = 1) -> int:
    """Arm; `after` s into a state the main loop is away for `gap` periods, so many times."""
    bench.drive.arm()
    for _ in range(gaps):
        if not bench.run(3.0, lambda: bench.drive.state in (state, states.FAULT)):
            break
        if bench.drive.state == states.FAULT:
            break
        bench.run(after)
        bench.loop.run(gap)
    return bench.run_to(states.READY, states.FAULT, within=6.0)


@pytest.mark.parametrize("state", [states.WIRING, states.ANGLE])
@pytest.mark.parametrize("after", [0.09, 0.1, 0.103, 0.106, 0.11, 0.115, 0.12])
@pytest.mark.parametrize("gap", [300, 1500])  # periods: a long tick, a collection of garbage
def test_a_drive_arms_though_its_main_loop_was_late_in_a_pulse(state, after, gap):
    bench = Bench(theta=77.0)
    assert arm_with_gaps(bench, state, after, gap) == states.READY, bench.story()
    assert abs(bench.angle_error()) < 2


@pytest.mark.parametrize("after", [0.002 + 0.012 * k for k in range(12)])
def test_a_late_loop_while_the_direction_is_checked_is_no_shaft_that_something_turns(after):
    bench = Bench(theta=77.0)
    assert arm_with_gaps(bench, states.DIRECTION, after, 1500) == states.READY, bench.story()


def test_a_late_loop_is_told():
    bench = Bench()
    arm_with_gaps(bench, states.ANGLE, 0.104, 1500)
    assert "angle once more: the main loop came late" in bench.story()


def test_a_loop_that_is_always_late_ends_in_a_named_fault():
    bench = Bench()
    bench.drive.arm()
    for _ in range(4000):
        bench.loop.run(400)
        bench.drive.host_seen()
        bench.drive.tick()
        bench.mailbox.pump()
        if bench.drive.state == states.FAULT:
            break
    assert bench.names() == ["STARTUP_LATE"], bench.story()
    assert f"disturbed {states.TRIES} times" in bench.story()


@pytest.mark.parametrize("unit", ["a", "b", "c"])
def test_a_late_loop_stretches_no_test_voltage(unit):
    """A test voltage ends with its measurement: the current stays that of a pulse."""
    usual, late = [], []
    for currents, gap in ((usual, 0), (late, 400)):
        bench = Bench(unit)
        bench.drive.arm()
        while bench.drive.state in (states.OFFSETS, states.WIRING) and len(currents) < 2000:
            _, truths = bench.loop.record(states.TICK_PERIODS + gap, (), (plant.I_A, plant.I_B))
            currents.append(float(abs(truths).max()))
            bench.drive.host_seen()
            bench.drive.tick()
            bench.mailbox.pump()
    assert max(late) < 1.1 * max(usual)


def test_a_stretched_return_does_not_outweigh_a_push_the_wrong_way():
    # As a Pico with a reversed encoder had it: -6 counts by the push, and 2.5 by all together.
    direction = Direction()
    direction.counts, direction.i_q, direction.tries = 6, 5.5, Direction.TRIES
    direction.push, direction.first, direction.middle, direction.last = -12.0, -6, 22, 22
    direction.late = True
    with pytest.raises(Failed, match="something else turns the shaft"):
        direction.judge(None)
