"""Entry of `eesm`: finds the subcommand, loads only its module, turns errors into texts and codes."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from host_tools.errors import BROKEN, INTERRUPTED, MEANINGS, OK, USAGE, ToolError

# Section, name, module, what the list says.  The list needs no module, so `eesm --help` is quick.
COMMANDS = (
    ("See it run, without hardware", "demo", "bench", "Boot the firmware on MicroPython, drive, report."),
    ("See it run, without hardware", "simulate", "bench", "The same scenario in one process, much faster."),
    ("See it run, without hardware", "virtual", "bench", "Keep a virtual drive running to play with."),
    ("Talk to a drive", "devices", "look", "List the drives that can be found."),
    ("Talk to a drive", "doctor", "doctor", "Find what is wrong with this computer, its ports and drives."),
    ("Talk to a drive", "info", "look", "Say which drive answers, its state and its signals."),
    ("Talk to a drive", "scope", "scope", "See it live in the browser: plots, capture, control."),
    ("Talk to a drive", "connect", "look", "Stay connected and show the drive's state."),
    ("Talk to a drive", "monitor", "monitor", "A drive at a glance in the terminal, with a stop key."),
    ("Talk to a drive", "shell", "shell", "A Python prompt with the drive as an object."),
    ("Talk to a drive", "params", "params", "List, read, change, save, load parameters; undo."),
    ("Talk to a drive", "faults", "faults", "List faults, explain them, dump the first one, clear."),
    ("Move it", "arm", "motion", "Arm, hold the drive ready, stop on Ctrl-C."),
    ("Move it", "speed", "motion", "Run at a speed."),
    ("Move it", "torque", "motion", "Run with a torque."),
    ("Move it", "current", "motion", "Impose i_d, i_q and i_f, for bench work."),
    ("Move it", "tune", "tune", "Measure step responses beside the model's; set bandwidths."),
    ("Move it", "stop", "motion", "Stop whatever runs, in order."),
    ("Record it", "run", "run", "Run a scenario on any bench: pass or fail, and a report."),
    ("Record it", "log", "record", "Stream signals into a file that survives anything."),
    ("Record it", "capture", "record", "Record every PWM period around a trigger."),
    ("Record it", "convert", "record", "Write a log as Parquet, CSV or MDF4."),
    ("Record it", "repair", "record", "Make a raw log whole that was cut short or damaged."),
    ("Record it", "plot", "record", "Draw a log."),
    ("Record it", "report", "record", "Make one HTML page of a log."),
    ("Record it", "compare", "record", "Lay two logs over each other."),
    ("Make it", "accept", "accept", "Measure the control law against its requirements."),
    ("Make it", "build", "bench", "Link a unit and lay out what its board holds."),
    ("Make it", "wiring", "wiring", "Draw the wiring of a board from its file."),
    ("Make it", "flash", "flash", "Put a unit's software onto a board and start it."),
    ("Make it", "completion", "completion", "Print what makes Tab complete in your shell."),
)

INTRODUCTION = """Motor control for externally excited synchronous machines.

\b
Start here:
  eesm demo                       everything once, without hardware
  eesm virtual                    a drive to play with; then, in another terminal:
  eesm speed 500 --arm --for 5    arm it, turn it for five seconds, stop it
"""


class Commands(click.Group):
    """Loads a subcommand's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for _, name, _, _ in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for _, name, module, _ in COMMANDS:
            if name == cmd_name:
                return getattr(import_module(f"host_tools.cli.{module}"), name)
        return None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        from difflib import get_close_matches

        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in self.list_commands(ctx):
            near = get_close_matches(name, self.list_commands(ctx), 1)
            hint = f" Do you mean `eesm {near[0]}`?" if near else ""
            raise click.UsageError(f"There is no command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read our output has enough, as `head` in a pipe; click would call that an error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OK

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in dict.fromkeys(section for section, *_ in COMMANDS):
            with formatter.section(section):
                formatter.write_dl([(row[1], row[3]) for row in COMMANDS if row[0] == section])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in MEANINGS.items()])


@click.group(
    cls=Commands,
    help=INTRODUCTION,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="eesm", message="%(package)s %(version)s")
@click.option("--traceback", is_flag=True, help="Show where in the tools an error came from.")
@click.pass_context
def eesm(ctx: click.Context, traceback: bool) -> None:
    ctx.obj = {"traceback": traceback}
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `eesm`; ends the process with the exit code."""
    # Whoever ends the tools by SIGTERM gets the same ordered stop as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run `eesm` and return its exit code; errors go to stderr, all by this one way."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = eesm.main(args=given, prog_name="eesm", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "eesm"
        complain(error.format_message(), f"{path} --help")
        return USAGE
    except click.ClickException as error:
        complain(error.format_message())
        return USAGE
    except ToolError as error:
        if "--traceback" in given:
            raise
        complain(error.message, error.hint)
        return error.code
    except (click.Abort, KeyboardInterrupt):
        complain("Interrupted.")
        return INTERRUPTED
    except OSError as error:
        if "--traceback" in given:
            raise
        where = f"{error.filename}: " if error.filename else ""
        complain(f"{where}{error.strerror or error}.", "look for room and permissions where it writes")
        return BROKEN
    except Exception as error:
        if "--traceback" in given:
            raise
        complain(
            f"An error in these tools, {type(error).__name__}: {error}",
            f"eesm --traceback {shlex.join(given)}   shows where; please report it",
        )
        return BROKEN


def complain(message: str, hint: str = "") -> None:
    """Write an error and the next step to stderr."""
    colour = sys.stderr.isatty()
    red, dim, plain = ("\x1b[1;31m", "\x1b[36m", "\x1b[0m") if colour else ("", "", "")
    print(f"{red}eesm: {message}{plain}", file=sys.stderr)
    if hint:
        print(f"{dim}next: {hint}{plain}", file=sys.stderr)
