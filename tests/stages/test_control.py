"""Controllers: limits, anti-windup, decoupling, the exciter's reach."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eesm.signals import BRIDGE_CURRENT, BRIDGE_VOLTAGE, FIELD_CURRENT, FIELD_REVERSE, FIELD_VOLTAGE
from eesm.stages.current import control_current
from eesm.stages.field import control_field, excite, limit_exciter
from eesm.stages.flux import find_flux
from tests.stages.bench import make_signals

Q15 = st.integers(-32767, 32767)
GAINS = {
    "k_d_p": 20000, "k_d_p_shift": 14, "k_d_i": 19712, "k_d_i_shift": 6, "k_d_a": 24000, "k_d_a_shift": 6,
    "k_q_p": 20000, "k_q_p_shift": 13, "k_q_i": 19712, "k_q_i_shift": 6, "k_q_a": 9000, "k_q_a_shift": 6,
    "k_d_f": 1229, "k_d_f_shift": 15,
    "k_f_p": 20000, "k_f_p_shift": 13, "k_f_i": 19000, "k_f_i_shift": 7, "k_f_a": 24000, "k_f_a_shift": 10,
    "k_f_d": 16000, "k_f_d_shift": 14,
}  # fmt: skip


def ready(**values):
    usual = {"bridge_mode": BRIDGE_CURRENT, "field_mode": FIELD_CURRENT, "u_dc": 20000, "u_max": 11000}
    return make_signals(**{**usual, **GAINS, **values})


@given(st.lists(st.tuples(Q15, Q15, Q15, Q15), min_size=1, max_size=60))
def test_voltage_stays_in_the_circle_and_d_comes_first(steps) -> None:
    s = ready()
    for i_d_ref, i_d, i_q_ref, i_q in steps:
        s.i_d_ref, s.i_d, s.i_q_ref, s.i_q = i_d_ref, i_d, i_q_ref, i_q
        limit_exciter(s)
        control_field(s)
        control_current(s)
        assert abs(s.u_d) <= s.u_max
        assert math.hypot(s.u_d, s.u_q) <= s.u_max + 3


def at_the_voltage_limit(**values):
    """Rotational voltages of 9000 along each axis, where 11000 can be made."""
    s = ready(w_e=9216, emf_shift=13, u_max=11000, psi_d=8000, k_ahead=0, **values)
    s.d_error = 0
    s.field_excess = 0
    control_current(s)
    assert math.hypot(s.u_d, s.u_q) == pytest.approx(11000, abs=10)
    return s


def test_in_motoring_d_comes_first_and_what_q_lacks_shortens_i_q() -> None:
    s = at_the_voltage_limit(i_q=9000, i_q_ref=9000, psi_q=8000)
    assert s.u_d == -9000
    assert s.u_q < 9000


def test_in_braking_q_comes_first_or_what_it_lacks_would_lengthen_i_q() -> None:
    s = at_the_voltage_limit(i_q=-9000, i_q_ref=-9000, psi_q=-8000)
    assert s.u_q == 9000
    assert s.u_d < 9000


@given(Q15, Q15)
def test_integrators_never_wind_beyond_the_voltage_limit(d_error: int, q_error: int) -> None:
    """Back-calculation holds |I| near the limit however long the error lasts."""
    s = ready(i_d_ref=d_error, i_q_ref=q_error)
    for _ in range(3000):
        s.d_error = d_error
        control_current(s)
    kick = abs(d_error) * s.k_d_p / 2**s.k_d_p_shift
    assert abs(s.d_integral) >> 15 <= s.u_max + kick + 200
    kick = abs(q_error) * s.k_q_p / 2**s.k_q_p_shift
    assert abs(s.q_integral) >> 15 <= s.u_max + kick + 200


@given(Q15, Q15, st.integers(0, 32767))
def test_field_voltage_stays_within_the_exciter(reference: int, d_error: int, i_f: int) -> None:
    s = ready(i_f_ref=abs(reference), i_d_ref=d_error, i_f=i_f)
    for _ in range(200):
        limit_exciter(s)
        control_field(s)
        excite(s)
        assert -s.u_f_max <= s.u_f <= s.u_f_max
        assert abs(s.compare_f) <= s.pwm_top
        if i_f <= s.i_f_blocked:
            assert s.u_f >= 0


def test_a_unipolar_exciter_is_never_asked_to_reverse() -> None:
    s = ready(exciter_reverses=0, i_f=20000, i_f_ref=0)
    limit_exciter(s)
    control_field(s)
    assert s.u_f == 0


def test_a_fault_reverses_the_exciter_until_the_field_is_down_or_the_link_is_high() -> None:
    s = ready(faults=1, i_f=20000, i_f_ref=20000)
    limit_exciter(s)
    control_field(s)
    assert s.u_f == -s.u_f_max < 0
    s.u_dc = s.u_dc_brake + 1
    control_field(s)
    assert s.u_f == 0
    s.u_dc, s.i_f = 20000, s.i_f_safe
    control_field(s)
    assert s.u_f == 0
    s.faults, s.field_mode, s.i_f = 0, FIELD_REVERSE, 20000
    control_field(s)
    assert s.u_f == -s.u_f_max


def test_a_field_sensor_that_is_turned_round_does_not_leave_the_field_up() -> None:
    s = ready(faults=1, i_f=-20000, exciter_blocks=1)
    limit_exciter(s)
    control_field(s)
    assert s.u_f == -s.u_f_max < 0
    s.exciter_blocks = 0  # a full bridge reverses what it has made itself
    control_field(s)
    assert s.u_f == s.u_f_max
    s.i_f = -s.i_f_safe
    control_field(s)
    assert s.u_f == 0


def test_a_test_voltage_ends_with_its_measurement() -> None:
    s = ready(bridge_mode=BRIDGE_VOLTAGE, u_alpha_test=3000, measure_left=1)
    control_current(s)
    assert s.u_alpha == 3000
    s.measure_left = 0
    control_current(s)
    assert s.u_alpha == 0


def test_a_full_link_takes_the_fields_energy_again_only_when_it_has_fallen_further() -> None:
    s = ready(faults=1, i_f=20000, i_f_ref=20000)
    limit_exciter(s)
    seen = []
    for u_dc in (
        s.u_dc_brake - 1,
        s.u_dc_brake,
        s.u_dc_brake - 1,
        s.u_dc_again,
        s.u_dc_again - 1,
        s.u_dc_again + 1,
    ):
        s.u_dc = u_dc
        control_field(s)
        seen.append(s.u_f < 0)
    assert seen == [True, False, False, False, True, True]


def test_field_voltage_mode_applies_what_is_asked_within_reach() -> None:
    s = ready(field_voltage=32767, i_f=5000)
    s.field_mode = FIELD_VOLTAGE
    limit_exciter(s)
    control_field(s)
    assert s.u_f == s.u_f_max
    s.field_voltage = 1234
    control_field(s)
    assert s.u_f == 1234


@given(Q15, Q15, Q15, Q15)
def test_rotational_voltages_are_fed_forward(i_d: int, i_q: int, i_f: int, w_e: int) -> None:
    s = ready(i_d=i_d, i_q=i_q, i_f=i_f, w_e=w_e, u_max=32767, emf_shift=15)
    s.i_d_ref, s.i_q_ref = i_d, i_q
    find_flux(s)
    s.d_error = 0
    s.field_excess = 0
    control_current(s)
    assume(math.hypot(s.u_d, s.u_q) < s.u_max)
    assert s.u_d == -((w_e * s.psi_q) >> 15)
    assert s.u_q == (w_e * s.psi_d) >> 15
