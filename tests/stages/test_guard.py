"""Guard: every limit trips in its own period, is latched, and clears only when asked."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eesm import signals as table
from eesm.stages.guard import guard, watch
from eesm.stages.stuck import watch_sensors
from eesm.stages.transforms import clarke
from tests.stages.bench import make_signals

LIMITS = {"i_trip": 20000, "i_f_trip": 15000, "u_dc_trip": 25000, "u_dc_min": 5000, "w_e_trip": 28000}

CAUSES = [
    ({"i_a": 20001}, table.FAULT_PHASE_OVERCURRENT),
    ({"i_b": -20001}, table.FAULT_PHASE_OVERCURRENT),
    ({"i_a": 10001, "i_b": 10000}, table.FAULT_PHASE_OVERCURRENT),
    ({"i_f": 15001}, table.FAULT_FIELD_OVERCURRENT),
    ({"i_f": -15001}, table.FAULT_FIELD_OVERCURRENT),
    ({"u_dc": 25001}, table.FAULT_DC_OVERVOLTAGE),
    ({"u_dc": 4999, "bridge_mode": 2}, table.FAULT_DC_UNDERVOLTAGE),
    ({"w_e": -28001}, table.FAULT_OVERSPEED),
    ({"i_a_raw": 0}, table.FAULT_SENSOR_RANGE),
    ({"i_b_raw": 4095}, table.FAULT_SENSOR_RANGE),
    ({"i_f_raw": 4095}, table.FAULT_SENSOR_RANGE),
    ({"u_dc_raw": 4095}, table.FAULT_SENSOR_RANGE),
    ({"fault_request": 30}, table.FAULT_ASKED),
    ({"silence": 500, "silence_max": 500}, table.FAULT_MAIN_LOOP_SILENT),
    ({"board_faults": table.FAULT_PERIOD_MISSED}, table.FAULT_PERIOD_MISSED),
    ({"board_faults": table.FAULT_INPUT}, table.FAULT_INPUT),
]


def look(s) -> None:
    """What comes before the guard in a period, a letter and both watches included."""
    clarke(s)
    watch(s)
    watch_sensors(s)
    if s.fault_request or s.fault_clear != s.fault_cleared:
        s.suspect = -1  # as `take_mailbox` does
    guard(s)


@pytest.mark.parametrize(("cause", "bit"), CAUSES)
def test_a_broken_limit_is_latched_at_once_and_stays(cause, bit) -> None:
    s = make_signals(**{**LIMITS, **cause}, period=123)
    look(s)
    assert (s.faults, s.fault_first, s.fault_period) == (bit, bit, 123)
    calm = make_signals(**LIMITS, faults=bit, fault_first=bit)
    look(calm)
    assert calm.faults == bit
    calm.fault_clear = 1
    look(calm)
    assert (calm.faults, calm.fault_first) == (0, 0)
    look(calm)
    assert calm.faults == 0


def test_a_link_that_jumps_beyond_its_limit_has_lost_its_battery() -> None:
    s = make_signals(**LIMITS, u_dc=25001, u_dc_last=24000, u_dc_jump=1000)
    look(s)
    assert s.faults == table.FAULT_DC_OVERVOLTAGE | table.FAULT_LOAD_DUMP
    s = make_signals(**LIMITS, u_dc=25001, u_dc_last=24001, u_dc_jump=1000)
    look(s)
    assert s.faults == table.FAULT_DC_OVERVOLTAGE


def test_a_turn_of_the_main_loop_is_a_sign_of_life() -> None:
    s = make_signals(**LIMITS, silence=500, silence_max=500, mailbox_pumps=1)
    for _ in range(501):
        look(s)
    assert s.faults == 0
    look(s)
    assert s.faults == table.FAULT_MAIN_LOOP_SILENT
    s = make_signals(**LIMITS, silence=table.PHASE_MASK)
    look(s)
    assert s.faults == 0  # 0: nobody watches


def turn(s, counts, cycles) -> None:
    """So many cycles, in each of which the encoder moves by counts."""
    for _ in range(cycles):
        s.encoder_raw = (s.encoder_raw + counts) & 0xFFFF
        look(s)


def test_a_count_that_stands_after_a_quick_turn_is_a_lost_encoder() -> None:
    s = make_signals(**LIMITS, bridge_mode=2, standing_max=3, w_e=900, w_e_lost=800, encoder_raw=65000)
    turn(s, 50, 40)  # over the counter's end
    turn(s, 0, 3)
    assert s.faults == 0
    s.w_e = 0  # as the tracker follows
    turn(s, 0, 1)
    assert s.faults == table.FAULT_ENCODER_LOST


def test_a_dead_count_may_flicker() -> None:
    s = make_signals(**LIMITS, bridge_mode=2, standing_max=3, w_e=-900, w_e_lost=800)
    turn(s, -50, 3)
    for flicker in (1, -1, -1, 1):
        turn(s, flicker, 1)
    assert s.faults == table.FAULT_ENCODER_LOST


@pytest.mark.parametrize("calm", [{"w_e": 800}, {"bridge_mode": 0}, {"bridge_mode": 3}])
def test_a_slow_shaft_and_one_that_nothing_drives_may_stand(calm) -> None:
    s = make_signals(**{**LIMITS, "bridge_mode": 2, "standing_max": 3, "w_e": 900, "w_e_lost": 800, **calm})
    turn(s, 50, 3)
    turn(s, 0, 50)
    assert s.faults == 0


def test_a_lost_encoder_is_forgotten_once_the_bridge_is_off() -> None:
    s = make_signals(**LIMITS, bridge_mode=2, standing_max=3, w_e=900, w_e_lost=800)
    turn(s, 50, 3)
    turn(s, 0, 5)
    assert s.faults == table.FAULT_ENCODER_LOST
    s.bridge_mode, s.w_e = 0, 0
    turn(s, 0, 2)
    s.bridge_mode, s.fault_clear = 2, 1
    turn(s, 0, 50)
    assert s.faults == 0


@pytest.mark.parametrize(("cause", "bit"), CAUSES)
def test_clear_does_not_forget_what_still_holds(cause, bit) -> None:
    s = make_signals(**{**LIMITS, **cause}, fault_clear=9)
    look(s)
    assert s.faults == bit


def test_the_first_fault_is_kept_when_others_follow() -> None:
    s = make_signals(**LIMITS, i_a=30000, period=5)
    look(s)
    s.u_dc, s.period = 30000, 6
    look(s)
    assert s.fault_first == table.FAULT_PHASE_OVERCURRENT
    assert s.faults == table.FAULT_PHASE_OVERCURRENT | table.FAULT_DC_OVERVOLTAGE
    assert s.fault_period == 5


@given(
    st.integers(-10000, 10000), st.integers(-10000, 10000), st.integers(0, 15000), st.integers(5000, 25000)
)
def test_nothing_trips_inside_the_limits(i_a: int, i_b: int, i_f: int, u_dc: int) -> None:
    s = make_signals(**LIMITS, i_a=i_a, i_b=i_b, i_f=i_f, u_dc=u_dc, bridge_mode=2)
    look(s)
    assert s.faults == 0


@pytest.mark.parametrize(("cause", "bit"), CAUSES[:7])
def test_currents_and_the_link_wait_for_nothing(cause, bit) -> None:
    s = make_signals(**{**LIMITS, **cause})
    clarke(s)
    guard(s)
    assert s.faults == bit


@given(st.integers(-32767, 32767), st.integers(-32767, 32767), st.integers(0, 32767))
def test_no_phase_current_beyond_its_limit_is_missed(i_a: int, i_b: int, trip: int) -> None:
    s = make_signals(**{**LIMITS, "i_trip": trip}, i_a=i_a, i_b=i_b)
    clarke(s)
    guard(s)
    assert s.faults == (1 if max(abs(i_a), abs(i_b), abs(i_a + i_b)) > trip else 0)


def turn_current(s, degrees: float, cycles: int, stuck: str = "", length: float = 400.0) -> None:
    """So many cycles, in each of which a current of so many counts turns by degrees; a phase may be stuck."""
    for _ in range(cycles):
        s.theta_e = (s.theta_e + round(degrees / 360 * (1 << 30))) & table.PHASE_MASK
        angle = 2 * math.pi * s.theta_e / (1 << 30)
        if stuck != "a":
            s.i_a_raw = 2048 - round(length * math.sin(angle))
        if stuck != "b":
            s.i_b_raw = 2048 - round(length * math.sin(angle - 2 * math.pi / 3))
        look(s)


@pytest.mark.parametrize("phase", ["a", "b"])
@pytest.mark.parametrize("degrees", [3.0, -11.0, 40.0, -82.0, 110.0, 119.9])
def test_a_phase_that_stands_while_the_current_turns_is_stuck(degrees: float, phase: str) -> None:
    for before in range(100, 120):
        s = make_signals(**LIMITS)
        turn_current(s, degrees, before)
        assert s.faults == 0
        turn_current(s, degrees, math.ceil(max(6, 320 / abs(degrees))), stuck=phase)
        assert s.faults == table.FAULT_SENSOR_STUCK


@pytest.mark.parametrize(("degrees", "length"), [(10.0, 11.0), (0.0, 400.0)])
def test_a_phase_may_stand_with_hardly_any_current_or_at_rest(degrees: float, length: float) -> None:
    s = make_signals(**LIMITS)
    turn_current(s, 10.0, 50, length=length)
    turn_current(s, degrees, 200, stuck="b", length=length)
    assert s.faults == 0


def test_a_current_that_begins_to_flow_may_begin_anywhere() -> None:
    for start in range(0, 360, 2):
        s = make_signals(**LIMITS, theta_e=round(start / 360 * (1 << 30)))
        s.i_a_raw = s.i_b_raw = 2048
        for _ in range(100):
            s.theta_e = (s.theta_e + (1 << 26)) & table.PHASE_MASK
            look(s)
        turn_current(s, 22.5, 30)
        assert s.faults == 0


def convert(count: float) -> int:
    """A noiseless converter four of whose codes are as wide as ten (RP2040's datasheet, E11)."""
    for wide in (512, 1536, 2560, 3584):
        if abs(count - wide) < 5:
            return wide
    return round(count)


@pytest.mark.parametrize("length", [11.0, 13.0, 30.0, 400.0, 513.0, 1900.0])
def test_a_current_that_turns_without_noise_is_not_stuck(length: float) -> None:
    for degrees in (0.5, 2.0, 7.0, 45.0, 90.0, 119.0, 120.0):
        s = make_signals(**LIMITS)
        for k in range(1500):
            s.theta_e = (s.theta_e + round(degrees / 360 * (1 << 30))) & table.PHASE_MASK
            angle = 2 * math.pi * s.theta_e / (1 << 30) + 1e-4 * k
            s.i_a_raw = convert(2048 - length * math.sin(angle))
            s.i_b_raw = convert(2048 - length * math.sin(angle - 2 * math.pi / 3))
            look(s)
            assert s.faults == 0, (degrees, k)
