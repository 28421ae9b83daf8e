"""What several subcommands share: options, connecting, and a session that ends in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eesm.cyclic import MASK
from eesm.drive import RPM
from host_tools.cli.completion import offer_ports, offer_units
from host_tools.errors import FAILED, INTERRUPTED, OK, ToolError
from host_tools.files import named, require_new, require_writable

if TYPE_CHECKING:
    from host_tools.client import Drive

SHOWN = ("w_e", "torque", "i_d", "i_q", "i_f", "u_dc")  # the live line
SHOWN_RATE = 50.0
SILENCE = 10.0  # s of this computer without a row: an emulated board on a busy computer is slow


class Finite(click.ParamType):
    """A number that is one, which nan and inf are not."""

    name = "float"

    def __init__(self, kind: click.ParamType) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = self.kind.convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value} is not a number to work with.", param, ctx)
        return number


FINITE = Finite(click.FLOAT)
POSITIVE = Finite(click.FloatRange(0, min_open=True))


def drive_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--port and --unit: which drive."""
    command = click.option(
        "--unit",
        metavar="NAME",
        shell_complete=offer_units,
        help="The drive of this unit, if there are several.",
    )(command)
    return click.option(
        "-p",
        "--port",
        metavar="PORT",
        shell_complete=offer_ports,
        help="Serial port; default: the only drive there is.",
    )(command)


def kernel_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--kernel: the form in which a board gets the control law."""
    return click.option(
        "--kernel",
        type=click.Choice(["viper", "native"]),
        default="viper",
        show_default=True,
        help="Compiled on the board, or here from C, which runs in half the time.",
    )(command)


def motion_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--arm, --for, --log: a session that moves."""
    command = click.option(
        "--log",
        "log_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Log the session to FILE.eesmlog.",
    )(command)
    return click.option(
        "--for",
        "seconds",
        type=POSITIVE,
        metavar="S",
        help="Stop after S seconds; default: on Ctrl-C.",
    )(command)


def connect(port: str | None, unit: str | None) -> Drive:
    """The drive; ToolError when there is none, several, or it is busy."""
    from host_tools.client import Drive

    return Drive.connect(port, unit=unit)


