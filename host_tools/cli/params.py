"""Subcommand params: list, get, set, keep, kept, forget, save, load, diff, undo, log."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from host_tools.cli.completion import offer_parameters
from host_tools.cli.shared import connect, drive_options
from host_tools.errors import FAILED, OK, REFUSED, ToolError, UsageError
from host_tools.files import require_new, require_writable

as_json_option = click.option("--json", "as_json", is_flag=True, help="For scripts.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group(short_help="List, read, change, save and load parameters.")
def params() -> None:
    """The parameters of a drive, in SI units. A change lasts until the board restarts unless `keep` keeps it,
    is listed in a history, and can be undone; a parameter that is linked into the kernel is refused, and the
    answer says so.

    \b
    Examples:
      eesm params list
      eesm params set bandwidth_speed 12
      eesm params undo
      eesm params keep
      eesm params save tuned.toml
    """


@params.command("list", short_help="Every parameter with value, unit and range.")
@drive_options
@as_json_option
def list_(port: str | None, unit: str | None, as_json: bool) -> int:
    """Every parameter with value, unit, range and meaning.

    \b
    Example:
      eesm params list --json
    """
    from eesm.parameters import SETTINGS

    with connect(port, unit) as drive:
        values = drive.settings()
    if as_json:
        click.echo(json.dumps(values, indent=1))
        return OK
    for name, value in values.items():
        si, low, high, meaning = SETTINGS[name]
        click.echo(f"{name:<22} {value:>12.6g} {si:<7} {low:>8.6g} .. {high:<8.6g} {meaning}")
    return OK


@params.command(short_help="Read parameters.")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=offer_parameters)
@drive_options
@as_json_option
def get(names: tuple[str, ...], port: str | None, unit: str | None, as_json: bool) -> int:
    """Read parameters.

    \b
    Example:
      eesm params get R_s L_d L_q
    """
    from eesm.parameters import SETTINGS

    for name in names:
        check_name(name)
    with connect(port, unit) as drive:
        values = {name: drive.get(name) for name in names}
    if as_json:
        click.echo(json.dumps(values, indent=1))
        return OK
    for name, value in values.items():
        click.echo(f"{name} = {value:.6g} {SETTINGS[name][0]}")
    return OK


@params.command("set", short_help="Change a parameter.", context_settings={"ignore_unknown_options": True})
@click.argument("name", shell_complete=offer_parameters)
@click.argument("value", type=float)
@drive_options
def set_(name: str, value: float, port: str | None, unit: str | None) -> int:
    """Change a parameter; every gain that follows from it changes with it, at one period.

    \b
    Example:
      eesm params set bandwidth_current 800
    """
    from eesm.parameters import SETTINGS
    from host_tools.parameter_changes import change

    check_name(name)
    si, low, high = SETTINGS[name][:3]
    if not low <= value <= high:
        raise UsageError(f"{name} = {value:g} {si} is outside {low:g} .. {high:g} {si}; nothing was sent.")
    with connect(port, unit) as drive:
        before = drive.get(name)
        made = change(drive, {name: value})
    held = made[0].after if made else before
    click.echo(f"{name} = {held:.6g} {si} (was {before:.6g})")
    return OK


@params.command(short_help="Keep the present parameters on the board.")
@drive_options
@as_json_option
def keep(port: str | None, unit: str | None, as_json: bool) -> int:
    """Keep the present parameters on the board, so that it starts with them. Those that equal the unit file's
    are not kept: they follow it when the unit is built and flashed anew. Refused while the drive is armed,
    its field is up or its shaft turns. A power cut meanwhile leaves the old parameters or the new ones.

    \b
    Example:
      eesm params keep
    """
    with connect(port, unit) as drive:
        kept = drive.save()
        name = drive.identity.unit
    if as_json:
        click.echo(json.dumps(asdict(kept), indent=1))
    else:
        click.echo(f"Unit {name} keeps {_parameters(kept.count)}; the others follow its unit file.")
    return OK


@params.command(short_help="Say what the board keeps.")
@drive_options
@as_json_option
def kept(port: str | None, unit: str | None, as_json: bool) -> int:
    """Say how many parameters the board keeps, how many present ones it would lose, and which kept ones it
    does not use, as after a change of the firmware. The exit code is 1 when what it kept is damaged.

    \b
    Example:
      eesm params kept
    """
    with connect(port, unit) as drive:
        found = drive.kept()
        name = drive.identity.unit
    if as_json:
        click.echo(json.dumps(asdict(found), indent=1))
    else:
        click.echo(
            f"Unit {name}: {found.condition}; {_parameters(found.count)}, save number {found.sequence}."
        )
        for note in found.notes:
            click.echo(note)
        if found.unsaved:
            click.echo(f"A restart would change {_parameters(found.unsaved)}. To keep them: eesm params keep")
    return OK if found.whole else FAILED


@params.command(short_help="Forget what the board keeps.")
@drive_options
@yes_option
@as_json_option
def forget(port: str | None, unit: str | None, yes: bool, as_json: bool) -> int:
    """Erase what the board keeps and set its present parameters back to the unit file's, at once. Refused
    while the drive is armed, its field is up or its shaft turns.

    \b
    Example:
      eesm params forget --yes
    """
    from host_tools.parameter_changes import forget as let_forget

    with connect(port, unit) as drive:
        found = drive.kept()
        name = drive.identity.unit
        ask(f"Set unit {name} back to its unit file ({_parameters(found.count)} kept)?", yes)
        made = let_forget(drive)
    if as_json:
        click.echo(json.dumps([asdict(each) for each in made], indent=1))
        return OK
    show(made)
    click.echo(
        f"Unit {name} keeps nothing; {_parameters(len(made))} changed. To take that back: eesm params undo"
    )
    return OK


def _parameters(count: int) -> str:
    return f"{count} parameter{'' if count == 1 else 's'}"


@params.command(short_help="Write all parameters to a file.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@drive_options
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def save(file: Path, port: str | None, unit: str | None, force: bool) -> int:
    """Write every parameter to FILE, in TOML, by name, in SI units, with unit, range and meaning beside each,
    and with the identity of the drive.

    \b
    Example:
      eesm params save tuned.toml
    """
    from host_tools import parameter_file
    from host_tools.execution import version

    if not force:
        require_new(file)
    require_writable(file)
    with connect(port, unit) as drive:
        values = drive.settings()
        parameter_file.write(file, values, drive.identity, tools=version())
        click.echo(f"{file}: {len(values)} parameters of unit {drive.identity.unit}")
    return OK


@params.command(short_help="Set what a file holds.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@drive_options
@yes_option
@click.option("--other-unit", is_flag=True, help="Also when the file belongs to another unit.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
def load(file: Path, port: str | None, unit: str | None, yes: bool, other_unit: bool, dry_run: bool) -> int:
    """Show what FILE would change on the drive, ask, and change it: all of it, or nothing when the drive
    refuses a value. FILE may hold some parameters only. A file of another unit is refused.

    \b
    Example:
      eesm params load tuned.toml --yes
    """
    from host_tools import parameter_file
    from host_tools.parameter_changes import change

    given = parameter_file.read(file)
    with connect(port, unit) as drive:
        if not other_unit:
            given.check(drive.identity)
        board = given.identity.get("board")
        if board and board != drive.identity.board:
            click.echo(f"{file} was saved on board {board}, this is board {drive.identity.board}.", err=True)
        found = parameter_file.differences({name: drive.get(name) for name in given.values}, given.values)
        if not found:
            click.echo(f"The drive has all {len(given.values)} values of {file} already.")
            return OK
        for each in found:
            click.echo(str(each))
        if dry_run:
            return OK
        ask(f"Change {len(found)} parameters of unit {drive.identity.unit}?", yes)
        made = change(drive, given.values, f"load {file.name}")
    click.echo(f"{len(made)} parameters changed. To take it back: eesm params undo")
    return OK


@params.command(short_help="Compare a file with the drive, or two files.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("other", type=click.Path(path_type=Path, dir_okay=False), required=False)
@drive_options
@as_json_option
def diff(file: Path, other: Path | None, port: str | None, unit: str | None, as_json: bool) -> int:
    """Show each parameter whose value in FILE differs from that of the drive, or from that in OTHER. The exit
    code is 0 when none does and 1 when some do.

    \b
    Examples:
      eesm params diff tuned.toml
      eesm params diff monday.toml tuesday.toml --json
    """
    from host_tools import parameter_file

    before = parameter_file.read(file).values
    if other is not None:
        after = parameter_file.read(other).values
    else:
        with connect(port, unit) as drive:
            after = {name: drive.get(name) for name in before}
    found = parameter_file.differences(before, after)
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=1))
    else:
        for each in found:
            click.echo(str(each))
        if not found:
            click.echo(f"All {len(before)} parameters are the same.")
    return FAILED if found else OK


@params.command(short_help="Take the last change back.")
@drive_options
def undo(port: str | None, unit: str | None) -> int:
    """Take the newest change back, one that `load` made as a whole; again takes back the one before.

    \b
    Example:
      eesm params undo
    """
    from host_tools.parameter_changes import undo as take_back

    with connect(port, unit) as drive:
        made = take_back(drive)
    show(made)
    return OK


@params.command("log", short_help="Show every change that was made.")
@drive_options
@click.option("-n", "count", default=20, show_default=True, help="How many; 0: all.")
@as_json_option
def log_(port: str | None, unit: str | None, count: int, as_json: bool) -> int:
    """Show the changes made on this drive's unit, with the time of this computer and of the device.

    \b
    Example:
      eesm params log -n 5
    """
    from host_tools.parameter_changes import history

    with connect(port, unit) as drive:
        made = history(drive.identity)
    made = made[-count:] if count else made
    if as_json:
        click.echo(json.dumps([asdict(each) for each in made], indent=1))
    elif made:
        show(made)
    else:
        click.echo("No parameter of this unit was ever changed from here.")
    return OK


def show(made: Iterable[Any]) -> None:
    """One line a change."""
    for each in made:
        click.echo(str(each))


def ask(question: str, yes: bool) -> None:
    """Go on only if told to; ToolError otherwise, also where nobody can answer."""
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("Nobody is there to be asked; nothing was changed.", "add --yes")
    if not click.confirm(question):
        raise ToolError("Nothing was changed.", code=REFUSED)


def check_name(name: str) -> None:
    """UsageError with a guess when there is no such parameter."""
    from eesm.parameters import SETTINGS
    from host_tools.toml_text import near

    if name not in SETTINGS:
        guess = near(name, SETTINGS)
        raise UsageError(f"There is no parameter {name!r}{guess or '.'}", "eesm params list")
