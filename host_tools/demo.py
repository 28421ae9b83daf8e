"""The demo: build a unit, start it on MicroPython behind a serial port, run a scenario, report.

A bench is one context manager here; what it yields is driven, recorded and judged by the same code.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from host_tools import pace
from host_tools.errors import MISSING, USAGE, ToolError, UsageError
from host_tools.execution import Result, execute
from host_tools.runner import Progress
from host_tools.scenario import Scenario

if TYPE_CHECKING:
    from host_tools.client import Drive
    from host_tools.flash import Shown

FOLDERS = {"virtual": Path("build") / "demo", "rpi_pico": Path("build") / "demo-pico"}

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Booted:
    """A drive that answers, and what its bench has to say for the summary."""

    drive: Drive
    facts: Mapping[str, Any] = field(default_factory=dict)


def demonstrate(
    unit: str,
    scenario: Scenario,
    folder: Path | None = None,
    *,
    board: str = "virtual",
    seed: int = 1,
    fast: bool = False,
    faults: tuple[str, ...] = (),
    tell: Tell = lambda text: None,
    show: Shown | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Result:
    """Everything from the sources to the report; `tell` hears each step, `show` how far a long one is.

    The stream is no faster than the board bears (`host_tools.pace`). Raises ToolError.
    """
    began = time.monotonic()
    require_results()
    if board == "virtual":
        bench = boot_virtual(unit, seed, fast, faults, tell)
    elif fast:
        raise UsageError("A virtual Pico keeps its own time.", "leave --fast out")
    else:
        bench = boot_pico(unit, board, seed, faults, tell, show)
    with bench as booted:
        identity = booted.drive.identity
        tell(f"Unit {identity.unit}, kernel {identity.kernel_hash[:12]}, on {identity.interpreter}")
        return execute(
            replace(scenario, rate_hz=pace.bearable(board, scenario.rate_hz)),
            booted.drive,
            folder or FOLDERS.get(board, Path("build") / f"demo-{board}"),
            setup_s=time.monotonic() - began,
            facts=booted.facts,
            on_progress=on_progress,
            on_write=lambda name: tell(f"Writing {name}"),
        )


@contextmanager
def boot_virtual(unit: str, seed: int, fast: bool, faults: tuple[str, ...], tell: Tell) -> Iterator[Booted]:
    """The firmware on the desktop's MicroPython, behind a serial port."""
    folder = build_board(unit, tell)
    from host_tools.client import Drive
    from host_tools.virtual_drive import VirtualDrive

    tell("Starting the virtual drive")
    with VirtualDrive(folder, seed=seed, fast=fast, faults=faults) as virtual:
        tell(f"Connecting to {virtual.port}")
        with Drive.connect(virtual.port) as drive:
            yield Booted(drive)


@contextmanager
def boot_pico(
    unit: str, board: str, seed: int, faults: tuple[str, ...], tell: Tell, show: Shown | None
) -> Iterator[Booted]:
    """A blank emulated Pico, which is given the unit as `eesm flash` does, behind its serial port."""
    from host_tools import build
    from host_tools.devices import Device
    from host_tools.flash import flash_folder
    from host_tools.virtual_pico.loaded_drive import LoadedDrive
    from host_tools.virtual_pico.pico import VirtualPico

    firmware = find_micropython()
    tell(f"Linking the control law of unit {unit} for {board}")
    loaded = load_unit(unit, board)
    with linking():
        folder = build.build(loaded, build.folder_of(loaded))
    tell("Starting a blank virtual Pico: nothing in its flash but MicroPython")
    with VirtualPico(unit, board=board, seed=seed, faults=faults, firmware=firmware) as pico:
        try:
            device = Device(pico.port, "virtual", "virtual Pico", unit, pico.pid, board=board)
            flashed = flash_folder(folder, device, say=lambda text: tell(f"Flash: {text}"), show=show)
            tell(f"Flashed {len(flashed.uploaded)} files, {flashed.bytes / 1000:.0f} kB")
            with LoadedDrive(pico, folder) as drive:
                facts = {"flash_s": round(flashed.seconds, 3), "flash_bytes": flashed.bytes}
                yield Booted(drive, facts)
        except ToolError:
            pico.check()
            raise


def find_micropython() -> Path:
    """MicroPython for the virtual Pico, if it has been built or UF2 names one; ToolError otherwise."""
    from host_tools import cache
    from host_tools.virtual_pico import firmware_build

    built = cache.cache_folder() / firmware_build.cache_name() / "firmware.uf2"
    if not os.environ.get("UF2") and not built.is_file():
        raise ToolError(
            "MicroPython for the virtual Pico has not been built yet.",
            "make pico   (or UF2=<file> for a MicroPython of your own)",
            MISSING,
        )
    return firmware_build.find_firmware()


def require_results() -> None:
    """MissingExtra now, and not after the run, when logs or plots could not be written."""
    from importlib.util import find_spec

    from host_tools.errors import MissingExtra

    for package, extra, purpose in (
        ("numpy", "log", "Converting a log"),
        ("pyarrow", "log", "Converting a log"),
        ("matplotlib", "plot", "Drawing"),
    ):
        if find_spec(package) is None:
            raise MissingExtra(package, extra, purpose)


def build_board(unit: str, tell: Callable[[str], None] = lambda text: None) -> Path:
    """Find the interpreter, link the unit, lay out its board folder; returns the folder."""
    from host_tools import build
    from host_tools.devices import ROOT
    from host_tools.interpreter import InterpreterError, find_interpreter

    tell("Looking for the 32-bit MicroPython")
    try:
        find_interpreter()
    except InterpreterError as error:
        raise ToolError(str(error), code=MISSING) from error
    tell(f"Linking the control law of unit {unit}")
    loaded = load_unit(unit)
    with linking():
        return build.build(loaded, ROOT / "build" / "units" / loaded.name)


@contextmanager
def linking() -> Iterator[None]:
    """What the linker refuses, with file, line and reason, as a ToolError."""
    from host_tools.linker.errors import LinkError

    try:
        yield
    except LinkError as error:
        raise ToolError(f"The control law does not link: {error}", "correct that line", USAGE) from error


def load_unit(name: str, board: str | None = None):
    """A unit by name or file, on another `board` if given; ToolError with the rule that a file breaks."""
    from host_tools import units

    try:
        return units.load(name, board)
    except units.UnitError as error:
        hint = f"units: {', '.join(units.unit_names())}; boards: {', '.join(units.board_names())}"
        raise ToolError(str(error), hint, USAGE) from error
