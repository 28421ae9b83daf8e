"""Outer law: torque to references, speed control, and the rows it leaves for telemetry."""

import math
from functools import cache

import pytest
from hypothesis import given, settings
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
from eesm.stages.reference import choose_field, choose_i_q, limit_current, limit_torque
from eesm.stages.speed import control_speed
from host_tools.references.table import ReferenceTables, look_up, tables_of_unit
from host_tools.units import load
from tests.stages.bench import make_signals

Q15 = st.integers(-32767, 32767)


@given(Q15, st.integers(64, 32767), st.integers(4, 15))
def test_i_q_gives_the_torque_with_the_flux_there_is(torque: int, psi: int, shift: int) -> None:
    s = make_signals(
        reference_mode=REFERENCE_TORQUE,
        torque_ref=torque,
        psi_t=psi,
        psi_before=psi,
        torque_shift=shift,
        i_max=32767,
    )
    limit_current(s)
    choose_i_q(s)
    exact = max(-32767.0, min(32767.0, torque * 2**shift / psi))
    assert abs(s.i_q_ref - exact) <= 2 + 2e-4 * abs(exact)


@given(Q15, Q15, st.integers(0, 32767), st.sampled_from([REFERENCE_CURRENT, REFERENCE_TORQUE]))
def test_references_stay_within_the_current_circle(i_d: int, i_q: int, i_max: int, mode: int) -> None:
    s = make_signals(reference_mode=mode, i_max=i_max, i_d_set=i_d, i_q_set=i_q, torque_ref=i_q, psi_t=500)
    s.table_i_d = [i_d] * 289
    choose_field(s)
    limit_current(s)
    choose_i_q(s)
    assert math.hypot(s.i_d_ref, s.i_q_ref) <= i_max + 2


@cache
def tables_of(name: str) -> ReferenceTables:
    return tables_of_unit(load(name))


def with_tables(tables: ReferenceTables, **values):
    """Signals that hold the reference tables of a unit."""
    return make_signals(
        reference_mode=REFERENCE_TORQUE, table_i_d=tables.i_d, table_i_f=tables.i_f,
        table_torque=tables.torque_max, torque_inverse=tables.torque_inverse, ratio_axis=tables.ratio_axis,
        ratio_step=tables.ratio_step, ratio_step_shift=tables.ratio_step_shift,
        torque_inverse_shift=tables.torque_inverse_shift, table_bend=tables.bend, k_share=tables.k_share,
        k_share_shift=tables.k_share_shift, i_max=32767, i_f_max=32767, torque_slew=32767, **values,
    )  # fmt: skip


@settings(deadline=None)  # the first of a unit solves its tables
@given(st.sampled_from("abc"), Q15, Q15, Q15, st.integers(8192, 32767), st.integers(0, 32767))
def test_tables_are_read_as_the_host_reads_them(unit, demand, w_e, torque, inv_u_dc, limit) -> None:
    """Word for word the twin that `host_tools.references.judge` holds to the optimum."""
    tables = tables_of(unit)
    s = with_tables(
        tables, torque_demand=demand, w_e=w_e, torque_ref=torque, inv_u_dc=inv_u_dc, torque_limit=limit
    )
    expected = look_up(tables, demand, w_e, inv_u_dc, torque, limit)
    limit_torque(s)
    if s.torque_ref == expected.torque:
        choose_field(s)
        assert (s.torque_max, s.i_d_next, s.i_f_ref) == (expected.torque_max, expected.i_d, expected.i_f) or (
            s.torque_limit < expected.torque_max
        )
    else:
        assert abs(expected.torque - torque) > 32767


@settings(deadline=None)  # the first of a unit solves its tables
@given(st.sampled_from("abc"), Q15, Q15, Q15, st.integers(1, 32767))
def test_torque_is_limited_and_slewed(unit, demand, w_e, limit, slew) -> None:
    s = with_tables(tables_of(unit), torque_demand=demand, w_e=w_e, torque_limit=abs(limit), inv_u_dc=12000)
    s.torque_slew = slew
    for _ in range(3):
        before = s.torque_ref
        limit_torque(s)
        assert abs(s.torque_ref - before) <= slew
        assert abs(s.torque_ref) <= abs(limit)


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


@pytest.mark.parametrize(("count", "written"), [(1, 5), (5, 5), (6, 10), (10, 10), (11, 15), (15, 15)])
def test_a_stream_row_has_the_channels_asked_for(count: int, written: int) -> None:
    s = make_signals(stream_divider=1, stream_count=count, stream_channel=list(range(15)), memory=[7] * 100)
    stream(s)
    assert s.stream_ring[1:STREAM_ROW] == [7] * written + [0] * (15 - written)


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
