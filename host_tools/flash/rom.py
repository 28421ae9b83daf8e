"""The image of a board's ROM partition: MicroPython mounts it at /rom and runs what it holds in place.

A board without one loads the same modules as files, into memory that is then missing (`eesm.memory`).
"""

from __future__ import annotations

from collections.abc import Mapping

from host_tools.errors import MissingExtra

FOLDERS = ("eesm", "drivers")  # of modules; what belongs to a unit stays in files
BLOCK = 4096  # bytes that flash erases at once
EMPTY = b"\xff"  # a byte of erased flash


def modules_of(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a built folder that a ROM partition takes."""
    return {path: data for path, data in files.items() if path.split("/")[0] in FOLDERS}


def make_image(modules: Mapping[str, bytes]) -> bytes:
    """The image that holds these files; raises MissingExtra without mpremote, which knows the format."""
    try:
        from mpremote.romfs import VfsRomWriter
    except ImportError as error:
        raise MissingExtra("mpremote", "flash", "Loading a board") from error
    writer = VfsRomWriter()
    at: list[str] = []  # folders that are open
    for (*folders, name), data in sorted((path.split("/"), data) for path, data in modules.items()):
        while at != folders[: len(at)]:
            writer.closedir()
            at.pop()
        for folder in folders[len(at) :]:
            writer.opendir(folder)
            at.append(folder)
        writer.mkfile(name, data)
    for _ in at:
        writer.closedir()
    return bytes(writer.finalise())


def blocks_of(image: bytes) -> list[bytes]:
    """The image in whole blocks of flash."""
    starts = range(0, len(image), BLOCK)
    return [image[start : start + BLOCK].ljust(BLOCK, EMPTY) for start in starts]
