"""What a page shows, as a file: the page sends its rows, the server adds who and what, and units.

The body of a request: length of the JSON u32, the JSON {"names", "rows", "divider", "title", "notes"},
then period by period (f64) and column by column (f32), little endian.
"""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from host_tools import log
from host_tools.errors import UsageError

FORMATS = {"parquet": log.write_parquet, "csv": log.write_csv}
LONGEST = 400_000_000  # bytes of a request's body


def read_body(body: bytes, about: Mapping[str, Any], signals: Mapping[str, Mapping[str, Any]]) -> log.Run:
    """The run that a page sent; `signals` is the catalogue by name.  Raises UsageError."""
    import numpy as np

    try:
        size = struct.unpack_from("<I", body)[0]
        said = json.loads(body[4 : 4 + size])
        names, rows, divider = [str(name) for name in said["names"]], int(said["rows"]), int(said["divider"])
        at = 4 + size
        period = np.frombuffer(body, "<f8", rows, at).astype(np.int64)
        at += 8 * rows
        columns = {}
        for name in names:
            columns[name] = np.frombuffer(body, "<f4", rows, at).astype(np.float64)
            at += 4 * rows
        units = {name: str(signals[name]["unit"]) for name in names}
        notes = [dict(note) for note in said.get("notes", [])]
        title = str(said.get("title", "Scope"))
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"The page sent rows that cannot be read: {error!r}.", "load the page again"
        ) from error
    if at != len(body):
        raise UsageError(f"The page sent {len(body)} bytes, not {at}.", "load the page again")
    header = {
        "format": log.FORMAT,
        **about,
        "columns": [{"name": name, "unit": units[name], "step": 0.0} for name in names],
        "divider": divider,
        "title": title,
    }
    return log.Run(header=header, period=period, columns=columns, units=units, notes=notes)


def write(run: log.Run, kind: str) -> bytes:
    """The file's content.  Raises UsageError for another kind than `FORMATS`, MissingExtra."""
    if kind not in FORMATS:
        raise UsageError(f"A scope saves {' or '.join(FORMATS)}, not {kind!r}.")
    with tempfile.TemporaryDirectory(prefix="eesm-scope-") as folder:
        path = Path(folder) / f"seen.{kind}"
        FORMATS[kind](run, path)
        return path.read_bytes()
