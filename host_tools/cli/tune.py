"""The subcommand tune: bandwidths, and the step responses that come of them."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from host_tools.cli.completion import offer_loops
from host_tools.cli.shared import POSITIVE, connect, console, drive_options, stop
from host_tools.errors import OK, REFUSED, MissingExtra, ToolError, UsageError

if TYPE_CHECKING:
    from host_tools.client import Drive
    from host_tools.tuning import Result

HZ = POSITIVE


@click.command(short_help="Measure step responses beside the model's; set bandwidths.")
@click.argument("loops", nargs=-1, metavar="[LOOP]...", shell_complete=offer_loops)
@drive_options
@click.option("--arm", "arming", is_flag=True, help="Arm the drive first.")
@click.option("--current", type=HZ, metavar="HZ", help="Set bandwidth_current first.")
@click.option("--field", type=HZ, metavar="HZ", help="Set bandwidth_field first.")
@click.option("--speed", type=HZ, metavar="HZ", help="Set bandwidth_speed first.")
@click.option("--repeats", default=4, show_default=True, type=click.IntRange(1, 64), help="Steps averaged.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    default=Path("build/tune.png"),
    show_default=True,
    help="The picture.",
)
@click.option(
    "--bode",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also a Bode plot of i_d and i_q.",
)
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def tune(
    loops: tuple[str, ...],
    port: str | None,
    unit: str | None,
    arming: bool,
    current: float | None,
    field: float | None,
    speed: float | None,
    repeats: int,
    out: Path,
    bode: Path | None,
    as_json: bool,
) -> int:
    """Step the loops i_d, i_q, i_f and speed (default: all) on the drive and in the model of its unit, and
    compare. The shaft must turn freely: the speed loop steps between 10 and 15 % of its highest speed. Gains
    follow from the unit's parameters and a bandwidth; only bandwidths are set, and they stay set.

    \b
    Examples:
      eesm tune --arm
      eesm tune i_d i_q --arm --current 450 --bode build/bode.png
    """
    from rich.console import Console

    try:
        from host_tools import tuning
        from host_tools.frequency import LINEAR
        from host_tools.plot import require_picture
        from host_tools.tuning_plot import draw, draw_bode
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "sim,plot", "eesm tune") from None

    names = loops or tuple(tuning.LOOPS)
    for name in names:
        if name not in tuning.LOOPS:
            raise UsageError(
                f"There is no loop {name!r}; loops are {', '.join(tuning.LOOPS)}.", "eesm tune -h"
            )
    if bode is not None and not set(names) & set(LINEAR):
        raise UsageError(
            f"A Bode plot takes a loop whose step is linear: {' or '.join(LINEAR)}.",
            "eesm tune i_q --arm --bode FILE; for the speed: eesm run chirp",
        )
    wanted = {"bandwidth_current": current, "bandwidth_field": field, "bandwidth_speed": speed}
    for picture in (out, bode) if bode else (out,):
        require_picture(picture)
    with connect(port, unit) as drive:
        set_bandwidths(drive, {name: value for name, value in wanted.items() if value is not None})
        if arming:
            drive.arm()
        elif drive.state not in ("ready", "running"):
            raise ToolError(f"The drive is {drive.state}, not ready.", "eesm tune --arm", REFUSED)
        try:
            with Console(stderr=True).status("") as status:
                results = tuning.tune(drive, names, repeats, status.update)
        finally:
            if arming:
                stop(drive)
    rows = [figures_of(result) for result in results]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        show(rows)
    draw(results, out)
    pictures = [out]
    if bode is not None:
        draw_bode([result for result in results if result.loop.name in LINEAR], bode)
        pictures.append(bode)
    if not as_json:
        click.echo(f"Pictures: {', '.join(map(str, pictures))}" if bode else f"Picture: {out}")
    return OK


def set_bandwidths(drive: Drive, wanted: dict[str, float]) -> None:
    """Change bandwidths, and say how to take it back."""
    from host_tools.parameter_changes import change

    for each in change(drive, wanted, "tune"):
        click.echo(
            f"{each.name} = {each.after:g} Hz (was {each.before:g}); to take it back: eesm params undo",
            err=True,
        )


def figures_of(result: Result) -> dict[str, Any]:
    """Of one loop: ms, % and the verdict."""
    found, model = result.measured.judge(), result.expected.judge()
    return {
        "loop": result.loop.name,
        "bandwidth_hz": result.bandwidth,
        "rise_ms": 1e3 * found.rise,
        "rise_model_ms": 1e3 * model.rise,
        "overshoot_percent": 100 * found.overshoot,
        "overshoot_model_percent": 100 * model.overshoot,
        "settled_ms": 1e3 * found.settled,
        "settled_model_ms": 1e3 * model.settled,
        "verdict": result.verdict(),
        **frequencies_of(result),
    }


def frequencies_of(result: Result) -> dict[str, Any]:
    """Hz and degrees of a loop whose steps are linear."""
    from host_tools.frequency import LINEAR, transform

    if result.loop.name not in LINEAR:
        return {}
    measured, model = transform(result.measured), transform(result.expected)
    figures = {
        "corner_hz": measured.bandwidth(),
        "corner_model_hz": model.bandwidth(),
        "phase_margin_degrees": measured.margin()[0],
        "phase_margin_model_degrees": model.margin()[0],
    }
    return {name: value if isfinite(value) else None for name, value in figures.items()}


def show(rows: list[dict[str, Any]]) -> None:
    """The figures as a table: each as measured, then the model's."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, justify in (("loop", "left"), ("bandwidth", "right"), ("rise", "right"), ("model", "right")):
        table.add_column(title, justify=justify)  # type: ignore[arg-type]
    for title in ("overshoot", "model", "settled 2 %", "model"):
        table.add_column(title, justify="right")
    table.add_column("")
    for row in rows:
        table.add_row(
            row["loop"],
            f"{row['bandwidth_hz']:g} Hz",
            f"{row['rise_ms']:.2f} ms",
            f"{row['rise_model_ms']:.2f}",
            f"{row['overshoot_percent']:.1f} %",
            f"{row['overshoot_model_percent']:.1f}",
            f"{row['settled_ms']:.1f} ms",
            f"{row['settled_model_ms']:.1f}",
            row["verdict"] or "as the model",
        )
    console().print(table)
