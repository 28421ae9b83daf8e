"""`make fault-campaign`: inject, measure, print, write build/faults.json and build/faults.md."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from eesm.fault_table import BY_NAME, FAULTS
from host_tools.campaign.cases import ELSEWHERE
from host_tools.campaign.rig import NotReached
from host_tools.campaign.runner import EXTRA, UNITS, run, table, write_json
from host_tools.errors import FAILED, OK


@click.command()
@click.option("--unit", "units", multiple=True, metavar="NAME", help="A unit; several are allowed.")
@click.option("--only", multiple=True, metavar="FAULT", help="Only this fault; several are allowed.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build"), show_default=True)
@click.option("--jobs", type=int, help="Processes at once. [one a processor]")
def campaign(units: tuple[str, ...], only: tuple[str, ...], out: Path, jobs: int | None) -> None:
    """Inject every fault at several operating points and compare what is measured with what is claimed.

    \b
    Example:
      python -m host_tools.campaign --unit a --only FIELD_OPEN
    """
    for name in only:
        if name not in BY_NAME:
            raise click.UsageError(f"No fault is called {name!r}; `eesm faults explain` lists them.")
    begun = time.perf_counter()
    click.echo("eesm: injecting faults; this takes some minutes", err=True)
    try:
        rows = run(units or (*UNITS, *EXTRA), only, jobs, lambda text: click.echo(f"  {text}", err=True))
    except NotReached as error:
        click.echo(f"eesm: a drive had a fault before any was injected: {error}", err=True)
        sys.exit(FAILED)
    write_json(rows, out / "faults.json")
    text = table(rows)
    (out / "faults.md").write_text(text + "\n", encoding="utf-8")
    click.echo(text)
    missed = [row for row in rows if not row.ok]
    for row in missed:
        click.echo(f"not as claimed: {row.fault} ({row.how}), {row.unit}, {row.point}: {row.why}", err=True)
    if not only:
        tried = {row.fault for row in rows} | set(ELSEWHERE)
        for fault in FAULTS:
            if fault.name not in tried:
                click.echo(f"not injected at all: {fault.name}", err=True)
        places = ", ".join(f"{name} by {tests}" for name, tests in ELSEWHERE.items())
        click.echo(f"injected elsewhere: {places}")
    late = [row for row in rows if row.torque_ms is not None and row.torque_ms > 1.0 and row.ok]
    if late:
        longest = max(late, key=lambda row: row.torque_ms or 0.0)
        click.echo(
            f"torque lasts longer than 1 ms in {len(late)} rows, where the EMF holds against the link; "
            f"{longest.torque_ms:.1f} ms at most ({longest.fault}, {longest.unit}, {longest.point})"
        )
    seconds = time.perf_counter() - begun
    click.echo(
        f"{len(rows) - len(missed)} of {len(rows)} injections as claimed; {seconds:.0f} s; {out}/faults.json"
    )
    sys.exit(FAILED if missed else OK)


if __name__ == "__main__":
    campaign()
