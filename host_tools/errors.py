"""One way for a tool to say that it cannot go on: what happened, and what to type next.

The command line turns these into a text on stderr and an exit code; a library user catches them.
"""

from __future__ import annotations

# Exit codes of `eesm`, the same for every command.
OK = 0
FAILED = 1  # an expectation did not hold, or the drive has a fault
USAGE = 2  # the command line or a file is wrong; nothing was sent
NO_DEVICE = 3  # no drive, several drives, port busy or not allowed
REFUSED = 4  # the drive refuses the command in its present state
LINK_LOST = 5  # the link broke or does not answer
MISSING = 6  # a package, interpreter or compiler is missing
BROKEN = 70  # this computer or these tools failed (EX_SOFTWARE of sysexits.h)
INTERRUPTED = 130  # Ctrl-C, after the drive was stopped in order

MEANINGS = {
    OK: "done, every expectation holds",
    FAILED: "an expectation did not hold, or the drive has a fault",
    USAGE: "wrong command line or file; nothing was sent",
    NO_DEVICE: "no drive, several drives, or the port cannot be opened",
    REFUSED: "the drive refuses the command in its present state",
    LINK_LOST: "the link broke or does not answer",
    MISSING: "a package or program is missing",
    BROKEN: "this computer failed, as a full disk does, or these tools have an error",
    INTERRUPTED: "cut short by Ctrl-C, after the drive was stopped in order",
}


class ToolError(Exception):
    """Cannot go on; `hint` is the next command or action, `code` the exit code."""

    code = FAILED

    def __init__(self, message: str, hint: str = "", code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class UsageError(ToolError):
    """A file or argument is wrong."""

    code = USAGE


class MissingExtra(ToolError):
    """A part of the tools needs packages that are not installed."""

    code = MISSING

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed.",
            f"pip install 'eesm[{extra}]'   (in a clone: make install)",
        )
