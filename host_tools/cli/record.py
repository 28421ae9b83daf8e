"""Subcommands about records: log, capture, convert, repair, plot."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from host_tools.cli.completion import offer_forms, offer_signals
from host_tools.cli.shared import FINITE, POSITIVE, connect, console, drive_options, finish_log
from host_tools.errors import INTERRUPTED, OK, UsageError
from host_tools.files import named, require_new, require_writable

json_option = click.option("--json", "as_json", is_flag=True, help="For scripts.")
force_option = click.option("--force", is_flag=True, help="Write over files that are there.")


@click.command(short_help="Stream signals into a file that survives anything.")
@click.argument("signals", nargs=-1, metavar="[SIGNAL]...", shell_complete=offer_signals)
@drive_options
@click.option("--rate", type=FINITE, default=1000.0, show_default=True, metavar="HZ", help="Rows a second.")
@click.option("--for", "seconds", type=POSITIVE, metavar="S", help="End after S seconds.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="Default: logs/DATE.eesmlog."
)
@force_option
def log(
    signals: tuple[str, ...],
    port: str | None,
    unit: str | None,
    rate: float,
    seconds: float | None,
    out: Path | None,
    force: bool,
) -> int:
    """Stream up to 15 signals into FILE.eesmlog until Ctrl-C or for S seconds, then write FILE.parquet and
    FILE.csv with units and identity. Without signals: speed, torque, currents, voltages and references.

    What was received is kept whatever happens: Ctrl-C, a lost link, a crash (then: eesm convert FILE).
    To log a session that moves, use --log of speed, torque or current.

    \b
    Example:
      eesm log i_q i_q_ref u_dc --rate 2000 --for 10 -o step
    """
    from rich.live import Live

    from host_tools.execution import version
    from host_tools.log import Writer, describe
    from host_tools.scenario import SIGNALS

    out = named(out or Path("logs") / time.strftime("%Y%m%d-%H%M%S"), ".eesmlog")
    if not force:
        require_new(out)
    require_writable(out)
    shown = console()
    code = OK
    with connect(port, unit) as drive:
        drive.events()
        names = signals or SIGNALS
        rows = drive.stream(names, rate)
        with Writer(out, describe(drive, tools=version())) as writer:
            writer.begin(rows)
            shown.print(
                f"Logging {signals_text(names)} at {rows.rate_hz:g} Hz to {out}; Ctrl-C ends it.",
                markup=False,
            )
            start = time.monotonic()
            passed = 0.0
            try:
                with Live("", console=shown, refresh_per_second=4, transient=True) as live:
                    while seconds is None or passed < seconds:
                        if drive.identity.fast:
                            drive.sleep(0.01)
                        batch = rows.read(0.1)
                        writer.rows(batch)
                        for event in drive.events():
                            writer.note("event", period=event.period, what=event.kind, text=event.text)
                        passed = (
                            writer.count / rows.rate_hz if drive.identity.fast else time.monotonic() - start
                        )
                        live.update(f"{passed:7.1f} s  {writer.count} records, {rows.lost} lost")
                rows.close()
                writer.rows(rows.read(0))
            except KeyboardInterrupt:
                code = OK if seconds is None else INTERRUPTED
                rows.close()
                writer.rows(rows.read(0))
            finally:
                # Also when the port has gone: what came is kept and converted, then the error is told.
                writer.note("stream", lost=rows.lost, dropped=rows.dropped)
                writer.close()
                finish_log(out)
    return code


def signals_text(names: Sequence[str]) -> str:
    """How many, or which one."""
    return names[0] if len(names) == 1 else f"{len(names)} signals"


@click.command(short_help="Record every PWM period around a trigger.")
@click.argument("signals", nargs=-1, metavar="[SIGNAL]...", shell_complete=offer_signals)
@drive_options
@click.option(
    "--trigger",
    metavar="SIGNAL",
    shell_complete=offer_signals,
    help="Signal whose crossing of --level triggers; default: at once.",
)
@click.option("--level", type=FINITE, metavar="X", help="In the trigger's unit.  [default: 0]")
@click.option(
    "--edge", type=click.Choice(["rising", "falling", "fault", "now"]), help="Default: rising, or now."
)
@click.option("--pre", default=128, show_default=True, help="Rows kept from before the trigger, of 512.")
@click.option("--rate", type=FINITE, metavar="HZ", help="Rows a second; default: the PWM frequency.")
@click.option(
    "--wait", "timeout", type=POSITIVE, default=10.0, show_default=True, metavar="S", help="For the trigger."
)
@click.option("--arm", "arming", is_flag=True, help="Arm the drive first.")
@click.option("--speed", type=FINITE, metavar="RPM", help="With --arm: command it once the capture waits.")
@click.option("--torque", type=FINITE, metavar="NM", help="With --arm: command it once the capture waits.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="Default: logs/capture-DATE."
)
@force_option
def capture(
    signals: tuple[str, ...],
    port: str | None,
    unit: str | None,
    trigger: str | None,
    level: float | None,
    edge: str | None,
    pre: int,
    rate: float | None,
    timeout: float,
    arming: bool,
    speed: float | None,
    torque: float | None,
    out: Path | None,
    force: bool,
) -> int:
    """Record up to 8 signals, 512 rows around a trigger, and write FILE.parquet, .csv and .png.

    \b
    Example: the torque step that a speed step needs
      eesm capture i_q_ref i_q i_f torque --trigger torque_ref --level 0.5 --arm --speed 500
    """
    from host_tools import log as logs
    from host_tools import plot as plots

    names = signals or ("i_a", "i_b", "i_d", "i_q", "i_f", "u_d", "u_q", "u_f")
    if (speed is not None or torque is not None) and not arming:
        raise UsageError("--speed and --torque command a drive that is armed.", "add --arm")
    if speed is not None and torque is not None:
        raise UsageError("Give --speed or --torque, not both.", "leave one out")
    if trigger is None and (level is not None or edge in ("rising", "falling")):
        given = f"--edge {edge}" if level is None else f"--level {level:g}"
        raise UsageError(f"{given} needs a signal to look at.", f"add --trigger SIGNAL, such as {names[0]}")
    if trigger is not None and edge in ("fault", "now"):
        raise UsageError(f"--edge {edge} looks at no signal.", "leave --trigger out, or give another --edge")
    out = out or Path("logs") / time.strftime("capture-%Y%m%d-%H%M%S")
    files = [named(out, ending) for ending in (".parquet", ".csv", ".png")]
    if not force:
        require_new(*files)
    require_writable(files[0])
    shown = console()
    with connect(port, unit) as drive:
        for name in (*names, *([trigger] if trigger else [])):
            drive.schema.find(name)
        if arming:
            with shown.status("Arming"):
                drive.arm(wait=True)

        def command() -> None:
            if speed is not None:
                drive.speed = speed
            elif torque is not None:
                drive.torque = torque

        with shown.status("Waiting for the trigger"):
            taken = drive.capture(
                names,
                trigger=trigger,
                level=level or 0.0,
                edge=edge,
                pre=pre,
                rate_hz=rate,
                timeout=timeout,
                then=command if arming else None,
            )
        run = logs.from_capture(drive, taken)
    paths = [
        logs.write_parquet(run, files[0]),
        logs.write_csv(run, files[1]),
        plots.write(run, files[2], names),
    ]
    shown.print(
        f"{len(run)} rows from {taken.times[0] * 1e3:g} to {taken.times[-1] * 1e3:g} ms around "
        f"{taken.trigger_period * drive.t_pwm:.4f} s: {', '.join(str(path) for path in paths)}",
        markup=False,
    )
    return OK


@click.command(short_help="Write a log as Parquet, CSV or MDF4.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "forms",
    default="parquet,csv",
    show_default=True,
    metavar="FORMS",
    shell_complete=offer_forms,
    help="Of parquet, csv, mdf4.",
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="NAME", help="Instead of FILE's name and folder."
)
@json_option
def convert(file: Path, forms: str, out: Path | None, as_json: bool) -> int:
    """Write a log in other forms, beside it. Each form has values with units, identity, parameters, scenario
    and events. FILE is raw (.eesmlog) or one of the forms; of a damaged one what is whole is kept.

    \b
    Example:
      eesm convert logs/step.eesmlog --to parquet,csv,mdf4
    """
    from host_tools import log as logs

    wanted = [form.strip() for form in forms.split(",") if form.strip()]
    if not wanted:
        raise UsageError("There is no form to write.", f"choose from {', '.join(logs.FORMS)}")
    run = logs.read(file)
    files = logs.convert(file, run, wanted, out)
    say_kept(run, [str(path) for path in files], as_json)
    return OK


@click.command(short_help="Make a raw log whole that was cut short or damaged.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="Default: NAME.repaired.eesmlog."
)
@force_option
@json_option
def repair(file: Path, out: Path | None, force: bool, as_json: bool) -> int:
    """Write a new raw log with every record of FILE that is whole, and say what is lost. FILE stays as it is.

    \b
    Example:
      eesm repair logs/20261123-101500.eesmlog
    """
    from host_tools import log as logs

    # What a repair made is made again; what a name was given to may be anything.
    if out is not None and not force and out.resolve() != file.resolve():
        require_new(out)
    out = out or file.with_name(file.name.removesuffix(".eesmlog") + ".repaired.eesmlog")
    if out.resolve() == file.resolve():
        raise UsageError("The repaired log must not take the place of the damaged one.", "give another --out")
    run = logs.repair(file, out)
    say_kept(run, [str(out)], as_json)
    return OK


def say_kept(run: Any, files: list[str], as_json: bool) -> None:
    """What was written, and what of the raw file could not be."""
    lost = sum(length for _, length in run.damage) + run.cut
    if as_json:
        facts = {
            "files": files,
            "records": len(run),
            "records_lost": run.records_lost,
            "bytes_lost": lost,
            "damage": run.damage,
            "cut": run.cut,
        }
        click.echo(json.dumps(facts, indent=1))
        return
    for offset, length in run.damage:
        click.echo(
            f"Damaged: {length} bytes from byte {offset}; what is whole around them is kept.", err=True
        )
    if run.cut:
        click.echo(f"Cut: the last {run.cut} bytes are no whole record; all before them is kept.", err=True)
    missing = f", {run.records_lost} missing" if run.records_lost else ", none missing"
    click.echo(f"{len(run)} records{missing}: {', '.join(files)}")


@click.command(short_help="Draw a log.")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("signals", nargs=-1, metavar="[SIGNAL]...", shell_complete=offer_signals)
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="IMAGE", help=".png, .svg or .pdf.")
def plot(file: Path, signals: tuple[str, ...], out: Path | None) -> int:
    """Draw a log (.eesmlog or .parquet): speed, torque, currents, voltages and power over device time, or
    the SIGNALs named, those of one unit in one pane.

    \b
    Example:
      eesm plot build/demo/run.parquet i_q i_q_ref speed_rpm -o step.svg
    """
    from host_tools import log as logs
    from host_tools import plot as plots

    run: Any = logs.read(file)
    click.echo(str(plots.write(run, out or named(file, ".png"), signals)))
    return OK


@click.command(short_help="Make one HTML page of a log.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="Default: FILE.html.")
def report(file: Path, out: Path | None) -> int:
    """Make one HTML page of a log in any form: curves, table of figures, parameters, identity, faults and
    events; of a scenario's log also phases and expectations. The page needs nothing else.

    \b
    Example:
      eesm report logs/step.eesmlog
    """
    from host_tools import log as logs
    from host_tools import report as reports

    run = logs.read(file)
    click.echo(str(reports.write(run, reports.summary_of(run), out or named(file, ".html"))))
    return OK


@click.command(short_help="Lay two logs over each other.")
@click.argument("first", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("second", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("signals", nargs=-1, metavar="[SIGNAL]...", shell_complete=offer_signals)
@click.option(
    "--align",
    metavar="SIGNAL",
    default="",
    shell_complete=offer_signals,
    help="Shift SECOND so that this signal fits best.",
)
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="Default: compare.html.")
@json_option
def compare(
    first: Path, second: Path, signals: tuple[str, ...], align: str, out: Path | None, as_json: bool
) -> int:
    """Lay two logs over each other from their start, or aligned by a signal: curves, figures side by side,
    parameters and identity that differ, as one HTML page and a PNG.

    \b
    Example:
      eesm compare monday.parquet tuesday.parquet i_q speed_rpm --align i_q
    """
    from host_tools import compare as comparing
    from host_tools import log as logs

    stems = (first.stem, second.stem)
    labels = stems if stems[0] != stems[1] else (str(first), str(second))
    found = comparing.compare(logs.read(first), logs.read(second), signals, align, labels)
    files = comparing.write(found, named(out or Path("compare"), ".html"))
    if as_json:
        facts = {"files": [str(file) for file in files], "shift_s": found.shift}
        click.echo(json.dumps({**facts, "figures": comparing.figures(found)}, indent=1))
    else:
        click.echo(", ".join(str(file) for file in files))
    return OK
