"""The demo: build a unit, start it on MicroPython behind a serial port, run a scenario, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from host_tools.errors import MISSING, USAGE, ToolError
from host_tools.execution import Result, execute
from host_tools.runner import Progress
from host_tools.scenario import Scenario

FOLDER = Path("build") / "demo"


def demonstrate(
    unit: str,
    scenario: Scenario,
    folder: Path = FOLDER,
    *,
    seed: int = 1,
    fast: bool = False,
    faults: tuple[str, ...] = (),
    tell: Callable[[str], None] = lambda text: None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Result:
    """Everything from the sources to the report; `tell` hears each step.  Raises ToolError."""
    began = time.monotonic()
    require_results()
    board = build_board(unit, tell)
    from host_tools.client import Drive
    from host_tools.virtual_drive import VirtualDrive

    tell("Starting the virtual drive")
    with VirtualDrive(board, seed=seed, fast=fast, faults=faults) as virtual:
        try:
            tell(f"Connecting to {virtual.port}")
            with Drive.connect(virtual.port) as drive:
                identity = drive.identity
                tell(f"Unit {identity.unit}, kernel {identity.kernel_hash[:12]}, on {identity.interpreter}")
                return execute(
                    scenario,
                    drive,
                    folder,
                    setup_s=time.monotonic() - began,
                    on_progress=on_progress,
                    on_write=lambda name: tell(f"Writing {name}"),
                )
        except ToolError:
            # When the firmware died, its own words say more than the broken link.
            virtual.check()
            raise


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
