"""The subcommand doctor: what is wrong, and the next command."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from host_tools.cli.shared import console
from host_tools.errors import FAILED, OK

MARKS = {"ok": "[green]ok  [/]", "note": "[yellow]note[/]", "bad": "[bold red]bad [/]"}


@click.command(short_help="Find what is wrong with this computer, its ports and drives.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.option("--udev", is_flag=True, help="Print the udev rules for the boards' ports, and no more.")
def doctor(as_json: bool, udev: bool) -> int:
    """Look at Python and packages, MicroPython, compilers, ports and drives: each finding with the next
    command to type. Nothing is changed, and no port is opened but those of known boards. Exit code 1 when
    something is bad.

    \b
    Example:
      eesm doctor
    """
    from host_tools.doctor import BAD, examine, udev_rules

    if udev:
        click.echo(udev_rules(), nl=False)
        return OK
    shown = console()
    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            shown.print(f"{MARKS[finding.level]} [bold]{finding.subject:<14}[/] ", end="")
            shown.print(finding.text, markup=False)
            if finding.remedy:
                shown.print(f"{'':<20}next: {finding.remedy}", markup=False, style="cyan")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    return FAILED if any(finding.level == BAD for finding in findings) else OK
