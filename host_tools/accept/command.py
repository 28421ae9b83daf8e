"""`eesm accept`: run the acceptance suite, print its table, tell by the exit status."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from pathlib import Path

import click

from host_tools.errors import FAILED, OK, MissingExtra, UsageError
from host_tools.units import UnitError

# package: extra of pyproject.toml that brings it
NEEDED = {"numpy": "sim", "numba": "sim", "scipy": "optimum", "matplotlib": "plot"}


@click.command("accept")
@click.option("--unit", "units", multiple=True, metavar="NAME|FILE", help="A unit; several are allowed.")
@click.option("--only", multiple=True, metavar="WORD", help="Only families whose name begins so.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build"), show_default=True)
@click.option("--jobs", type=int, help="Processes at once. [one a processor]")
@click.option("--plots/--no-plots", default=True, show_default=True)
def accept(units: tuple[str, ...], only: tuple[str, ...], out: Path, jobs: int | None, plots: bool) -> None:
    """Measure the control law in closed loop and judge it by its requirements.

    Writes accept.json and a plot a family into the folder `--out`; the exit status tells whether all hold.

    \b
    Example:
      eesm accept --unit a --only torque
    """
    for package, extra in NEEDED.items():
        if find_spec(package) is None:
            raise MissingExtra(package, extra, "The acceptance suite")
    from host_tools.accept.runner import UNITS, print_table, run

    begun = time.perf_counter()
    try:
        outcomes = run(units or UNITS, only, out, jobs, plots, lambda text: click.echo(text, err=True))
    except UnitError as error:
        raise UsageError(str(error)) from error
    held = print_table(outcomes, time.perf_counter() - begun)
    sys.exit(OK if held else FAILED)
