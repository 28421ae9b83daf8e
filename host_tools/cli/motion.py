"""Subcommands that move a drive: arm, speed, torque, current, stop.

A drive that hears nothing from its host for `host_timeout` stops in order.  So a command that
moves stays connected and shows what the drive does, until its time is over or Ctrl-C, and stops
the drive before it ends.  Arming is never implied: a command arms only with --arm.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eesm.drive import RPM
from host_tools.cli.shared import FINITE, Session, connect, console, drive_options, motion_options, session
from host_tools.errors import FAILED, OK, REFUSED, ToolError

if TYPE_CHECKING:
    from host_tools.client import Drive

NUMBERS = {"ignore_unknown_options": True}  # -500 is a number, not an option


def arm_option(command: Callable) -> Callable:
    return click.option("--arm", "arming", is_flag=True, help="Arm the drive first.")(command)


@click.command(short_help="Arm, hold the drive ready, stop on Ctrl-C.")
@drive_options
@motion_options
def arm(port: str | None, unit: str | None, seconds: float | None, log_file: Path | None) -> int:
    """Arm the drive: offsets, wiring, rotor angle, field, direction. It is then held ready, with the
    field up and no torque, until Ctrl-C or for S seconds, and stopped in order.

    The drive stops by itself when its host is gone, so this command stays. To arm and move in one go,
    use --arm of speed, torque or current.

    \b
    Example:
      eesm arm --for 2
    """
    with session(port, unit, log_file) as used:
        start(used, "eesm arm")
        return used.hold(seconds)


@click.command(short_help="Run at a speed.", context_settings=NUMBERS)
@click.argument("rpm", type=FINITE)
@arm_option
@drive_options
@motion_options
def speed(
    rpm: float, arming: bool, port: str | None, unit: str | None, seconds: float | None, log_file: Path | None
) -> int:
    """Run at RPM, ramped by the drive; show what it does until Ctrl-C or for S seconds, then stop.

    \b
    Example:
      eesm speed 1500 --arm --for 5 --log spin
    """
    what = f"eesm speed {rpm:g}"
    return move(port, unit, arming, seconds, log_file, lambda drive: drive.set_speed(rpm * RPM), what)


@click.command(short_help="Run with a torque.", context_settings=NUMBERS)
@click.argument("newton_metres", type=FINITE)
@arm_option
@drive_options
@motion_options
def torque(
    newton_metres: float,
    arming: bool,
    port: str | None,
    unit: str | None,
    seconds: float | None,
    log_file: Path | None,
) -> int:
    """Run with a torque in Nm at the motor shaft; a shaft without load speeds up until w_m_trip.

    \b
    Example:
      eesm torque 0.2 --arm --for 1
    """
    what = f"eesm torque {newton_metres:g}"
    return move(port, unit, arming, seconds, log_file, lambda drive: drive.set_torque(newton_metres), what)


@click.command(short_help="Impose i_d, i_q and i_f, for bench work.", context_settings=NUMBERS)
@click.argument("i_d", type=FINITE)
@click.argument("i_q", type=FINITE)
@click.argument("i_f", type=FINITE)
@arm_option
@drive_options
@motion_options
def current(
    i_d: float,
    i_q: float,
    i_f: float,
    arming: bool,
    port: str | None,
    unit: str | None,
    seconds: float | None,
    log_file: Path | None,
) -> int:
    """Impose the currents i_d, i_q and i_f, in A, without a law above them.

    \b
    Example:
      eesm current -2 0 1.5 --arm --for 3 --log field
    """
    what = f"eesm current {i_d:g} {i_q:g} {i_f:g}"
    return move(port, unit, arming, seconds, log_file, lambda drive: drive.set_currents(i_d, i_q, i_f), what)


@click.command(short_help="Stop whatever runs, in order.")
@drive_options
def stop(port: str | None, unit: str | None) -> int:
    """Stop: torque to zero, then the field down; accepted in every state. When another `eesm` holds the
    drive, press Ctrl-C there.

    \b
    Example:
      eesm stop
    """
    with connect(port, unit) as drive:
        before = drive.state
        drive.stop(wait=True)
        after = drive.state
    click.echo(f"{before} -> {after}")
    return OK if after == "off" else FAILED


def start(used: Session, command: str) -> None:
    """Arm and wait until the drive is ready."""
    shown = console()
    state = used.drive.state
    if state == "fault":
        report = used.drive.faults()
        names = ", ".join(fault.name for fault in report.faults)
        raise ToolError(
            f"The drive has a fault: {names}.", "eesm faults   (and then eesm faults --clear)", REFUSED
        )
    if state != "off":
        raise ToolError(f"The drive is armed already ({state}).", f"eesm stop, then {command}", REFUSED)
    with shown.status("Arming"):
        used.drive.arm(wait=True)
    shown.print("Ready.")


def judge(drive: Drive, command: Callable[[Drive], None]) -> None:
    """Let the drive refuse a value that is out of range before anything moves."""
    from eesm import wire
    from host_tools.link_errors import Refused

    if drive.state == "off":
        try:
            command(drive)
        except Refused as error:
            if error.reason == wire.OUT_OF_RANGE:
                raise


def move(
    port: str | None,
    unit: str | None,
    arming: bool,
    seconds: float | None,
    log_file: Path | None,
    command: Callable[[Drive], None],
    text: str,
) -> int:
    """Arm if asked to, command, hold, stop."""
    from host_tools.link_errors import Refused

    with session(port, unit, log_file) as used:
        if arming:
            judge(used.drive, command)
            start(used, text)
        try:
            command(used.drive)
        except Refused as error:
            state = used.drive.state
            if state == "off" and not arming:
                raise ToolError(
                    "The drive is off: a setpoint needs a drive that is armed and ready.",
                    f"{text} --arm",
                    REFUSED,
                ) from error
            raise
        return used.hold(seconds)
