"""A flash changes what it must, leaves others' files alone, and repairs whatever an earlier one left."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from eesm import wire
from eesm.drive import STATES
from host_tools import flash as flashing
from host_tools.cli.entry import run
from host_tools.devices import Device
from host_tools.errors import NO_DEVICE, REFUSED, USAGE, UsageError
from host_tools.flash import bootsel, flash_folder, reach
from host_tools.flash.errors import BoardGone, FlashError, WrongBoard
from host_tools.flash.plan import MANIFEST, OLD_MANIFEST, folders_of, hash_of, make_manifest, make_plan
from host_tools.flash.prompt import Found, Prompt
from host_tools.flash.rom import BLOCK, blocks_of, make_image
from host_tools.link_errors import PortBusy, Refused
from tests.flash_bench import Bench

IDENTITY = {
    "unit": "a",
    "board": "bench",
    "kernel_hash": "0123456789abcdef",
    "firmware": "1",
    "interpreter": "micropython 1.25.0",
}
FILES = {
    "main.py": b"print('main')\n",
    "unit.json": json.dumps({"identity": IDENTITY}).encode(),
    "linked.py": b"# kernel\n" + bytes(range(256)) * 60,
    "eesm/__init__.py": b"",
    "eesm/drive.mpy": b"drive" * 500,
    "drivers/deep/rp2040.mpy": b"driver",
}
DEVICE = Device("/dev/bench", "serial", "bench")
# What of these has a place in ROM, in more than one block of it.
MODULES = {path: data for path, data in FILES.items() if path.startswith(("eesm/", "drivers/"))}
MODULES["eesm/watch.mpy"] = bytes(range(251)) * 60
WITH_ROM = {**FILES, **MODULES}
ROM_SIZE = 16 * BLOCK


def found_of(files: dict[str, bytes]) -> dict[str, str]:
    return {path: hash_of(data) for path, data in files.items()}


# --- the plan --------------------------------------------------------------------------------------


def test_bare_board_gets_everything_main_first() -> None:
    plan = make_plan(FILES, IDENTITY, {}, None)
    assert set(plan.upload) == set(FILES)
    assert plan.upload[0] == "main.py"
    assert not plan.is_done


def test_board_that_holds_all_is_left_as_it_is() -> None:
    manifest = make_manifest(FILES, IDENTITY)
    plan = make_plan(FILES, IDENTITY, {**found_of(FILES), MANIFEST: "x"}, manifest)
    assert plan.is_done
    assert set(plan.keep) == set(FILES)


def test_files_without_their_manifest_are_no_whole_board() -> None:
    assert not make_plan(FILES, IDENTITY, found_of(FILES), None).is_done
    other = make_manifest(FILES, {**IDENTITY, "kernel_hash": "other"})
    assert not make_plan(FILES, IDENTITY, {**found_of(FILES), MANIFEST: "x"}, other).is_done


def test_only_what_differs_is_uploaded() -> None:
    found = {**found_of(FILES), "linked.py": "", "eesm/drive.mpy": "0" * 16}
    plan = make_plan(FILES, IDENTITY, found, None)
    assert plan.upload == ("eesm/drive.mpy", "linked.py")


@pytest.mark.parametrize(
    "stale",
    ["eesm/drive.py", "linked.mpy", "eesm/gone.mpy", "drivers/old.py", "boards/plant.py", "main.py.new"],
)
def test_stale_files_are_removed(stale: str) -> None:
    assert make_plan(FILES, IDENTITY, {stale: "x"}, None).remove == (stale,)


def test_files_of_others_stay_and_are_named() -> None:
    found = {"boot.py": "x", "data/log.csv": "x", "drive.py": "x"}
    plan = make_plan(FILES, IDENTITY, found, None)
    assert plan.remove == ()
    assert plan.others == ("boot.py", "data/log.csv", "drive.py")


def test_files_of_an_earlier_flash_are_removed_even_when_it_was_cut_short() -> None:
    before = make_manifest({"kernel.bin": b"native"}, IDENTITY)
    found = {"kernel.bin": "x"}
    assert make_plan(FILES, IDENTITY, found, before).remove == ("kernel.bin",)
    found = {"kernel.bin": "x", OLD_MANIFEST: "x"}
    assert make_plan(FILES, IDENTITY, found, None, before).remove == ("kernel.bin", OLD_MANIFEST)
    assert make_plan(FILES, IDENTITY, {"kernel.bin": "x"}, b"{torn").remove == ()


def test_folders_come_before_those_in_them() -> None:
    assert folders_of(FILES) == ["drivers", "eesm", "drivers/deep"]


# --- on MicroPython --------------------------------------------------------------------------------


class Boards:
    """Opens the same folder as a board again and again, as a flash after a power cut does."""

    def __init__(self, interpreter: list[str], folder: Path) -> None:
        self.interpreter = interpreter
        self.folder = folder
        self.cut_at = -1
        self.bench: Bench | None = None
        self.rom: Path | None = None

    def reach(self, port: reach.Port, patience: float, answer: float) -> Prompt:
        if self.bench is not None:
            self.bench.close()
        self.bench = Bench(self.interpreter, self.folder, self.rom)
        self.bench.cut_at = self.cut_at
        return Prompt(self.bench, port.name)

    def content(self) -> dict[str, bytes]:
        assert self.bench is not None
        return self.bench.content()

    def give_rom(self, size: int = ROM_SIZE) -> Path:
        """A ROM partition with something else in it."""
        self.rom = self.folder.with_name("rom.bin")
        self.rom.write_bytes(b"\xd2" * size)
        return self.rom


@pytest.fixture
def boards(micropython: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Boards]:
    made = Boards(micropython, tmp_path / "board")
    monkeypatch.setattr(flashing, "reach_prompt", made.reach)
    monkeypatch.setattr(flashing, "wait_for_drive", lambda port, patience: dict(IDENTITY))
    yield made
    if made.bench is not None:
        made.bench.close()


def lay_out(folder: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.mark.micropython
def test_board_holds_the_built_folder_afterwards(boards: Boards, tmp_path: Path) -> None:
    built = lay_out(tmp_path / "built", FILES)
    lay_out(
        boards.folder,
        {"eesm/drive.py": b"stale", "drivers/old/x.mpy": b"stale", "own/data.csv": b"1", "boot.py": b""},
    )
    (boards.folder / "own/empty").mkdir()
    result = flash_folder(built, DEVICE)
    content = boards.content()
    assert {path: content.pop(path) for path in FILES} == FILES
    assert json.loads(content.pop(MANIFEST))["files"]["linked.py"] == [
        len(FILES["linked.py"]),
        hash_of(FILES["linked.py"]),
    ]
    assert content == {"own/data.csv": b"1", "boot.py": b""}
    assert not (boards.folder / "drivers/old").exists()
    assert (boards.folder / "own/empty").is_dir()
    assert set(result.removed) == {"eesm/drive.py", "drivers/old/x.mpy"}
    assert result.identity["unit"] == "a"


@pytest.mark.micropython
def test_second_flash_uploads_nothing_and_still_restarts(boards: Boards, tmp_path: Path) -> None:
    built = lay_out(tmp_path / "built", FILES)
    flash_folder(built, DEVICE)
    before = boards.content()
    result = flash_folder(built, DEVICE)
    assert (result.uploaded, result.removed) == ((), ())
    assert boards.content() == before
    assert boards.bench is not None
    assert "machine.reset()" in boards.bench.commands[-1]
    assert not any(command.startswith(("put(", "move(", "remove(")) for command in boards.bench.commands)


@pytest.mark.micropython
def test_one_changed_file_is_all_that_is_sent(boards: Boards, tmp_path: Path) -> None:
    built = lay_out(tmp_path / "built", FILES)
    flash_folder(built, DEVICE)
    lay_out(built, {"eesm/drive.mpy": FILES["eesm/drive.mpy"][:-1] + b"!"})
    result = flash_folder(built, DEVICE)
    assert result.uploaded == ("eesm/drive.mpy",)
    assert boards.content()["eesm/drive.mpy"].endswith(b"!")


def cut_at_each_step(boards: Boards, old: Path, new: Path) -> Iterator[int]:
    """A board with `old`, cut off in step 1, 2, ... of the flash of `new`, until one goes through."""
    for step in range(1, 100):
        flash_folder(old, DEVICE)
        boards.cut_at = step
        try:
            flash_folder(new, DEVICE)
        except BoardGone:
            boards.cut_at = -1
            yield step
        else:
            boards.cut_at = -1
            return


@pytest.mark.micropython
def test_power_cut_at_any_step_leaves_no_manifest_of_files_that_are_not_there(
    boards: Boards, tmp_path: Path
) -> None:
    old = {**FILES, "linked.py": b"older", "kernel.bin": b"gone in the new one", "eesm/old.mpy": b"x"}
    new = lay_out(tmp_path / "new", FILES)
    lay_out(tmp_path / "old", old)
    cuts = 0
    for cuts in cut_at_each_step(boards, tmp_path / "old", new):
        content = boards.content()
        if MANIFEST in content:
            # main.py would start this: it must be all of one build.
            listed = json.loads(content[MANIFEST])["files"]
            assert {path: [len(content[path]), hash_of(content[path])] for path in listed} == listed
        flash_folder(new, DEVICE)
        content = boards.content()
        content.pop(MANIFEST)
        assert content == FILES, f"not repaired after a cut in step {cuts}"
    assert 12 < cuts < 99


@pytest.mark.micropython
def test_board_that_stores_something_else_is_found_out(
    boards: Boards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Prompt.write

    def write_wrongly(self: Prompt, path: str, data: bytes, tell: object = None) -> None:
        write(self, path, data[:-1] + b"?" if path == "linked.py" else data)

    monkeypatch.setattr(Prompt, "write", write_wrongly)
    built = lay_out(tmp_path / "built", FILES)
    with pytest.raises(FlashError, match=r"1 of 6 files are on the board with another content: linked\.py"):
        flash_folder(built, DEVICE)
    assert MANIFEST not in boards.content()


@pytest.mark.micropython
def test_file_system_that_is_too_small_is_refused_before_anything_changes(
    boards: Boards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Found("micropython", "1.25.0", "bench", False, 20000)
    monkeypatch.setattr(Prompt, "identify", lambda self: small)
    lay_out(boards.folder, {"own.csv": b"1"})
    built = lay_out(tmp_path / "built", FILES)
    with pytest.raises(FlashError, match="has 20000 bytes left, the files need 32768") as refusal:
        flash_folder(built, DEVICE)
    assert "own.csv" in refusal.value.hint
    assert boards.content() == {"own.csv": b"1"}


@pytest.mark.micropython
def test_another_chip_is_refused_before_anything_changes(boards: Boards, tmp_path: Path) -> None:
    unit = {"identity": {**IDENTITY, "board": "rpi_pico"}, "board": {"chip": "rp2040"}}
    built = lay_out(tmp_path / "built", {**FILES, "unit.json": json.dumps(unit).encode()})
    with pytest.raises(WrongBoard, match=r"built for the board rpi_pico \(rp2040\)"):
        flash_folder(built, DEVICE)
    assert boards.content() == {}


@pytest.mark.micropython
def test_another_drive_that_answers_is_found_out(
    boards: Boards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {**IDENTITY, "kernel_hash": "other"}
    monkeypatch.setattr(flashing, "wait_for_drive", lambda port, patience: other)
    with pytest.raises(FlashError, match="its kernel_hash is other, the files say 0123456789abcdef"):
        flash_folder(lay_out(tmp_path / "built", FILES), DEVICE)


# --- a ROM partition -------------------------------------------------------------------------------


def test_image_is_what_mpremote_makes_of_the_same_folder(tmp_path: Path) -> None:
    from mpremote.romfs import make_romfs

    files = {**WITH_ROM, "eesm/deep/a.mpy": b"a", "eesm/deep.mpy": b"b", "x": b"", "drivers/z/y/x": b"c" * 9}
    lay_out(tmp_path, files)
    assert make_image(files) == make_romfs(str(tmp_path), mpy_cross=False)


@pytest.mark.micropython
def test_modules_go_to_the_rom_and_what_would_hide_them_goes(boards: Boards, tmp_path: Path) -> None:
    built = lay_out(tmp_path / "built", WITH_ROM)
    flash_folder(built, DEVICE)
    assert set(boards.content()) == {*WITH_ROM, MANIFEST}
    rom = boards.give_rom()
    result = flash_folder(built, DEVICE)
    image = make_image(MODULES)
    assert len(image) > 2 * BLOCK
    assert rom.read_bytes().startswith(image)
    content = boards.content()
    assert json.loads(content.pop(MANIFEST))["rom"] == [len(image), hash_of(image)]
    assert content == {path: data for path, data in FILES.items() if path not in MODULES}
    assert not (boards.folder / "eesm").exists()
    assert set(result.removed) == set(MODULES)
    assert (result.uploaded, result.rom, result.burnt) == ((), len(image), len(blocks_of(image)))
    # And back, with a MicroPython that has none.
    boards.rom = None
    result = flash_folder(built, DEVICE)
    assert (set(result.uploaded), result.rom) == (set(MODULES), 0)
    content = boards.content()
    assert "rom" not in json.loads(content.pop(MANIFEST))
    assert content == WITH_ROM


@pytest.mark.micropython
def test_rom_that_is_right_is_left_alone_and_of_another_one_only_what_differs_is_written(
    boards: Boards, tmp_path: Path
) -> None:
    boards.give_rom()
    built = lay_out(tmp_path / "built", WITH_ROM)
    flash_folder(built, DEVICE)
    result = flash_folder(built, DEVICE)
    assert (result.burnt, result.bytes) == (0, 0)
    assert boards.bench is not None
    assert not any(command.startswith(("burn(", "put(")) for command in boards.bench.commands)
    lay_out(built, {"eesm/watch.mpy": MODULES["eesm/watch.mpy"][:-1] + b"!"})
    result = flash_folder(built, DEVICE)
    assert result.burnt == 2
    burnt = [command.split(",")[0] for command in boards.bench.commands if command.startswith("burn(")]
    last = len(blocks_of(make_image(MODULES))) - 1
    assert burnt == ["burn(0", f"burn({last}", "burn(0"]


@pytest.mark.micropython
def test_power_cut_at_any_step_leaves_no_half_image_that_would_be_mounted(
    boards: Boards, tmp_path: Path
) -> None:
    rom = boards.give_rom()
    old = {**WITH_ROM, "eesm/watch.mpy": b"older" * 2000, "eesm/old.mpy": b"x", "linked.py": b"older"}
    lay_out(tmp_path / "old", old)
    new = lay_out(tmp_path / "new", WITH_ROM)
    images = [make_image({path: data for path, data in old.items() if "/" in path}), make_image(MODULES)]
    cuts = half = 0
    for cuts in cut_at_each_step(boards, tmp_path / "old", new):
        content, burnt = boards.content(), rom.read_bytes()
        whole = [image for image in images if burnt.startswith(image)]
        half += not whole
        assert whole or burnt[:3] == b"\xff\xff\xff", f"half an image after a cut in step {cuts}"
        if MANIFEST in content:
            size, digits = json.loads(content[MANIFEST])["rom"]
            assert hash_of(burnt[:size]) == digits
        flash_folder(new, DEVICE)
        assert rom.read_bytes().startswith(images[1]), f"not repaired after a cut in step {cuts}"
        assert MANIFEST in boards.content()
    assert 10 < cuts < 99
    assert half > 3


@pytest.mark.micropython
def test_rom_that_is_too_small_leaves_the_modules_files(boards: Boards, tmp_path: Path) -> None:
    rom = boards.give_rom(BLOCK)
    before = rom.read_bytes()
    result = flash_folder(lay_out(tmp_path / "built", WITH_ROM), DEVICE)
    assert result.rom == 0
    assert set(boards.content()) == {*WITH_ROM, MANIFEST}
    assert rom.read_bytes() == before


@pytest.mark.micropython
def test_rom_that_stores_something_else_is_found_out(
    boards: Boards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    burn = Prompt.burn
    monkeypatch.setattr(
        Prompt, "burn", lambda self, number, block: burn(self, number, block[:-1] + b"?" if number else block)
    )
    boards.give_rom()
    with pytest.raises(FlashError, match="blocks of the board's ROM have another content: 1, 2"):
        flash_folder(lay_out(tmp_path / "built", WITH_ROM), DEVICE)
    assert MANIFEST not in boards.content()


# --- reaching the prompt ---------------------------------------------------------------------------


class FakeLink:
    """A running drive's end of the link."""

    asked: list[int] = []
    state = "off"

    def __init__(self, port: str, timeout: float) -> None:
        pass

    def hello(self, earlier: int = 0, timeout: float = 0) -> dict[str, str]:
        return {}

    def request(self, kind: int, fields: tuple = (), tail: bytes = b"", timeout: float = 0) -> bytes:
        FakeLink.asked.append(kind)
        return struct.pack("<BB", STATES.index(FakeLink.state), 0) if kind == wire.HEARTBEAT else b""

    def close(self) -> None:
        pass


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch) -> type[FakeLink]:
    FakeLink.asked = []
    monkeypatch.setattr(reach, "Connection", FakeLink)
    return FakeLink


