"""Puts a unit's software onto a board: build, bring to the prompt, upload what changed, verify, restart.

    result = flash_folder(folder, choose_device())

    plan      what must change, by comparison alone
    prompt    MicroPython's prompt and the files there, by mpremote
    rom       modules that run in place, as the image of a ROM partition
    reach     from whatever the board does now to its prompt, and from there to the drive
    bootsel   MicroPython itself, onto a bare board

A board whose MicroPython has a ROM partition gets its modules there, others as files.

What is on a board is a transaction: its manifest is put aside first and written last. main.py starts nothing
without it, so a flash that is cut short at any moment leaves a board at a prompt, outputs off, and the next
flash repairs it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from host_tools.devices import Device
from host_tools.flash.errors import AGAIN, FlashError, WrongBoard
from host_tools.flash.plan import (
    FIRST,
    MANIFEST,
    OLD_MANIFEST,
    OWN_FOLDERS,
    Plan,
    folders_of,
    hash_of,
    make_plan,
    read_folder,
)
from host_tools.flash.prompt import Found, Prompt
from host_tools.flash.reach import Port, reach_prompt, wait_for_drive
from host_tools.flash.rom import BLOCK, EMPTY, blocks_of, make_image, modules_of

__all__ = ["FlashError", "Result", "flash_folder"]

# A virtual board runs at about a tenth of a real one's speed.
PATIENCE = 30.0
PATIENCE_VIRTUAL = 300.0
ANSWER = 1.0
ANSWER_VIRTUAL = 6.0


class Shown(Protocol):
    """Who shows how far it is."""

    def __call__(self, text: str, total: int) -> AbstractContextManager[Callable[[int], None]]: ...


@dataclass(frozen=True)
class Result:
    """What a flash did and who answered."""

    port: str
    uploaded: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    others: tuple[str, ...]  # files that are neither ours nor in the way
    bytes: int  # of the uploaded files and the ROM's blocks
    rom: int  # bytes of the modules' image in the ROM partition, 0 where they are files
    burnt: int  # blocks of it that were written
    seconds: float
    interpreter: str
    identity: dict[str, str]  # of the drive that answered; empty without a restart


def flash_folder(
    folder: Path,
    device: Device,
    *,
    restart: bool = True,
    show: Shown | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Result:
    """Makes the board at `device` hold exactly the built `folder`, restarts it and shakes hands.

    Raises FlashError, BoardGone when the board stops in the middle (the next call repairs it), Refused when
    the drive is armed.
    """
    started = time.monotonic()
    show = show or _show_nothing
    files = read_folder(folder)
    unit = json.loads(files["unit.json"])
    identity = unit["identity"]
    is_virtual = device.kind == "virtual"
    patience, answer = (PATIENCE_VIRTUAL, ANSWER_VIRTUAL) if is_virtual else (PATIENCE, ANSWER)
    say(f"bringing the board at {device.port} to its prompt")
    port = Port(device.port, device.pid)
    with reach_prompt(port, patience, answer) as prompt:
        found = prompt.identify()
        check_board(found, identity["board"], unit.get("board", {}).get("chip", ""))
        say(f"{found} answers")
        image = make_image(modules_of(files)) if found.rom else b""
        if len(image) > found.rom:
            image = b""
        if image:
            files = {path: data for path, data in files.items() if path not in modules_of(files)}
        plan = compare(prompt, files, identity, image)
        if not plan.is_done:
            _carry_out(prompt, plan, files, image, found, show)
        said = {}
        if restart:
            prompt.reset()
    if restart:
        say("restarted; waiting for the drive")
        said = wait_for_drive(port, patience)
        check_answer(said, identity, port.name)
    return Result(
        port=port.name,
        uploaded=plan.upload,
        removed=plan.remove,
        kept=plan.keep,
        others=plan.others,
        bytes=sum(len(files[path]) for path in plan.upload) + BLOCK * len(plan.burn),
        rom=len(image),
        burnt=len(plan.burn),
        seconds=time.monotonic() - started,
        interpreter=str(found),
        identity=said,
    )


def compare(prompt: Prompt, files: dict[str, bytes], identity: dict[str, str], image: bytes) -> Plan:
    """Looks at the board's files and its ROM and says what has to change."""
    listing = prompt.list_files()
    same_size = [path for path, data in files.items() if listing.get(path) == len(data)]
    hashes = prompt.hash_files(same_size)
    found = {path: hashes.get(path, "") for path, size in listing.items() if size >= 0}
    new, old = [prompt.read(name) if name in found else None for name in (MANIFEST, OLD_MANIFEST)]
    burnt = prompt.hash_rom(len(blocks_of(image))) if image else ()
    return make_plan(files, identity, found, new, old, image, burnt)


