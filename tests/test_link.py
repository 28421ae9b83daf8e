"""The board's end of the wire: each command and each wrong use of it, sessions, rows, captures."""

import json
import struct
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eesm import drive, mailbox, signals, telemetry, wire
from eesm.drive import FAULT, OFF, READY, RUNNING
from eesm.faults import bit_of, number_of
from eesm.stages import record
from eesm.table import signals_of
from host_tools import client as client_module
from tests.link_bench import Board, Client


@pytest.fixture
def board(tmp_path):
    return Board(tmp_path)


@pytest.fixture
def client(board):
    client = Client(board)
    client.hello()
    client.advance(400)
    return client


def raw(board, name, value):
    return board.kernel.raw(name, value)


# --- who and what -------------------------------------------------------------------------------


def test_hello_says_who_the_board_is(board):
    said = Client(board).hello()
    assert said["unit"] == "a"
    assert said["board"] == "virtual"
    assert said["kernel_hash"] == board.kernel.identity["kernel_hash"]
    assert said["schema_hash"] == board.schema["hash"]
    assert said["interpreter"].startswith("cpython")
    assert (said["bench"], said["fast"]) == (1, 1)


def test_describe_sends_the_schema_in_pieces(board, client):
    data = b""
    while True:
        body = client.ok(wire.DESCRIBE, (len(data),))
        size, offset = struct.unpack_from("<II", body)
        assert offset == len(data)
        data += body[8:]
        if len(data) == size:
            break
    assert json.loads(data) == board.schema
    assert client.ok(wire.DESCRIBE, (size + 5,))[8:] == b""


def test_read_gives_values_of_one_period(board, client):
    names = ("period", "u_dc", "w_e")
    body = client.ok(wire.READ, (), struct.pack("<3H", *[board.index(name) for name in names]))
    assert wire.words_of(body, "i") == tuple(board.kernel.read(name) for name in names)
    code, text = client.refusal(wire.READ, (), struct.pack("<H", 0xFFFF))
    assert (code, "65535" in text) == (wire.UNKNOWN, True)
    code, text = client.refusal(wire.READ, (), bytes(2 * 65))
    assert (code, "64" in text) == (wire.OUT_OF_RANGE, True)


# --- commands -----------------------------------------------------------------------------------


def test_drive_arms_runs_and_stops_by_command(board, client):
    client.arm()
    client.ok(wire.SPEED, (raw(board, "w_m_set", 50.0), wire.NOW))
    client.advance(20_000)
    assert board.kernel.si("w_m_ref") == pytest.approx(50, rel=0.01)
    assert board.kernel.si("w_e") / 2 == pytest.approx(50, rel=0.02)
    assert board.drive.state == RUNNING
    client.ok(wire.STOP)
    client.advance(10_000)
    assert board.drive.state == OFF
    states = [payload[4:].decode() for payload in board.pushed(wire.EVENT)]
    shown = [text.partition("\n")[2] for text in states if text.startswith("state\n")]
    assert shown[0] == "offsets"
    assert shown[-5:] == ["ready", "running", "stopping", "field down", "off"]


def test_setpoint_waits_for_its_period(board, client):
    client.arm()
    due = board.kernel.read("period") + 1000
    client.ok(wire.TORQUE, (raw(board, "torque_set", 0.5), due))
    client.advance(950)
    assert board.kernel.read("torque_set") == 0
    client.advance(100)
    assert board.kernel.si("torque_set") == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("kind", [wire.TORQUE, wire.SPEED])
def test_setpoint_before_ready_is_refused_with_what_to_do(board, client, kind):
    code, text = client.refusal(kind, (100, wire.NOW))
    assert code == wire.WRONG_STATE
    assert "arm it" in text
    assert board.drive.state == OFF


def test_arming_twice_is_refused(board, client):
    client.arm()
    code, text = client.refusal(wire.ARM)
    assert code == wire.WRONG_STATE
    assert "armed already" in text
    assert board.drive.state == READY


