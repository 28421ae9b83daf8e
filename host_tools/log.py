"""Logs: a raw file that survives anything first, Parquet and CSV from it at the end.

Raw file (`.eesmlog`), little endian: the 8 bytes `EESMLOG1`, then frames

    kind u8, length u32, payload, CRC-32 of all before it u32

`H` header (JSON: identity, columns with unit and step, settings, scenario), `R` one row (period
u32 and one i32 a column, raw), `N` a note (JSON: phase, command, event, stream counters).  A file
cut at any byte reads up to its last whole frame.

The writer needs nothing but Python; reading and converting need the extra `log`.
"""

from __future__ import annotations

import json
import os
import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from eesm.cyclic import MASK, signed
from eesm.drive import RPM, STATES
from host_tools.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]
else:
    Array = Any

MAGIC = b"EESMLOG1"
HEAD = struct.Struct("<BI")
CRC = struct.Struct("<I")
HEADER, ROW, NOTE = (ord(kind) for kind in "HRN")
FORMAT = 1
FLUSH_S = 0.25  # what a crash of this program can cost
SYNC_S = 1.0  # what a crash of this computer can cost
LONGEST = 1 << 24  # bytes of a payload; a longer one is damage
METADATA_KEY = b"eesm"


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
        """`about` goes into the header: see `describe`."""
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.count = 0
        self._about = dict(about)
        self._file = open(self.path, "wb")  # noqa: SIM115  (closed by close())
        self._file.write(MAGIC)
        self._flushed = self._synced = time.monotonic()
        self._row = struct.Struct("<I")

    def begin(self, rows: Rows) -> None:
        """Write the header for a stream's columns."""
        columns = [
            {"name": name, "unit": unit, "step": step}
            for name, unit, step in zip(rows.names, rows.units, rows.steps, strict=True)
        ]
        self._row = struct.Struct(f"<I{len(columns)}i")
        header = {"format": FORMAT, **self._about, "columns": columns, "divider": rows.divider}
        self._write(HEADER, _json(header))
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
        self._write(NOTE, _json({"note": kind, **content}))
        self._flush(False)

    def close(self) -> None:
        """Write everything out."""
        if not self._file.closed:
            self._flush(True)
            self._file.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _write(self, kind: int, payload: bytes) -> None:
        head = HEAD.pack(kind, len(payload)) + payload
        self._file.write(head + CRC.pack(zlib.crc32(head)))

    def _flush(self, now: bool) -> None:
        clock = time.monotonic()
        if now or clock - self._flushed >= FLUSH_S:
            self._file.flush()
            self._flushed = clock
        if now or clock - self._synced >= SYNC_S:
            os.fsync(self._file.fileno())
            self._synced = clock


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


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


# --- reading -------------------------------------------------------------------------------------


