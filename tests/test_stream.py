"""Rows on the host: numbers, losses and device time, whatever arrives."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eesm import wire
from eesm.cyclic import MASK
from host_tools.link_errors import PortClosed
from host_tools.schema import SignalInfo
from host_tools.stream import Stream

NARROW = SignalInfo("i_q", "state", "A", -32767, 32767, "", 5, 0, 0.5)
WIDE = SignalInfo("theta_e", "state", "turn", 0, (1 << 30) - 1, "", 6, 0, 1 / (1 << 30))


def frame(first, periods, number=1, dropped=0):
    rows = b"".join(struct.pack("<Ihi", period, -3, 1 << 29) for period in periods)
    return struct.pack(wire.ROWS, number, len(periods), first, dropped) + rows


def stream(number: int | None = 1):
    made = Stream([NARROW, WIDE], 10, 5e-5, lambda _: None)
    if number is not None:
        made.begin(number)
    return made


def test_a_row_has_device_time_and_si_values():
    rows = stream()
    rows.take(frame(0, [100, 110]))
    first, second = rows.read()
    assert (first.period, first.time) == (100, pytest.approx(0.005))
    assert (first["i_q"], first["theta_e"]) == (-1.5, 0.5)
    assert first.values() == (-1.5, 0.5)
    assert second.raw == (-3, 1 << 29)
    assert rows.rate_hz == pytest.approx(2000)
    assert "i_q=-1.5" in repr(first)


def test_time_goes_on_when_the_boards_period_wraps():
    rows = stream()
    top = MASK
    rows.take(frame(0, [top - 9, 0]))
    rows.take(frame(2, [10]))
    assert [row.period for row in rows.read()] == [top - 9, top + 1, top + 11]


def test_frames_before_the_number_is_known_are_kept_and_others_left_out():
    rows = stream(None)
    rows.take(frame(0, [5], number=7))
    rows.take(frame(0, [6], number=8))
    assert rows.read(timeout=0) == []
    rows.begin(8)
    rows.take(frame(1, [16], number=8))
    rows.take(frame(1, [16], number=8)[:-1])  # does not fit its count
    assert [row.period for row in rows.read()] == [6, 16]
    assert rows.lost == 0


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=20))
def test_every_missing_row_is_counted(frames):
    rows = stream()
    at = missing = passed = pending = 0
    for count, arrives in frames:
        if arrives:
            rows.take(frame(at, [10 * (at + k) for k in range(count)]))
            missing, pending = missing + pending, 0
            passed += count
        else:
            pending += count  # seen to be missing by the next row only
        at += count
    assert (rows.received, rows.lost) == (passed, missing)
    received = rows.read(timeout=0)
    assert all(row.period % 10 == 0 for row in received)
    assert len(received) == passed


def test_rows_that_came_before_the_port_closed_are_read_first():
    rows = stream()
    rows.take(frame(0, [1, 2]))
    rows.fail(PortClosed("gone", "look"))
    assert len(rows.read()) == 2
    with pytest.raises(PortClosed, match="gone"):
        rows.read()


def test_a_closed_stream_ends_its_iteration():
    rows = stream()
    rows.take(frame(0, [1]))
    rows.close()
    rows.take(frame(1, [2]))
    assert [row.period for row in rows] == [1]
