"""The first fault as a drive keeps it, with all signals and the capture around it; files of it.

`parse` reads what `eesm.snapshot` writes; what is not whole is no snapshot.
"""

from __future__ import annotations

import json
import struct
from binascii import crc32
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eesm.cyclic import signed
from eesm.drive import RPM, STATES
from eesm.fault_table import FAULTS
from eesm.snapshot import CRC_SIZE, FORMAT, HEAD, HEAD_SIZE, MAGIC
from host_tools.errors import ToolError
from host_tools.files import replacing
from host_tools.schema import Schema

if TYPE_CHECKING:
    from host_tools.client import Capture, Drive

ROW = 8  # words of a row of the ring
# What a summary tells of the signals; the file has all of them.
TOLD = ("i_d", "i_q", "i_f", "i_f_ref", "u_f", "u_dc", "torque", "torque_ref")


class SnapshotError(ToolError):
    """The bytes are no whole snapshot, or of firmware with other signals."""


@dataclass(frozen=True)
class Latched:
    """A fault of a snapshot."""

    number: int
    name: str
    text: str
    cause: str
    remedy: str
    first: bool


@dataclass(frozen=True)
class Snapshot:
    """The first fault and what followed until the drive was safe; SI units."""

    identity: Mapping[str, str]  # unit, board, firmware, kernel_hash, schema_hash
    faults: tuple[Latched, ...]  # in the order in which they were seen
    period: int  # of the first fault
    time: float  # s, the same
    seen_period: int  # at which the main loop saw it, of `signals`
    state: str  # of the drive before it
    signals: Mapping[str, float]
    units: Mapping[str, str]
    capture: Capture | None  # None where nothing was captured around the fault


def parse(data: bytes, schema: Schema) -> Snapshot:
    """The snapshot in these bytes, named and scaled by the schema of the firmware that wrote it.

    Raises SnapshotError unless they are whole, of this format and of this schema.
    """
    said = _text_of(data)
    if said["schema_hash"] != schema.hash:
        raise SnapshotError(
            f"The fault was kept by firmware with other signals (schema {said['schema_hash']}, this one has "
            f"{schema.hash}).",
            "dump it with the firmware that kept it; the next fault replaces it",
        )
    at = HEAD_SIZE + struct.unpack_from(HEAD, data)[2]
    words = struct.unpack_from(f"<{said['words']}i", data, at)
    signals, units = {}, {}
    for name, row in schema.signals.items():
        place = row.index - said["first_index"]
        if not row.length and 0 <= place < len(words):
            signals[name], units[name] = words[place] * row.step, row.unit
    known = {row.number: row for row in FAULTS}
    faults = []
    for number, text in said["faults"]:
        row = known.get(number)
        faults.append(
            Latched(
                number,
                row.name if row else f"FAULT_{number}",
                text,
                row.cause if row else "",
                row.remedy if row else "",
                bool(said["first"] >> (number - 1) & 1),
            )
        )
    state = said["state"]
    return Snapshot(
        identity={
            name: str(said[name]) for name in ("unit", "board", "firmware", "kernel_hash", "schema_hash")
        },
        faults=tuple(faults),
        period=said["period"],
        time=said["period"] * schema.t_pwm,
        seen_period=said["seen"],
        state=STATES[state] if state < len(STATES) else f"state {state}",
        signals=signals,
        units=units,
        capture=_capture_of(data, said, schema) if said.get("capture") else None,
    )


def _text_of(data: bytes) -> dict[str, Any]:
    """The JSON text of a whole snapshot."""
    if len(data) < HEAD_SIZE + CRC_SIZE or data[:4] != MAGIC:
        raise SnapshotError("This is no snapshot of a fault.")
    _, number, length, size = struct.unpack_from(HEAD, data)
    if number != FORMAT:
        raise SnapshotError(
            f"The snapshot has format {number}, these tools read {FORMAT}.",
            "use tools and firmware of the same release",
        )
    end = len(data) - CRC_SIZE
    if size != len(data) or crc32(data[:end]) != struct.unpack_from("<I", data, end)[0]:
        raise SnapshotError(
            f"The snapshot is not whole: {len(data)} bytes of {size}, or a wrong CRC.", "eesm faults dump"
        )
    return json.loads(data[HEAD_SIZE : HEAD_SIZE + length])


