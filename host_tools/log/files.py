"""Logs as files: the raw one repaired and read, Parquet and CSV written and read again.

Each form holds everything: values with units, identity, parameters, scenario, and all notes, so that
pictures and reports are made from any of them.  MDF4 is in `host_tools.log.mdf4`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eesm.drive import STATES
from eesm.parameters import SETTINGS
from host_tools.errors import MissingExtra, ToolError, UsageError
from host_tools.files import named, replacing
from host_tools.log.raw import HEADER, MAGIC, NOTE, ROW, Frame, frames, to_json
from host_tools.log.run import Array, Run, count_on, derive, numpy_module

METADATA_KEY = b"eesm"
CSV_START = "# eesm log"
CSV_CONTENT = "# everything: "


# --- reading -------------------------------------------------------------------------------------


def read(path: str | Path) -> Run:
    """Read a log in any of its forms; UsageError when it is none."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(len(CSV_START))
        if start.startswith(MAGIC) or path.suffix == ".eesmlog":
            return read_raw(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.", "give the name of a log") from error
    try:
        if start.startswith(b"PAR1"):
            return read_parquet(path)
        if start.startswith(b"MDF"):
            from host_tools.log.mdf4 import read_mdf4

            return read_mdf4(path)
        if start == CSV_START.encode():
            return read_csv(path)
    except ToolError:
        raise
    except Exception as error:  # each form's own reader has its own ways to fail on a damaged file
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"{path} is damaged: {why}", f"eesm convert {named(path, '.eesmlog')}   makes it again"
        ) from error
    raise UsageError(f"{path} is no log.", "give an .eesmlog, .parquet, .csv or .mf4 file that eesm wrote")


def read_raw(data: bytes, name: str = "log") -> Run:
    """Read the bytes of a raw log: every whole frame, and what was lost between them."""
    np = numpy_module()
    kept = _salvage(data, name)
    columns = kept.header["columns"]
    row = np.dtype([("period", "<u4"), ("raw", "<i4", (len(columns),))])
    payloads = [frame.payload for frame in kept.frames if frame.kind == ROW]
    table = np.frombuffer(b"".join(each for each in payloads if len(each) == row.itemsize), dtype=row)
    raw = table["raw"].reshape(len(table), len(columns))
    return Run(
        header=kept.header,
        period=count_on(table["period"].astype(np.int64)),
        columns={each["name"]: raw[:, n] * float(each["step"]) for n, each in enumerate(columns)},
        units={each["name"]: each["unit"] for each in columns},
        notes=[json.loads(frame.payload) for frame in kept.frames if frame.kind == NOTE],
        cut=kept.cut,
        damage=kept.damage,
    )


@dataclass
class Kept:
    """What is whole in a raw log, and what is not."""

    header: dict[str, Any]
    frames: list[Frame]
    damage: list[tuple[int, int]]  # (offset, bytes)
    cut: int  # bytes at the end


def _salvage(data: bytes, name: str) -> Kept:
    found = list(frames(data))
    header = next((frame for frame in found if frame.kind == HEADER), None)
    if header is None:
        raise UsageError(f"{name} is cut or damaged before its header ends: there is nothing in it.")
    damage = [] if data.startswith(MAGIC) else [(0, len(MAGIC))]
    at = len(MAGIC)
    for frame in found:
        if frame.start > at:
            damage.append((at, frame.start - at))
        at = frame.stop
    return Kept(json.loads(header.payload), found, damage, len(data) - at)


def repair(source: str | Path, to: str | Path) -> Run:
    """Write a raw log with what is whole in `source`, which stays as it is; returns its content.

    Raises UsageError when `source` cannot be read, is no raw log or has no header.
    """
    source = Path(source)
    try:
        data = source.read_bytes()
    except OSError as error:
        raise UsageError(f"Cannot read {source}: {error.strerror}.") from error
    if not data.startswith(MAGIC) and source.suffix != ".eesmlog":
        raise UsageError(f"{source} is no raw log.", "give the .eesmlog file")
    kept = _salvage(data, str(source))
    header = next(frame for frame in kept.frames if frame.kind == HEADER)
    order = [header, *(frame for frame in kept.frames if frame.kind != HEADER), header]
    with replacing(to) as temporary:
        temporary.write_bytes(MAGIC + b"".join(data[frame.start : frame.stop] for frame in order))
    return read_raw(data, str(source))


def read_parquet(path: Path) -> Run:
    """Read a converted log with everything that was in the raw one."""
    np = numpy_module()
    table = _parquet().read_table(path)
    about = (table.schema.metadata or {}).get(METADATA_KEY)
    if about is None:
        raise UsageError(f"{path} is a Parquet file, but eesm did not write it.")
    return run_of(json.loads(about), lambda name: np.asarray(table[name]))


