"""Which page commands the drive: one; the others watch, and every page may stop."""

from __future__ import annotations

from host_tools.errors import REFUSED, ToolError

FREE = ("off", "fault")  # states in which control may change hands


class NotInControl(ToolError):
    """Another page commands this drive."""

    code = REFUSED


class Control:
    """Holds the name of the page that commands, None while nobody does."""

    def __init__(self) -> None:
        self.holder: str | None = None

    def use(self, page: str) -> bool:
        """A command from `page`; the first one takes control (True: it has just done so).

        Raises NotInControl while another page has it.
        """
        if self.holder not in (None, page):
            raise NotInControl(
                "Another page controls this drive; this one watches, and may stop it.",
                "take control here once the drive is off",
            )
        fresh = self.holder is None
        self.holder = page
        return fresh

    def take(self, page: str, state: str) -> None:
        """Take control over from another page.  Raises NotInControl while the drive is armed."""
        if self.holder not in (None, page) and state not in FREE:
            raise NotInControl(
                f"Another page controls this drive, which is {state!r}; only a drive at rest changes hands.",
                "stop the drive, then take control",
            )
        self.holder = page

    def release(self, page: str) -> None:
        """Give control back; harmless for a page that has none."""
        if self.holder == page:
            self.holder = None
