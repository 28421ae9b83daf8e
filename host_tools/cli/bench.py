"""Subcommands that need no drive: demo, simulate, virtual, build."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from eesm.drive import RPM
from host_tools.cli.completion import (
    offer_boards,
    offer_scenarios,
    offer_units,
    offer_virtual_faults,
    virtual_faults,
)
from host_tools.cli.shared import console, kernel_option

# On which a unit can be driven without hardware.
BOARDS = ("virtual", "rpi_pico", "rpi_pico_spi")
unit_option = click.option(
    "--unit",
    default="a",
    show_default=True,
    shell_complete=offer_units,
    help="Drive unit: a name in boards/units, or a file.",
)


@click.command(short_help="Boot the firmware on MicroPython, drive, report.")
@unit_option
@click.option(
    "--scenario",
    default="demo",
    show_default=True,
    shell_complete=offer_scenarios,
    help="Scenario: a name, or a .toml file.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Default: build/demo, or build/demo-pico.",
)
@click.option(
    "--board",
    type=click.Choice(BOARDS),
    default="virtual",
    show_default=True,
    help="MicroPython on this computer, or an emulated Raspberry Pi Pico that is flashed first.",
)
@click.option("--seed", default=1, show_default=True, help="Noise, and the angle at which the rotor rests.")
@click.option("--fast", is_flag=True, help="In lock step with this program: repeats to the last bit.")
def demo(unit: str, scenario: str, out: Path | None, board: str, seed: int, fast: bool) -> int:
    """Build a unit, boot its firmware on 32-bit MicroPython against a simulated machine, connect over a
    serial port, run a scenario, and leave log, picture, report and summary in DIR.

    With --board rpi_pico the firmware runs on an emulated Raspberry Pi Pico: erased but for MicroPython, then
    flashed as `eesm flash` does. That runs at a third to half of real time, and its rows come at 200 Hz.

    \b
    Example:
      eesm demo --unit b
      eesm demo --board rpi_pico
    """
    from host_tools import scenario as scenarios
    from host_tools.demo import demonstrate

    chosen = scenarios.load(scenario)
    shown = console()
    with show_progress(shown, len(chosen.phases)) as progress:
        result = demonstrate(
            unit,
            chosen,
            out,
            board=board,
            seed=seed,
            fast=fast,
            tell=progress.tell,
            show=progress.show,
            on_progress=progress.on_progress,
        )
    print_result(shown, result)
    return result.code


@click.command(short_help="The same scenario in one process, much faster.")
@click.argument("scenario", default="demo", shell_complete=offer_scenarios)
@unit_option
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("build") / "simulate",
    show_default=True,
    metavar="DIR",
)
@click.option("--seed", default=1, show_default=True, help="Noise, and the angle at which the rotor rests.")
@click.option(
    "--board",
    metavar="BOARD",
    shell_complete=offer_boards,
    help="Another board than the unit's: a name in boards, or a file.",
)
def simulate(scenario: str, unit: str, out: Path, seed: int, board: str | None) -> int:
    """Run a scenario on the simulation: the linked kernel and the machine in one process.

    \b
    Example:
      eesm simulate demo --unit c -o build/c
      eesm simulate demo --board rpi_pico
    """
    from host_tools import scenario as scenarios

    chosen = scenarios.load(scenario)
    shown = console()
    with show_progress(shown, len(chosen.phases)) as progress:
        result = run_simulated(chosen, unit, board, seed, out, progress)
    print_result(shown, result)
    return result.code


def run_simulated(
    scenario: Any, unit: str, board: str | None, seed: int, out: Path, progress: _Progress
) -> Any:
    """A scenario on the simulation; MissingExtra without its packages."""
    from host_tools.demo import linking, load_unit, require_results
    from host_tools.errors import MissingExtra
    from host_tools.execution import execute

    require_results()
    began = time.monotonic()
    progress.tell(f"Compiling unit {unit}")
    try:
        from host_tools.simulate import Simulation
    except ImportError as error:
        raise MissingExtra(error.name or "numba", "sim", "The simulation") from error
    with linking():
        bench = Simulation(load_unit(unit, board), seed)
    return execute(
        scenario,
        bench,  # pyright: ignore[reportArgumentType]
        out,
        setup_s=time.monotonic() - began,
        on_progress=progress.on_progress,
        on_write=lambda name: progress.tell(f"Writing {name}"),
    )


@click.command(short_help="Keep a virtual drive running to play with.")
@unit_option
@click.option("--seed", default=1, show_default=True, help="Noise, and the angle at which the rotor rests.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME",
    shell_complete=offer_virtual_faults,
    help="What is wrong with it; may be repeated.",
)
@click.option("--fast", is_flag=True, help="Time passes only when a client advances it.")
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where `eesm params keep` keeps parameters. Default: nowhere.",
)
@click.option(
    "--board",
    type=click.Choice(BOARDS),
    default="virtual",
    show_default=True,
    help="A desktop interpreter, or an emulated Raspberry Pi Pico to flash.",
)
@click.option(
    "--flash",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Image of the Pico's flash. Default: build/pico/UNIT.bin.",
)
@click.option(
    "--timing",
    type=click.Choice(["ideal", "cache"]),
    default="ideal",
    show_default=True,
    help="Cycles of the Pico: no wait states, or with its flash cache.",
)
def virtual(
    unit: str,
    seed: int,
    faults: tuple[str, ...],
    fast: bool,
    store: Path | None,
    board: str,
    flash: Path | None,
    timing: str,
) -> int:
    """Start the firmware on MicroPython behind a serial port and keep it running until Ctrl-C.
    Other `eesm` commands find it by themselves.

    With --board rpi_pico it is an emulated Raspberry Pi Pico, which is flashed like a real one.

    \b
    Example, in two terminals:
      eesm virtual --unit a
      eesm speed 1000 --arm --for 5 --log spin
    """
    require_faults(faults)
    if board != "virtual":
        if store is not None:
            from host_tools.errors import UsageError

            raise UsageError("A virtual Pico keeps parameters in its flash.", "leave --store out")
        return _keep_pico(unit, board, seed, faults, fast, flash, timing)
    from host_tools.demo import build_board
    from host_tools.virtual_drive import VirtualDrive

    shown = console()
    with shown.status("") as status:
        folder = build_board(unit, status.update)
    with VirtualDrive(folder, seed=seed, faults=faults, fast=fast, store=store) as drive:
        shown.print(f"Unit {unit} runs at [bold]{drive.port}[/]. Ctrl-C ends it.")
        shown.print("In another terminal: eesm info, eesm speed 500 --arm --for 5")
        try:
            while drive.running:
                time.sleep(0.1)
            drive.check()
        except KeyboardInterrupt:
            return 0
    return 0


def require_faults(names: tuple[str, ...]) -> None:
    """UsageError for what no virtual drive can have; a name may be several with commas between."""
    from difflib import get_close_matches

    from host_tools.errors import UsageError

    known = virtual_faults()
    for name in ",".join(names).split(",") if names else ():
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"--fault {near[0]}" if near else f"choose from {', '.join(known)}"
            raise UsageError(f"No fault of a virtual drive is called {name!r}.", hint)


def _keep_pico(
    unit: str, board: str, seed: int, faults: tuple[str, ...], fast: bool, flash: Path | None, timing: str
) -> int:
    from host_tools.devices import ROOT
    from host_tools.errors import UsageError
    from host_tools.virtual_pico.pico import VirtualPico

    if fast:
        raise UsageError("A virtual Pico keeps its own time.", "leave --fast out")
    shown = console()
    flash = flash or ROOT / "build" / "pico" / f"{unit}-{board}.bin"
    with VirtualPico(unit, board=board, flash=flash, seed=seed, faults=faults, timing=timing) as pico:
        shown.print(f"A Pico with unit {unit} runs at [bold]{pico.port}[/]. Ctrl-C ends it.")
        shown.print(f"Its flash is {flash}.")
        shown.print(f"In another terminal: eesm flash {unit} --board {board} --port {pico.port}")
        try:
            while pico.running:
                time.sleep(0.1)
            pico.check()
        except KeyboardInterrupt:
            return 0
    return 0


@click.command(short_help="Link a unit and lay out what its board holds.")
@click.argument("unit", default="a", shell_complete=offer_units)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Default: build/units/UNIT, UNIT-BOARD or UNIT-BOARD-KERNEL.",
)
@click.option(
    "--board",
    metavar="BOARD",
    shell_complete=offer_boards,
    help="Another board than the unit's: a name in boards, or a file.",
)
@kernel_option
@click.option("--report", is_flag=True, help="Size and cost of each stage of the linked kernel.")
def build(unit: str, out: Path | None, board: str | None, kernel: str, report: bool) -> int:
    """Link the control law of a unit and lay out its board folder: every file that the board holds.

    \b
    Example:
      eesm build b --report
      eesm build a --board rpi_pico
      eesm build a --board rpi_pico --kernel native
    """
    import json

    from host_tools import build as builder
    from host_tools.demo import linking, load_unit

    loaded = load_unit(unit, board)
    with linking():
        folder = builder.build(loaded, out or builder.folder_of(loaded, kernel), kernel)
    identity = json.loads((folder / "unit.json").read_text())["identity"]
    files = [file for file in folder.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    click.echo(f"{folder}: {len(files)} files, {size / 1024:.0f} KiB")
    for name, value in identity.items():
        click.echo(f"  {name:<12} {value}")
    if report:
        click.echo(builder.link_unit(loaded).program.report())
    return 0


# --- showing a run -----------------------------------------------------------------------------------


class _Progress:
    """What is happening: each step and phase is said once; a terminal also gets a bar with live values."""

    def __init__(self, shown: Any, bar: Any, phases: int) -> None:
        self._shown = shown
        self._bar = bar
        self._phases = phases
        self._task = bar.add_task("", total=phases, values="")
        self._begun: list[str] = []

    def tell(self, text: str) -> None:
        from rich.markup import escape

        self._shown.print(f"[dim]{escape(text)}[/]")

    @contextmanager
    def show(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar of its own for a long step of preparation."""
        self.tell(text[:1].upper() + text[1:])
        task = self._bar.add_task(text, total=max(1, total), values="")
        try:
            yield lambda count: self._bar.advance(task, count)
        finally:
            self._bar.remove_task(task)

    def on_progress(self, at: Any) -> None:
        from rich.markup import escape

        if at.phase.name not in self._begun:
            self._begun.append(at.phase.name)
            said = escape(at.phase.say or at.phase.name)
            self._shown.print(f"[bold cyan]{at.number}/{self._phases}[/] {said}")
        shown_values = "  ".join(
            f"{name} {at.values[key] * factor:.4g} {unit}"
            for name, key, factor, unit in (
                ("speed ref", "w_m_ref", 1 / RPM, "rpm"),
                ("torque", "torque", 1, "Nm"),
                ("i_f", "i_f", 1, "A"),
            )
            if key in at.values
        )
        self._bar.update(
            self._task,
            description=escape(at.phase.name),
            completed=at.number - 1 + at.share,
            values=shown_values,
        )


