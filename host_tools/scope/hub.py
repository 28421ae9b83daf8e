"""Hands messages to every page: words always, rows only as fast as a page takes them.

A page that cannot follow loses its oldest batches, counted in rows, so that what it shows is the
newest there is; memory stays bounded, and the log is written before anything comes here.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any

BATCHES_KEPT = 90  # of rows for one page: about three seconds
WORDS_KEPT = 2000  # a page that does not even take words is gone


class Page:
    """One open page.  Used in the event loop only."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.wants: tuple[str, ...] = ()
        self.tasks: set[asyncio.Task[None]] = set()  # requests under way
        self.skipped = 0  # rows dropped because this page was too slow
        self._words: deque[str] = deque(maxlen=WORDS_KEPT)
        self._batches: deque[tuple[bytes, int]] = deque()
        self._told = 0
        self._wake = asyncio.Event()

    def say(self, text: str) -> None:
        """Queue a JSON text."""
        self._words.append(text)
        self._wake.set()

    def give(self, batch: bytes, rows: int) -> None:
        """Queue rows, at the expense of the oldest."""
        if len(self._batches) >= BATCHES_KEPT:
            self.skipped += self._batches.popleft()[1]
        self._batches.append((batch, rows))
        self._wake.set()

    async def next(self) -> str | bytes:
        """The next message: words first."""
        while True:
            if self._words:
                return self._words.popleft()
            if self.skipped != self._told:
                self._told = self.skipped
                return json.dumps({"skipped": self.skipped})
            if self._batches:
                return self._batches.popleft()[0]
            self._wake.clear()
            await self._wake.wait()


class Hub:
    """Every open page; `say` and `give` may be called from any thread once `loop` is set."""

    def __init__(self) -> None:
        self.pages: set[Page] = set()
        self.loop: asyncio.AbstractEventLoop | None = None

    def say(self, **content: Any) -> None:
        """Tell every page."""
        text = json.dumps(content)
        self._in_loop(lambda: [page.say(text) for page in self.pages])

    def give(self, batch: bytes, rows: int) -> None:
        """Rows for every page that wants any."""
        self._in_loop(lambda: [page.give(batch, rows) for page in self.pages if page.wants])

    def _in_loop(self, call: Any) -> None:
        loop = self.loop
        if loop is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(call)
            except RuntimeError:
                pass  # it closed in between: nobody listens any more