def _carry_out(
    prompt: Prompt, plan: Plan, files: dict[str, bytes], image: bytes, found: Found, show: Shown
) -> None:
    size = sum(len(files[path]) for path in plan.upload)
    needed = sum(-len(files[path]) % BLOCK + len(files[path]) for path in plan.upload)
    if needed > found.free + _freed(prompt, plan):
        raise FlashError(
            f"The board's file system has {found.free} bytes left, the files need {needed}.",
            f"remove files of your own from it: {', '.join(plan.others[:8]) or 'mpremote fs ls'}",
        )
    # From here until the manifest is written the board starts nothing.
    prompt.rename(MANIFEST, OLD_MANIFEST)
    upload = list(plan.upload)
    with show(f"uploading {len(upload)} files", size) as advance:
        if upload[:1] == [FIRST]:
            prompt.replace(FIRST, files[FIRST], advance)
            upload = upload[1:]
        prompt.remove(path for path in plan.remove if path != OLD_MANIFEST)
        prompt.make_folders(folders_of(upload))
        for path in upload:
            prompt.write(path, files[path], advance)
    if plan.burn:
        burn(prompt, plan, image, show)
    with show("verifying", len(plan.upload)) as advance:
        wrong = find_wrong(prompt, {path: files[path] for path in plan.upload}, advance)
    if wrong:
        raise FlashError(
            f"{len(wrong)} of {len(plan.upload)} files are on the board with another content: "
            f"{', '.join(wrong[:5])}.",
            f"{AGAIN}; if the same files are wrong again, the board's flash memory is worn out",
        )
    prompt.replace(MANIFEST, plan.manifest)
    prompt.remove(_leftovers(prompt))


def burn(prompt: Prompt, plan: Plan, image: bytes, show: Shown) -> None:
    """Writes the blocks of the ROM that differ; raises FlashError when the board reads others back."""
    blocks = blocks_of(image)
    with show(f"writing {len(plan.burn)} blocks of ROM", len(plan.burn)) as advance:
        prompt.burn(0, EMPTY * BLOCK)
        for number in plan.burn:
            prompt.burn(number, blocks[number])
            advance(1)
    wrong = [k for k, found in enumerate(prompt.hash_rom(len(blocks))) if found != hash_of(blocks[k])]
    if wrong:
        raise FlashError(
            f"{len(wrong)} of {len(blocks)} blocks of the board's ROM have another content: "
            f"{', '.join(map(str, wrong[:5]))}.",
            f"{AGAIN}; if the same blocks are wrong again, the board's flash memory is worn out",
        )


def find_wrong(
    prompt: Prompt, files: dict[str, bytes], tell: Callable[[int], None] | None = None
) -> list[str]:
    """Paths whose hash on the board is not that of `files`."""
    hashes = prompt.hash_files(files, tell)
    return sorted(path for path, data in files.items() if hashes.get(path) != hash_of(data))


def _leftovers(prompt: Prompt) -> list[str]:
    """The old manifest, and folders of ours that nothing is in any more, inner ones first."""
    listing = prompt.list_files()
    files = [path for path, size in listing.items() if size >= 0]
    empty = [
        path
        for path, size in listing.items()
        if size < 0
        and path.split("/")[0] in OWN_FOLDERS
        and not any(file.startswith(path + "/") for file in files)
    ]
    return [*(path for path in (OLD_MANIFEST,) if path in listing), *sorted(empty, reverse=True)]


def _freed(prompt: Prompt, plan: Plan) -> int:
    """Bytes that removing and replacing files gives back."""
    listing = prompt.list_files()
    return sum(max(0, listing.get(path, 0)) for path in (*plan.remove, *plan.upload))


def check_board(found: Found, board: str, chip: str) -> None:
    """Raises WrongBoard unless MicroPython runs on the chip of `board`, which it names in its own words."""
    if chip.upper() not in found.machine.upper():
        raise WrongBoard(
            f"{found} answers, but the unit was built for the board {board} ({chip}).",
            "choose the port of the right board with --port, or another --board",
        )
    if found.name != "micropython":
        raise WrongBoard(f"{found} answers; the drive needs MicroPython.", "eesm flash --uf2 <MicroPython>")


def check_answer(said: dict[str, str], identity: dict[str, str], port: str) -> None:
    """Raises FlashError unless the drive that answers is the one that was loaded."""
    for name in ("unit", "board", "kernel_hash"):
        if said.get(name) != identity[name]:
            raise FlashError(
                f"The drive at {port} says its {name} is {said.get(name)}, the files say {identity[name]}.",
                "another program may have loaded the board meanwhile: eesm flash again",
            )


def _show_nothing(text: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda count: None)