@pytest.mark.parametrize(
    ("kind", "fields", "limit"),
    [
        (wire.TORQUE, (32767, wire.NOW), "torque_limit"),
        (wire.SPEED, (-32767, wire.NOW), "w_m_max"),
        (wire.SPEED, (2**31 - 1, wire.NOW), "w_m_max"),
        (wire.CURRENTS, (32767, 32767, 0, wire.NOW), "i_max"),
        (wire.CURRENTS, (0, 0, -5, wire.NOW), "i_f_max"),
        (wire.TORQUE, (0, 1 << 30), "period"),
    ],
)
def test_setpoint_out_of_range_is_refused_with_its_limit(board, client, kind, fields, limit):
    client.arm()

    def words():
        words = [int(word) for word in board.kernel.block]
        words[board.kernel.offset["mailbox_pumps"]] = 0  # the main loop turns
        return words

    before = words()
    code, text = client.refusal(kind, fields)
    assert code == wire.OUT_OF_RANGE
    assert limit in text
    assert board.drive.state == READY
    assert words() == before
    assert board.mailbox.idle()


def test_settings_are_read_changed_and_checked(board, client):
    inertia = struct.unpack("<d", client.ok(wire.GET, (), b"J"))[0]
    assert inertia == board.kernel.settings["J"]
    assert struct.unpack("<d", client.ok(wire.SET, (1.5 * inertia,), b"J"))[0] == 1.5 * inertia
    before = board.kernel.read("k_w_p")
    client.advance(400)
    assert board.kernel.read("k_w_p") != before
    for value in (-1.0, float("nan"), float("inf"), 1e9):
        code, text = client.refusal(wire.SET, (value,), b"J")
        assert code == wire.OUT_OF_RANGE
        assert "J" in text
    code, text = client.refusal(wire.SET, (1.0,), b"pole_pairs")
    assert code == wire.FIXED
    assert "build" in text
    assert client.refusal(wire.SET, (1.0,), b"nonsense")[0] == wire.UNKNOWN
    assert client.refusal(wire.GET, (), b"nonsense")[0] == wire.UNKNOWN
    assert client.refusal(wire.GET, (), b"\xff\xfe")[0] == wire.OUT_OF_RANGE


def test_faults_are_listed_and_cleared(board, client):
    assert client.ok(wire.FAULTS)[:16] == bytes(16)
    client.arm()
    board.drive.fail("FIELD_OPEN", "tried by a test")
    client.advance(200)
    body = client.ok(wire.FAULTS)
    word, first, period = struct.unpack_from("<QQI", body)
    assert word == first == bit_of("FIELD_OPEN")
    assert 0 < period <= board.kernel.read("period")
    assert body[21:].decode() == f"{number_of('FIELD_OPEN')} FIELD_OPEN: tried by a test"
    assert client.refusal(wire.ARM)[0] == wire.WRONG_STATE
    client.advance(4000)
    client.ok(wire.CLEAR)
    client.advance(400)
    assert board.drive.state == OFF
    assert client.refusal(wire.CLEAR)[0] == wire.WRONG_STATE


def test_a_silent_host_stops_the_drive_in_order(board, client):
    client.arm()
    client.ok(wire.SPEED, (raw(board, "w_m_set", 20.0), wire.NOW))
    board.driver.advance(int(board.kernel.settings["host_timeout"] * 20_000) + 12_000)
    while board.driver.granted:
        board.turn()
    board.received += board.frames()
    assert board.drive.state == OFF
    events = [payload[4:].decode().split("\n")[0] for payload in board.pushed(wire.EVENT)]
    assert "host lost" in events
    assert "fault" not in events


# --- sessions -----------------------------------------------------------------------------------


def test_a_second_client_cannot_steal_a_running_drive(board, client):
    client.arm()
    thief = Client(board, 9000)
    thief.hello()
    for kind, fields, tail in (
        (wire.ARM, (), b""),
        (wire.TORQUE, (10, wire.NOW), b""),
        (wire.SET, (1.0,), b"J"),
        (wire.STREAM_SETUP, (0,), b""),
        (wire.CLEAR, (), b""),
    ):
        code, text = thief.refusal(kind, fields, tail)
        assert code == wire.NOT_YOURS
        assert "another client" in text
    thief.ok(wire.STATUS)
    client.ok(wire.TORQUE, (10, wire.NOW))
    # Stopping is everybody's right; then the board is free.
    thief.ok(wire.STOP)
    thief.advance(10_000)
    assert board.drive.state == OFF
    thief.arm()
    assert client.refusal(wire.TORQUE, (10, wire.NOW))[0] == wire.NOT_YOURS


def test_a_second_client_does_not_keep_a_dead_clients_drive_running(board, client):
    client.arm()
    other = Client(board, 9000)
    other.hello()
    other.advance(int(board.kernel.settings["host_timeout"] * 20_000) + 10_000)
    assert board.drive.state == OFF


