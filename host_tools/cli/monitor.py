"""The subcommand monitor: a drive at a glance in a terminal."""

from __future__ import annotations

import sys

import click

from host_tools.cli.shared import drive_options
from host_tools.errors import OK, MissingExtra, UsageError


@click.command(short_help="A drive at a glance in the terminal, with a stop key.")
@drive_options
def monitor(port: str | None, unit: str | None) -> int:
    """Show speed, torque, currents, state, events and faults with their remedy, over any terminal. Space
    stops; A arms, s and t set speed and torque, c clears faults. A drive that is reset or unplugged is found
    again. Leaving (q) stops a motor that was armed here.

    \b
    Example:
      eesm monitor
    """
    from host_tools.devices import choose_device

    try:
        from host_tools.monitor import Monitor
    except ModuleNotFoundError:
        raise MissingExtra("textual", "monitor", "eesm monitor") from None
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("eesm monitor needs a terminal, to read keys from and to draw on.", "eesm connect")
    choose_device(port, unit)  # none, or several: said here, and not by an empty screen
    return Monitor(port, unit).run() or OK
