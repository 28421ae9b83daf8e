"""Files by name, and files that appear only when they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from host_tools.errors import UsageError

# What the tools write about a run: one of these is replaced by another, any other dot is part of a name.
ENDINGS = (".eesmlog", ".parquet", ".csv", ".mf4", ".png", ".html")


def named(path: str | Path, ending: str) -> Path:
    """`path` with `ending` in place of one of `ENDINGS`: `step.csv` and `step` give `step.png`, `run-1.5Nm`
    gives `run-1.5Nm.png`. Raises UsageError when the path names no file.
    """
    path = Path(path)
    if not path.name or path.name == "..":
        raise UsageError(f"{path} is a folder, where the name of a file was expected.", f"give {path}/NAME")
    stem = path.stem if path.suffix in ENDINGS else path.name
    return path.with_name(stem + ending)


def require_new(*paths: Path, hint: str = "give another name, or --force") -> None:
    """UsageError when one is there already: what was recorded does not come back."""
    for path in paths:
        if path.exists():
            raise UsageError(f"{path} is there already.", hint)


def require_writable(path: str | Path) -> None:
    """Make the folder of a file to come. UsageError when the file cannot be written there."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(21, "It is a folder")
        open(part_of(path), "ab").close()
        part_of(path).unlink()
    except OSError as error:
        raise cannot_write(path, error) from error


def part_of(path: Path) -> Path:
    """Where a file is written until it is whole."""
    return path.with_name(path.name + ".part")


def cannot_write(path: Path, error: OSError) -> UsageError:
    """What the system says to a file that it does not take."""
    return UsageError(
        f"Cannot write {path}: {error.strerror or error}.",
        "name a place that you may write to",
    )


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A file to write, which takes the name `path` at the end, and is removed after an error.

    Raises UsageError when it cannot be written.
    """
    path = Path(path)
    if not path.name:
        raise UsageError(f"{path} is a folder, where the name of a file was expected.", f"give {path}/NAME")
    require_writable(path)
    temporary = part_of(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
