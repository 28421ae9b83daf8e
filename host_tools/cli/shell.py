"""The subcommand shell: a Python prompt with the drive as an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from host_tools.cli.shared import connect, drive_options
from host_tools.errors import OK, MissingExtra, ToolError

if TYPE_CHECKING:
    from host_tools.client import Drive

BANNER = """\
Unit {unit} on board {board} at {port}, state {state}.

  drive.u_dc                           any signal, with its unit; drive.u_dc? tells what it means
  drive.arm(); drive.speed = 500       rpm; drive.torque = 0.5 in N.m
  drive.parameters.bandwidth_speed     read it, or set it by =
  drive.capture(["i_d", "i_q"])        512 periods at the PWM's rate
  drive.faults(); drive.clear()        what happened, and on
  drive.stop()                         in order; leaving the prompt (Ctrl-D) does it too
"""


@click.command(short_help="A Python prompt with the drive as an object.")
@drive_options
def shell(port: str | None, unit: str | None) -> int:
    """A Python prompt with the drive as the object `drive`: signals by name with completion (Tab), setpoints
    and parameters by assignment. Leaving it stops a motor that was armed here.

    \b
    Examples:
      eesm shell
      echo 'print(drive.u_dc)' | eesm shell
    """
    try:
        from IPython.terminal.embed import InteractiveShellEmbed
    except ImportError:
        raise MissingExtra("ipython", "shell", "eesm shell") from None
    with connect(port, unit) as drive:
        prompt = InteractiveShellEmbed(config=configure(drive), user_ns={"drive": drive})
        prompt.set_custom_exc((ToolError,), show_error)
        prompt()
        if drive.state not in ("off", "fault"):
            click.echo("Stopping.")
    return OK


def configure(drive: Drive) -> Any:
    """A prompt that completes by asking the drive, and shows errors in a line."""
    from traitlets.config import Config

    identity = drive.identity
    config = Config()
    config.InteractiveShellEmbed.banner1 = BANNER.format(
        unit=identity.unit, board=identity.board, port=identity.port, state=drive.state
    )
    config.InteractiveShell.xmode = "Minimal"
    config.TerminalInteractiveShell.confirm_exit = False
    config.TerminalInteractiveShell.enable_tip = False
    # Completion from `dir`: jedi reads source, and knows no signal of a board.
    config.Completer.use_jedi = False
    config.Completer.evaluation = "unsafe"  # reading a parameter asks the board, which harms nothing
    return config


def show_error(self: Any, kind: Any, error: ToolError, trace: Any, tb_offset: Any = None) -> None:
    """What happened and what to do, as the command line says it."""
    click.echo(error.message, err=True)
    if error.hint:
        click.echo(f"next: {error.hint}", err=True)
