"""Links a unit's kernel and lays out its board folder: what a board's file system holds.

    build/units/<unit>/  main.py, eesm/, drivers/, boards/virtual/, linked.py, unit.json,
                         schema.json, tables.bin

The same content gives the same bytes, and nothing is written that has not changed.
"""

from __future__ import annotations

import hashlib
import json
import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from eesm import parameters
from eesm.signals import TABLE_POINTS, Signals
from eesm.table import PARAMETER, TABLE, Signal, signals_of
from host_tools import __file__ as _package
from host_tools.linker import Layout, Program, link
from host_tools.units import Unit, load, unit_names

ROOT = Path(_package).resolve().parent.parent
FIRMWARE = ROOT / "firmware"
# Modules that the board imports; stages, table and signals reach it as linked code.
BOARD_MODULES = ("kernel", "mailbox", "drive", "startup", "faults", "parameters", "wire", "link", "telemetry")
FIRMWARE_VERSION = "0.1.0"
FORMAT = 1
POINTS = TABLE_POINTS


def rows_in(layout: Layout) -> dict[str, Signal]:
    """The signals that have words of their own in the block."""
    return {name: row for name, row in signals_of(Signals).items() if name in layout.offset}


def memory_shift(layout: Layout) -> int:
    """Word offset less memory index, the same for every signal."""
    return layout.offset["period"] - layout.memory_index("period")


