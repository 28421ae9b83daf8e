"""Host and board together: the drive object on the real firmware, and an answer to each wrong use."""

import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path
from random import Random

import pytest

from eesm import wire
from eesm.drive import RPM
from host_tools import connection as connection_module
from host_tools import devices
from host_tools.client import Drive, Event, Identity
from host_tools.connection import (
    AnswerTimeout,
    Connection,
    DriveError,
    NoBoard,
    OutOfRange,
    PortBusy,
    PortClosed,
    PortDenied,
    PortMissing,
    Refused,
    SchemaMismatch,
    SeveralBoards,
    UnknownSignal,
    VersionMismatch,
)
from host_tools.devices import choose_device, find_devices, holder_of
from host_tools.virtual_drive import VirtualDrive, VirtualDriveError
from tests.test_repository import ROOT

pytestmark = pytest.mark.micropython


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry of this test's own, and no serial ports but it."""
    monkeypatch.setattr(devices.list_ports, "comports", list)
    folder = tmp_path / "virtual"
    monkeypatch.setenv("EESM_VIRTUAL", str(folder))
    return folder


@pytest.fixture
def virtual(registry):
    with VirtualDrive("a") as virtual:
        yield virtual


@pytest.fixture
def drive(virtual):
    with Drive.connect(virtual.port) as drive:
        yield drive


@pytest.fixture
def fast(registry):
    with VirtualDrive("a", fast=True) as virtual, Drive.connect(virtual.port) as drive:
        yield drive