def console() -> Any:
    """Where results go."""
    from rich.console import Console

    class Results(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # `eesm` knows what to do then, and Rich would call it a failure

    shown = Results(highlight=False)
    if not shown.is_terminal:
        shown.width = 1000  # a file or a pipe has no edge to wrap at
    return shown


def live_text(drive: Drive, values: Mapping[str, float], state: str, seconds: float) -> str:
    """One line about what a drive does."""
    rpm = values["w_e"] * drive.bases["w_m"] / drive.bases["w_e"] / RPM
    return (
        f"{seconds:7.1f} s  {state:<10} {rpm:8.1f} rpm {values['torque']:8.3f} Nm   "
        f"i_d {values['i_d']:7.2f}  i_q {values['i_q']:7.2f}  i_f {values['i_f']:6.3f} A   "
        f"u_dc {values['u_dc']:5.1f} V"
    )


class Session:
    """A drive in use: takes its rows and events while it runs, logs them if wanted, shows them."""

    def __init__(self, drive: Drive, log_file: Path | None = None) -> None:
        from host_tools import log, pace
        from host_tools.scenario import SIGNALS

        self.drive = drive
        self.writer = None
        names: Sequence[str] = SHOWN
        rate = SHOWN_RATE
        if log_file is not None:
            names, rate = SIGNALS, pace.bearable(drive.identity.board, 1000.0)
            self.writer = log.Writer(log_file, log.describe(drive))
        drive.events()
        self.rows = drive.stream(names, rate)
        if self.writer is not None:
            self.writer.begin(self.rows)
        self.values: dict[str, float] = dict.fromkeys(SHOWN, 0.0)
        self.state = drive.state
        self._newest_row = self._newest_event = 0
        self._heard = time.monotonic()

    def step(self, wait: float = 0.1) -> None:
        """Let a little time pass; a fault or an unexpected stop is a ToolError."""
        drive = self.drive
        if drive.identity.fast:
            drive.sleep(0.01)
            batch = self.rows.read(0)
        else:
            batch = self.rows.read(wait)
            self._miss(bool(batch))
        if batch:
            self.values = {name: batch[-1][name] for name in SHOWN}
            self._newest_row = batch[-1].period & MASK
            if self.writer is not None:
                self.writer.rows(batch)
        for event in drive.events():
            self._newest_event = event.period
            if self.writer is not None:
                self.writer.note("event", period=event.period, what=event.kind, text=event.text)
            if event.kind == "state":
                self.state = event.text
            elif event.kind == "fault":
                raise fault_of(drive, event.text)
            elif event.kind == "host lost":
                raise ToolError(
                    f"The drive stopped by itself: {event.text}.", "check the load of this computer"
                )

    def _miss(self, heard: bool) -> None:
        """A board that was reset behind a port of its own, or hangs, sends no row and closes nothing."""
        from host_tools.link_errors import PortClosed

        if heard:
            self._heard = time.monotonic()
        elif time.monotonic() > self._heard + SILENCE:
            port = self.drive.identity.port
            raise PortClosed(
                f"No row has come from {port} for {SILENCE:g} s: the drive was reset or hangs.",
                "look after the drive, then `eesm info`",
            )

    def hold(self, seconds: float | None) -> int:
        """Stay until the time is over or Ctrl-C; returns the exit code.  Stopping is the caller's."""
        from rich.live import Live

        shown = console()
        start = time.monotonic()
        passed = 0.0
        code = OK
        with Live("", console=shown, refresh_per_second=8, transient=True) as live:
            try:
                while seconds is None or passed < seconds:
                    self.step()
                    fast = self.drive.identity.fast
                    passed = passed + 0.01 if fast else time.monotonic() - start
                    live.update(live_text(self.drive, self.values, self.state, passed))
            except KeyboardInterrupt:
                # Without --for this is how a session ends.
                code = OK if seconds is None else INTERRUPTED
        shown.print(live_text(self.drive, self.values, self.state, passed))
        return code

    def close(self) -> None:
        """End the stream, write the rest of the log and convert it."""
        from host_tools.link_errors import DriveError

        try:
            # The event of the last change may still be on its way, and rows come after it.
            for _ in range(20):
                self.step(0.05)
                if self.state == self.drive.state and self._newest_row > self._newest_event:
                    break
            self.rows.close()
            self.step(0)
        except DriveError:
            pass  # the log is worth more than the link
        finally:
            if self.writer is not None:
                self.writer.note("stream", lost=self.rows.lost, dropped=self.rows.dropped)
                self.writer.close()
                finish_log(self.writer.path)


def fault_of(drive: Drive, text: str) -> ToolError:
    """A fault with what to do about it."""
    found = drive.faults().faults
    remedy = found[0].remedy if found else ""
    return ToolError(f"Fault {text}", f"{remedy}; then eesm faults --clear", FAILED)


def finish_log(path: Path) -> None:
    """Convert a raw log and say where everything is; without the packages the raw file is kept."""
    from host_tools import log
    from host_tools.errors import MissingExtra

    shown = console()
    try:
        run = log.read(path)
        files = log.convert(path, run)
    except MissingExtra as error:
        shown.print(f"Kept {path}; {error.message}", markup=False)
        shown.print(f"later: {error.hint}, then eesm convert {path}", markup=False)
        return
    lost = f", {run.records_lost} lost" if run.records_lost else ", none lost"
    names = ", ".join(file.name for file in files)
    shown.print(f"{len(run)} records{lost}: {path}, {names}", markup=False)


@contextmanager
def session(port: str | None, unit: str | None, log_file: Path | None = None) -> Iterator[Session]:
    """Connect, and leave the drive stopped and the log whole, whatever happens."""
    if log_file is not None:
        log_file = named(log_file, ".eesmlog")
        require_new(log_file, hint="give another name")
        require_writable(log_file)
    drive = connect(port, unit)
    try:
        used = Session(drive, log_file)
        try:
            yield used
            stop(drive)
        except BaseException:
            # The drive stops in order also after an error; a second error hides nothing.
            try:
                stop(drive)
            except (ToolError, OSError):
                pass
            raise
        finally:
            used.close()
    finally:
        drive.close()


def stop(drive: Drive) -> None:
    """Stop in order and wait until the drive is off."""
    if drive.state not in ("off", "fault"):
        drive.stop(wait=True)
