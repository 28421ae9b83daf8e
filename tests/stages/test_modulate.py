"""Space-vector modulation: the line voltages are the ones asked for, the counts stay in range."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eesm.signals import (
    BRIDGE_CURRENT,
    BRIDGE_OFF,
    BRIDGE_SHORT,
    BRIDGE_VOLTAGE,
    FAULT_DC_OVERVOLTAGE,
    GATE_INVERTER,
)
from eesm.stages.modulate import modulate
from eesm.stages.sense import invert_u_dc
from tests.stages.bench import make_signals

Q15 = st.integers(-32767, 32767)
U_DC = 20000


def ready(**values):
    s = make_signals(u_dc=U_DC, bridge_mode=BRIDGE_CURRENT, **values)
    for _ in range(20):
        invert_u_dc(s)
    return s


def share(s, higher: int, lower: int) -> float:
    return (higher - lower) / s.pwm_top * s.u_dc


@given(st.floats(0, 0.57), st.floats(0, 1))
def test_line_voltages_are_those_of_the_vector(size: float, phase: float) -> None:
    s = ready()
    u = size * U_DC
    s.u_alpha = round(u * math.cos(2 * math.pi * phase))
    s.u_beta = round(u * math.sin(2 * math.pi * phase))
    modulate(s)
    step = 2.2 * U_DC / s.pwm_top
    sqrt3 = math.sqrt(3)
    assert abs(share(s, s.compare_a, s.compare_b) - (1.5 * s.u_alpha - sqrt3 / 2 * s.u_beta)) < step
    assert abs(share(s, s.compare_b, s.compare_c) - sqrt3 * s.u_beta) < step


@given(st.floats(0.1, 0.57), st.floats(0, 1))
def test_highest_and_lowest_leg_are_centred(size: float, phase: float) -> None:
    s = ready()
    s.u_alpha = round(size * U_DC * math.cos(2 * math.pi * phase))
    s.u_beta = round(size * U_DC * math.sin(2 * math.pi * phase))
    modulate(s)
    legs = (s.compare_a, s.compare_b, s.compare_c)
    assert abs(max(legs) + min(legs) - s.pwm_top) <= 4


@given(Q15, Q15, Q15, Q15, st.integers(0, 32767), st.integers(0, 32767), st.integers(-39000, 39000))
def test_counts_stay_in_range_whatever_is_asked(
    alpha: int, beta: int, i_alpha: int, i_beta: int, u_dc: int, dead: int, turn: int
) -> None:
    s = ready(turn_out=turn, dead_count=dead * 50, k_dead=16383, k_dead_shift=9)
    s.u_alpha, s.u_beta, s.i_alpha, s.i_beta, s.u_dc = alpha, beta, i_alpha, i_beta, u_dc
    invert_u_dc(s)
    modulate(s)
    for compare in (s.compare_a, s.compare_b, s.compare_c):
        assert 0 <= compare <= s.pwm_top


def test_off_and_fault_open_the_switches_and_short_closes_the_low_sides() -> None:
    s = ready(u_alpha=5000)
    modulate(s)
    assert s.gate_enable == GATE_INVERTER
    s.faults = 1
    modulate(s)
    assert (s.gate_enable, s.compare_a, s.compare_b, s.compare_c) == (0, 0, 0, 0)
    s.faults, s.bridge_mode = 0, BRIDGE_OFF
    modulate(s)
    assert s.gate_enable == 0
    s.bridge_mode = BRIDGE_SHORT
    modulate(s)
    assert (s.gate_enable, s.compare_a, s.compare_b, s.compare_c) == (GATE_INVERTER, 0, 0, 0)


@given(st.floats(0, 1))
def test_dead_time_compensation_has_the_sign_of_the_current(phase: float) -> None:
    plain, helped = ready(), ready(dead_count=round(31.25 * 4096), k_dead=16383, k_dead_shift=0)
    for s in (plain, helped):
        s.bridge_mode = BRIDGE_VOLTAGE
        s.i_alpha = round(20000 * math.cos(2 * math.pi * phase))
        s.i_beta = round(20000 * math.sin(2 * math.pi * phase))
        modulate(s)
    i_a = math.cos(2 * math.pi * phase)
    if abs(i_a) > 0.01:
        gained = helped.compare_a - plain.compare_a
        assert gained * i_a > 0
        assert abs(abs(gained) - 0.01 * 3125) <= 2


@given(st.floats(0, 1), st.floats(-0.4, 0.4))
def test_dead_time_goes_by_the_currents_when_the_voltage_acts(phase: float, turn: float) -> None:
    plain, helped = ready(), ready(dead_count=round(31.25 * 4096), k_dead=16383, k_dead_shift=0)
    for s in (plain, helped):
        s.i_alpha = round(20000 * math.cos(2 * math.pi * phase))
        s.i_beta = round(20000 * math.sin(2 * math.pi * phase))
        s.turn_out = round(turn * 32768)
        modulate(s)
    legs = ("compare_a", 0), ("compare_b", 1), ("compare_c", 2)
    for name, leg in legs:
        current = math.cos(2 * math.pi * (phase - leg / 3) + turn)
        if abs(current) > 0.05:
            assert (getattr(helped, name) - getattr(plain, name)) * current > 0


def generating(**values):
    """A machine whose EMF between terminals, sqrt(3) * 16000 * 16000 >> 13, is 54126: far above the link."""
    known = {
        "faults": FAULT_DC_OVERVOLTAGE,
        "short_allowed": 1,
        "w_e": 16000,
        "i_f": 16000,
        "k_m": 16384,
        "k_m_shift": 14,
        "u_dc": 26000,
        "u_dc_trip": 25000,
        "u_dc_brake": 24000,
        "bridge_mode": BRIDGE_CURRENT,
    }
    return make_signals(**{**known, **values})


def test_a_generating_machine_on_a_full_link_is_shorted_until_its_field_is_low() -> None:
    s = generating()
    modulate(s)
    assert (s.shorted, s.gate_enable) == (1, GATE_INVERTER)
    assert (s.compare_a, s.compare_b, s.compare_c) == (0, 0, 0)
    s.u_dc = 20000  # the link has fallen; the field has not
    modulate(s)
    assert s.gate_enable == GATE_INVERTER
    s.i_f = 5000
    modulate(s)
    assert (s.shorted, s.gate_enable) == (0, 0)


@pytest.mark.parametrize(
    "without",
    [{"short_allowed": 0}, {"u_dc": 25000}, {"w_e": 5000}, {"i_f": 5000}, {"u_dc_raw": 4095}],
    ids=["a bridge that does not bear it", "the link has room", "slow", "no field", "a broken sensor"],
)
def test_otherwise_a_fault_opens_the_switches(without) -> None:
    s = generating(**without)
    modulate(s)
    assert (s.shorted, s.gate_enable) == (0, 0)


def test_a_stuck_exciter_shorts_a_generating_machine_whatever_the_link() -> None:
    s = generating(u_dc=20000, short_wanted=1)
    modulate(s)
    assert s.gate_enable == GATE_INVERTER
    s = generating(u_dc=20000, short_wanted=1, faults=0)  # only after a fault
    modulate(s)
    assert s.shorted == 0


@given(Q15, st.integers(-32767, 32767), st.integers(0, 32767), st.integers(0, 32767))
def test_whatever_is_measured_after_a_fault_no_leg_switches(
    w_e: int, i_f: int, u_dc: int, brake: int
) -> None:
    s = generating(w_e=w_e, i_f=i_f, u_dc=u_dc, u_dc_brake=brake)
    modulate(s)
    assert (s.compare_a, s.compare_b, s.compare_c) == (0, 0, 0)