def test_firmware_leaves_for_the_prompt_only_while_the_drive_is_off(board, client, monkeypatch):
    assert client.refusal(wire.LEAVE) == (wire.NOT_HERE, "a virtual drive has no prompt to leave to")
    monkeypatch.delattr(type(board.drive.driver), "set_load")
    assert client.refusal(wire.BENCH_QUIT)[0] == wire.NOT_HERE
    client.arm()
    code, text = client.refusal(wire.LEAVE)
    assert (code, text) == (wire.WRONG_STATE, "the drive is armed; stop it first (`eesm stop`)")
    assert not board.link.left()
    client.ok(wire.STOP)
    client.advance(20000)
    assert board.drive.state == OFF
    board.port.room = 0
    sequence = client.send(wire.LEAVE)
    board.link.poll()
    assert not board.link.left()  # its answer is still on the way
    board.port.room = None
    assert board.answer(wire.LEAVE, sequence) == b""
    assert board.link.left()


def test_a_session_is_needed_and_can_be_taken_up_again(board, client):
    stranger = Client(board, 77)
    code, text = stranger.refusal(wire.ARM)
    assert (code, "connect" in text) == (wire.NOT_YOURS, True)
    client.arm()
    old = client.token
    again = Client(board, 500)
    again.hello(old)
    assert again.token != old
    again.ok(wire.TORQUE, (10, wire.NOW))
    assert client.refusal(wire.TORQUE, (10, wire.NOW))[0] == wire.NOT_YOURS


def test_a_replayed_command_is_not_obeyed(board, client):
    client.arm()
    client.ok(wire.TORQUE, (100, wire.NOW))
    sequence = client.sequence
    client.ok(wire.TORQUE, (0, wire.NOW))
    client.advance(100)
    client.sequence = sequence - 1
    assert client.refusal(wire.TORQUE, (100, wire.NOW))[0] == wire.REPLAYED
    client.sequence = sequence + 10
    client.advance(100)
    assert board.kernel.read("torque_set") == 0


def test_another_protocol_is_told_apart(board):
    board.port.to_board += wire.pack(wire.HELLO, 1, 0, bytes(8), version=7)
    board.turn()
    kind, _, _, payload = board.frames()[-1]
    assert kind == wire.ERROR
    assert struct.unpack_from("<H", payload, 3)[0] == wire.WRONG_VERSION
    assert f"protocol {wire.VERSION}, the host 7".encode() in payload


def test_counters_tell_what_was_wrong_with_the_line(board, client):
    good = wire.pack(wire.STATUS, client.sequence + 5, 0, bytes(4))
    board.port.to_board += (
        b"\x05abcd\0" + good[:6] + bytes([good[6] ^ 1 or 2]) + good[7:] + b"x" * 600 + b"\0"
    )
    for _ in range(10):
        board.turn()
    client.sequence += 9
    body = client.ok(wire.STATUS)
    counters = dict(zip(wire.COUNTERS, wire.words_of(body[11:], "I"), strict=True))
    assert counters["malformed"] + counters["bad_crc"] >= 2
    assert counters["too_long"] == 1
    assert counters["lost"] == 9
    assert counters["frames"] > 2


# --- rows ---------------------------------------------------------------------------------------


def rows_of(board, layout):
    """(stream, number of the row, dropped, row) of everything streamed so far."""
    out = []
    for payload in board.pushed(wire.STREAM):
        number, count, first, dropped = struct.unpack_from(wire.ROWS, payload)
        rows = list(struct.iter_unpack(layout, payload[wire.ROWS_SIZE :]))
        assert len(rows) == count
        out += [(number, first + k, dropped, row) for k, row in enumerate(rows)]
    return out


def channels(board, *names, wide=()):
    return struct.pack(
        f"<{len(names)}H", *[board.index(name) | (wire.WIDE if name in wide else 0) for name in names]
    )


def test_stream_sends_every_row_with_its_period(board, client):
    number = client.ok(wire.STREAM_SETUP, (10,), channels(board, "u_dc", "period", wide=("period",)))[0]
    client.advance(2000)
    rows = rows_of(board, "<Ihi")
    assert {row[0] for row in rows} == {number}
    assert [row[1] for row in rows] == list(range(len(rows)))
    assert len(rows) >= 195
    first = rows[0][3][0]
    assert [row[3][0] for row in rows] == [first + 10 * k for k in range(len(rows))]
    assert all(row[3][2] == row[3][0] for row in rows)
    assert all(abs(row[3][1] * board.kernel.step["u_dc"] - 48) < 1 for row in rows)
    client.ok(wire.STREAM_SETUP, (0,))
    client.advance(100)
    rows_of(board, "<Ihi")
    client.advance(200)
    assert rows_of(board, "<Ihi") == []


