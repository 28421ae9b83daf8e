"""The count of periods begins again after 2**30, 14.9 h at 20 kHz: nothing notices."""

import struct
from itertools import pairwise

import pytest

from eesm import wire
from eesm.cyclic import MASK, TURN
from eesm.drive import OFF, READY, RUNNING
from host_tools.fuzz.bench import Board, Session
from host_tools.fuzz.parts import write_schema


def arm_at(folder, before):
    """A board that begins so many periods before the wrap; its session."""
    board = Board(write_schema(folder / "schema.json"), period=TURN - before)
    session = Session(board, 65_530)  # whose own count wraps soon as well
    session.hello()
    board.turn(20)
    return board, session


# Arming takes 0.8 s, or 16 000 periods: offsets, wiring, angle, field and direction each meet the wrap.
@pytest.mark.parametrize("before", range(1000, 19_000, 1500))
def test_a_drive_is_armed_across_the_wrap(tmp_path, before):
    board, session = arm_at(tmp_path, before)
    session.arm()
    session.ok(wire.SPEED, (1500, wire.NOW))
    for _ in range(40):
        board.turn(50)
        session.ok(wire.HEARTBEAT)
    assert board.kernel.read("period") < TURN // 2
    assert board.drive.state == RUNNING
    assert board.drive.mailbox.late == 0
    session.ok(wire.STOP)
    board.turn(1000)
    assert board.drive.state == OFF
    assert set(board.told) == {"state", "found"}


def test_commands_rows_and_captures_pass_the_wrap(tmp_path):
    board, session = arm_at(tmp_path, 24_000)
    session.arm()
    left = TURN - board.kernel.read("period")
    assert 2000 < left < 12_000
    channel = struct.pack("<HH", board.index("w_m_set"), board.index("period") | wire.WIDE)
    session.ok(wire.STREAM_SETUP, (10,), channel)
    session.ok(wire.SPEED, (1500, wire.NOW))
    # Setpoints for both sides of the wrap, sent in the wrong order.
    for speed, due in ((300, 400), (200, 100), (100, TURN - 100)):
        session.ok(wire.SPEED, (speed, due))
    level, source = 250, board.index("w_m_set")
    session.ok(wire.CAPTURE_SETUP, (1, 300, 1, level, source), struct.pack("<H", board.index("period")))
    rows = []
    taken = board._decoder.feed

    def keep(data):
        messages = taken(data)
        rows.extend(message[3] for message in messages if message[0] == wire.STREAM)
        return messages

    board._decoder.feed = keep
    for _ in range(left // 1000 + 3):
        board.turn(50)
        session.ok(wire.HEARTBEAT)
    assert board.kernel.read("period") < TURN // 2
    words = [row for payload in rows for row in struct.iter_unpack("<Ihi", payload[wire.ROWS_SIZE :])]
    periods = [row[0] for row in words]
    assert {(b - a) & MASK for a, b in pairwise(periods)} == {10}
    assert periods[0] > TURN // 2 > periods[-1]
    assert all(row[0] == row[2] for row in words)
    setpoint = {row[0]: row[1] for row in words}
    around = sorted(setpoint, key=lambda period: (period + TURN // 2) & MASK)
    changes = [(a, setpoint[a]) for k, a in enumerate(around) if k and setpoint[a] != setpoint[around[k - 1]]]
    assert [value for _, value in changes][-3:] == [100, 200, 300]
    for (at, _), due in zip(changes[-3:], (TURN - 100, 100, 400), strict=True):
        assert (at - due) & MASK < 10
    assert struct.unpack("<HBIH", session.ok(wire.CAPTURE_STATUS))[1:3] == (4, 400)
    number = struct.unpack_from("<H", session.ok(wire.CAPTURE_STATUS))[0]
    body = session.ok(wire.CAPTURE_FETCH, (number, 0))
    captured = wire.words_of(body[3:], "i")
    assert captured[0] == 100  # 300 rows before its trigger


def test_a_silent_host_is_missed_across_the_wrap(tmp_path):
    board, session = arm_at(tmp_path, 24_000)
    session.arm()
    patience = round(board.kernel.settings["host_timeout"] * 20_000)
    while TURN - board.kernel.read("period") > patience // 2:
        board.turn(10)
        session.ok(wire.HEARTBEAT)
    board.turn(patience // 20 - 20)
    assert board.drive.state == READY
    board.turn(1000)
    assert board.drive.state == OFF
    assert "host lost" in board.told
    board.check_counters()