class FakePrompt:
    """A prompt whose board says whether its watchdog runs."""

    resets = 0

    def __init__(self, has_watchdog: bool) -> None:
        self.has_watchdog = has_watchdog

    def identify(self) -> Found:
        return Found("micropython", "1.25.0", "RP2040", self.has_watchdog, 0)

    def reset(self) -> None:
        FakePrompt.resets += 1


@pytest.mark.parametrize("state", ["ready", "running", "stopping", "offsets"])
def test_armed_drive_is_refused_and_not_asked_to_leave(
    monkeypatch: pytest.MonkeyPatch, link: type[FakeLink], state: str
) -> None:
    monkeypatch.setattr(reach, "_interrupt", lambda port, wait: b"")
    monkeypatch.setattr(link, "state", state)
    with pytest.raises(Refused, match=rf"armed \({state}\)") as refusal:
        reach.reach_prompt(reach.Port("/dev/bench"), 1.0, 0.1)
    assert refusal.value.code == REFUSED
    assert refusal.value.hint.startswith("eesm stop")
    assert wire.LEAVE not in link.asked


@pytest.mark.parametrize("state", ["off", "fault"])
def test_resting_drive_leaves_and_its_prompt_is_taken(
    monkeypatch: pytest.MonkeyPatch, link: type[FakeLink], state: str
) -> None:
    monkeypatch.setattr(link, "state", state)
    monkeypatch.setattr(
        reach, "_interrupt", lambda port, wait: b"\r\n>>> " if wire.LEAVE in link.asked else b""
    )
    monkeypatch.setattr(reach, "open_prompt", lambda port, patience: FakePrompt(False))
    assert isinstance(reach.reach_prompt(reach.Port("/dev/bench"), 1.0, 0.1), FakePrompt)
    assert link.asked == [wire.HEARTBEAT, wire.LEAVE]


