"""The first fault is kept whole, with what was captured around it, and never written while it must not be."""

import json
import os
import signal
import struct
from pathlib import Path

import pytest

from boards.virtual import plant
from eesm import wire
from eesm.drive import FAULT, OFF, Refused
from eesm.faults import bit_of, number_of
from eesm.signals import CAPTURE_ROWS, GATE_INVERTER
from eesm.snapshot import CHANNELS, KEPT, NEW, PIECE, WRITING, Snapshot
from eesm.telemetry import Telemetry
from host_tools import devices, snapshot
from host_tools.cli import entry
from host_tools.client import Drive
from host_tools.errors import FAILED, OK, REFUSED
from host_tools.schema import Schema, parse_schema
from host_tools.virtual_drive import VirtualDrive
from tests.drive_bench import Bench, linked_unit
from tests.link_bench import Board, Client


def schema_of(unit: str) -> Schema:
    content = linked_unit(unit)[1].schema
    return parse_schema(json.dumps(content).encode(), content["hash"])


class Keeping:
    """A closed loop whose drive keeps its first fault in `folder`; `driver` sees every step of writing."""

    def __init__(self, folder: Path | None, unit: str = "a") -> None:
        self.folder = folder
        self.unit = unit
        self.bench = Bench(unit)
        self.drive = self.bench.drive
        self.telemetry = Telemetry(self.bench.kernel)
        self.snapshot = Snapshot(self.drive, self.telemetry, None if folder is None else str(folder))
        self.drive.keep_faults(self.snapshot)

    def turn(self, speed: float = 100.0) -> "Keeping":
        """Armed and turning, with the capture waiting for a fault."""
        self.bench.ready()
        self.drive.set_speed(speed)
        self.bench.run(0.4)
        assert self.bench.kernel.read("capture_state") == 2
        return self

    def fault(self, name: str = "STALLED") -> None:
        """A fault, and time until it is kept."""
        self.drive.fail(name, f"{name} of a test")
        assert self.bench.run(3.0, lambda: self.drive.safe and self.snapshot.stage == 0), self.bench.story()

    def clear(self) -> None:
        self.drive.clear()
        self.bench.run_to(OFF)
        self.bench.x[plant.W_M] = 0.0  # a brake
        self.bench.run(0.05)

    def kept(self) -> snapshot.Snapshot:
        assert self.folder is not None
        return snapshot.parse((self.folder / KEPT).read_bytes(), schema_of(self.unit))


# --- in closed loop ---------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["a", "b", "c"])
def test_the_first_fault_is_kept_with_all_signals_and_the_rows_around_it(tmp_path, unit):
    keeping = Keeping(tmp_path, unit).turn()
    bench, drive, kernel = keeping.bench, keeping.drive, keeping.bench.kernel
    scalars = [name for name, place in kernel.offset.items() if name not in kernel.length and place < 1000]
    before = {name: kernel.si(name) for name in scalars}
    period = kernel.read("period")
    drive.now = period
    drive.fail("STALLED", "for a test")
    drive._latch(bit_of("HOST_LOST"), drive.now, "and another")
    bench.run(3.0, lambda: drive.safe and keeping.snapshot.stage == 0)
    found = keeping.kept()
    assert [(fault.name, fault.text, fault.first) for fault in found.faults] == [
        ("STALLED", "for a test", True),
        ("HOST_LOST", "and another", False),
    ]
    assert found.identity["unit"] == unit
    assert found.identity["kernel_hash"] == kernel.identity["kernel_hash"]
    assert (found.period, found.seen_period, found.state) == (period, period, "running")
    assert len(before) > 200
    assert set(found.signals) == set(before)
    for name, value in found.signals.items():
        assert value == pytest.approx(before[name], rel=1e-12), name
    taken = found.capture
    assert taken is not None
    assert tuple(taken.columns) == CHANNELS
    assert taken.pre == CAPTURE_ROWS // 2
    assert len(taken.times) == CAPTURE_ROWS
    # The kernel takes the letter about the fault some periods after the main loop saw it.
    assert 0 < taken.trigger_period - period <= 60
    row = taken.periods.index(period)
    for name in CHANNELS:
        assert taken.columns[name][row] == pytest.approx(before[name], rel=1e-12), name
    assert max(map(abs, taken.columns["i_q"][-100:])) < 0.05 * kernel.settings["i_max"]
    assert taken.columns["i_f"][-1] < 0.8 * taken.columns["i_f"][row]