def describe(settings: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """The content of schema.json: every signal of the block with unit, scale and range, and a hash."""
    bases = parameters.bases(settings)
    shift = memory_shift(layout)
    signals = [
        {
            "name": name,
            "role": row.role,
            "unit": row.unit,
            "base": row.base,
            "q": row.q,
            "low": row.low,
            "high": row.high,
            "meaning": row.meaning,
            "index": layout.offset[name] - shift,
            "length": row.length,
        }
        for name, row in rows_in(layout).items()
    ]
    content = {"bases": bases, "t_pwm": bases["t_pwm"], "signals": signals}
    return {"hash": _hash(_json(content)), **content}


def unit_data(
    settings: Mapping[str, Any],
    layout: Layout,
    identity: Mapping[str, str],
    plant: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of unit.json: what `eesm.kernel.Kernel` needs to run the linked code."""
    bases = parameters.bases(settings)
    rows = rows_in(layout)
    return {
        "format": FORMAT,
        "identity": dict(identity),
        "settings": dict(settings),
        "bases": bases,
        "offset": {name: layout.offset[name] for name in rows},
        "length": {name: row.length for name, row in rows.items() if row.length},
        "size": layout.size,
        "memory_shift": memory_shift(layout),
        "initial": {name: row.initial for name, row in rows.items() if row.initial and not row.length},
        "step": {name: bases[row.base] / (1 << row.q) for name, row in rows.items() if row.role != TABLE},
        "limits": {name: [row.low, row.high] for name, row in rows.items() if row.role == PARAMETER},
        "plant": dict(plant or {}),
    }


@dataclass(frozen=True)
class Linked:
    """A unit linked but not laid out: what simulation and tests run in their own process."""

    program: Program
    unit: dict[str, Any]  # content of unit.json
    schema: dict[str, Any]  # content of schema.json
    tables: array[int]  # content of tables.bin: the arrays that unit["tables"] names, one after the other


def link_unit(unit: Unit, changed: Mapping[str, Any] | None = None) -> Linked:
    """Link a unit's kernel and describe it, with some settings `changed`.

    Raises LinkError, ValueError when the unit cannot be built.
    """
    settings = {**unit.as_settings(), **(changed or {})}
    program = link(constants=parameters.constants(settings))
    schema = describe(settings, program.layout)
    identity = {
        "unit": unit.name,
        "board": str(settings.get("board", "virtual")),
        "firmware": FIRMWARE_VERSION,
        "kernel_hash": program.identity,
        "schema_hash": schema["hash"],
    }
    tables = tables_of(unit)
    data = unit_data(settings, program.layout, identity, unit.as_plant())
    data["tables"] = list(tables)
    return Linked(program, data, schema, array("h", chain(*tables.values())))


def tables_of(unit: Unit) -> dict[str, list[int]]:
    """Words of the reference tables by the name of their signal, for speed up to the unit's highest.

    Rows: electrical speed over dc-link voltage, in even steps.  Columns: torque, in even steps of its
    square root.  Where a torque is out of reach, the currents are those of the highest in reach.
    """
    import numpy as np

    from host_tools.references.envelope import max_torque
    from host_tools.references.machine import LinearMachine, u_max_of
    from host_tools.references.solver import solve

    settings = unit.as_settings()
    bases = parameters.bases(settings)
    machine = LinearMachine.of_motor(unit.motor)
    floor = unit.control.field_floor * unit.motor.i_f_max
    u_dc = unit.dc_link.u_nominal
    w_e = np.linspace(0.0, 1.0, POINTS) * float(settings["table_speed_end"]) * u_dc
    goal = np.linspace(0.0, 1.0, POINTS) ** 2 * float(settings["table_torque_end"])
    u_max = float(u_max_of(u_dc))
    most = max_torque(machine, w_e, u_max, None, floor)
    least = np.where(np.isnan(most), 0.0, floor)  # at high speed the voltage may not allow the floor
    i_d, i_f = np.empty((POINTS, POINTS)), np.empty((POINTS, POINTS))
    for level in np.unique(least):
        rows = least == level
        most[rows] = max_torque(machine, w_e[rows], u_max, None, level)
        reach = np.minimum(goal, most[rows, None] * (1 - 1e-6))
        found = solve(machine, reach, w_e[rows, None], u_max, level)
        i_d[rows], i_f[rows] = found.i_d, found.i_f
    most = np.minimum(most, unit.limits.torque_max)
    return {
        "table_i_d": [_word(value / bases["i"]) for value in i_d.ravel()],
        "table_i_f": [_word(value / bases["i_f"]) for value in i_f.ravel()],
        "table_torque": [_word(value / bases["torque"]) for value in most],
    }


def _word(per_unit: float) -> int:
    return max(-32767, min(32767, round(per_unit * 32768)))


def build(unit: Unit, out: Path) -> Path:
    """Lay out a unit's board folder in `out`; returns it.

    Files that would not change are not written; files that no longer belong there are removed.
    Raises LinkError for a kernel that cannot be linked, ValueError for settings that make no sense.
    """
    linked = link_unit(unit)
    identity = linked.unit["identity"]
    files: dict[str, bytes] = {}
    for source in board_files(identity["board"]):
        files[source.relative_to(FIRMWARE if FIRMWARE in source.parents else ROOT).as_posix()] = (
            source.read_bytes()
        )
    text = linked.program.viper()
    files["linked.py"] = f'{text.rstrip()}\n\n\nIDENTITY = "{identity["kernel_hash"]}"\n'.encode()
    files["unit.json"] = _json(linked.unit).encode()
    files["schema.json"] = _json(linked.schema).encode()
    words = array("h", linked.tables)
    if sys.byteorder == "big":
        words.byteswap()
    files["tables.bin"] = words.tobytes()
    for name, content in files.items():
        path = out / name
        if not (path.is_file() and path.read_bytes() == content):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    for path in sorted(out.rglob("*"), reverse=True):
        if path.is_file() and path.relative_to(out).as_posix() not in files:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return out


def board_files(board: str) -> list[Path]:
    """Source files that a board's file system holds as they are."""
    files = [FIRMWARE / "main.py", FIRMWARE / "eesm/__init__.py", FIRMWARE / "drivers/__init__.py"]
    files += [FIRMWARE / "eesm" / f"{name}.py" for name in BOARD_MODULES]
    files.append(FIRMWARE / "drivers" / f"{board}.py")
    if board == "virtual":
        files.append(FIRMWARE / "drivers/standard_port.py")
        files += [ROOT / "boards/__init__.py", *sorted((ROOT / "boards/virtual").glob("*.py"))]
    return [file for file in files if file.exists()]


def main(arguments: list[str] | None = None) -> int:
    """Build the named units, or all, into build/units."""
    names = sys.argv[1:] if arguments is None else arguments
    for name in names or unit_names():
        unit = load(name)
        print(build(unit, ROOT / "build" / "units" / unit.name))
    return 0


def _json(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"), sort_keys=False)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