def test_a_new_stream_holds_no_row_of_the_one_before(board, client):
    client.ok(wire.STREAM_SETUP, (1,), channels(board, "u_dc"))
    client.advance(50)
    for name in ("i_a_raw", "encoder_last", "period"):
        number = client.ok(wire.STREAM_SETUP, (1,), channels(board, name, wide=(name,)))[0]
    client.advance(200)
    rows = list(rows_of_numbered(board, number, "<Ii"))
    assert len(rows) >= 100
    assert all(period == value for period, value in rows)


def rows_of_numbered(board, number, layout):
    for payload in board.pushed(wire.STREAM):
        if payload[0] == number:
            yield from struct.iter_unpack(layout, payload[wire.ROWS_SIZE :])


def test_rows_that_find_no_room_are_dropped_and_counted_and_delay_nothing(board, client):
    client.ok(wire.STREAM_SETUP, (1,), channels(board, "u_dc"))
    client.advance(100)
    before = rows_of(board, "<Ih")
    board.port.room = 0
    for _ in range(600):  # a paced drive does not wait for the port
        board.loop.run(1)
        board.mailbox.pump()
        board.link.poll()
    board.port.room = None
    client.advance(200)
    after = rows_of(board, "<Ih")
    numbers = [row[1] for row in before + after]
    missing = numbers[-1] + 1 - len(numbers)
    assert 400 < missing < 600
    assert after[-1][2] == missing
    periods = [row[3][0] for row in before + after]
    assert all(a < b for a, b in pairwise(periods))
    # The period of a row and its number keep step, whatever was lost between.
    assert {period - number for period, number in zip(periods, numbers, strict=True)} == {periods[0]}
    assert wire.words_of(client.ok(wire.STATUS)[11:], "I")[8] == missing


def test_half_written_frames_are_completed_first(board, client):
    board.port.room = 3
    client.ok(wire.STREAM_SETUP, (1,), channels(board, "u_dc"))
    client.advance(60)
    assert board.decoder.bad_crc == board.decoder.malformed == 0
    assert rows_of(board, "<Ih")[0][1] == 0


@pytest.mark.parametrize(
    ("divider", "names", "what"),
    [(20001, 1, "divider"), (10, 0, "signals"), (10, 16, "signals")],
)
def test_a_stream_that_cannot_be_is_refused(board, client, divider, names, what):
    code, text = client.refusal(wire.STREAM_SETUP, (divider,), bytes(2 * names))
    assert code == wire.OUT_OF_RANGE
    assert what in text
    code, text = client.refusal(wire.STREAM_SETUP, (10,), struct.pack("<H", 0x7FFF))
    assert "32767" in text


def test_a_stream_nobody_listens_to_ends(board, client):
    client.ok(wire.STREAM_SETUP, (10,), channels(board, "u_dc"))
    board.driver.advance(130_000)
    while board.driver.granted:
        board.turn()
    assert board.kernel.read("stream_divider") == 0


def test_capture_keeps_rows_before_and_after_its_trigger(board, client):
    client.arm()
    names = ("i_f", "torque_set", "period")
    level = raw(board, "torque_set", 0.25)
    fields = (1, 100, 1, level, board.index("torque_set"))
    number = struct.unpack("<H", client.ok(wire.CAPTURE_SETUP, fields, channels(board, *names)))[0]
    assert "not complete" in client.refusal(wire.CAPTURE_FETCH, (number, 0))[1]
    client.advance(300)
    assert struct.unpack("<HBIH", client.ok(wire.CAPTURE_STATUS))[1] == 2
    due = board.kernel.read("period") + 200
    client.ok(wire.TORQUE, (2 * level, due))
    client.advance(800)
    current, state, period, pre = struct.unpack("<HBIH", client.ok(wire.CAPTURE_STATUS))
    assert (current, state, period, pre) == (number, 4, due, 100)
    rows = []
    while len(rows) < 512:
        body = client.ok(wire.CAPTURE_FETCH, (number, len(rows)))
        assert struct.unpack_from("<HB", body) == (len(rows), 3)
        rows += list(struct.iter_unpack("<3i", body[3:]))
    assert [row[2] for row in rows] == [due - 100 + k for k in range(512)]
    assert all(row[1] == 0 for row in rows[:100])
    assert all(row[1] == 2 * level for row in rows[100:])