class FakeBoard:
    """Something at the other end of a PTY that answers each piece of input with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.port = os.ttyname(self.slave)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while os.read(self.master, 4096):
                os.write(self.master, self.answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.slave)
        os.close(self.master)


def connected(port):
    """A connection that is closed at the end."""
    return contextlib.closing(Connection(port))


# --- the main road ------------------------------------------------------------------------------


def test_a_drive_is_armed_turned_loaded_recorded_and_stopped(virtual, registry):
    seen: list[Event] = []
    with Drive.connect() as drive:  # the only one there is
        assert drive.identity.unit == "a"
        assert drive.identity.interpreter.startswith("micropython 1.")
        assert "32-bit" in drive.identity.interpreter
        drive.on_event = seen.append
        drive.arm()
        assert drive.state == "ready"
        with drive.stream(["w_e", "i_q", "torque", "theta_e"], rate_hz=1000) as stream:
            drive.speed = 500
            drive.sleep(0.8)
            drive.load(1.0)
            drive.sleep(0.5)
            rows = stream.read(timeout=1)
        assert stream.lost == stream.dropped == 0
        assert len(rows) > 1000
        periods = [row.period for row in rows]
        assert periods == list(range(periods[0], periods[0] + 20 * len(rows), 20))
        assert rows[-1].time == pytest.approx(rows[-1].period / 20_000)
        pole_pairs = drive.bases["w_e"] / drive.bases["w_m"]
        assert rows[-1]["w_e"] / pole_pairs == pytest.approx(500 * 2 * 3.14159 / 60, rel=0.02)
        assert rows[-1]["torque"] == pytest.approx(1.0, abs=0.15)
        assert 0 <= rows[-1]["theta_e"] < 1
        drive.stop()
        assert drive.state == "off"
        assert drive.read("i_f") < 0.02 * drive.get("i_f_max") + 0.1
        counters = drive.status().counters
    names = [event.text for event in seen if event.kind == "state"]
    assert names[-4:] == ["running", "stopping", "field down", "off"]
    assert [
        counters[key] for key in ("bad_crc", "malformed", "lost", "stream_dropped", "events_dropped")
    ] == [0] * 5


def test_leaving_the_context_stops_the_motor_that_this_client_armed(virtual):
    with Drive.connect(virtual.port) as drive:
        drive.arm()
        drive.speed = 200
    with Drive.connect(virtual.port) as drive:
        assert drive.state == "off"


def test_leaving_the_context_by_an_exception_stops_the_motor_too(virtual):
    with pytest.raises(KeyboardInterrupt), Drive.connect(virtual.port) as drive:
        drive.arm()
        raise KeyboardInterrupt
    with Drive.connect(virtual.port) as drive:
        assert drive.state == "off"


def test_lock_step_streams_every_period_and_is_repeatable(registry):
    runs = []
    for _ in range(2):
        with VirtualDrive("a", fast=True, seed=7) as virtual, Drive.connect(virtual.port) as drive:
            drive.advance(100)
            with drive.stream(["i_a_raw", "encoder_raw", "drive_state"], rate_hz=20_000) as stream:
                drive.advance(200)
                drive.arm()
                drive.set_speed(300 * RPM, at=16000)
                drive.advance(17000 - drive.now())
                rows = stream.read(timeout=1)
            assert stream.lost == 0
            periods = [row.period for row in rows]
            assert periods == list(range(periods[0], 17001))
            assert drive.now() == 17000
            runs.append([(row.period, *row.raw) for row in rows])
    # The rotor's angle and the noise come from the seed, the commands carry their period.
    common = max(run[0][0] for run in runs)
    assert [row for row in runs[0] if row[0] >= common] == [row for row in runs[1] if row[0] >= common]


def test_capture_shows_a_step_at_full_rate(fast):
    fast.arm()
    due = fast.now() + 2000

    def step():
        fast.set_currents(0, 5.0, 1.0, at=due)

    capture = fast.capture(["i_q", "i_q_ref"], trigger="i_q_set", level=2.5, pre=50, then=step)
    assert capture.trigger_period == due
    assert capture.periods == tuple(range(due - 50, due + 462))
    assert capture.times[50] == 0
    assert max(capture.columns["i_q_ref"][:50]) < 0.1
    assert capture.columns["i_q"][-1] == pytest.approx(5.0, abs=0.3)
    assert capture.units == {"i_q": "A", "i_q_ref": "A"}
    fast.stop()


def test_settings_pass_in_si(fast):
    assert fast.set("bandwidth_speed", 3.25) == 3.25
    assert fast.get("bandwidth_speed") == 3.25
    assert set(fast.settings()) >= {"J", "R_s", "host_timeout"}


def test_several_signals_are_read_at_one_period(fast):
    fast.advance(500)
    values = fast.read(["period", "mailbox_period", "u_dc"])
    assert values["period"] == pytest.approx(fast.now() / 20_000)
    assert values["u_dc"] == pytest.approx(48, abs=1)


# --- wrong use ----------------------------------------------------------------------------------


def test_unknown_signal_names_what_is_near(fast):
    for use in (
        lambda: fast.read("i_qq"),
        lambda: fast.stream(["i_qq"]),
        lambda: fast.capture(["i_qq"]),
    ):
        with pytest.raises(UnknownSignal, match=r"no signal 'i_qq'. Near: i_q"):
            use()
    with pytest.raises(UnknownSignal, match="array"):
        fast.read("stream_ring")


def test_value_out_of_range_names_value_and_limit(fast):
    fast.arm()
    with pytest.raises(Refused, match=r"9999.*w_m_max.*rpm") as refusal:
        fast.speed = 9999
    assert refusal.value.reason == wire.OUT_OF_RANGE
    with pytest.raises(Refused, match="torque_limit"):
        fast.torque = 100
    with pytest.raises(Refused, match="i_max"):
        fast.set_currents(60, 60, 0)
    with pytest.raises(OutOfRange, match="nothing was sent"):
        fast.torque = 1e9
    with pytest.raises(OutOfRange):
        fast.torque = float("nan")
    with pytest.raises(Refused, match=r"J = -1.*outside"):
        fast.set("J", -1)
    with pytest.raises(Refused, match="build again"):
        fast.set("pole_pairs", 4)
    assert fast.state == "ready"
    # The very limit is no mistake.
    fast.set_speed(fast.get("w_m_max"))
    fast.stop()


def test_recordings_that_cannot_be_are_refused(fast):
    with pytest.raises(OutOfRange, match="15"):
        fast.stream(["i_q"] * 16)
    with pytest.raises(OutOfRange, match="20000 Hz"):
        fast.stream(["i_q"], rate_hz=50_000)
    with pytest.raises(OutOfRange, match="rising"):
        fast.capture(["i_q"], edge="up")
    with pytest.raises(OutOfRange, match="trigger signal"):
        fast.capture(["i_q"], edge="rising")
    with fast.stream(["i_q"]), pytest.raises(DriveError, match="open already"):
        fast.stream(["i_d"])
    with pytest.raises(DriveError, match=r"i_q rising through 50 A.*did not come"):
        fast.capture(["i_q"], trigger="i_q", level=50, timeout=0.05)


def test_arming_twice_and_torque_before_ready_are_refused(fast):
    with pytest.raises(Refused, match="arm it") as refusal:
        fast.torque = 0.1
    assert refusal.value.reason == wire.WRONG_STATE
    fast.arm()
    with pytest.raises(Refused, match="armed already"):
        fast.arm()
    fast.stop()


def test_a_failing_start_up_names_its_fault(registry):
    with (
        VirtualDrive("a", fast=True, faults=["exciter_open"]) as virtual,
        Drive.connect(virtual.port) as drive,
    ):
        with pytest.raises(DriveError, match=r"FIELD_OPEN|ANGLE_UNCLEAR") as failure:
            drive.arm()
        assert "eesm faults" in failure.value.hint
        report = drive.faults()
        assert report.faults[0].remedy
        assert report.period is not None
        drive.clear()
        assert drive.state == "off"
        assert drive.faults().faults == ()


def test_no_board_says_how_to_get_one(registry):
    with pytest.raises(NoBoard, match="No drive was found") as failure:
        Drive.connect()
    assert "eesm virtual" in failure.value.hint
    with pytest.raises(PortMissing, match="no port /dev/ttyNONE"):
        Drive.connect("/dev/ttyNONE")


def test_two_boards_are_listed_and_one_can_be_chosen(registry):
    with VirtualDrive("a") as first, VirtualDrive("b") as second:
        assert {device.port for device in find_devices()} == {first.port, second.port}
        with pytest.raises(SeveralBoards) as failure:
            Drive.connect()
        for virtual in (first, second):
            assert virtual.port in failure.value.message
        assert "--port" in failure.value.hint
        with Drive.connect(unit="b") as drive:
            assert drive.identity.port == second.port
        with pytest.raises(NoBoard, match="unit c"):
            Drive.connect(unit="c")
        with pytest.raises(SchemaMismatch, match="unit a, not b"):
            Drive.connect(first.port, unit="b")
    assert find_devices() == []
    assert list(registry.glob("*")) == []


def test_a_registry_entry_of_a_dead_drive_is_removed(registry):
    registry.mkdir()
    entry = registry / "a-1.json"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    entry.write_text(json.dumps({"unit": "a", "pid": gone.pid, "port": "/dev/null"}))
    (registry / "half.json").write_text("{")
    assert find_devices() == []
    assert not entry.exists()


def test_a_terminal_whose_number_another_program_got_is_left_alone(registry):
    master, other = os.openpty()
    try:
        first = Identity("virtual", "a", "0.1.0", "0" * 64, "0" * 16, "", True, False, os.ttyname(other))
        with pytest.raises(NoBoard):
            Drive.find_again(first)
        assert select.select([master], [], [], 0)[0] == []
    finally:
        os.close(master)
        os.close(other)


def test_serial_ports_are_offered_by_their_usb_identity_only(registry, monkeypatch):
    class Port:
        def __init__(self, device, vid, pid):
            self.device, self.vid, self.pid, self.serial_number = device, vid, pid, "E66"

        def __lt__(self, other):
            return self.device < other.device

    ports = [Port("/dev/ttyS0", None, None), Port("/dev/ttyACM0", 0x2E8A, 5), Port("/dev/ttyUSB0", 0x403, 1)]
    monkeypatch.setattr(devices.list_ports, "comports", lambda: ports)
    assert choose_device().port == "/dev/ttyACM0"
    assert "Pico" in choose_device().text


def test_a_busy_port_names_its_holder(drive, virtual):
    with pytest.raises(PortBusy, match=f"process {os.getpid()}") as failure:
        Drive.connect(virtual.port)
    assert "close that program" in failure.value.hint
    assert str(os.getpid()) in (holder_of(virtual.port) or "")
    assert drive.state == "off"


def test_a_port_that_may_not_be_opened_says_what_to_do(monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(connection_module.serial, "Serial", refuse)
    with pytest.raises(PortDenied, match="may not open") as failure:
        Connection("/dev/ttyACM0")
    assert "dialout" in failure.value.hint


def test_the_pty_closed_in_the_middle_of_a_stream(registry):
    with VirtualDrive("a") as virtual, Drive.connect(virtual.port) as drive:
        stream = drive.stream(["i_q", "u_dc"], rate_hz=1000)
        rows = stream.read(timeout=2)
        threading.Timer(0.2, virtual.kill).start()
        with pytest.raises(PortClosed, match="closed while it was open") as failure:
            for row in stream:
                rows.append(row)
        assert len(rows) > 100  # what had come is there
        assert "connect again" in failure.value.hint
        with pytest.raises(PortClosed):
            drive.torque = 0.1
        stream.close()


def test_a_killed_host_leaves_a_drive_that_stops_in_order(virtual):
    script = (
        "import sys, time\n"
        "from host_tools.client import Drive\n"
        "drive = Drive.connect(sys.argv[1])\n"
        # Long enough that the next client of a busy machine comes before it is over.
        "drive.set('host_timeout', 3.0)\n"
        "drive.arm()\ndrive.speed = 300\nprint('running', flush=True)\ntime.sleep(600)\n"
    )
    host = subprocess.Popen(
        [sys.executable, "-c", script, virtual.port],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'firmware'}"},
    )
    assert host.stdout is not None
    assert host.stdout.readline() == "running\n"
    host.send_signal(signal.SIGKILL)
    host.wait()
    host.stdout.close()
    with Drive.connect(virtual.port) as drive:
        assert drive.state in ("running", "stopping")
        # Another client's life signs do not keep it going.
        assert drive.wait_for("off", timeout=60) == "off"
        texts = [f"{event.kind} {event.text}" for event in drive.events()]
        assert any(text.startswith("host lost") for text in texts), texts
        assert drive.faults().faults == ()


def test_a_session_survives_a_short_loss_of_the_port(virtual):
    with Drive.connect(virtual.port) as drive:
        drive.set("host_timeout", 3.0)
        drive.arm()
        drive.speed = 200
        drive.connection.close()
        with pytest.raises(PortClosed):
            drive.torque = 0.1
        drive.reconnect()
        assert drive.state == "running"
        assert drive.status().owned
        drive.speed = 100
        time.sleep(3.3)  # life signs go on
        assert drive.state == "running"


def test_another_kernel_or_schema_is_refused(virtual, tmp_path):
    with pytest.raises(SchemaMismatch, match="runs kernel") as failure:
        Drive.connect(virtual.port, kernel_hash="0" * 64)
    assert "unit a" in failure.value.hint
    with Drive.connect(virtual.port, cache=tmp_path) as drive:
        schema = drive.identity.schema_hash
    cached = tmp_path / f"{schema}.json"
    good = cached.read_bytes()
    cached.write_bytes(good.replace(b'"q":15', b'"q":14', 1))
    with Drive.connect(virtual.port, cache=tmp_path):
        pass
    assert cached.read_bytes() == good  # a damaged cache is fetched anew


def test_a_folder_with_a_schema_of_another_build_is_refused(virtual, registry, tmp_path):
    folder = tmp_path / "board"
    assert virtual.folder is not None
    subprocess.run(["cp", "-r", str(virtual.folder), str(folder)], check=True)
    file = folder / "schema.json"
    file.write_text(file.read_text().replace('"q":15', '"q":14', 1))
    with (
        VirtualDrive(folder) as other,
        pytest.raises(SchemaMismatch, match="schema has the hash"),
    ):
        Drive.connect(other.port, cache=tmp_path / "cache")


def test_another_protocol_is_named(registry):
    frame = wire.pack(wire.ERROR, 0, 0, struct.pack("<BHH", 0, 0, wire.WRONG_VERSION), version=9)
    with (
        FakeBoard(b"\0" + frame) as board,
        connected(board.port) as connection,
        pytest.raises(VersionMismatch, match="protocol 9, these tools speak 2"),
    ):
        connection.hello(timeout=1.0)


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (b"\r\n>>> ", NoBoard, "MicroPython answers"),
        (b"ok\r\n", NoBoard, "no drive"),
        (b"", AnswerTimeout, "Nothing answers"),
    ],
)
def test_what_answers_and_is_no_drive_is_named(registry, answer, kind, text):
    with (
        FakeBoard(answer) as board,
        connected(board.port) as connection,
        pytest.raises(kind, match=text),
    ):
        connection.hello(timeout=1.0)


def test_a_request_that_is_not_answered_is_not_sent_again(registry):
    with FakeBoard(b"") as board, connected(board.port) as connection:
        before = connection.bytes_out
        with pytest.raises(AnswerTimeout, match=r"'torque' within 0.2 s; it may have been obeyed or not"):
            connection.request(wire.TORQUE, (1, wire.NOW), timeout=0.2)
        assert connection.bytes_out - before == len(wire.pack(wire.TORQUE, 0x1234, 0, b"\1" * 12))


# --- the line -----------------------------------------------------------------------------------


def test_garbage_on_the_line_is_counted_and_survived(virtual):
    connection = Connection(virtual.port)
    connection._serial.write(bytes(range(256)) * 40)
    connection._serial.write(wire.pack(wire.STOP, 1, 0, bytes(4))[:-4])
    connection.close()
    with Drive.connect(virtual.port) as drive:
        counters = drive.status().counters
        assert counters["malformed"] + counters["too_long"] + counters["bad_crc"] >= 40
        drive.arm()
        drive.stop()


@pytest.mark.slow
def test_the_firmware_survives_byte_soup_and_nonsense_without_losing_memory(virtual):
    random = Random(5)
    with Drive.connect(virtual.port) as drive:
        free = []
        line = drive.connection
        for _ in range(6):
            for _ in range(40):
                line._serial.write(random.randbytes(random.randrange(200)))
                # Well framed, with the session's own token, but nonsense inside; arming alone is none.
                kind = random.choice([k for k in wire.REQUESTS if k < wire.BENCH_LOAD and k != wire.ARM])
                size = struct.calcsize(wire.REQUESTS[kind][1]) + random.randrange(3)
                payload = struct.pack("<I", line.token) + random.randbytes(size)
                line._serial.write(b"\0" + wire.pack(kind, random.randrange(0x10000), 0, payload))
                if kind == wire.HELLO:
                    line.hello()
            line._serial.write(b"\0")
            line.hello()
            assert drive.state == "off"
            drive.sleep(0.2)  # a status collects no more often than every 0.1 s
            free.append(drive.status().counters["memory_free"])
        counters = drive.status().counters
        assert counters["malformed"] > 100
        assert counters["refused"] > 20
        assert free[-1] > free[0] - 5000
        drive.arm()
        drive.stop()
    assert virtual.said() == ""


@pytest.mark.slow
def test_all_byte_values_pass_both_ways(registry, tmp_path):
    folder = tmp_path / "echo"
    (folder / "drivers").mkdir(parents=True)
    (folder / "drivers/standard_port.py").write_bytes(
        (ROOT / "firmware/drivers/standard_port.py").read_bytes()
    )
    (folder / "unit.json").write_text('{"identity": {"unit": "echo"}}')
    (folder / "main.py").write_text(
        "from drivers.standard_port import StandardPort\n"
        "port = StandardPort()\n"
        "kept = b''\n"
        "while not port.closed:\n"
        "    kept += port.read(256)\n"
        "    kept = kept[port.write(kept, 0, len(kept)):]\n"
        "    port.wait(1)\n"
    )
    import serial

    text = bytes(range(256)) * 8 + b"\x03\x04\x0d\x0a\x11\x13\x1a\x7f" * 16
    with VirtualDrive(folder) as virtual, serial.Serial(virtual.port, timeout=5) as port:
        for start in range(0, len(text), 512):
            piece = text[start : start + 512]
            port.write(piece)
            assert port.read(len(piece)) == piece
    assert virtual.said() == ""


def test_a_drive_that_dies_leaves_its_last_words(registry, tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "unit.json").write_text('{"identity": {"unit": "broken"}}')
    (folder / "main.py").write_text("raise ValueError('no such luck')\n")
    with VirtualDrive(folder) as virtual:
        end = time.monotonic() + 60
        while virtual.running and time.monotonic() < end:
            time.sleep(0.02)
        assert "no such luck" in virtual.said()
        with pytest.raises(VirtualDriveError, match="no such luck"):
            virtual.check()
    # A process that dies closes its files first and can be waited for later: here half a second.
    (folder / "main.py").write_text(
        "import ffi, time\n"
        "close = ffi.open('libc.so.6').func('i', 'close', 'i')\n"
        "close(0), close(1)\n"
        "time.sleep_ms(500)\n"
        "raise ValueError('no such luck')\n"
    )
    with pytest.raises(VirtualDriveError, match="no such luck"), VirtualDrive(folder) as virtual:
        Drive.connect(virtual.port)


def test_the_virtual_drive_ends_with_its_keeper(registry):
    script = (
        "import sys, time\n"
        "from host_tools.virtual_drive import VirtualDrive\n"
        "virtual = VirtualDrive('a').start()\nprint(virtual.pid, flush=True)\ntime.sleep(600)\n"
    )
    keeper = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'firmware'}"},
    )
    assert keeper.stdout is not None
    pid = int(keeper.stdout.readline())
    keeper.kill()
    keeper.wait()
    keeper.stdout.close()
    end = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[-1].split()[0] == "Z":
            break
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{pid}").exists()