def test_prompt_with_a_running_watchdog_is_reset_first(monkeypatch: pytest.MonkeyPatch) -> None:
    FakePrompt.resets = 0
    monkeypatch.setattr(reach, "_interrupt", lambda port, wait: b">>> ")
    monkeypatch.setattr(reach, "open_prompt", lambda port, patience: FakePrompt(FakePrompt.resets == 0))
    prompt = reach.reach_prompt(reach.Port("/dev/bench"), 1.0, 0.1)
    assert not prompt.identify().has_watchdog_running
    assert FakePrompt.resets == 1


def test_silent_board_is_given_up_with_a_way_out(tmp_path: Path) -> None:
    import os
    import tty

    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        with pytest.raises(BoardGone, match=r"Neither .* answers at .* in 0\.5 s") as refusal:
            reach.reach_prompt(reach.Port(os.ttyname(slave)), 0.5, 0.2)
    finally:
        os.close(slave)
        os.close(master)
    assert "BOOTSEL" in refusal.value.hint


def test_board_that_comes_back_under_another_name_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    ports = [
        SimpleNamespace(device="/dev/ttyACM0", serial_number="E66"),
        SimpleNamespace(device="/dev/ttyACM1", serial_number="E77"),
    ]
    monkeypatch.setattr(reach, "_ports", lambda: ports)
    port = reach.Port("/dev/ttyACM0")
    assert port.find() == "/dev/ttyACM0"
    ports.pop(0)
    assert port.find() == "/dev/ttyACM0"
    ports.append(SimpleNamespace(device="/dev/ttyACM2", serial_number="E66"))
    assert port.find() == "/dev/ttyACM2"


