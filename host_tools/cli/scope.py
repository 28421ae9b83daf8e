"""Subcommand scope: the live oscilloscope in the browser."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path

import click

from host_tools.cli.completion import offer_units
from host_tools.cli.shared import connect, console, drive_options
from host_tools.errors import OK, MissingExtra, UsageError

NEEDS = ("starlette", "uvicorn", "websockets", "numpy", "pyarrow")


@click.command(short_help="See it live in the browser: plots, capture, control.")
@drive_options
@click.option(
    "--listen",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Address to listen on; 0.0.0.0 lets other computers in, without encryption.",
)
@click.option("--http", "http_port", default=0, metavar="N", help="Port of the page; default: any free one.")
@click.option(
    "--logs",
    type=click.Path(path_type=Path),
    default=Path("logs"),
    show_default=True,
    metavar="FOLDER",
    help="Where recordings go.",
)
@click.option(
    "--virtual",
    metavar="UNIT",
    shell_complete=offer_units,
    help="Start a virtual drive of this unit to look at.",
)
@click.option("--browser/--no-browser", default=True, help="Open the page in the browser.")
def scope(
    port: str | None,
    unit: str | None,
    listen: str,
    http_port: int,
    logs: Path,
    virtual: str | None,
    browser: bool,
) -> int:
    """Serve a page that shows the drive live: signals in panes, cursors, the plane of currents, spectrum,
    triggered capture, parameters with undo, arm, speed, torque - and stop, by button or space bar, always.

    The page is served to this computer only, at an address that holds a secret. One page controls, others
    watch. Ctrl-C stops the motor and ends it. With --http and EESM_SCOPE_TOKEN the address stays the same
    from one start to the next, and a page that is open goes on.

    \b
    Example, without any hardware:
      eesm scope --virtual a
    """
    for package in NEEDS:
        _need(package)
    from host_tools.scope.server import LOOPBACK, Server

    shown = console()
    token = os.environ.get("EESM_SCOPE_TOKEN")
    if token is not None and (len(token) < 16 or not token.replace("-", "").replace("_", "").isalnum()):
        raise UsageError("EESM_SCOPE_TOKEN is not 16 or more letters, digits, - and _.", "unset it")
    with ExitStack() as stack:
        if virtual is not None:
            from host_tools.virtual_drive import VirtualDrive

            port = stack.enter_context(VirtualDrive(virtual)).port
        drive = connect(port, unit)
        stack.callback(drive.close)
        server = stack.enter_context(Server(drive, listen=listen, port=http_port, token=token, logs=logs))
        shown.print(f"Scope of unit {drive.identity.unit} at {drive.identity.port}; Ctrl-C ends it.")
        shown.print(server.url, soft_wrap=True)
        if listen not in LOOPBACK:
            shown.print("Other computers may open it too: whoever knows the address controls the drive.")
        if browser:
            import webbrowser

            webbrowser.open(server.url)
        try:
            while server.running:
                time.sleep(0.2)
        except KeyboardInterrupt:
            shown.print("Stopping the drive and ending.")
    return OK


def _need(package: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise MissingExtra(package, "scope", "The scope")
