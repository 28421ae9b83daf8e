"""Links a unit's kernel and lays out its board folder: what a board's file system holds.

    build/units/<unit>/  main.py, eesm/, drivers/, boards/virtual/, linked.py, unit.json,
                         schema.json, tables.bin
    build/units/<unit>-rpi_pico/  the same for a board: modules compiled to .mpy, its driver, and
                         linked_compiled.mpy beside linked.py
    build/units/<unit>-rpi_pico-native/  the same with linked_native.mpy, made of C, instead of both

The same content gives the same bytes, and nothing is written that has not changed.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from eesm import parameters
from eesm.kernel import INDEX_MASK, OFFSET_MASK, RANGE_SHIFT, STEP_SHIFT
from eesm.routines import SIZE_BYTES
from eesm.signals import Signals
from eesm.table import PARAMETER, Signal, signals_of
from host_tools import __file__ as _package
from host_tools.board_code import compile_text, empty_meanings, mark_native
from host_tools.errors import UsageError
from host_tools.linker import Layout, Program, link
from host_tools.schema import compact, hash_of
from host_tools.units import Unit, load, unit_names

ROOT = Path(_package).resolve().parent.parent
FIRMWARE = ROOT / "firmware"
# Modules that the board imports; stages, table and signals reach it as linked code.
BOARD_MODULES = (
    "cyclic",
    "routines",
    "kernel",
    "mailbox",
    "drive",
    "startup",
    "modes",
    "memory",
    "faults",
    "snapshot",
    "watch_board",
    "watch_currents",
    "watch_encoder",
    "watch_field",
    "watch_heat",
    "watch_winding",
    "watch_angle",
    "watch_motion",
    "watch_torque",
    "watch_balance",
    "watch_sum",
    "sight",
    "watches",
    "parameters",
    "framing",
    "wire",
    "link",
    "telemetry",
    "kept",
    "keeper",
    "store",
)
# Sources that a board gets as they are; the rest is compiled, which saves it time and memory at boot.
SOURCES = ("main.py",)
# Methods that every turn of the main loop or every row of a stream goes through, by module: as machine code
# they take half the time and three times the memory.
NATIVE = {
    "kernel": ("read", "si"),
    "sight": ("take", "_name"),
    "mailbox": ("pump", "waiting"),
    "drive": ("tick", "_watch_host", "_see_whether_safe", "_keep", "_look", "has_taken", "since"),
    "link": ("poll", "_flush"),
    "telemetry": ("fill",),
    "usb_port": ("read", "write", "_host_is_there"),
    "rp2040": ("poll", "_watch"),
}
# Tables whose texts are for the host only, by module.
MEANINGS = {"parameters": "SETTINGS"}
# Modules of a driver that run where the folder is built.
HOST_ONLY = ("rp2040_handler",)
# mpy-cross's name of the machine code that a chip runs.
ARCHITECTURES = {"rp2040": "armv6m"}
# Forms of the kernel on a board: text that it compiles itself, or machine code made of C.
VIPER = "viper"
NATIVE_KERNEL = "native"
KERNELS = (VIPER, NATIVE_KERNEL)
BOARD_HINT = "eesm build a --board rpi_pico --kernel native"
FIRMWARE_VERSION = "0.1.0"
FORMAT = 2


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
            "meaning": row.meaning + age_of(name, settings),
            "index": layout.offset[name] - shift,
            "length": row.length,
        }
        for name, row in rows_in(layout).items()
    ]
    content = {"bases": bases, "t_pwm": bases["t_pwm"], "signals": signals}
    return {"hash": hash_of(content), **content}


def age_of(name: str, settings: Mapping[str, Any]) -> str:
    """When the converter takes a signal, for its meaning; empty where the settings do not say."""
    quantity = name.removesuffix("_raw")
    seconds = settings.get(f"sample_time_{quantity}")
    if seconds is None or quantity == name:
        return ""
    side = "before" if seconds < 0 else "after"
    turns = settings.get(f"sample_periods_{quantity}", 1)
    often = "" if turns == 1 else f", every {turns} periods"
    return f", taken {1e6 * abs(seconds):.3g} us {side} the middle of the PWM period{often}"


def unit_data(
    settings: Mapping[str, Any],
    layout: Layout,
    identity: Mapping[str, str],
    plant: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of unit.json: what `eesm.kernel.Kernel` needs to run the linked code."""
    bases = parameters.bases(settings)
    rows = rows_in(layout)
    derived = parameters.derive(settings)
    steps: list[float] = []
    ranges: list[list[int] | None] = [None]
    signals = {}
    for name, row in rows.items():
        limits = [row.low, row.high] if row.role == PARAMETER else None
        step = place_in(steps, bases[row.base] / (1 << row.q))
        signals[name] = pack_signal(layout.offset[name], step, place_in(ranges, limits))
    return {
        "format": FORMAT,
        "identity": dict(identity),
        "settings": dict(settings),
        "bases": bases,
        "signals": signals,
        "steps": steps,
        "ranges": ranges,
        "length": {name: row.length for name, row in rows.items() if row.length},
        "size": layout.size,
        "memory_shift": memory_shift(layout),
        "initial": {
            name: row.initial
            for name, row in rows.items()
            if row.initial and not row.length and name not in derived
        },
        "plant": dict(plant or {}),
    }