def test_port_that_stays_busy_is_named_with_its_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(port: str, wait: float) -> bytes:
        raise PortBusy(f"Port {port} is in use by process 7 (eesm log).", "close that program")

    monkeypatch.setattr(reach, "_interrupt", refuse)
    monkeypatch.setattr(reach, "BUSY", 0.3)
    with pytest.raises(PortBusy, match="process 7"):
        reach.reach_prompt(reach.Port("/dev/bench"), 5.0, 0.1)


# --- BOOTSEL ---------------------------------------------------------------------------------------


def make_volume(folder: Path, board_id: str = "RPI-RP2") -> Path:
    folder.mkdir(parents=True)
    (folder / "INFO_UF2.TXT").write_text(f"UF2 Bootloader v3.0\nModel: Raspberry Pi\nBoard-ID: {board_id}\n")
    return folder


def make_uf2(file: Path) -> Path:
    words = (0x0A324655, 0x9E5D5157, 0x2000, 0x10000000, 256, 0, 1, 0xE48BFF56)
    file.write_bytes(struct.pack("<8I476sI", *words, bytes(476), 0x0AB16F30))
    return file


def test_volumes_are_found_one_folder_down(tmp_path: Path) -> None:
    volume = make_volume(tmp_path / "media" / "RPI-RP2")
    (tmp_path / "media" / "photos").mkdir()
    assert bootsel.find_volumes([tmp_path / "media", tmp_path / "nothing"]) == [volume]
    assert bootsel.find_volumes([volume]) == [volume]


