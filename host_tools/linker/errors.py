"""What the linker says when it refuses."""

from __future__ import annotations

from pathlib import PurePath


class LinkError(Exception):
    """A stage that cannot be linked, with the file and line, and what to write instead."""

    def __init__(self, reason: str, file: str = "", line: int = 0) -> None:
        self.reason = reason
        self.file = file
        self.line = line
        where = f"{PurePath(file).name}:{line}: " if file else ""
        super().__init__(where + reason)


class BudgetError(LinkError):
    """The linked program does not fit the memory that it was given."""
