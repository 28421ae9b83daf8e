"""A board in BOOTSEL mode: the RP2040's boot ROM shows a small drive that takes firmware as a UF2 file.

The drive is named RPI-RP2 and holds INFO_UF2.TXT, which says what chip it is (RP2040 datasheet, 2.8.4).
"""

from __future__ import annotations

import os
import string
from collections.abc import Callable, Iterable
from pathlib import Path

from host_tools.flash.errors import BoardGone, WrongBoard

INFO = "INFO_UF2.TXT"
BOARD_ID = "RPI-RP2"
BLOCK = 512 * 64


def find_volumes(roots: Iterable[Path] | None = None) -> list[Path]:
    """Mounted drives of boards in BOOTSEL mode, looked for where systems mount what is plugged in."""
    found = []
    for root in mount_points() if roots is None else roots:
        try:
            candidates = [root, *root.iterdir()] if root.is_dir() else []
            found += [folder for folder in candidates if (folder / INFO).is_file()]
        except OSError:
            continue  # not ours to read
    return sorted(set(found))


def mount_points() -> list[Path]:
    """Folders below which removable drives appear: Linux, macOS, Windows."""
    if os.name == "nt":
        return [Path(f"{letter}:\\") for letter in string.ascii_uppercase[3:]]
    user = os.environ.get("USER", "")
    places = ["/media", f"/media/{user}", "/run/media", f"/run/media/{user}", "/mnt", "/Volumes"]
    return [Path(place) for place in dict.fromkeys(places)]


def read_board_id(volume: Path) -> str:
    """What chip the drive is of, such as RPI-RP2; "" when it does not say."""
    try:
        text = (volume / INFO).read_text(errors="replace")
    except OSError:
        return ""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == "board-id":
            return value.strip()
    return ""


def install_firmware(volume: Path, firmware: Path, tell: Callable[[int], None] | None = None) -> None:
    """Copies a UF2 to the drive, after which the board restarts with it; `tell` hears how many bytes more.

    Raises WrongBoard when the drive is not an RP2040's, UsageError when the file is not for it, BoardGone
    when the copy is cut short.
    """
    from host_tools.virtual_pico.firmware_build import check_firmware

    found = read_board_id(volume)
    if found != BOARD_ID:
        raise WrongBoard(
            f"The drive {volume} is of {found or 'an unknown board'}, not of an RP2040 ({BOARD_ID}).",
            "plug in a Raspberry Pi Pico with BOOTSEL held, or name its drive with --volume",
        )
    content = check_firmware(firmware).read_bytes()
    written = 0
    try:
        with (volume / "firmware.uf2").open("wb", buffering=0) as file:
            for first in range(0, len(content), BLOCK):
                written += file.write(content[first : first + BLOCK])
                if tell is not None:
                    tell(min(BLOCK, len(content) - first))
            os.fsync(file.fileno())
    except OSError as error:
        # The board restarts as soon as it has the last block, and takes the drive away with the file open.
        if written < len(content):
            raise BoardGone(
                f"The drive {volume} took {written} of {len(content)} bytes: {error.strerror or error}.",
                "hold BOOTSEL while plugging the board in, and run the same command again",
            ) from error
