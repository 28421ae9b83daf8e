"""Subcommands that look and change no motion: devices, info, connect."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from host_tools.cli.entry import complain
from host_tools.cli.shared import Session, console, drive_options
from host_tools.cli.shared import connect as open_drive
from host_tools.errors import INTERRUPTED, OK

if TYPE_CHECKING:
    from host_tools.client import Drive, Identity

AGAIN = 0.3  # s between two looks for a drive that has gone


@click.command(short_help="List the drives that can be found.")
@click.option("--no-ask", is_flag=True, help="Open no port: say only what can be seen from outside.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def devices(no_ask: bool, as_json: bool) -> int:
    """List running virtual drives and the serial ports whose USB identity is that of a known board, and ask
    each which unit it is. No other port is opened, and none that another program uses.

    \b
    Example:
      eesm devices --json
    """
    from host_tools.devices import find_devices

    found = find_devices()
    answers = ask([device.port for device in found]) if not no_ask else {}
    if as_json:
        rows = [{**asdict(device), **answers.get(device.port, {})} for device in found]
        click.echo(json.dumps(rows, indent=1))
        return 0
    for device in found:
        answer = answers.get(device.port, {})
        said = answer.get("identity")
        click.echo(f"{device.port:<16} {device.text}")
        if said:
            kernel = said["kernel_hash"][:12]
            click.echo(
                f"{'':<16} unit {said['unit']} on {said['board']}, {said['firmware']}, kernel {kernel}"
            )
        elif answer:
            click.echo(f"{'':<16} {answer['error']}")
    if not found:
        click.echo("No drive was found. Plug a board in, or start a virtual drive: eesm virtual", err=True)
    return 0


def ask(ports: list[str]) -> dict[str, dict[str, Any]]:
    """What answers at each port, all asked at once: {"identity": ...} or {"error": text}."""
    from concurrent.futures import ThreadPoolExecutor

    from host_tools.connection import identify
    from host_tools.errors import ToolError

    def answer(port: str) -> dict[str, Any]:
        try:
            return {"identity": identify(port)}
        except ToolError as error:
            return {"error": error.message}

    with ThreadPoolExecutor() as pool:
        return dict(zip(ports, pool.map(answer, ports), strict=True))


@click.command(short_help="Say which drive answers, its state and its signals.")
@drive_options
@click.option("--signals", is_flag=True, help="Also list every signal with unit, range and meaning.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def info(port: str | None, unit: str | None, signals: bool, as_json: bool) -> int:
    """Connect, say who answers and how it is, and disconnect.

    \b
    Example:
      eesm info --signals
    """
    with open_drive(port, unit) as drive:
        status = drive.status()
        named = {
            name: value for name, value in asdict(drive.identity).items() if name not in ("bench", "fast")
        }
        facts: dict[str, Any] = {
            **named,
            "state": status.state,
            "faults": list(status.faults),
            "safe": status.safe,
            "device time": status.period * drive.t_pwm,
            "f_pwm": 1 / drive.t_pwm,
            "signals": len(drive.signals),
            "counters": dict(status.counters),
        }
        rows = sorted(drive.signals.values(), key=lambda signal: signal.index) if signals else []
    if as_json:
        facts["signals"] = [asdict(row) for row in rows] if signals else facts["signals"]
        click.echo(json.dumps(facts, indent=1))
        return 0
    units = {"device time": "s", "f_pwm": "Hz"}
    for name, value in facts.items():
        if name == "counters":
            value = (
                ", ".join(f"{key} {count}" for key, count in value.items() if count) or "nothing to report"
            )
        elif isinstance(value, list):
            value = ", ".join(value) or "none"
        elif isinstance(value, float):
            value = f"{value:g} {units[name]}"
        click.echo(f"{name:<13} {value}")
    for row in rows:
        range_ = f"{row.low * row.step:.6g} .. {row.high * row.step:.6g} {row.unit}"
        click.echo(f"  {row.name:<20} {row.role:<10} {range_:<34} {row.meaning}")
    return 0


@click.command(short_help="Stay connected and show the drive's state.")
@drive_options
@click.option(
    "--for", "seconds", type=click.FloatRange(0, min_open=True), metavar="S", help="End after S seconds."
)
def connect(port: str | None, unit: str | None, seconds: float | None) -> int:
    """Connect and show state, speed, torque and currents until Ctrl-C. Nothing is commanded. A drive that is
    reset or unplugged is waited for: the same unit with the same kernel, at whatever port it comes back.

    \b
    Example:
      eesm connect --unit a
    """
    try:
        return follow(open_drive(port, unit), None if seconds is None else time.monotonic() + seconds)
    except KeyboardInterrupt:
        return OK if seconds is None else INTERRUPTED


def follow(drive: Drive, end: float | None) -> int:
    """Show a drive, and it again whenever it comes back, until Ctrl-C or a time of this computer."""
    from host_tools.link_errors import AnswerTimeout, PortClosed

    shown = console()
    while True:
        identity = drive.identity
        shown.print(
            f"Unit {identity.unit} on board {identity.board} at {identity.port}, "
            f"kernel {identity.kernel_hash[:12]}, {identity.interpreter}"
        )
        try:
            return watch(drive, end)
        except (PortClosed, AnswerTimeout) as error:
            complain(error.message, "waiting for the same drive; Ctrl-C ends")
            if end is not None and time.monotonic() > end:
                raise
        drive = wait_for(identity, end)


def watch(drive: Drive, end: float | None) -> int:
    """Show a drive until Ctrl-C or a time of this computer; the exit code."""
    with drive:
        session = Session(drive)
        try:
            return session.hold(None if end is None else max(0.1, end - time.monotonic()))
        finally:
            session.close()


def wait_for(first: Identity, end: float | None) -> Drive:
    """The drive that was there before, once it is back.  Raises why it is not when the time is over."""
    from host_tools.client import Drive
    from host_tools.errors import ToolError

    while True:
        try:
            return Drive.find_again(first)
        except ToolError:
            if end is not None and time.monotonic() > end:
                raise
        time.sleep(AGAIN)
