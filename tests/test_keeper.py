"""Kept settings on a drive: what it begins with, when it may save, what becomes of a damaged store."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from eesm import keeper, parameters, store, wire
from eesm.drive import FAULT, HOLDS, OFF, READY, RUNNING, WRONG_STATE
from eesm.keeper import DAMAGED, EMPTY, FOREIGN, KEPT, OLDER, STATUS, Keeper
from eesm.kept import BAD
from eesm.kernel import Kernel
from host_tools.cli.entry import run
from host_tools.client import Drive
from host_tools.errors import REFUSED
from host_tools.link_errors import Refused
from host_tools.parameter_changes import undo
from host_tools.virtual_drive import VirtualDrive
from tests.drive_bench import linked_unit
from tests.link_bench import Board, Client


def write(folder: Path, values: dict[str, float], unit: str = "a") -> store.Store:
    made = store.Store(str(folder))
    made.read()
    made.write(unit, values)
    return made


def write_labels(folder: Path, entries: list[tuple[str, float]]) -> None:
    """A slot with the settings of other firmware."""
    body = store.text_of("a")
    for label, value in entries:
        body += store.text_of(label) + struct.pack("<d", value)
    head = struct.pack(store.HEADER, store.MAGIC, store.FORMAT, len(body) + 4, 1, 7)
    (folder / "parameters.0").write_bytes(head + body + struct.pack("<I", store.crc32(head + body)))


def kernel_of(unit: str = "a") -> Kernel:
    return Kernel(json.loads(json.dumps(linked_unit(unit)[1].unit)))


def loaded(folder: Path) -> tuple[Kernel, Keeper]:
    kernel = kernel_of()
    made = Keeper(str(folder), kernel)
    made.load()
    return kernel, made


def started(folder: Path) -> tuple[Board, Client]:
    """A board that has just been switched on, and a client."""
    board = Board(folder, store=folder)
    client = Client(board)
    client.hello()
    client.advance(400)
    return board, client


def status(body: bytes) -> tuple[int, int, int, int, str]:
    condition, sequence, count, unsaved = struct.unpack_from(STATUS, body)
    return condition, sequence, count, unsaved, body[struct.calcsize(STATUS) :].decode()


def set_to(client: Client, name: str, value: float) -> None:
    client.ok(wire.SET, (value,), name.encode())


def get(client: Client, name: str) -> float:
    return struct.unpack("<d", client.ok(wire.GET, (), name.encode()))[0]


# --- what a kernel begins with ------------------------------------------------------------------


def test_an_empty_store_changes_nothing(tmp_path: Path) -> None:
    kernel, made = loaded(tmp_path)
    assert (made.condition, made.kept, made.notes) == (EMPTY, {}, [])
    assert kernel.settings == kernel.unit["settings"]
    assert list(tmp_path.iterdir()) == []


def test_a_kernel_begins_with_the_words_of_kept_settings(tmp_path: Path) -> None:
    values = {"bandwidth_speed": 11.0, "i_trip": 40.0, "R_f": 9.5}
    write(tmp_path, values)
    kernel, made = loaded(tmp_path)
    assert (made.condition, made.kept, made.notes) == (KEPT, values, [])
    expected = {**kernel.unit["settings"], **values}
    assert kernel.settings == expected
    assert kernel.words == parameters.derive(expected) != parameters.derive(kernel.unit["settings"])
    for name, word in kernel.words.items():
        assert kernel.read(name) == word, name


def test_values_that_need_each_other_are_used_together(tmp_path: Path) -> None:
    kernel = kernel_of()
    # Each one alone is refused: quick control of a machine that is as heavy as it is.
    values = {"bandwidth_speed": 40.0, "J": 0.1 * kernel.settings["J"]}
    with pytest.raises(ValueError, match="k_w"):
        parameters.derive({**kernel.settings, "bandwidth_speed": 40.0})
    write(tmp_path, values)
    kernel, made = loaded(tmp_path)
    assert made.kept == values and not made.notes


def test_a_value_that_the_linked_kernel_cannot_have_is_dropped_and_told_and_the_rest_is_used(
    tmp_path: Path,
) -> None:
    beyond = 1.5 * kernel_of().bases["i"]
    values = {"i_trip": beyond, "bandwidth_current": 2999.0, "bandwidth_speed": 11.0, "M": 5.0, "R_s": 0.123}
    write(tmp_path, values)
    kernel, made = loaded(tmp_path)
    assert made.kept == {"bandwidth_speed": 11.0, "R_s": 0.123}
    told = "\n".join(made.notes)
    assert len(made.notes) == 3
    assert f"i_trip = {beyond:g} A is not used: i_trip" in told and "full scale" in told
    assert "bandwidth_current = 2999 Hz is not used" in told and "too quick" in told
    assert "M = 5 H is not used: it would change the kernel's scaling" in told
    assert kernel.settings == {**kernel.unit["settings"], **made.kept}
    assert kernel.words == parameters.derive(kernel.settings)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -1.0, 1e300])
def test_no_value_out_of_range_is_ever_used(tmp_path: Path, value: float) -> None:
    write(tmp_path, dict.fromkeys(parameters.SETTINGS, value))
    kernel, made = loaded(tmp_path)
    assert made.kept == {}
    assert kernel.settings == kernel.unit["settings"]
    assert kernel.words == parameters.derive(kernel.settings)
    assert len(made.notes) == len(parameters.SETTINGS)


def test_a_division_by_nothing_is_a_value_refused(tmp_path: Path) -> None:
    kernel = kernel_of()
    write(tmp_path, {"u_dc_min": kernel.bases["u"], "R_s": 0.123})
    kernel, made = loaded(tmp_path)
    assert made.kept == {"R_s": 0.123}
    assert "u_dc_min" in made.notes[0] and "ZeroDivisionError" in made.notes[0]


def test_a_store_of_older_firmware_keeps_what_still_means_the_same(tmp_path: Path) -> None:
    entries = [
        ("R_s Ohm", 0.123),
        ("bandwidth_gone Hz", 5.0),
        ("host_timeout ms", 300.0),
        ("bandwidth_speed Hz", 1e6),
        ("J kg.m2", 0.02),
        ("f_pwm Hz", 9000.0),
    ]
    write_labels(tmp_path, entries)
    before = (tmp_path / "parameters.0").read_bytes()
    kernel, made = loaded(tmp_path)
    assert made.condition == OLDER
    assert made.kept == {"R_s": 0.123, "J": 0.02}
    assert made.notes == [
        "bandwidth_gone = 5 Hz is not used: there is no such setting to keep",
        "host_timeout = 300 ms is not used: its unit is s now",
        "bandwidth_speed = 1e+06 Hz is not used: it is outside 0.1 .. 200",
        "f_pwm = 9000 Hz is not used: there is no such setting to keep",
    ]
    assert kernel.settings["host_timeout"] == kernel.unit["settings"]["host_timeout"]
    assert [path.name for path in tmp_path.iterdir()] == ["parameters.0"], "only a save writes"
    assert (tmp_path / "parameters.0").read_bytes() == before
    _, client = started(tmp_path)
    client.ok(wire.SAVE)
    assert loaded(tmp_path)[1].condition == KEPT
    assert store.Store(str(tmp_path)).read() == (
        2,
        store.hash_schema(),
        "a",
        [("J kg.m2", 0.02), ("R_s Ohm", 0.123)],
    )


def test_another_units_settings_are_not_used(tmp_path: Path) -> None:
    write(tmp_path, {"R_s": 0.123}, unit="brisk")
    kernel, made = loaded(tmp_path)
    assert made.condition == FOREIGN and made.kept == {}
    assert kernel.settings == kernel.unit["settings"]
    assert "unit brisk" in made.notes[0]


# --- save and erase over the link ---------------------------------------------------------------


def test_what_is_saved_is_there_after_a_restart_and_nothing_else(tmp_path: Path) -> None:
    board, client = started(tmp_path)
    default = get(client, "R_s")
    assert status(client.ok(wire.STORE)) == (EMPTY, 0, 0, 0, "")
    set_to(client, "R_s", 0.123)
    assert status(client.ok(wire.STORE)) == (EMPTY, 0, 0, 1, "")
    assert status(client.ok(wire.SAVE)) == (KEPT, 1, 1, 0, "")
    set_to(client, "J", 0.02)
    assert status(client.ok(wire.STORE)) == (KEPT, 1, 1, 1, "")
    assert board.drive.state == OFF
    board, client = started(tmp_path)
    assert get(client, "R_s") == 0.123
    assert get(client, "J") == board.kernel.unit["settings"]["J"] != 0.02
    assert status(client.ok(wire.STORE)) == (KEPT, 1, 1, 0, "")
    set_to(client, "R_s", default)
    assert status(client.ok(wire.SAVE)) == (KEPT, 2, 0, 0, "")
    board, client = started(tmp_path)
    assert get(client, "R_s") == default


def test_an_erase_takes_the_files_and_the_live_values(tmp_path: Path) -> None:
    board, client = started(tmp_path)
    words = {name: board.kernel.read(name) for name in board.drive.words}
    set_to(client, "bandwidth_speed", 17.0)
    client.ok(wire.SAVE)
    set_to(client, "bandwidth_field", 33.0)
    set_to(client, "i_trip", 41.0)
    client.advance(40)
    assert {name: board.kernel.read(name) for name in words} != words
    assert status(client.ok(wire.ERASE)) == (EMPTY, 0, 0, 0, "")
    client.advance(400)
    assert {name: board.kernel.read(name) for name in words} == words
    assert board.drive.settings == board.kernel.unit["settings"]
    assert board.drive.words == parameters.derive(board.kernel.unit["settings"])
    assert [path.name for path in tmp_path.iterdir()] == ["schema.json"]
    client.arm()


def test_the_drive_arms_and_runs_after_a_save(tmp_path: Path) -> None:
    board, client = started(tmp_path)
    client.arm()
    client.ok(wire.STOP)
    client.advance(8000)
    assert board.drive.state == OFF
    offset = board.drive.settings["encoder_offset"]
    assert offset != board.kernel.unit["settings"]["encoder_offset"], "arming has measured one"
    assert status(client.ok(wire.SAVE)) == (KEPT, 1, 0, 0, ""), "which the next start will not need"
    client.arm()
    assert board.drive.state == READY


def test_an_absolute_encoders_offset_is_kept(tmp_path: Path) -> None:
    kernel = kernel_of()
    kernel.unit["settings"]["encoder_absolute"] = kernel.settings["encoder_absolute"] = 1
    write(tmp_path, {"encoder_offset": 0.25})
    made = Keeper(str(tmp_path), kernel)
    made.load()
    assert made.kept == {"encoder_offset": 0.25}
    assert kernel.read("theta_offset") == parameters.encoder_words(kernel.settings)["theta_offset"]
    kernel, made = loaded(tmp_path)
    assert made.kept == {} and "encoder_offset" in made.notes[0]


@pytest.mark.parametrize("kind", [wire.SAVE, wire.ERASE, wire.STORE])
def test_all_are_refused_while_armed_and_write_nothing(tmp_path: Path, kind: int) -> None:
    board, client = started(tmp_path)
    set_to(client, "R_s", 0.123)
    seen = set()
    client.ok(wire.ARM)
    while board.drive.state != READY:
        code, text = client.refusal(kind)
        seen.add(board.drive.state)
        if board.drive.state != READY:
            assert code == WRONG_STATE and "armed" in text and "eesm stop" in text
        client.advance(20)
    client.ok(wire.SPEED, (board.kernel.raw("w_m_set", 50.0), wire.NOW))
    client.advance(2000)
    assert board.drive.state == RUNNING
    assert client.refusal(kind)[0] == WRONG_STATE
    client.ok(wire.STOP)
    while board.drive.state != OFF:
        assert client.refusal(kind)[0] == WRONG_STATE
        seen.add(board.drive.state)
        client.advance(20)
    assert len(seen) >= 6
    assert board.drive.settings["R_s"] == 0.123
    assert [path.name for path in tmp_path.iterdir()] == ["schema.json"]


@pytest.mark.parametrize("kind", [wire.SAVE, wire.ERASE])
def test_both_need_a_session_and_a_fresh_message(tmp_path: Path, kind: int) -> None:
    board, client = started(tmp_path)
    answer = board.answer(kind, client.send(kind, token=0))
    assert isinstance(answer, tuple) and answer[0] == wire.NOT_YOURS
    client.ok(kind)
    client.sequence -= 1
    assert client.refusal(kind)[0] == wire.REPLAYED


def test_both_wait_for_field_and_shaft_after_a_fault(tmp_path: Path) -> None:
    board, client = started(tmp_path)
    client.arm()
    client.ok(wire.SPEED, (board.kernel.raw("w_m_set", 60.0), wire.NOW))
    client.advance(12_000)
    board.drive.fail("MAIN_LOOP_FAILED", "on purpose")
    code, text = client.refusal(wire.SAVE)
    assert board.drive.state == FAULT
    assert code == HOLDS and "field still carries" in text
    for _ in range(200):
        client.advance(100)
        if board.kernel.read("i_f") <= board.kernel.read("i_f_safe"):
            break
    code, text = client.refusal(wire.SAVE)
    assert code == HOLDS and "shaft turns" in text
    board.loop.x[linked_plant().W_M] = 0.0
    client.advance(4000)
    client.ok(wire.SAVE)
    assert board.drive.state == FAULT, "another fault stays"


def linked_plant() -> Any:
    from boards.virtual import plant

    return plant


def test_a_disk_that_fails_is_told_and_the_old_set_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client = started(tmp_path)
    set_to(client, "R_s", 0.123)
    client.ok(wire.SAVE)
    set_to(client, "R_s", 0.2)

    def fail(old: str, new: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "rename", fail)
    code, text = client.refusal(wire.SAVE)
    assert code == HOLDS and "No space" in text and "still kept" in text
    monkeypatch.undo()
    assert loaded(tmp_path)[0].settings["R_s"] == 0.123
    assert status(client.ok(wire.STORE)) == (KEPT, 1, 1, 1, "")
    assert status(client.ok(wire.SAVE)) == (KEPT, 2, 1, 0, "")


def test_a_board_rests_while_its_files_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board, client = started(tmp_path)
    did: list[str] = []
    monkeypatch.setattr(board.driver, "pause", lambda: did.append("pause"), raising=False)
    monkeypatch.setattr(board.driver, "resume", lambda: did.append("resume"), raising=False)
    rename = store.os.rename
    monkeypatch.setattr(store.os, "rename", lambda *names: (did.append("write"), rename(*names)))
    set_to(client, "R_s", 0.123)
    client.ok(wire.SAVE)
    assert did == ["pause", "write", "resume"]
    monkeypatch.setattr(store.os, "rename", lambda *names: 1 / 0)
    client.refusal(wire.SAVE)
    assert did[3:] == ["pause", "resume"], "periods go on whatever happened"


def test_a_drive_without_a_folder_says_how_to_get_one(tmp_path: Path) -> None:
    board = Board(tmp_path)
    client = Client(board)
    client.hello()
    for kind in (wire.SAVE, wire.ERASE, wire.STORE):
        code, text = client.refusal(kind)
        assert code == wire.NOT_HERE and "--store" in text


# --- a damaged store ----------------------------------------------------------------------------


def damage(folder: Path) -> None:
    for name in store.SLOTS:
        (folder / name).write_bytes(b"EESM\1\0 rotten")


def test_one_damaged_slot_is_told_and_the_other_one_is_used(tmp_path: Path) -> None:
    write(tmp_path, {"R_s": 0.123})
    write(tmp_path, {"R_s": 0.2})
    (tmp_path / "parameters.1").write_bytes(b"")
    board, client = started(tmp_path)
    assert board.drive.state == OFF
    assert get(client, "R_s") == 0.123
    assert status(client.ok(wire.STORE))[4] == "parameters.1 is not whole; the other slot is in use"
    events = [payload[4:].decode() for payload in board.pushed(wire.EVENT)]
    assert "found\nparameters.1 is not whole; the other slot is in use" in events


def test_a_damaged_store_is_a_fault_with_defaults_that_clears(tmp_path: Path) -> None:
    damage(tmp_path)
    board, client = started(tmp_path)
    assert board.drive.state == FAULT
    assert board.drive.settings == board.kernel.unit["settings"]
    ((_, name, text),) = board.drive.fault_list()
    assert name == BAD
    assert "parameters.0 and parameters.1 are not whole" in text and "eesm params forget" in text
    code, text = client.refusal(wire.ARM)
    assert code == WRONG_STATE and BAD in text
    client.ok(wire.CLEAR)
    client.advance(400)
    assert board.drive.state == OFF
    assert status(client.ok(wire.STORE))[0] == DAMAGED, "a cleared fault mends nothing"
    client.arm()
    assert Board(tmp_path, store=tmp_path).drive.state == FAULT


@pytest.mark.parametrize("kind", [wire.SAVE, wire.ERASE])
def test_a_damaged_store_is_mended_by_a_save_or_an_erase_which_ends_the_fault(
    tmp_path: Path, kind: int
) -> None:
    damage(tmp_path)
    board, client = started(tmp_path)
    set_to(client, "R_s", 0.123)
    client.ok(kind)
    client.advance(400)
    assert board.drive.state == OFF
    board, client = started(tmp_path)
    assert board.drive.state == OFF
    assert status(client.ok(wire.STORE))[:2] == ((KEPT, 1) if kind == wire.SAVE else (EMPTY, 0))
    assert (get(client, "R_s") == 0.123) == (kind == wire.SAVE)
    client.arm()


def test_a_mended_store_leaves_other_faults_as_they_are(tmp_path: Path) -> None:
    damage(tmp_path)
    board, client = started(tmp_path)
    board.drive.fail("PERIODS_STOPPED", "on purpose")
    client.advance(400)
    client.ok(wire.ERASE)
    client.advance(400)
    assert board.drive.state == FAULT


# --- the whole firmware on MicroPython ----------------------------------------------------------


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "drives"
    monkeypatch.setenv("EESM_VIRTUAL", str(folder))
    return folder


@pytest.mark.micropython
def test_two_drives_are_killed_and_each_starts_with_its_own_settings(tmp_path: Path, registry: Path) -> None:
    stores = [tmp_path / "first", tmp_path / "second"]
    values = [9.5, 11.0]
    virtuals = [VirtualDrive("a", fast=True, store=folder).start() for folder in stores]
    try:
        for virtual, value in zip(virtuals, values, strict=True):
            with Drive.connect(virtual.port) as drive:
                drive.advance(400)
                drive.set("bandwidth_speed", value)
                assert drive.kept().unsaved == 1
                kept = drive.save()
                assert (kept.whole, kept.sequence, kept.count, kept.unsaved, kept.notes) == (
                    True,
                    1,
                    1,
                    0,
                    (),
                )
                drive.set("R_s", 0.123)
                virtual.kill()
                drive.connection.close()
    finally:
        for virtual in virtuals:
            virtual.stop()
    for folder, value in zip(stores, values, strict=True):
        with VirtualDrive("a", fast=True, store=folder) as virtual, Drive.connect(virtual.port) as drive:
            drive.advance(400)
            assert drive.get("bandwidth_speed") == value
            assert drive.get("R_s") != 0.123
            assert drive.kept().count == 1
            drive.arm()
            assert drive.state == "ready"
            with pytest.raises(Refused, match="armed"):
                drive.save()
    with VirtualDrive("a", fast=True) as virtual, Drive.connect(virtual.port) as drive:
        assert drive.get("bandwidth_speed") not in values, "nothing leaks to a drive without a store"
        with pytest.raises(Refused, match="--store"):
            drive.save()


@pytest.mark.micropython
def test_a_damaged_store_on_micropython(tmp_path: Path, registry: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    damage(folder)
    with VirtualDrive("a", fast=True, store=folder) as virtual, Drive.connect(virtual.port) as drive:
        drive.advance(400)
        assert drive.state == "fault"
        assert [fault.name for fault in drive.faults().faults] == [BAD]
        assert not drive.kept().whole
        with pytest.raises(Refused, match="clear it first"):
            drive.arm()
        assert drive.erase().condition == keeper.CONDITIONS[EMPTY]
        drive.advance(400)
        assert drive.state == "off"
        assert [path.name for path in folder.iterdir()] == ["fault.snapshot"]


@pytest.mark.micropython
def test_the_commands(tmp_path: Path, registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str, code: int = 0) -> str:
        assert run(["params", *words]) == code
        captured = capsys.readouterr()
        return captured.out + captured.err

    folder = tmp_path / "store"
    with VirtualDrive("a", store=folder) as virtual:
        assert "nothing is kept; 0 parameters" in said("kept")
        said("set", "bandwidth_speed", "11")
        assert "A restart would change 1 parameter. To keep them: eesm params keep" in said("kept")
        assert said("keep") == "Unit a keeps 1 parameter; the others follow its unit file.\n"
        assert json.loads(said("kept", "--json"))["count"] == 1
        virtual.kill()
    with VirtualDrive("a", store=folder) as virtual:
        assert "bandwidth_speed = 11 Hz" in said("get", "bandwidth_speed")
        assert "add --yes" in said("forget", code=2)
        text = said("forget", "--yes")
        assert "keeps nothing; 1 parameter changed" in text and "forget" in text
        assert "bandwidth_speed = 8 Hz" in said("get", "bandwidth_speed")
        assert list(folder.iterdir()) == []
        assert json.loads(said("keep", "--json"))["count"] == 0
        with Drive.connect(virtual.port) as drive:
            undo(drive)
            assert drive.get("bandwidth_speed") == 11
            assert drive.kept().unsaved == 1
        for name in store.SLOTS:
            (folder / name).write_bytes(b"rotten")
    with VirtualDrive("a", store=folder):
        assert "damaged" in said("kept", code=1)
        assert json.loads(said("kept", "--json", code=1))["whole"] is False
        assert json.loads(said("forget", "--yes", "--json")) == []
    with VirtualDrive("a"):
        assert "eesm virtual --store FOLDER" in said("keep", code=REFUSED)
