"""What can go wrong between this computer and a drive; each says the cause and what to type next."""

from __future__ import annotations

from host_tools.errors import FAILED, LINK_LOST, NO_DEVICE, REFUSED, USAGE, ToolError


class DriveError(ToolError):
    """The drive or the way to it does not do what was asked."""


class NoBoard(DriveError):
    """No drive was found."""

    code = NO_DEVICE


class SeveralBoards(DriveError):
    """More than one drive was found and none was chosen."""

    code = NO_DEVICE


class PortMissing(DriveError):
    """The port named does not exist."""

    code = NO_DEVICE


class PortBusy(DriveError):
    """Another program holds the port."""

    code = NO_DEVICE


class PortDenied(DriveError):
    """The user may not open the port."""

    code = NO_DEVICE


class VersionMismatch(DriveError):
    """Board and host speak different versions of the wire."""

    code = NO_DEVICE


class SchemaMismatch(DriveError):
    """The board's firmware is not the one that was expected, or describes itself wrongly."""

    code = NO_DEVICE


class PortClosed(DriveError):
    """The port went away while it was open."""

    code = LINK_LOST


class AnswerTimeout(DriveError):
    """A request was not answered in time; whether it was obeyed is unknown."""

    code = LINK_LOST


class Refused(DriveError):
    """The board refused a request; `reason` is the code of `eesm.wire`."""

    code = REFUSED

    def __init__(self, message: str, reason: int, hint: str = "") -> None:
        super().__init__(message, hint)
        self.reason = reason


class UnknownSignal(DriveError):
    """The board has no signal or setting of that name."""

    code = USAGE


class OutOfRange(DriveError):
    """A value lies outside of what its signal can hold; nothing was sent."""

    code = USAGE


class DriveFault(DriveError):
    """The drive has latched a fault."""

    code = FAILED
