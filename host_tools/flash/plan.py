"""What has to change on a board so that it holds a built folder and nothing that would hide it.

A board is whole when it has a manifest: that file is taken away before anything else changes and written when
all else has been verified, so a flash that is cut short leaves a board without one, and its main.py starts
nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from host_tools.flash.rom import blocks_of

MANIFEST = "manifest.json"
# The manifest of before, while a flash is under way: it says which files were ours.
OLD_MANIFEST = "manifest.old"
NEW = ".new"  # ends the name of a file that takes its place when it is whole
FIRST = "main.py"  # decides at each boot whether the rest may run, so it is there before the rest changes
FORMAT = 1
# Folders that are ours alone; in the board's root there may be files of others.
OWN_FOLDERS = ("eesm", "drivers", "boards")
HASH_DIGITS = 16
CODE = (".py", ".mpy")


@dataclass(frozen=True)
class Plan:
    """What to do, in this order: remove, upload, burn, verify, write the manifest."""

    remove: tuple[str, ...]
    upload: tuple[str, ...]  # paths below the built folder
    burn: tuple[int, ...]  # blocks of the ROM's image, the first one last
    keep: tuple[str, ...]  # right already
    others: tuple[str, ...]  # on the board, neither ours nor in the way
    manifest: bytes
    manifest_is_right: bool

    @property
    def is_done(self) -> bool:
        """True when the board holds everything already."""
        return self.manifest_is_right and not self.remove and not self.upload and not self.burn


def hash_of(content: bytes) -> str:
    """The digits by which host and board compare a file."""
    return hashlib.sha256(content).hexdigest()[:HASH_DIGITS]


def read_folder(folder: Path) -> dict[str, bytes]:
    """Every file of a built folder by its path on the board."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def make_manifest(files: Mapping[str, bytes], identity: Mapping[str, Any], image: bytes = b"") -> bytes:
    """The manifest of these files: who the board is with them, and size and hash of each and of the ROM."""
    content = {
        "format": FORMAT,
        **{name: identity[name] for name in ("unit", "board", "kernel_hash")},
        "files": {path: [len(data), hash_of(data)] for path, data in sorted(files.items())},
    }
    if image:
        content["rom"] = [len(image), hash_of(image)]
    return json.dumps(content, separators=(",", ":")).encode()


def listed_in(manifest: bytes) -> set[str]:
    """The files that a manifest found on a board names; none when it cannot be read."""
    try:
        return {str(path) for path in json.loads(manifest)["files"]}
    except (ValueError, KeyError, TypeError):
        return set()


def make_plan(
    files: Mapping[str, bytes],
    identity: Mapping[str, Any],
    found: Mapping[str, str],
    manifest: bytes | None,
    old_manifest: bytes | None = None,
    image: bytes = b"",
    burnt: Sequence[str] = (),
) -> Plan:
    """Compares files, and the image of a ROM partition if there is one, with what is on the board.

    `found` maps each path on the board to its hash, or to "" where the size alone shows that it is another
    file; the manifests are those that the board holds; `burnt` are the hashes of its ROM's blocks.
    """
    wanted = make_manifest(files, identity, image)
    ours = listed_in(manifest or b"") | listed_in(old_manifest or b"")
    stems = {_stem(path) for path in files if PurePosixPath(path).suffix in CODE}
    remove, others = [], []
    for path in sorted(found):
        if path in files or path == MANIFEST:
            continue
        if path in ours or path == OLD_MANIFEST or _is_in_own_folder(path) or path.endswith(NEW):
            remove.append(path)
        elif PurePosixPath(path).suffix in CODE and _stem(path) in stems:
            # MicroPython imports a .py rather than the .mpy beside it.
            remove.append(path)
        else:
            others.append(path)
    changed = [path for path in files if found.get(path) != hash_of(files[path])]
    blocks = [hash_of(block) for block in blocks_of(image)]
    differ = [number for number, block in enumerate(blocks) if list(burnt[number : number + 1]) != [block]]
    return Plan(
        remove=tuple(remove),
        upload=tuple(sorted(changed, key=lambda path: (path != FIRST, path))),
        # The first block is erased before any other changes: without it MicroPython mounts nothing.
        burn=(*(number for number in differ if number), 0) if differ else (),
        keep=tuple(sorted(set(files) - set(changed))),
        others=tuple(others),
        manifest=wanted,
        manifest_is_right=manifest == wanted,
    )


def folders_of(paths: Iterable[str]) -> list[str]:
    """The folders that these files need, outer ones first."""
    needed = {parent.as_posix() for path in paths for parent in PurePosixPath(path).parents}
    return sorted(needed - {"."}, key=lambda folder: (folder.count("/"), folder))


def _is_in_own_folder(path: str) -> bool:
    return "/" in path and path.split("/", 1)[0] in OWN_FOLDERS


def _stem(path: str) -> str:
    return PurePosixPath(path).with_suffix("").as_posix()
