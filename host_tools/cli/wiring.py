"""Subcommand wiring."""

from __future__ import annotations

from pathlib import Path

import click

from host_tools.cli.completion import offer_boards, offer_units
from host_tools.errors import USAGE, ToolError


@click.command(short_help="Draw the wiring of a board from its file.")
@click.argument("board", default="rpi_pico", shell_complete=offer_boards)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Default: beside the board's file.",
)
@click.option(
    "--values",
    "unit",
    metavar="UNIT",
    shell_complete=offer_units,
    help="Instead print what sensing and safety come to for a unit on it.",
)
def wiring(board: str, out: Path | None, unit: str | None) -> int:
    """Draw which pin leads where, and the power circuit with the board's values, as SVG. BOARD is a name in
    boards, or a file of your own.

    \b
    Example:
      eesm wiring my_bench.toml -o my_bench.svg
      eesm wiring rpi_pico --values a
    """
    from host_tools.units import UnitError, board_names, load_board
    from host_tools.wiring import draw, path_of

    if unit is not None:
        return _print_values(unit, board)
    try:
        loaded = load_board(board)
        text = draw(loaded)
    except UnitError as error:
        raise ToolError(str(error), f"boards: {', '.join(board_names())}", USAGE) from error
    except ValueError as error:
        raise ToolError(f"{error}.", "choose a board with pins, such as rpi_pico", USAGE) from error
    path = out or path_of(loaded)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ToolError(
            f"{path} cannot be written: {error.strerror}.", "name another file with -o"
        ) from error
    click.echo(str(path))
    return 0


def _print_values(unit: str, board: str) -> int:
    from host_tools.demo import load_unit
    from host_tools.wiring.values import table

    try:
        click.echo(table(load_unit(unit, board)))
    except ValueError as error:
        raise ToolError(f"{error}.", "choose a board with pins, such as rpi_pico", USAGE) from error
    return 0