def place_in(values: list[Any], value: Any) -> int:
    """Index of a value in a list, to which it is added if it is new."""
    if value not in values:
        values.append(value)
    return values.index(value)


def pack_signal(offset: int, step: int, limits: int) -> int:
    """A signal's word in unit.json, as `eesm.kernel` reads it."""
    if offset > OFFSET_MASK or max(step, limits) > INDEX_MASK:
        raise ValueError(f"offset {offset}, step {step} or range {limits} does not fit a signal's word")
    return offset | step << STEP_SHIFT | limits << RANGE_SHIFT


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
    settings["saturates"] = int(knows_saturation(unit))
    program = link(constants=parameters.constants(settings))
    schema = describe(settings, program.layout)
    identity = {
        "unit": unit.name,
        "board": str(settings.get("board", "virtual")),
        "firmware": FIRMWARE_VERSION,
        "kernel_hash": program.identity,
        "schema_hash": schema["hash"],
    }
    tables, words = tables_of(unit)
    data = unit_data(settings, program.layout, identity, unit.as_plant())
    data["tables"] = list(tables)
    data["initial"] |= words
    if unit.board.hardware is not None:
        data["board"] = unit.as_board()
        del data["plant"]  # the machine itself is there
    return Linked(program, data, schema, array("h", chain(*tables.values())))


def knows_saturation(unit: Unit) -> bool:
    """Whether a unit's kernel gets tables of saturation."""
    from host_tools.references.flux_ratios import saturates

    return saturates(unit)


def tables_of(unit: Unit) -> tuple[dict[str, list[int]], dict[str, int]]:
    """Reference tables by the name of their signal, and the words that go with them."""
    from host_tools.references.table import tables_of_unit  # numpy, which only a build needs

    found = tables_of_unit(unit)
    tables = {
        "table_i_d": found.i_d,
        "table_i_f": found.i_f,
        "table_torque": found.torque_max,
        "torque_inverse": found.torque_inverse,
        "ratio_axis": found.ratio_axis,
        "ratio_step": found.ratio_step,
    }
    words = {
        "torque_inverse_shift": found.torque_inverse_shift,
        "ratio_step_shift": found.ratio_step_shift,
        "table_bend": found.bend,
        "k_share": found.k_share,
        "k_share_shift": found.k_share_shift,
    }
    if knows_saturation(unit):
        from host_tools.references.flux_ratios import ratios_of_unit

        ratios = ratios_of_unit(unit)
        tables |= {"flux_ratio_d": ratios.ratio_d, "flux_ratio_q": ratios.ratio_q}
        words |= ratios.words
    return tables, words


