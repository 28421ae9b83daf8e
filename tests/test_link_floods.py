"""Too much, too often, too late: a flood leaves the main loop its time and the drive its owner."""

import struct

import pytest

from eesm import link as links
from eesm import mailbox as mailboxes
from eesm import wire
from eesm.drive import FAULT, OFF, READY, RUNNING, STOPPING, WIRING
from tests.link_bench import Board, Client
from tests.test_urgent import board_in, run


@pytest.fixture
def board(tmp_path):
    return Board(tmp_path)


@pytest.fixture
def client(board):
    client = Client(board)
    client.hello()
    client.advance(400)
    return client


def slow_requests(board, kind, periods):
    """Let requests of a kind take time, as on a board, whose periods go on meanwhile; counts them."""
    served = []
    handler = board.link._handlers[kind]

    def slow(fields, tail):
        board.loop.run(periods)
        served.append(board.kernel.read("period"))
        return handler(fields, tail)

    board.link._handlers[kind] = slow
    return served


def test_an_armed_drives_main_loop_has_half_of_its_time_for_itself(board, client):
    client.arm()
    served = slow_requests(board, wire.STATUS, 100)
    for _ in range(400):
        client.send(wire.STATUS)
    began = board.kernel.read("period")
    turns = 0
    while len(served) < 100:
        board.loop.run(5)  # what a turn takes besides
        board.link.poll()
        turns += 1
    passed = board.kernel.read("period") - began
    assert passed > 100 * 100
    # Two requests, then as long without any, in turns of five periods.
    assert turns * 5 >= 0.49 * passed
    assert board.link.deferred > 500


def test_a_drive_that_is_off_serves_as_quickly_as_it_can(board, client):
    served = slow_requests(board, wire.STATUS, 100)
    for _ in range(20):
        client.send(wire.STATUS)
    for _ in range(12):
        board.link.poll()
    assert len(served) == 20
    assert board.link.deferred == 0


def test_a_stop_is_obeyed_as_it_arrives_however_much_waits(board, client):
    client.arm()
    for _ in range(12):
        client.send(wire.STATUS)
    sequence = client.send(wire.STOP)
    board.link.poll()
    assert board.drive.state == STOPPING
    assert len(board.link._inbox) > 5  # and has its answer in its turn
    assert board.answer(wire.STOP, sequence) == b""


def test_a_stop_that_does_not_fit_its_layout_stops_nothing(board, client):
    client.arm()
    client.send(wire.STOP, tail=b"\1")
    board.link.poll()
    assert board.drive.state == READY
    assert board.link.refused == 1


def test_a_flood_while_the_drive_is_urgent_is_dropped_counted_and_a_stop_behind_it_obeyed(tmp_path):
    board, client = board_in(WIRING, tmp_path)
    for _ in range(100):
        client.send(wire.STATUS)
    client.send(wire.STOP)
    for _ in range(100):
        if board.drive.state != WIRING:
            break
        run(board, 40)
        assert len(board.link._inbox) <= links.INBOX
    assert board.drive.state not in (WIRING, FAULT)
    run(board, 4000)
    answers = [frame for frame in board.frames() if frame[0] in (wire.OK, wire.ERROR)]
    assert board.link.overrun > 50
    assert len(answers) + board.link.overrun == board.link.decoder.frames - 1  # the greeting


def test_a_flood_of_greetings_takes_no_session_from_the_one_that_drives(board, client):
    client.arm()
    for k in range(50):
        Client(board, 1000 * k).hello()
    client.ok(wire.TORQUE, (10, wire.NOW))
    assert len(board.link._sessions) == links.SESSIONS


def test_a_command_from_before_the_sequence_wrapped_is_not_obeyed(board, client):
    client.arm()
    old = client.sequence
    client.ok(wire.TORQUE, (100, wire.NOW))
    client.ok(wire.TORQUE, (0, wire.NOW))
    client.sequence = old + 40_000  # as if so many had passed
    board.link._sessions[-1][1] = client.sequence - 1
    client.ok(wire.HEARTBEAT)
    client.advance(100)
    now = client.sequence
    client.sequence = old
    assert client.refusal(wire.TORQUE, (100, wire.NOW))[0] == wire.REPLAYED
    client.sequence = now
    client.ok(wire.TORQUE, (0, wire.NOW))  # and it has not pushed the count ahead
    client.advance(100)
    assert board.kernel.read("torque_set") == 0


def test_a_stream_begins_even_while_the_mailbox_is_full(board, client):
    channels = struct.pack("<H", board.index("u_dc"))
    client.ok(wire.STREAM_SETUP, (10,), channels)
    client.advance(100)
    client.arm()
    client.ok(wire.SPEED, (10, wire.NOW))
    client.advance(100)
    assert board.drive.state == RUNNING
    far = board.kernel.read("period") + 100_000
    for k in range(mailboxes.QUEUE_LIMIT):
        client.ok(wire.SPEED, (10, far + k))
    assert client.refusal(wire.SPEED, (10, far))[0] == wire.BUSY
    number = client.ok(wire.STREAM_SETUP, (20,), channels)[0]
    client.advance(5000)
    client.ok(wire.STOP)  # which takes the setpoints back
    board.received.clear()
    client.advance(2000)
    assert number in {payload[0] for payload in board.pushed(wire.STREAM)}
    assert board.kernel.read("stream_divider") == 20


def test_a_flood_of_clears_fills_no_mailbox(board, client):
    client.arm()
    board.drive.fail("FIELD_OPEN", "tried by a test")
    client.advance(8000)
    assert board.drive.state == FAULT
    for _ in range(200):  # in no time
        client.ok(wire.CLEAR)
        assert len(board.mailbox.queue) < 5
    client.advance(400)
    assert board.drive.state == OFF


def test_a_setting_that_is_no_number_is_refused(board, client):
    code, text = client.refusal(wire.GET, (), b"exciter_kind")
    assert (code, text) == (wire.UNKNOWN, "exciter_kind is not a number")


def test_garbage_is_collected_for_a_status_only_while_the_drive_is_off_and_not_at_every_one(
    board, client, monkeypatch
):
    collected = []
    monkeypatch.setattr(links.gc, "mem_free", lambda: 16384, raising=False)
    monkeypatch.setattr(links.gc, "collect", lambda: collected.append(board.drive.state))
    for _ in range(10):
        client.ok(wire.STATUS)
    assert collected == [OFF]
    client.advance(2000)
    client.ok(wire.STATUS)
    assert collected == [OFF, OFF]
    monkeypatch.undo()
    client.arm()
    monkeypatch.setattr(links.gc, "mem_free", lambda: 16384, raising=False)
    monkeypatch.setattr(links.gc, "collect", lambda: collected.append(board.drive.state))
    client.advance(4000)
    client.ok(wire.STATUS)
    board.drive.fail("FIELD_OPEN", "tried by a test")
    client.ok(wire.STATUS)
    client.advance(8000)
    client.ok(wire.STATUS)
    assert collected == [OFF, OFF]
