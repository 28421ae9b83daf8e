"""What can go wrong while a board is loaded."""

from __future__ import annotations

from host_tools.errors import LINK_LOST, NO_DEVICE, ToolError

AGAIN = "eesm flash   again: until it has gone through, the board stays at its prompt with all outputs off"


class FlashError(ToolError):
    """The board does not take the files, or does not run them."""


class WrongBoard(FlashError):
    """What answers is not the board that the unit was built for."""

    code = NO_DEVICE


class BoardGone(FlashError):
    """The board went away, or stopped answering, in the middle."""

    code = LINK_LOST