def build(unit: Unit, out: Path, kernel: str = VIPER) -> Path:
    """Lay out a unit's board folder in `out`, with a `kernel` of KERNELS; returns it.

    Files that would not change are not written; files that no longer belong there are removed.
    Raises LinkError for a kernel that cannot be linked, ValueError for settings that make no sense,
    NativeError when what a native kernel is compiled with cannot be had.
    """
    linked = link_unit(unit)
    architecture = ARCHITECTURES[linked.unit["board"]["chip"]] if "board" in linked.unit else ""
    files: dict[str, bytes] = {}
    for source in board_files(unit):
        place = source.relative_to(FIRMWARE if FIRMWARE in source.parents else ROOT)
        if not architecture or place.as_posix() in SOURCES:
            files[place.as_posix()] = source.read_bytes()
        else:
            text = mark_native(source.read_text(), NATIVE.get(source.stem, ()))
            if source.stem in MEANINGS:
                text = empty_meanings(text, MEANINGS[source.stem])
            compiled = compile_text(text, place.as_posix(), architecture)
            files[place.with_suffix(".mpy").as_posix()] = compiled
    files |= kernel_files(linked, kernel, architecture)
    files["unit.json"] = compact(linked.unit).encode()
    files["schema.json"] = compact(linked.schema).encode()
    words = array("h", linked.tables)
    if sys.byteorder == "big":
        words.byteswap()
    files["tables.bin"] = linked.unit["size"].to_bytes(SIZE_BYTES, "little") + words.tobytes()
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


def folder_of(unit: Unit, kernel: str = VIPER) -> Path:
    """Where a unit's board folder is laid out when nothing else is said."""
    name = unit.name if unit.board.name == "virtual" else f"{unit.name}-{unit.board.name}"
    return ROOT / "build" / "units" / (name if kernel == VIPER else f"{name}-{kernel}")


def kernel_files(linked: Linked, kernel: str, architecture: str) -> dict[str, bytes]:
    """The linked routines, in the form that the board loads; `architecture` is "" for no board.

    Raises UsageError for a native kernel without a board, NativeError.
    """
    if kernel == NATIVE_KERNEL:
        if not architecture:
            raise UsageError("A native kernel needs a board; there is none on this computer.", BOARD_HINT)
        from host_tools.native_module import build_module

        identity = linked.unit["identity"]["kernel_hash"]
        return {"linked_native.mpy": build_module(linked.program, handler_of_board(linked), identity)}
    text = linked_text(linked)
    files = {"linked.py": text.encode()}
    if architecture:
        files["linked_compiled.mpy"] = compile_text(text, "linked.py", architecture)
    return files


def handler_of_board(linked: Linked) -> dict[str, Any]:
    """The lines that the board's driver puts around the law."""
    from drivers.rp2040_handler import handler_of

    return handler_of(linked.unit["board"])


def linked_text(linked: Linked) -> str:
    """Content of linked.py: the routines that the board's driver calls, and their identity."""
    handler = handler_of_board(linked) if "board" in linked.unit else None
    text = linked.program.viper(handler=handler)
    return f'{text.rstrip()}\n\n\nIDENTITY = "{linked.unit["identity"]["kernel_hash"]}"\n'


def board_files(unit: Unit) -> list[Path]:
    """Source files that a board's file system holds, as they are or compiled."""
    files = [FIRMWARE / "main.py", FIRMWARE / "eesm/__init__.py", FIRMWARE / "drivers/__init__.py"]
    files += [FIRMWARE / "eesm" / f"{name}.py" for name in BOARD_MODULES]
    if unit.board.hardware is None:
        files += [FIRMWARE / "drivers/virtual.py", FIRMWARE / "drivers/standard_port.py"]
        files += [ROOT / "boards/__init__.py", *sorted((ROOT / "boards/virtual").glob("*.py"))]
    else:
        chip = unit.as_board()["chip"]
        drivers = sorted((FIRMWARE / "drivers").glob(f"{chip}*.py"))
        files += [file for file in drivers if file.stem not in HOST_ONLY]
        files.append(FIRMWARE / "drivers/usb_port.py")
    return files


def main(arguments: list[str] | None = None) -> int:
    """Build the named units, or all, into build/units."""
    names = sys.argv[1:] if arguments is None else arguments
    for name in names or unit_names():
        unit = load(name)
        print(build(unit, folder_of(unit)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