@pytest.mark.parametrize(
    ("fields", "count", "what"),
    [
        ((0, 0, 0, 0, 0), 1, "divider"),
        ((1, 512, 0, 0, 0), 1, "before its trigger"),
        ((1, 0, 4, 0, 0), 1, "edge"),
        ((1, 0, 0, 2**31 - 1, 0), 1, "level"),
        ((1, 0, 0, 0, 0), 9, "signals"),
        ((1, 0, 0, 0, 0), 0, "signals"),
        ((1, 0, 0, 0, 0x7FFF), 1, "memory index"),
    ],
)
def test_a_capture_that_cannot_be_is_refused(board, client, fields, count, what):
    code, text = client.refusal(wire.CAPTURE_SETUP, fields, bytes(2 * count))
    assert code == wire.OUT_OF_RANGE
    assert what in text


def test_rings_are_as_the_signal_table_says():
    for name in (
        "STREAM_CHANNELS",
        "STREAM_ROW",
        "STREAM_ROWS",
        "CAPTURE_CHANNELS",
        "CAPTURE_ROWS",
        "CAPTURE_DONE",
    ):
        assert getattr(telemetry, name) == getattr(signals, name)
    table = signals_of(signals.Signals)
    assert table["stream_divider"].high == telemetry.DIVIDER_MAX
    assert table["capture_divider"].high == telemetry.DIVIDER_MAX
    assert table["capture_edge"].high == telemetry.CAPTURE_EDGES - 1
    edges = [getattr(record, f"EDGE_{name}") for name in ("NONE", "RISING", "FALLING", "FAULT")]
    assert edges == list(range(len(client_module.EDGES)))


def test_the_letter_box_is_as_the_signal_table_says():
    assert mailbox.WORDS == signals.MAILBOX_WORDS


def test_refusals_of_the_drive_keep_their_numbers_on_the_wire():
    for name in ("WRONG_STATE", "OUT_OF_RANGE", "UNKNOWN", "FIXED", "HOLDS"):
        assert getattr(drive, name) == getattr(wire, name)


# --- the bench around a virtual drive -----------------------------------------------------------


def test_bench_commands_are_obeyed_or_refused(board, client):
    client.ok(wire.BENCH_LOAD, (1.5, wire.NOW))
    assert board.driver.load == (1.5, None)
    assert client.refusal(wire.BENCH_LOAD, (float("nan"), 0))[0] == wire.OUT_OF_RANGE
    assert client.refusal(wire.BENCH_ADVANCE, (2_000_000,))[0] == wire.OUT_OF_RANGE
    board.driver.fast = False
    code, text = client.refusal(wire.BENCH_ADVANCE, (1,))
    assert (code, "--fast" in text) == (wire.NOT_HERE, True)
    client.ok(wire.BENCH_QUIT)
    assert board.driver.ended


# --- bytes that nobody meant --------------------------------------------------------------------


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=6))
def test_byte_soup_moves_nothing(tmp_path, soup):
    board = shared_board(tmp_path)
    state = board.drive.state
    for data in soup:
        board.port.to_board += data
        for _ in range(4):
            board.turn()
    assert board.drive.state == state == OFF
    board.port.to_board = b""
    board.link._inbox = []
    client = Client(board)
    board.port.to_board = b"\0"
    client.hello()


REQUEST = st.sampled_from([kind for kind in sorted(wire.REQUESTS) if kind < wire.BENCH_LOAD])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 70) | REQUEST, st.booleans(), st.integers(0, 0xFFFF), st.binary(max_size=40)
        ),
        max_size=12,
    )
)
def test_well_framed_nonsense_is_answered_and_moves_nothing(tmp_path, requests):
    board = shared_board(tmp_path)
    client = Client(board)
    client.hello()
    for kind, known, sequence, rest in requests:
        # Right token or not; ARM itself is no nonsense.
        if kind == wire.ARM or (kind >= wire.BENCH_LOAD and kind in wire.REQUESTS):
            continue
        payload = struct.pack("<I", client.token if known else 12345) + rest
        board.port.to_board += wire.pack(kind, sequence, 0, payload)
        board.answer(kind, sequence)
    assert board.drive.state == OFF
    assert board.kernel.read("gate_enable") == 0


_shared: list[Board] = []


def shared_board(folder):
    """One board for all examples of a property; what one leaves behind is there for the next."""
    if not _shared or _shared[0].drive.state == FAULT:
        _shared[:] = [Board(folder)]
    return _shared[0]