def test_rows_are_those_that_the_kernel_saw(tmp_path):
    """Against a recording of the same drive, also where the ring has wrapped."""
    keeping, twin = Keeping(tmp_path).turn(), Keeping(None).turn()
    keeping.bench.run(0.0137)
    twin.bench.run(0.0137)
    assert keeping.bench.kernel.read("capture_head") % (CAPTURE_ROWS // 2) != 0
    keeping.fault()
    taken = keeping.kept().capture
    assert taken is not None
    twin.drive.fail("STALLED", "STALLED of a test")
    first = twin.bench.kernel.read("period")
    seen = {}
    for _ in range(400):
        twin.bench.loop.run(1)
        period = twin.bench.kernel.read("period")
        seen[period] = [twin.bench.kernel.read(name) for name in CHANNELS]
        if (period - first) % 20 == 0:
            twin.drive.host_seen()
            twin.drive.tick()
            twin.bench.mailbox.pump()
    compared = 0
    for k, period in enumerate(taken.periods):
        if period > first:
            assert [taken.raw[name][k] for name in CHANNELS] == seen[period]
            compared += 1
    assert compared > CAPTURE_ROWS // 2


def test_it_is_written_only_while_the_bridge_is_off_and_the_field_down(tmp_path):
    keeping = Keeping(tmp_path).turn()
    bench, drive = keeping.bench, keeping.drive
    states = []

    class Driver:
        waits = True

        def pause(self) -> None:
            kernel = bench.kernel
            states.append(drive.state)
            assert drive.state in (OFF, FAULT)
            assert kernel.read("gate_enable") & GATE_INVERTER == 0
            assert bench.i_f < 1.05 * kernel.si("i_f_safe")
            assert self not in paused
            paused.append(self)
            sizes.append((tmp_path / NEW).stat().st_size if (tmp_path / NEW).exists() else 0)

        def resume(self) -> None:
            paused.remove(self)

    paused: list[Driver] = []
    sizes: list[int] = []
    drive.driver = Driver()
    keeping.fault()
    assert len(states) > 30  # a piece at a time
    assert not paused
    assert sorted(path.name for path in tmp_path.iterdir()) == [KEPT]
    assert (tmp_path / KEPT).stat().st_size > 4 * 8 * CAPTURE_ROWS
    assert len(states) == pytest.approx((tmp_path / KEPT).stat().st_size / PIECE, abs=3)


def test_nothing_is_written_while_the_field_does_not_come_down(tmp_path):
    keeping = Keeping(tmp_path).turn()
    keeping.bench.kernel.settings["i_f_safe"] = 0
    keeping.drive.post({"i_f_safe": 0, "field_mode": 1})
    keeping.drive.words["i_f_safe"] = 0
    keeping.bench.run(0.01)
    keeping.drive.fail("STALLED", "a test")
    keeping.bench.run(0.02)
    assert not keeping.drive.safe
    assert list(tmp_path.iterdir()) == []


def test_a_newer_first_fault_replaces_it_and_a_cut_leaves_one_of_both(tmp_path):
    """At every step of writing the folder holds one whole snapshot: the old one, then the new one."""
    keeping = Keeping(tmp_path).turn()
    keeping.fault("STALLED")
    old = (tmp_path / KEPT).read_bytes()
    keeping.clear()
    assert (tmp_path / KEPT).read_bytes() == old
    keeping.turn(50.0)
    seen = []

    class Driver:
        def pause(self) -> None:
            seen.append((tmp_path / KEPT).read_bytes())

        def resume(self) -> None:
            seen.append((tmp_path / KEPT).read_bytes())

    keeping.drive.driver = Driver()
    keeping.fault("SPIN_OUT")
    new = (tmp_path / KEPT).read_bytes()
    assert set(seen) == {old, new}
    assert seen.index(new) == len(seen) - 1
    assert [fault.name for fault in keeping.kept().faults] == ["SPIN_OUT"]


def test_what_is_cut_or_damaged_is_no_snapshot(tmp_path):
    keeping = Keeping(tmp_path).turn()
    keeping.fault()
    data, schema = (tmp_path / KEPT).read_bytes(), schema_of("a")
    assert snapshot.parse(data, schema)
    for size in [*range(64), *range(64, len(data), 173), len(data) - 1]:
        with pytest.raises(snapshot.SnapshotError):
            snapshot.parse(data[:size], schema)
    for at in [*range(64), *range(64, len(data), 173), len(data) - 1]:
        with pytest.raises(snapshot.SnapshotError):
            snapshot.parse(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :], schema)
    with pytest.raises(snapshot.SnapshotError):
        snapshot.parse(data + b"\0", schema)
    with pytest.raises(snapshot.SnapshotError, match="other signals"):
        snapshot.parse(data, schema_of("c"))