@contextmanager
def show_progress(shown: Any, phases: int) -> Iterator[_Progress]:
    from rich.progress import BarColumn, Progress, TextColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[values]}"),
        console=shown,
        transient=True,
        disable=not shown.is_terminal,
    ) as bar:
        yield _Progress(shown, bar, phases)


def print_result(shown: Any, result: Any) -> None:
    """A table of the phases and the verdict."""
    from rich.markup import escape
    from rich.table import Table

    summary = result.summary
    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("phase", "speed rpm", "error %", "torque Nm", "load Nm", "in J", "back J", "i_f A"):
        table.add_column(title, justify="left" if title == "phase" else "right")
    for row in summary["phases"]:
        cells = [
            _number(row.get(key), form)
            for key, form in (
                ("speed_rpm", ".1f"),
                ("speed_error_percent", ".3f"),
                ("torque", ".2f"),
                ("load", ".2f"),
                ("energy_in", ".1f"),
                ("energy_regenerated", ".1f"),
                ("i_f", ".3f"),
            )
        ]
        table.add_row(escape(row["phase"]), *cells)
    shown.print(table)
    flashing = f", {summary['flash_s']:.1f} s of it flashing" if "flash_s" in summary else ""
    shown.print(
        f"{summary['records']} records, {summary['records_lost']} lost; "
        f"{summary['periods']} periods, {summary['missed_periods']} missed; "
        f"{summary['energy_in']:.0f} J in, {summary['energy_regenerated']:.0f} J back; "
        f"{summary['drive_s']:.1f} s of the drive in {summary['run_s']:.1f} s, "
        f"after {summary['setup_s']:.1f} s of preparation{flashing}"
    )
    for reason in summary["reasons"]:
        shown.print(f"[bold red]✗[/] {escape(reason)}")
    if summary["ok"]:
        shown.print(f"[bold green]✓[/] {expectations_text(len(summary['expectations']))}")
    page = result.folder / "report.html"
    if page.exists():
        shown.print(f"See {escape(str(page))}")


def expectations_text(count: int) -> str:
    """What holds."""
    if count > 1:
        return f"all {count} expectations hold"
    return "its one expectation holds" if count else "it ran to its end; no expectation was set"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