def _capture_of(data: bytes, said: Mapping[str, Any], schema: Schema) -> Capture:
    from host_tools.client import Capture

    taken = said["capture"]
    rows, before, divider = taken["rows"], taken["before"], taken["divider"]
    words = struct.unpack_from(f"<{ROW * rows}i", data, len(data) - CRC_SIZE - 4 * ROW * rows)
    names = {row.index: row for row in schema.signals.values() if not row.length}
    raw, columns, units = {}, {}, {}
    for k, index in enumerate(taken["channels"]):
        row = names[index]
        raw[row.name] = words[k::ROW]
        columns[row.name] = tuple(word * row.step for word in words[k::ROW])
        units[row.name] = row.unit
    offsets = [(k - before) * divider for k in range(rows)]
    return Capture(
        trigger_period=taken["period"],
        pre=before,
        periods=tuple(taken["period"] + offset for offset in offsets),
        times=tuple(offset * schema.t_pwm for offset in offsets),
        columns=columns,
        raw=raw,
        units=units,
    )


def write(drive: Drive, found: Snapshot, folder: Path) -> list[Path]:
    """Write fault.json and, of the capture, capture.parquet, .csv and .png with the fault's instant marked.

    Raises MissingExtra when packages for the capture are missing; fault.json is there then.
    """
    paths = [folder / "fault.json"]
    with replacing(paths[0]) as temporary:
        temporary.write_text(json.dumps(as_json(found), indent=1) + "\n")
    if found.capture is None:
        return paths
    from host_tools import log, plot

    run = log.from_capture(drive, found.capture)
    run.header["title"] = "Captured around the first fault"
    run.header["identity"] = {**run.header["identity"], **found.identity}
    run.notes[:] = [
        {"note": "event", "what": "fault", "period": found.period, "text": f"{fault.name}: {fault.text}"}
        for fault in found.faults
        if fault.first
    ]
    paths.append(log.write_parquet(run, folder / "capture.parquet"))
    paths.append(log.write_csv(run, folder / "capture.csv"))
    paths.append(plot.write(run, folder / "capture.png", tuple(found.capture.columns)))
    return paths


def as_json(found: Snapshot) -> dict[str, Any]:
    """All of it but the rows of the capture."""
    content = asdict(found)
    taken = found.capture
    content["capture"] = taken and {
        "signals": list(taken.columns),
        "rows": len(taken.times),
        "seconds": [taken.times[0], taken.times[-1]],
        "trigger_period": taken.trigger_period,
    }
    return content


def summarise(drive: Drive, found: Snapshot) -> str:
    """What a reader wants first: faults, when, and what the machine did."""
    lines = []
    for fault in found.faults:
        lines.append(f"{fault.name} ({fault.number}){', first' if fault.first else ''}: {fault.text or '-'}")
    late = signed(found.seen_period - found.period) * drive.t_pwm * 1e3
    lines.append(f"at {found.time:.4f} s, {found.state}; the main loop saw it {late:.1f} ms later, with")
    w_e = found.signals.get("w_e")
    told = [f"{name} {found.signals[name]:.4g} {found.units[name]}" for name in TOLD if name in found.signals]
    if w_e is not None:
        told.insert(0, f"speed {w_e * drive.bases['w_m'] / drive.bases['w_e'] / RPM:.0f} rpm")
    lines.append("  " + ", ".join(told))
    taken = found.capture
    if taken is None:
        lines.append("nothing was captured around it: the capture was in use, or had not begun")
    else:
        start = (taken.periods[0] - found.period) * drive.t_pwm * 1e3
        stop = (taken.periods[-1] - found.period) * drive.t_pwm * 1e3
        lines.append(f"captured from {start:.1f} to {stop:.1f} ms around it: {', '.join(taken.columns)}")
    return "\n".join(lines)
