"""Subcommand run: a scenario on any bench, with a verdict and a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from host_tools.cli.bench import print_result, run_simulated, show_progress
from host_tools.cli.completion import offer_benches, offer_scenarios, offer_units
from host_tools.errors import OK, UsageError


@click.command(short_help="Run a scenario on any bench: pass or fail, and a report.")
@click.argument("scenario", required=False, shell_complete=offer_scenarios)
@click.option(
    "--on",
    "bench",
    default="simulate",
    show_default=True,
    metavar="BENCH",
    shell_complete=offer_benches,
    help="simulate, virtual, rpi_pico, a port, or drive: the only drive there is.",
)
@click.option(
    "--unit",
    shell_complete=offer_units,
    help="Drive unit of a bench without hardware (default a), or of the drive to look for.",
)
@click.option("--seed", default=1, show_default=True, help="Noise, and the angle at which the rotor rests.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="DIR", help="Default: build/run/SCENARIO-BENCH."
)
@click.option("--json", "as_json", is_flag=True, help="The summary, for scripts.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of scenario files, and do nothing else.")
def run(
    scenario: str | None,
    bench: str,
    unit: str | None,
    seed: int,
    out: Path | None,
    as_json: bool,
    schema: bool,
) -> int:
    """Run SCENARIO, a .toml file or one that comes with the tools, and say whether its expectations hold:
    exit code 0 when all do, 1 when not. DIR gets log, picture, report and summary. A port or `drive` turns a
    real motor; a limit that is broken, a fault and Ctrl-C stop it in order.

    \b
    Examples:
      eesm run chirp
      eesm run step.toml --on drive
      eesm run --schema > scenario.schema.json
    """
    from host_tools import scenario as scenarios
    from host_tools.scenario_language import schema as schema_of

    if schema:
        click.echo(json.dumps(schema_of(), indent=1, ensure_ascii=False))
        return OK
    if scenario is None:
        raise UsageError("Which scenario?", f"eesm run FILE, or one of: {', '.join(scenarios.names())}")
    chosen = scenarios.load(scenario)
    out = out or Path("build") / "run" / f"{chosen.name}-{Path(bench).name}"
    shown = _console(as_json)
    with show_progress(shown, len(chosen.phases)) as progress:
        if bench == "simulate":
            result = run_simulated(chosen, unit or "a", None, seed, out, progress)
        elif bench in ("virtual", "rpi_pico", "rpi_pico_spi"):
            from host_tools.demo import demonstrate

            result = demonstrate(
                unit or "a",
                chosen,
                out,
                board=bench,
                seed=seed,
                tell=progress.tell,
                show=progress.show,
                on_progress=progress.on_progress,
            )
        else:
            result = _run_connected(chosen, None if bench == "drive" else bench, unit, out, progress)
    if as_json:
        click.echo(json.dumps(result.summary, indent=1, ensure_ascii=False))
    else:
        print_result(shown, result)
    return result.code


def _run_connected(chosen: Any, port: str | None, unit: str | None, out: Path, progress: Any) -> Any:
    from dataclasses import replace

    from host_tools import pace
    from host_tools.cli.shared import connect
    from host_tools.demo import require_results
    from host_tools.execution import execute

    require_results()
    with connect(port, unit) as drive:
        identity = drive.identity
        progress.tell(f"Unit {identity.unit} on board {identity.board} at {identity.port}")
        rate = pace.bearable(identity.board, chosen.rate_hz)
        if rate < chosen.rate_hz:
            progress.tell(f"Rows come at {rate:g} Hz, not {chosen.rate_hz:g}: the board bears no more")
            chosen = replace(chosen, rate_hz=rate)
        return execute(
            chosen,
            drive,
            out,
            on_progress=progress.on_progress,
            on_write=lambda name: progress.tell(f"Writing {name}"),
        )


def _console(quiet: bool) -> Any:
    """Where progress goes: beside a summary for scripts it goes to stderr."""
    if not quiet:
        from host_tools.cli.shared import console

        return console()
    from rich.console import Console

    return Console(stderr=True, highlight=False)