def test_firmware_is_copied_whole(tmp_path: Path) -> None:
    volume, uf2 = make_volume(tmp_path / "RPI-RP2"), make_uf2(tmp_path / "mine.uf2")
    told: list[int] = []
    bootsel.install_firmware(volume, uf2, told.append)
    assert (volume / "firmware.uf2").read_bytes() == uf2.read_bytes()
    assert sum(told) == uf2.stat().st_size


def test_another_chips_volume_and_another_chips_firmware_are_refused(tmp_path: Path) -> None:
    uf2 = make_uf2(tmp_path / "mine.uf2")
    with pytest.raises(WrongBoard, match="of RP2350, not of an RP2040"):
        bootsel.install_firmware(make_volume(tmp_path / "two", "RP2350"), uf2)
    volume = make_volume(tmp_path / "one")
    uf2.write_bytes(uf2.read_bytes()[:-4] + bytes(4))
    with pytest.raises(UsageError, match="no UF2 mark"):
        bootsel.install_firmware(volume, uf2)
    assert not (volume / "firmware.uf2").exists()


def test_command_offers_to_install_and_wants_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from host_tools.cli import flash as command

    monkeypatch.setattr(command, "build", lambda unit, board, kernel: tmp_path)
    monkeypatch.setattr(command, "wait_for_port", lambda: False)
    monkeypatch.delenv("UF2", raising=False)
    volume, uf2 = make_volume(tmp_path / "RPI-RP2"), make_uf2(tmp_path / "mine.uf2")
    assert run(["flash", "a", "--volume", str(volume)]) == USAGE
    assert "it needs MicroPython first" in capsys.readouterr().err
    assert run(["flash", "a", "--volume", str(volume), "--uf2", str(uf2)]) == USAGE
    assert "needs your consent" in capsys.readouterr().err
    assert not (volume / "firmware.uf2").exists()
    assert run(["flash", "a", "--volume", str(volume), "--uf2", str(uf2), "--yes"]) == 0
    assert "MicroPython is installed" in capsys.readouterr().out
    assert (volume / "firmware.uf2").exists()


def test_command_refuses_a_board_without_a_chip_and_one_that_is_not_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["flash", "a", "--board", "virtual"]) == USAGE
    assert "no chip that could be loaded" in capsys.readouterr().err
    assert run(["flash", "a", "--board", "rpi_pic"]) == USAGE
    assert "rpi_pico" in capsys.readouterr().err


def test_command_without_a_board_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from host_tools import devices
    from host_tools.cli import flash as command

    desktop = Device("/dev/pts/9", "virtual", "virtual drive, unit a", "a", 1, board="virtual")
    monkeypatch.setattr(devices, "find_devices", lambda: [desktop])
    monkeypatch.setattr(bootsel, "find_volumes", list)
    monkeypatch.setattr(command, "build", lambda unit, board, kernel: tmp_path)
    assert run(["flash", "a"]) == NO_DEVICE
    assert "eesm virtual --unit a --board rpi_pico" in capsys.readouterr().err