def read_csv(path: Path) -> Run:
    """Read a converted log; values have the nine digits that were written."""
    np = numpy_module()
    _arrow()
    from pyarrow import csv

    about, skip = None, 0
    with open(path, encoding="utf-8") as file:
        for skip, line in enumerate(file):  # noqa: B007  (skip is used after the loop)
            if not line.startswith("#"):
                break
            if line.startswith(CSV_CONTENT):
                about = json.loads(line.removeprefix(CSV_CONTENT))
    if about is None:
        raise UsageError(f"{path} says nothing about itself: its comment lines are gone.")
    table = csv.read_csv(path, csv.ReadOptions(skip_rows=skip))
    place = {name.partition(" [")[0]: n for n, name in enumerate(table.column_names)}
    return run_of(about, lambda name: np.asarray(table.column(place[name])))


def content_of(run: Run) -> dict[str, Any]:
    """Everything about a run but its columns, as every converted file holds it."""
    return {"header": run.header, "notes": run.notes, "cut": run.cut, "damage": run.damage}


def run_of(content: Mapping[str, Any], column: Callable[[str], Array]) -> Run:
    """A run from what `content_of` gave, and its columns by name."""
    np = numpy_module()
    columns = content["header"]["columns"]
    return Run(
        header=content["header"],
        period=column("period").astype(np.int64),
        columns={each["name"]: column(each["name"]).astype(float) for each in columns},
        units={each["name"]: each["unit"] for each in columns},
        notes=content["notes"],
        cut=content["cut"],
        damage=[(offset, length) for offset, length in content.get("damage", [])],
    )


# --- converting ------------------------------------------------------------------------------------


def columns_of(run: Run) -> dict[str, tuple[Array, str]]:
    """What goes into the files: time, period, columns, shaft speed and drive state, with units."""
    np = numpy_module()
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
    table = columns_of(run)
    schema = pa.schema(
        [
            pa.field(name, pa.from_numpy_dtype(column.dtype), metadata={"unit": unit})
            for name, (column, unit) in table.items()
        ],
        metadata={
            METADATA_KEY: to_json(content_of(run)),
            b"identity": to_json(run.header["identity"]),
            b"parameters": to_json(run.header.get("settings", {})),
            b"units": to_json({name: unit for name, (_, unit) in table.items()}),
        },
    )
    arrays = [pa.array(column) for column, _ in table.values()]
    with replacing(path) as temporary:
        _parquet().write_table(pa.Table.from_arrays(arrays, schema=schema), temporary, compression="zstd")
    return Path(path)


def write_csv(run: Run, path: str | Path) -> Path:
    """Write CSV: comment lines with identity, parameters and scenario, then a header such as `i_d [A]`."""
    pa = _arrow()
    from pyarrow import csv

    table = columns_of(run)
    lines = [CSV_START]
    lines += [f"# {name}: {value}" for name, value in run.header["identity"].items()]
    lines += [f"# created: {run.header.get('created', '')}", f"# t_pwm: {run.t_pwm:.9g} s"]
    for name, value in run.header.get("settings", {}).items():
        lines.append(f"# parameter {name}: {value:.9g} {SETTINGS.get(name, ('',))[0]}")
    if "scenario" in run.header:
        lines.append(f"# scenario: {run.header['scenario']['name']}")
    lines.append(CSV_CONTENT + to_json(content_of(run)).decode())
    lines.append(",".join(f"{name} [{unit}]" for name, (_, unit) in table.items()))
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(("\n".join(lines) + "\n").encode())
        plain = pa.table({name: pa.array(_shorten(column)) for name, (column, _) in table.items()})
        csv.write_csv(plain, file, csv.WriteOptions(include_header=False))
    return Path(path)


def _write_mdf4(run: Run, path: str | Path) -> Path:
    from host_tools.log.mdf4 import write_mdf4

    return write_mdf4(run, path)


# Name of a form: its suffix, and what writes it.
FORMS: dict[str, tuple[str, Callable[[Run, str | Path], Path]]] = {
    "parquet": (".parquet", write_parquet),
    "csv": (".csv", write_csv),
    "mdf4": (".mf4", _write_mdf4),
}
USUAL = ("parquet", "csv")


def convert(
    source: str | Path, run: Run | None = None, to: Sequence[str] = USUAL, out: str | Path | None = None
) -> list[Path]:
    """Write a log in the forms `to`, beside it or as `out` with their suffixes; returns the paths.

    Raises UsageError for an unknown form, MissingExtra when a package is missing.
    """
    source = Path(source)
    run = run or read(source)
    stem = Path(out) if out is not None else source
    written = []
    for form in to:
        if form not in FORMS:
            raise UsageError(f"There is no form {form!r}.", f"choose from {', '.join(FORMS)}")
        suffix, write = FORMS[form]
        written.append(write(run, named(stem, suffix)))
    return written


def _shorten(column: Array) -> Array:
    """Nine digits are more than any converter has."""
    np = numpy_module()
    if column.dtype.kind != "f":
        return column
    with np.errstate(divide="ignore"):
        places = np.where(column == 0, 0.0, np.floor(np.log10(np.abs(column))))
    scale = 10.0 ** (8 - places)
    return np.round(column * scale) / scale


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