def test_nothing_is_armed_while_it_is_written(tmp_path):
    keeping = Keeping(tmp_path).turn()
    keeping.drive.fail("STALLED", "a test")
    assert keeping.bench.run(2.0, lambda: keeping.snapshot.stage == WRITING)
    keeping.drive.clear()
    keeping.bench.run_to(OFF)
    keeping.bench.x[plant.W_M] = 0.0
    assert keeping.snapshot.stage == WRITING
    with pytest.raises(Refused, match="still being kept"):
        keeping.drive.arm()
    keeping.bench.run(0.2)
    keeping.drive.arm()


def test_a_folder_that_takes_nothing_is_told_and_no_more(tmp_path):
    keeping = Keeping(tmp_path).turn()
    tmp_path.rmdir()
    keeping.drive.fail("STALLED", "a test")
    keeping.bench.run(1.0)
    assert "cannot be kept" in keeping.bench.story()
    keeping.clear()
    keeping.bench.ready()


def test_a_fault_before_the_capture_began_is_kept_without_rows(tmp_path):
    keeping = Keeping(tmp_path)
    keeping.drive.fail("STALLED", "a test")
    keeping.bench.run(0.5)
    found = keeping.kept()
    assert found.capture is None
    assert found.state == "off"


# --- the capture belongs to the user first ---------------------------------------------------------------


def armed(keeping: Keeping, edge: int, level: int = 0) -> int:
    """A capture of the user's: u_dc and i_q."""
    index = keeping.bench.kernel.index
    number = keeping.telemetry.set_capture(
        keeping.bench.mailbox, 2, 100, edge, level, index("i_q"), (index("u_dc"), index("i_q"))
    )
    keeping.bench.run(0.05)
    return number


def test_a_capture_of_the_users_for_faults_is_the_one_that_is_kept(tmp_path):
    keeping = Keeping(tmp_path).turn()
    armed(keeping, edge=3)
    keeping.bench.run(0.5)
    keeping.fault()
    taken = keeping.kept().capture
    assert taken is not None
    assert tuple(taken.columns) == ("u_dc", "i_q")
    assert taken.pre == 100
    assert taken.periods[1] - taken.periods[0] == 2
    assert taken.columns["u_dc"][0] == pytest.approx(48.0, abs=1.0)


def test_a_capture_of_the_users_that_waits_for_something_else_is_left_alone(tmp_path):
    keeping = Keeping(tmp_path).turn()
    number = armed(keeping, edge=1, level=32000)
    keeping.bench.run(1.0)
    keeping.drive.fail("STALLED", "a test")
    keeping.bench.run(3.0)
    assert keeping.kept().capture is None
    assert keeping.telemetry.capture_status()[:2] == (number, 2)


def test_after_the_users_capture_was_fetched_the_default_waits_again(tmp_path):
    keeping = Keeping(tmp_path).turn()
    number = armed(keeping, edge=0)
    keeping.bench.run(1.0)
    assert keeping.telemetry.capture_status()[:2] == (number, 4)  # still there to be fetched
    first = 0
    while first < CAPTURE_ROWS:
        columns, words = keeping.telemetry.capture_rows(number, first)
        first += len(words) // (4 * columns)
    keeping.bench.run(0.5)
    assert keeping.telemetry.capture_number == number + 1
    assert keeping.bench.kernel.read("capture_state") == 2
    keeping.fault()
    taken = keeping.kept().capture
    assert taken is not None
    assert tuple(taken.columns) == CHANNELS


