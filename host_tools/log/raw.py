"""The raw file, which survives anything: written frame by frame while the drive runs.

`.eesmlog`, little endian: the 8 bytes `EESMLOG1`, then frames

    kind u8, length u32, payload, CRC-32 of all before it u32

`H` header (JSON: identity, columns with unit and step, settings, scenario; once at the start and
once more at the end), `R` one row (period u32 and one i32 a column, raw), `N` a note (JSON: phase,
command, event, stream counters).  A file cut at any byte reads up to its last whole frame; where
bytes are damaged, the frames they belong to are lost and no others.
"""

from __future__ import annotations

import json
import os
import re
import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from eesm.cyclic import MASK
from host_tools.files import cannot_write

MAGIC = b"EESMLOG1"
HEAD = struct.Struct("<BI")
CRC = struct.Struct("<I")
HEADER, ROW, NOTE = (ord(kind) for kind in "HRN")
FORMAT = 1
FLUSH_S = 0.25  # what a crash of this program can cost
SYNC_S = 1.0  # what a crash of this computer can cost
LONGEST = 1 << 22  # bytes of a payload; a longer one is damage
KINDS = re.compile(b"[HRN]")


class Rows(Protocol):
    """What is known about the columns, as `host_tools.client.Stream`."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    steps: tuple[float, ...]
    divider: int


# --- writing -------------------------------------------------------------------------------------


class Writer:
    """Appends to a raw log; a context that closes it."""

    def __init__(self, path: str | Path, about: Mapping[str, Any]) -> None:
        """`about` goes into the header: see `describe`. Raises UsageError when the file cannot be written."""
        self.path = Path(path)
        self.count = 0
        self._about = dict(about)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "wb")  # noqa: SIM115  (closed by close())
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._file.write(MAGIC)
        self._flushed = self._synced = time.monotonic()
        self._row = struct.Struct("<I")
        self._header = b""

    def begin(self, rows: Rows) -> None:
        """Write the header for a stream's columns."""
        columns = [
            {"name": name, "unit": unit, "step": step}
            for name, unit, step in zip(rows.names, rows.units, rows.steps, strict=True)
        ]
        self._row = struct.Struct(f"<I{len(columns)}i")
        header = {"format": FORMAT, **self._about, "columns": columns, "divider": rows.divider}
        self._header = to_json(header)
        self._write(HEADER, self._header)
        self._flush(True)

    def rows(self, rows: Iterable[Any]) -> None:
        """Append rows with `period` and `raw`."""
        pack = self._row.pack
        for row in rows:
            self._write(ROW, pack(row.period & MASK, *row.raw))
            self.count += 1
        self._flush(False)

    def note(self, kind: str, **content: Any) -> None:
        """Append something that is no row."""
        self._write(NOTE, to_json({"note": kind, **content}))
        self._flush(False)

    def close(self) -> None:
        """Write everything out."""
        if not self._file.closed:
            try:
                # Once more: without the header a row means nothing.
                if self._header:
                    self._write(HEADER, self._header)
                self._flush(True)
            finally:
                with suppress(OSError):  # a full disk, which the lines above have told
                    self._file.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _write(self, kind: int, payload: bytes) -> None:
        head = HEAD.pack(kind, len(payload)) + payload
        try:
            self._file.write(head + CRC.pack(zlib.crc32(head)))
        except OSError as error:
            raise self._named(error) from None

    def _flush(self, now: bool) -> None:
        clock = time.monotonic()
        try:
            if now or clock - self._flushed >= FLUSH_S:
                self._file.flush()
                self._flushed = clock
            if now or clock - self._synced >= SYNC_S:
                os.fsync(self._file.fileno())
                self._synced = clock
        except OSError as error:
            raise self._named(error) from None

    def _named(self, error: OSError) -> OSError:
        """The error with the file's name, which the system leaves out of a full disk's."""
        error.filename = str(self.path)
        return error


def describe(bench: Any, scenario: Any = None, **more: Any) -> dict[str, Any]:
    """What a log's header says of a bench: identity, scaling, settings, scenario."""
    identity = bench.identity
    about: dict[str, Any] = {
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "identity": {
            name: getattr(identity, name)
            for name in ("board", "unit", "firmware", "interpreter", "kernel_hash", "schema_hash", "port")
        },
        "t_pwm": bench.t_pwm,
        "bases": dict(bench.bases),
        "settings": bench.settings(),
        "state": bench.state,
    }
    if scenario is not None:
        about["scenario"] = {
            "name": scenario.name,
            "title": scenario.title,
            "file": scenario.file,
            "text": scenario.text,
        }
    return {**about, **more}


def to_json(content: Any) -> bytes:
    """Compact UTF-8."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


# --- finding frames ------------------------------------------------------------------------------


class Frame(NamedTuple):
    """A whole frame and where it stands in the file."""

    kind: int
    payload: bytes
    start: int
    stop: int


def frames(data: bytes) -> Iterator[Frame]:
    """Each whole frame; what is damaged is passed over up to the next one."""
    at = len(MAGIC)
    while at < len(data):
        frame = _frame_at(data, at)
        if frame is None:
            # A kind by chance is no frame: length and CRC-32 would have to fit as well.
            starts = KINDS.finditer(data, at + 1)
            frame = next(filter(None, (_frame_at(data, found.start()) for found in starts)), None)
            if frame is None:
                return
        yield frame
        at = frame.stop


def _frame_at(data: bytes, at: int) -> Frame | None:
    if at + HEAD.size + CRC.size > len(data):
        return None
    kind, length = HEAD.unpack_from(data, at)
    stop = at + HEAD.size + length
    if kind not in (HEADER, ROW, NOTE) or length > LONGEST or stop + CRC.size > len(data):
        return None
    if CRC.unpack_from(data, stop)[0] != zlib.crc32(data[at:stop]):
        return None
    return Frame(kind, data[at + HEAD.size : stop], at, stop + CRC.size)