def frames(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(kind, payload, end) of each whole frame; stops at the first that is damaged or cut."""
    at = len(MAGIC)
    while at + HEAD.size + CRC.size <= len(data):
        kind, length = HEAD.unpack_from(data, at)
        stop = at + HEAD.size + length
        if length > LONGEST or stop + CRC.size > len(data):
            return
        if CRC.unpack_from(data, stop)[0] != zlib.crc32(data[at:stop]):
            return
        yield kind, data[at + HEAD.size : stop], stop + CRC.size
        at = stop + CRC.size


@dataclass
class Run:
    """A record in memory, from whatever file: SI columns over device time."""

    header: dict[str, Any]
    period: Array  # device periods, counted on beyond 30 bits
    columns: dict[str, Array]  # SI
    units: dict[str, str]
    notes: list[dict[str, Any]] = field(default_factory=list)
    cut: int = 0  # bytes at the end that could not be read

    @property
    def t_pwm(self) -> float:
        return float(self.header["t_pwm"])

    @cached_property
    def t(self) -> Array:
        """Device time in s since the board started."""
        return self.period * self.t_pwm

    def __len__(self) -> int:
        return len(self.period)

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> Array:
        """A column; KeyError names those that there are."""
        if name not in self.columns:
            raise KeyError(f"{name} is not in this log, which has {', '.join(self.columns)}")
        return self.columns[name]

    def time_of(self, period: int) -> float:
        """Device time of a note's 30-bit period."""
        return self.count_on(period) * self.t_pwm

    def count_on(self, period: int) -> int:
        """A note's 30-bit period on the scale of `period`."""
        near = int(self.period[0]) if len(self) else 0
        return near + signed(period - near)

    def notes_of(self, kind: str) -> list[dict[str, Any]]:
        return [note for note in self.notes if note["note"] == kind]

    @cached_property
    def end(self) -> int:
        """Period after the last row."""
        return int(self.period[-1]) + 1 if len(self) else 0

    @cached_property
    def phases(self) -> list[tuple[str, str, int, int]]:
        """(name, say, first period, last period) of each phase that was begun."""
        ends = {note["name"]: self.count_on(note["period"]) for note in self.notes_of("end")}
        begun = [
            (note["name"], note.get("say", ""), self.count_on(note["period"]))
            for note in self.notes_of("phase")
        ]
        return [(name, say, start, ends.get(name, self.end)) for name, say, start in begun]

    @cached_property
    def states(self) -> list[tuple[str, int, int]]:
        """(drive state, first period, last period) over the record."""
        changes = [(int(self.period[0]) if len(self) else 0, self.header.get("state", ""))]
        for note in self.notes_of("event"):
            if note["what"] == "state":
                changes.append((max(changes[0][0], self.count_on(note["period"])), note["text"]))
        stops = [start for start, _ in changes[1:]] + [self.end]
        spans = zip(changes, stops, strict=True)
        return [(name, start, stop) for (start, name), stop in spans if stop > start and name]

    @cached_property
    def faults(self) -> list[tuple[int, str]]:
        """(period, text) of each fault."""
        return [
            (self.count_on(note["period"]), note["text"])
            for note in self.notes_of("event")
            if note["what"] == "fault"
        ]

    @cached_property
    def records_lost(self) -> int:
        """Rows missing between the first and the last, by period, or as the link counted them."""
        gaps = 0
        if len(self) > 1:
            span = int(self.period[-1] - self.period[0])
            gaps = max(0, round(span / self.header["divider"]) + 1 - len(self))
        counted = [max(note["lost"], note["dropped"]) for note in self.notes_of("stream")]
        return max([gaps, *counted])


def read(path: str | Path) -> Run:
    """Read a log in any of its forms; UsageError when it is none."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(len(MAGIC))
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from error
    if start == MAGIC:
        return read_raw(path.read_bytes(), str(path))
    if start[:4] == b"PAR1":
        return read_parquet(path)
    raise UsageError(f"{path} is no log.", "give an .eesmlog or a .parquet file that eesm wrote")


def read_raw(data: bytes, name: str = "log") -> Run:
    """Read the bytes of a raw log up to the last whole frame."""
    np = _numpy()
    header: dict[str, Any] | None = None
    notes: list[dict[str, Any]] = []
    rows: list[bytes] = []
    end = min(len(data), len(MAGIC))
    for kind, payload, end in frames(data):  # noqa: B007  (end is used after the loop)
        if kind == ROW and header is not None:
            rows.append(payload)
        elif kind == NOTE:
            notes.append(json.loads(payload))
        elif kind == HEADER and header is None:
            header = json.loads(payload)
    if header is None:
        raise UsageError(f"{name} is cut before its header ends: there is nothing in it.")
    columns = header["columns"]
    row = np.dtype([("period", "<u4"), ("raw", "<i4", (len(columns),))])
    table = np.frombuffer(b"".join(rows), dtype=row)
    raw = table["raw"].reshape(len(table), len(columns))
    return Run(
        header=header,
        period=_count_on(table["period"].astype(np.int64)),
        columns={each["name"]: raw[:, n] * float(each["step"]) for n, each in enumerate(columns)},
        units={each["name"]: each["unit"] for each in columns},
        notes=notes,
        cut=len(data) - end,
    )


def read_parquet(path: Path) -> Run:
    """Read a converted log with everything that was in the raw one."""
    np = _numpy()
    table = _parquet().read_table(path)
    about = (table.schema.metadata or {}).get(METADATA_KEY)
    if about is None:
        raise UsageError(f"{path} is a Parquet file, but eesm did not write it.")
    content = json.loads(about)
    names = [each["name"] for each in content["header"]["columns"]]
    return Run(
        header=content["header"],
        period=np.asarray(table["period"]),
        columns={name: np.asarray(table[name]) for name in names},
        units={each["name"]: each["unit"] for each in content["header"]["columns"]},
        notes=content["notes"],
        cut=content["cut"],
    )


def _count_on(period: Array) -> Array:
    """30-bit periods without their wraps."""
    np = _numpy()
    if len(period) < 2:
        return period
    step = signed(np.diff(period))
    return np.concatenate([period[:1], period[0] + np.cumsum(step)])


# --- derived quantities ------------------------------------------------------------------------


def derive(run: Run, name: str) -> Array:
    """A column, or what follows from columns: w_m, speed_rpm, power ... (see `UNITS`)."""
    np = _numpy()
    if name in run.columns:
        return run[name]
    if name == "w_m":
        return run["w_e"] * (run.header["bases"]["w_m"] / run.header["bases"]["w_e"])
    if name == "speed_rpm":
        return derive(run, "w_m") / RPM
    if name == "speed_ref_rpm":
        return run["w_m_ref"] / RPM
    if name == "load":
        return run["load_torque"]
    if name == "power":
        return 1.5 * (run["u_d"] * run["i_d"] + run["u_q"] * run["i_q"]) + run["u_f"] * run["i_f"]
    if name == "power_shaft":
        return run["torque"] * derive(run, "w_m")
    if name == "u_s":
        return np.hypot(run["u_d"], run["u_q"])
    return run[name]


UNITS = {
    "w_m": "rad/s",
    "speed_rpm": "rpm",
    "speed_ref_rpm": "rpm",
    "load": "N.m",
    "power": "W",
    "power_shaft": "W",
    "u_s": "V",
}


# --- converting ------------------------------------------------------------------------------------


def _table(run: Run) -> dict[str, tuple[Array, str]]:
    """What goes into the files: time, period, columns, and shaft speed, with units."""
    np = _numpy()
    out: dict[str, tuple[Array, str]] = {"t": (run.t, "s"), "period": (run.period, "1")}
    out |= {name: (column, run.units[name]) for name, column in run.columns.items()}
    if "w_e" in run and "w_m" not in run:
        out["w_m"] = (derive(run, "w_m"), "rad/s")
    if run.states:
        state = np.full(len(run), -1, dtype=np.int8)
        for name, start, stop in run.states:
            if name in STATES:
                state[(run.period >= start) & (run.period < stop)] = STATES.index(name)
        out["drive_state"] = (state, "1")
    return out


def write_parquet(run: Run, path: str | Path) -> Path:
    """Write Parquet: units in each field's metadata, everything else as JSON under the key `eesm`."""
    pa = _arrow()
    table = _table(run)
    content = {"header": run.header, "notes": run.notes, "cut": run.cut}
    schema = pa.schema(
        [
            pa.field(name, pa.from_numpy_dtype(column.dtype), metadata={"unit": unit})
            for name, (column, unit) in table.items()
        ],
        metadata={
            METADATA_KEY: _json(content),
            b"identity": _json(run.header["identity"]),
            b"units": _json({name: unit for name, (_, unit) in table.items()}),
        },
    )
    arrays = [pa.array(column) for column, _ in table.values()]
    with _replacing(path) as temporary:
        _parquet().write_table(pa.Table.from_arrays(arrays, schema=schema), temporary, compression="zstd")
    return Path(path)


def write_csv(run: Run, path: str | Path) -> Path:
    """Write CSV: comment lines with identity and units, then a header such as `i_d [A]`."""
    pa = _arrow()
    from pyarrow import csv

    table = _table(run)
    identity = run.header["identity"]
    lines = [f"# {name}: {value}" for name, value in identity.items()]
    lines += [f"# created: {run.header.get('created', '')}", f"# t_pwm: {run.t_pwm:.9g} s"]
    if "scenario" in run.header:
        lines.append(f"# scenario: {run.header['scenario']['name']}")
    lines.append(",".join(f"{name} [{unit}]" for name, (_, unit) in table.items()))
    with _replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(("\n".join(lines) + "\n").encode())
        plain = pa.table({name: pa.array(_shorten(column)) for name, (column, _) in table.items()})
        csv.write_csv(plain, file, csv.WriteOptions(include_header=False))
    return Path(path)


def convert(raw: str | Path, run: Run | None = None) -> list[Path]:
    """Parquet and CSV beside a raw log; returns their paths."""
    raw = Path(raw)
    run = run or read(raw)
    return [write_parquet(run, raw.with_suffix(".parquet")), write_csv(run, raw.with_suffix(".csv"))]


def _shorten(column: Array) -> Array:
    """Nine digits are more than any converter has."""
    np = _numpy()
    if column.dtype.kind != "f":
        return column
    with np.errstate(divide="ignore"):
        places = np.where(column == 0, 0.0, np.floor(np.log10(np.abs(column))))
    scale = 10.0 ** (8 - places)
    return np.round(column * scale) / scale


@contextmanager
def _replacing(path: str | Path) -> Iterator[Path]:
    """A file that appears only when it is whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    try:
        yield temporary
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    os.replace(temporary, path)


def _numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise MissingExtra("numpy", "log", "Reading a log") from error
    return numpy


def _arrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtra("pyarrow", "log", "Converting a log") from error
    return pyarrow


def _parquet() -> Any:
    _arrow()
    import pyarrow.parquet

    return pyarrow.parquet


def from_capture(drive: Any, taken: Any) -> Run:
    """A `host_tools.client.Capture` as a run, so that it is written and drawn like a log."""
    np = _numpy()
    names = list(taken.columns)
    steps = [{"name": name, "unit": taken.units[name], "step": drive.signals[name].step} for name in names]
    divider = taken.periods[1] - taken.periods[0]
    header = {"format": FORMAT, **describe(drive), "columns": steps, "divider": divider}
    note = {"note": "trigger", "period": taken.trigger_period}
    return Run(
        header=header | {"state": "", "title": "Capture"},
        period=np.array(taken.periods, dtype=np.int64),
        columns={name: np.array(taken.columns[name]) for name in names},
        units=dict(taken.units),
        notes=[note],
    )