# --- safe -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["a", "b", "c"])
def test_the_drive_is_safe_only_after_the_field_was_seen_below_its_limit(unit):
    bench = Bench(unit)
    drive, limit = bench.drive, bench.kernel.si("i_f_safe")
    assert bench.run(0.1, lambda: drive.safe)
    bench.ready()
    assert not drive.safe
    bench.drive.set_speed(50.0)
    bench.run(0.5)
    drive.fail("STALLED", "a test")
    looks = 0
    while not drive.safe:
        bench.run(0.001)
        down = bench.i_f <= 1.05 * limit
        looks = looks + 1 if down else 0
        assert len(bench.trace) < 20000
        if drive.safe:
            assert looks >= 3
    assert bench.kernel.read("gate_enable") & GATE_INVERTER == 0
    drive.clear()
    bench.run_to(OFF)
    assert drive.safe


def test_a_shorted_machine_is_not_called_safe():
    bench = Bench("a")
    bench.run(0.01)
    assert bench.drive.safe
    bench.kernel.block[bench.kernel.offset["gate_enable"]] = GATE_INVERTER
    bench.drive.now += 20
    bench.drive._see_whether_safe()
    assert not bench.drive.safe


# --- over the link -----------------------------------------------------------------------------------------


@pytest.fixture
def board(tmp_path):
    board = Board(tmp_path)
    board.drive.keep_faults(Snapshot(board.drive, board.telemetry, None))
    return board


def test_the_link_serves_it_and_refuses_what_would_spoil_it(board):
    client = Client(board)
    client.hello()
    code, text = client.refusal(wire.SNAPSHOT, (0,))
    assert (code, text) == (wire.NOT_HERE, "no fault has been kept")
    client.arm()
    client.advance(4000)
    assert client.ok(wire.STATUS)[2] == 0
    board.drive.fail("STALLED", "a test")
    client.advance(20)
    while board.drive.snapshot.stage != WRITING:
        client.advance(20)
    assert client.ok(wire.STATUS)[2] == 1
    assert client.ok(wire.FAULTS)[20] == 1
    assert client.refusal(wire.SNAPSHOT, (0,))[0] == wire.BUSY
    assert client.refusal(wire.CLEAR)[0] == wire.BUSY
    index = struct.pack("<H", board.index("i_q"))
    capture = (1, 0, 0, 0, board.index("i_q"))
    assert client.refusal(wire.CAPTURE_SETUP, capture, index)[0] == wire.BUSY
    while board.drive.snapshot.stage:
        client.advance(20)
    data, whole = b"", 1
    while len(data) < whole:
        body = client.ok(wire.SNAPSHOT, (len(data),))
        whole = struct.unpack_from("<I", body)[0]
        data += body[8:]
    assert snapshot.parse(data, schema_of("a")).faults[0].name == "STALLED"
    assert client.refusal(wire.SNAPSHOT, (7,))[0] == wire.NOT_HERE
    assert len(client.ok(wire.SNAPSHOT, (2**31,))) == 8
    client.ok(wire.CLEAR)
    client.advance(2000)
    assert client.ok(wire.SNAPSHOT, (0,))
    # In memory only, it lives until the capture is armed anew.
    client.ok(wire.CAPTURE_SETUP, capture, index)
    client.advance(100)
    assert "made way" in client.refusal(wire.SNAPSHOT, (0,))[1]


# --- end to end -----------------------------------------------------------------------


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.setattr(devices.list_ports, "comports", list)
    monkeypatch.setenv("EESM_VIRTUAL", str(tmp_path / "virtual"))


def overspeed(drive: Drive, torque: float = 1.5) -> None:
    """A shaft that runs up under torque meets a trip that is put below its speed."""
    drive.arm()
    drive.set_torque(torque)
    drive.sleep(0.6)
    drive.set("w_m_trip", 100.0)
    for _ in range(100):
        if drive.state == "fault":
            return
        drive.sleep(0.01)
    raise AssertionError(drive.state)


