"""Outer law: torque to references, speed control, and the rows it leaves for telemetry."""

import math

from hypothesis import given
from hypothesis import strategies as st

from eesm.signals import (
    CAPTURE_DONE,
    CAPTURE_ROWS,
    CAPTURE_TRIGGERED,
    CAPTURE_WAITING,
    REFERENCE_CURRENT,
    REFERENCE_SPEED,
    REFERENCE_TORQUE,
    STREAM_ROW,
    STREAM_ROWS,
)
from eesm.stages.record import capture, stream
from eesm.stages.reference import choose_field, choose_i_q, limit_torque
from eesm.stages.speed import control_speed
from tests.stages.bench import make_signals

Q15 = st.integers(-32767, 32767)


@given(Q15, st.integers(64, 32767), st.integers(4, 15))
def test_i_q_gives_the_torque_with_the_flux_there_is(torque: int, psi: int, shift: int) -> None:
    s = make_signals(
        reference_mode=REFERENCE_TORQUE, torque_ref=torque, psi_t=psi, torque_shift=shift, i_max=32767
    )
    choose_i_q(s)
    exact = max(-32767.0, min(32767.0, torque * 2**shift / psi))
    assert abs(s.i_q_ref - exact) <= 2 + 2e-4 * abs(exact)


@given(Q15, Q15, st.integers(0, 32767), st.sampled_from([REFERENCE_CURRENT, REFERENCE_TORQUE]))
def test_references_stay_within_the_current_circle(i_d: int, i_q: int, i_max: int, mode: int) -> None:
    s = make_signals(reference_mode=mode, i_max=i_max, i_d_set=i_d, i_q_set=i_q, torque_ref=i_q, psi_t=500)
    s.table_i_d = [i_d] * 289
    choose_field(s)
    choose_i_q(s)
    assert math.hypot(s.i_d_ref, s.i_q_ref) <= i_max + 2


@given(st.integers(0, 32767), st.integers(0, 15), st.integers(0, 32767))
def test_tables_are_read_between_their_points(torque: int, row: int, share: int) -> None:
    """A plane over the square-root axis is returned as it is."""
    s = make_signals(
        reference_mode=REFERENCE_TORQUE, torque_ref=torque, speed_row=row, speed_share=share,
        k_torque_axis=16384, k_torque_axis_shift=14, i_max=32767, i_f_max=32767,
    )  # fmt: skip
    s.table_i_d = [300 * r - 700 * c for r in range(17) for c in range(17)]
    s.table_i_f = [200 * r + 1500 * c for r in range(17) for c in range(17)]
    choose_field(s)
    place = 16 * math.sqrt(torque / 32768)
    speed = row + share / 32768
    assert abs(s.i_d_next - (300 * speed - 700 * place)) < 25
    assert abs(s.i_f_ref - (200 * speed + 1500 * place)) < 45


@given(Q15, st.integers(0, 32767), st.integers(0, 32767), st.integers(1, 32767))
def test_torque_is_limited_and_slewed(demand: int, limit: int, highest: int, slew: int) -> None:
    s = make_signals(torque_demand=demand, torque_limit=limit, torque_slew=slew)
    s.table_torque = [highest] * 17
    for _ in range(3):
        before = s.torque_ref
        limit_torque(s)
        assert abs(s.torque_ref - before) <= slew
        assert abs(s.torque_ref) <= min(limit, highest)


@given(Q15, st.lists(Q15, min_size=1, max_size=200))
def test_speed_control_never_winds_beyond_the_torque_limit(goal: int, speeds) -> None:
    s = make_signals(
        reference_mode=REFERENCE_SPEED, w_m_set=goal, k_w_p=31000, k_w_p_shift=10, k_w_i=20000, k_w_i_shift=6,
        torque_max=9000, w_ramp_step=1 << 22, torque_ramp=500,
    )  # fmt: skip
    for w_e in speeds:
        s.w_e = w_e
        before = s.speed_integral
        control_speed(s)
        grown = abs(s.speed_integral) > abs(before)
        assert not (grown and abs(s.torque_demand) > s.torque_max and s.torque_demand * s.speed_integral > 0)


def test_speed_ramp_moves_by_its_step_and_lands() -> None:
    s = make_signals(reference_mode=REFERENCE_SPEED, w_m_set=1000, w_ramp_step=100 << 13, torque_ramp=77)
    seen = []
    for _ in range(14):
        control_speed(s)
        seen.append(s.w_m_ref)
    assert seen[:3] == [100, 200, 300]
    assert seen[-1] == 1000


def test_a_change_of_mode_has_no_bump() -> None:
    s = make_signals(reference_mode=REFERENCE_TORQUE, torque_set=4000, torque_ref=4000, w_e=3000)
    control_speed(s)
    s.reference_mode, s.w_m_set = REFERENCE_SPEED, 3000
    control_speed(s)
    assert s.torque_demand == 4000


def test_stream_writes_a_row_every_divider_periods_and_wraps() -> None:
    s = make_signals(stream_divider=5, stream_channel=list(range(15)), memory=[7 * k for k in range(100)])
    for period in range(5 * (STREAM_ROWS + 3)):
        s.period = period
        stream(s)
    assert s.stream_rows == STREAM_ROWS + 3
    assert s.stream_head == 3 * STREAM_ROW
    assert s.stream_ring[:STREAM_ROW] == [5 * STREAM_ROWS, *(7 * k for k in range(15))]
    assert s.stream_ring[3 * STREAM_ROW] == 15


def test_capture_keeps_rows_before_and_after_the_trigger() -> None:
    memory = [0] * 20
    s = make_signals(
        memory=memory, capture_arm=1, capture_pre=100, capture_edge=1, capture_level=250, capture_source=3,
        capture_channel=[3] * 8,
    )  # fmt: skip
    k = 0
    while s.capture_state != CAPTURE_DONE:
        memory[3] = k
        s.period = k
        capture(s)
        if s.capture_state == CAPTURE_WAITING:
            assert k <= 250
        if s.capture_state == CAPTURE_TRIGGERED:
            assert k >= 251
        k += 1
        assert k < 2000
    rows = s.capture_ring[s.capture_head :] + s.capture_ring[: s.capture_head]
    values = rows[::8]
    assert s.capture_period == 251
    assert values == list(range(251 - 100, 251 - 100 + CAPTURE_ROWS))
