"""Subcommand faults: list, explain, dump, clear."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from host_tools.cli.completion import offer_faults
from host_tools.cli.shared import connect, drive_options
from host_tools.errors import FAILED, OK, UsageError

if TYPE_CHECKING:
    from eesm.fault_table import Fault
    from host_tools.client import FaultReport

json_option = click.option("--json", "as_json", is_flag=True, help="For scripts.")


@click.group(short_help="List faults, explain them, dump the first one, clear.", invoke_without_command=True)
@drive_options
@click.option("--clear", "clears", is_flag=True, help="The same as `eesm faults clear`.")
@json_option
@click.pass_context
def faults(ctx: click.Context, port: str | None, unit: str | None, clears: bool, as_json: bool) -> int:
    """The latched faults: what was measured, what it means, what to do, and whether the drive is safe: its
    bridge off, and the field seen below its limit. Exit code 1 when there are faults.

    \b
    Examples:
      eesm faults
      eesm faults explain FIELD_OPEN
      eesm faults dump -o why
      eesm faults clear
    """
    if ctx.invoked_subcommand is not None:
        # Options before a subcommand are its own unless it has them itself.
        ctx.obj = {**(ctx.obj or {}), "faults": (port, unit, as_json)}
        if clears:
            raise UsageError(f"--clear does not go with {ctx.invoked_subcommand}.", "eesm faults clear")
        return OK
    return clear_faults(port, unit, as_json) if clears else list_faults(port, unit, as_json)


def given(ctx: click.Context, port: str | None, unit: str | None, as_json: bool) -> tuple[Any, Any, bool]:
    """Options of a subcommand, or else those that stood before it."""
    before = (ctx.obj or {}).get("faults", (None, None, False))
    return port or before[0], unit or before[1], as_json or before[2]


@faults.command("list", short_help="The latched faults, and whether the drive is safe.")
@drive_options
@json_option
@click.pass_context
def list_(ctx: click.Context, port: str | None, unit: str | None, as_json: bool) -> int:
    """The latched faults with what was measured, meaning and remedy. Exit code 1 when there are any.

    \b
    Example:
      eesm faults list --json
    """
    return list_faults(*given(ctx, port, unit, as_json))


def list_faults(port: str | None, unit: str | None, as_json: bool) -> int:
    """Tell the faults; the exit code."""
    with connect(port, unit) as drive:
        report = drive.faults()
    tell(report, as_json, cleared=False)
    return FAILED if report.faults else OK


@faults.command("clear", short_help="Clear the latched faults.")
@drive_options
@json_option
@click.pass_context
def clear(ctx: click.Context, port: str | None, unit: str | None, as_json: bool) -> int:
    """Clear the latched faults; refused (exit code 4) while a cause holds or the field is not down.

    \b
    Example:
      eesm faults clear
    """
    return clear_faults(*given(ctx, port, unit, as_json))


def clear_faults(port: str | None, unit: str | None, as_json: bool) -> int:
    """Clear and tell what was cleared; the exit code."""
    with connect(port, unit) as drive:
        report = drive.faults()
        if report.faults:
            drive.clear(wait=True)
    tell(report, as_json, cleared=True)
    return OK


def tell(report: FaultReport, as_json: bool, cleared: bool) -> None:
    """Print a report."""
    if as_json:
        click.echo(json.dumps({**asdict(report), "cleared": cleared and bool(report.faults)}, indent=1))
        return
    if not report.faults:
        click.echo("No faults.")
        return
    for fault in report.faults:
        first = f", first, at {report.time:.4f} s" if fault.first and report.time is not None else ""
        click.echo(f"{fault.name} ({fault.number}){first}")
        click.echo(f"  measured  {fault.text or '-'}")
        click.echo(f"  meaning   {fault.cause}")
        click.echo(f"  limit     {fault.limit}")
        click.echo(f"  remedy    {fault.remedy}")
    click.echo("Safe: field down." if report.safe else "Not safe: field still up, wait.")
    click.echo("Cleared." if cleared else "They stay until: eesm faults --clear. Why: eesm faults dump")


@faults.command(short_help="What a fault means and what to do; no drive is needed.")
@click.argument("fault", required=False, metavar="[N|NAME]", shell_complete=offer_faults)
@json_option
@click.pass_context
def explain(ctx: click.Context, fault: str | None, as_json: bool) -> int:
    """Cause, limit, reaction time, safe state and remedy of a fault by number or name; without one a table of
    all faults. No drive is needed.

    \b
    Examples:
      eesm faults explain 27
      eesm faults explain FIELD_OPEN
    """
    from eesm.fault_table import FAULTS

    as_json = given(ctx, None, None, as_json)[2]
    rows = [find_fault(fault)] if fault else list(FAULTS)
    if as_json:
        found = [row._asdict() for row in rows]
        click.echo(json.dumps(found[0] if fault else found, indent=1))
    elif fault:
        row = rows[0]
        click.echo(f"{row.name} ({row.number})")
        click.echo(f"  meaning     {row.cause}")
        click.echo(f"  limit       {row.limit}")
        click.echo(f"  seen by     {row.seen_by}")
        click.echo(f"  within      {span_of(row)}")
        click.echo(f"  safe state  {row.safe_state}")
        click.echo(f"  remedy      {row.remedy}")
    else:
        for row in rows:
            click.echo(f"{row.number:>2}  {row.name:<22} {span_of(row):<16} {row.cause}")
    return OK


def find_fault(text: str) -> Fault:
    """A row of the table by number or name; UsageError with what is near."""
    from difflib import get_close_matches

    from eesm.fault_table import BY_NAME, FAULTS

    if text.isdigit():
        if 1 <= int(text) <= len(FAULTS):
            return FAULTS[int(text) - 1]
        raise UsageError(f"Faults have the numbers 1 .. {len(FAULTS)}, not {text}.", "eesm faults explain")
    name = text.upper().replace("-", "_").replace(" ", "_")
    if name not in BY_NAME:
        near = get_close_matches(name, BY_NAME, 1)
        raise UsageError(
            f"No fault is called {text}." + (f" Do you mean {near[0]}?" if near else ""),
            f"eesm faults explain {near[0]}" if near else "eesm faults explain   lists them all",
        )
    return BY_NAME[name]


def span_of(row: Fault) -> str:
    """The claimed time from cause to open bridge, at 20 kHz."""
    if row.periods is None:
        return "without torque"
    return f"{row.periods} periods" if row.periods < 20 else f"{row.periods / 20:g} ms"


@faults.command(short_help="Fetch the first fault that the drive has kept.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Default: logs/fault-DATE.",
)  # fmt: skip
@drive_options
@json_option
@click.pass_context
def dump(ctx: click.Context, out: Path | None, port: str | None, unit: str | None, as_json: bool) -> int:
    """Fetch the first fault that the drive has kept, also over a restart: all signals when it was seen, and
    512 rows of eight signals around it. Writes fault.json, capture.parquet, .csv and .png into DIR.

    Exit code 4 when nothing is kept, 1 when what is kept is not whole.

    \b
    Example:
      eesm faults dump -o why
    """
    from host_tools import snapshot

    port, unit, as_json = given(ctx, port, unit, as_json)
    folder = out or Path("logs") / time.strftime("fault-%Y%m%d-%H%M%S")
    with connect(port, unit) as drive:
        found = drive.snapshot()
        paths = snapshot.write(drive, found, folder)
        text = snapshot.summarise(drive, found)
    if as_json:
        click.echo(json.dumps({**snapshot.as_json(found), "files": [str(path) for path in paths]}, indent=1))
    else:
        click.echo(text)
        click.echo(f"Written: {', '.join(str(path) for path in paths)}")
    return OK