@pytest.mark.micropython
def test_a_kept_fault_outlives_the_drive_and_a_kill_while_it_is_written(registry, tmp_path):
    store = tmp_path / "store"

    def killed(virtual: VirtualDrive) -> None:
        os.kill(virtual.pid, signal.SIGKILL)

    with VirtualDrive("a", fast=True, store=store) as virtual, Drive.connect(virtual.port) as drive:
        overspeed(drive)
        drive.sleep(0.2)
        found = drive.snapshot()
        assert [fault.name for fault in found.faults] == ["OVERSPEED"]
        assert found.faults[0].first
        assert found.capture is not None
        at = found.capture.periods.index(found.period)
        assert found.capture.columns["torque"][at - 5] > 1.0
        assert abs(found.capture.columns["torque"][-1]) < 0.1
        killed(virtual)
    kept = (store / KEPT).read_bytes()
    for ticks in (1, 3, 12, 30):  # of writing
        with VirtualDrive("a", fast=True, store=store) as virtual, Drive.connect(virtual.port) as drive:
            assert drive.snapshot() == found
            overspeed(drive)
            for _ in range(2000):
                drive.advance(20)
                if (store / NEW).exists():
                    break
            drive.advance(20 * ticks)
            assert (store / NEW).exists()
            killed(virtual)
        assert (store / KEPT).read_bytes() == kept
    with VirtualDrive("a", fast=True, store=store) as virtual, Drive.connect(virtual.port) as drive:
        assert not (store / NEW).exists()
        assert drive.snapshot() == found
        overspeed(drive, torque=2.5)
        drive.sleep(0.3)
        assert drive.snapshot() != found


@pytest.mark.micropython
def test_the_command_line_lists_explains_dumps_and_clears(registry, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def eesm(*arguments: str) -> tuple[int, str, str]:
        code = entry.run(arguments)
        out, err = capfd.readouterr()
        return code, out, err

    number = str(number_of("FIELD_OPEN"))
    assert eesm("faults", "explain", number)[1] == eesm("faults", "explain", "field-open")[1]
    assert len(eesm("faults", "explain")[1].splitlines()) == len(snapshot.FAULTS)
    assert json.loads(eesm("faults", "explain", number, "--json")[1])["name"] == "FIELD_OPEN"
    code, _, err = eesm("faults", "explain", "FIELD_OPN")
    assert code == 2
    assert "eesm faults explain FIELD_OPEN" in err
    with VirtualDrive("a"):
        assert eesm("faults")[:2] == (OK, "No faults.\n")
        code, _, err = eesm("faults", "dump", "-o", "none")
        assert code == REFUSED
        assert "no fault has been kept" in err
        assert not (tmp_path / "none").exists()
        with Drive.connect() as drive:
            overspeed(drive)
            drive.sleep(0.3)  # until the field is down
        for words in (("faults",), ("faults", "list")):
            code, out, _ = eesm(*words)
            assert code == FAILED
            assert "OVERSPEED (5), first, at" in out
            assert "Safe: field down." in out
        code, out, _ = eesm("faults", "dump", "-o", "why")
        assert code == OK
        assert "OVERSPEED (5), first" in out
        assert "captured from -" in out
        names = ["capture.csv", "capture.parquet", "capture.png", "fault.json"]
        assert sorted(path.name for path in (tmp_path / "why").iterdir()) == names
        told = json.loads((tmp_path / "why" / "fault.json").read_text())
        assert told["faults"][0]["name"] == "OVERSPEED"
        assert told["signals"]["w_e"] > 400  # rad/s electrical, twice w_m_trip
        rows = (tmp_path / "why" / "capture.csv").read_text().splitlines()
        assert len([row for row in rows if row[:1].isdigit()]) >= CAPTURE_ROWS - 1
        assert (tmp_path / "why" / "capture.png").read_bytes()[:4] == b"\x89PNG"
        told = json.loads(eesm("faults", "--json", "dump", "-o", "again")[1])
        assert len(told["files"]) == 4
        assert told["capture"]["rows"] == CAPTURE_ROWS
