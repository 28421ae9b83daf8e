"""The log of a session: pages begin and end it, the keeper's thread writes it before pages get the rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from host_tools import log

if TYPE_CHECKING:
    from host_tools.stream import Row, Stream


class Recorder:
    """One log at a time; a new choice of signals goes into a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._about: Mapping[str, Any] = {}
        self._writer: log.Writer | None = None
        self._stream: Stream | None = None
        self._begun = 0.0
        self._lock = threading.RLock()

    def start(self, about: Mapping[str, Any]) -> Path:
        """Begin a log; `about` is what `host_tools.log.describe` says of the drive.  Returns its file."""
        with self._lock:
            self.stop()
            self._about = about
            return self._open()

    def _open(self) -> Path:
        name = time.strftime("scope-%Y%m%d-%H%M%S")
        path = self.folder / f"{name}.eesmlog"
        count = 1
        while path.exists():
            count += 1
            path = self.folder / f"{name}-{count}.eesmlog"
        self._writer = log.Writer(path, self._about)
        self._begun = time.monotonic()
        if self._stream is not None:
            self._writer.begin(self._stream)
        return path

    def begin(self, stream: Stream) -> None:
        """The columns that follow."""
        with self._lock:
            again = self._writer is not None and self._stream is not None
            if again:
                self.stop()
            self._stream = stream
            if again:
                self._open()
            elif self._writer is not None:
                self._writer.begin(stream)

    def rows(self, rows: Sequence[Row]) -> None:
        """Append rows."""
        with self._lock:
            if self._writer is not None:
                self._writer.rows(rows)

    def note(self, kind: str, **content: Any) -> None:
        """Append a note, if a log is open."""
        with self._lock:
            if self._writer is not None and self._stream is not None:
                self._writer.note(kind, **content)

    def status(self) -> dict[str, Any] | None:
        """File, rows and seconds of the open log."""
        with self._lock:
            writer = self._writer
            if writer is None:
                return None
            return {
                "file": str(writer.path),
                "rows": writer.count,
                "seconds": time.monotonic() - self._begun,
            }

    def stop(self) -> Path | None:
        """End the log; returns its file."""
        with self._lock:
            writer, self._writer = self._writer, None
            if writer is None:
                return None
            if self._stream is not None:
                writer.note("stream", lost=self._stream.lost, dropped=self._stream.dropped)
            writer.close()
            return writer.path
