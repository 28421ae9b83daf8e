"""The subcommand that loads a board: flash."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from host_tools.cli.completion import offer_boards, offer_ports, offer_units
from host_tools.cli.shared import console, kernel_option
from host_tools.devices import Device
from host_tools.errors import OK, ToolError, UsageError

PATH = click.Path(path_type=Path)


@click.command(short_help="Put a unit's software onto a board and start it.")
@click.argument("unit", default="a", metavar="[UNIT]", shell_complete=offer_units)
@click.option(
    "--board",
    default="rpi_pico",
    show_default=True,
    shell_complete=offer_boards,
    help="The board, a folder in boards/.",
)
@kernel_option
@click.option(
    "-p",
    "--port",
    metavar="PORT",
    shell_complete=offer_ports,
    help="Serial port; default: the only board there is.",
)
@click.option(
    "--uf2",
    type=PATH,
    envvar="UF2",
    metavar="FILE",
    help="MicroPython, for a board in BOOTSEL mode.",
)
@click.option("--volume", type=PATH, metavar="FOLDER", help="Where the drive RPI-RP2 is mounted.")
@click.option("--yes", is_flag=True, help="Install MicroPython without asking.")
@click.option("--no-restart", is_flag=True, help="Leave the board at its prompt.")
def flash(
    unit: str,
    board: str,
    kernel: str,
    port: str | None,
    uf2: Path | None,
    volume: Path | None,
    yes: bool,
    no_restart: bool,
) -> int:
    """Link UNIT for a board, upload what changed, verify it, restart the board and say who answers.

    Refused while the drive is armed. Cut short at any moment it leaves a board that starts nothing; the same
    command repairs it. A bare board is plugged in with BOOTSEL held; it then takes MicroPython from --uf2.
    The one that `make pico` names leaves memory for every protection, a stock one for the first ones only.

    \b
    Examples:
      eesm flash a
      eesm flash b --port /dev/ttyACM1
      eesm flash a --kernel native
      eesm flash a --uf2 "$(make -s pico)"
      eesm flash a --uf2 RPI_PICO-20250415-v1.25.0.uf2
    """
    from eesm.store import SLOTS
    from host_tools.flash import bootsel, flash_folder

    shown = console()
    # Built first: a unit that cannot be built must not cost a board its files.
    folder = build(unit, board, kernel)
    volumes = [volume] if volume else bootsel.find_volumes()
    if volume or (volumes and not port):
        install(volumes, uf2, yes)
        if not port and not wait_for_port():
            shown.print("MicroPython is installed. When the board has restarted: eesm flash")
            return OK
    device = choose(port, unit, board)
    result = flash_folder(
        folder, device, restart=not no_restart, show=show_bar, say=lambda text: shown.print(f"{text} ...")
    )
    if result.bytes or result.removed:
        removed = f", removed {', '.join(result.removed)}" if result.removed else ""
        shown.print(
            f"Uploaded {len(result.uploaded)} files and {result.burnt} blocks of ROM "
            f"({result.bytes / 1000:.1f} kB), {len(result.kept)} files were right already{removed}; "
            f"{result.seconds:.1f} s in all."
        )
    else:
        shown.print(f"All {len(result.kept)} files were right already; {result.seconds:.1f} s in all.")
    if not result.rom:
        shown.print(
            "This MicroPython has no ROM partition for the drive's modules, so there is memory for the first "
            "watches only (docs/safety.md). The one that `make pico` builds has: eesm flash --uf2 <its path>"
        )
    others = [path for path in result.others if path not in SLOTS]
    if len(others) < len(result.others):
        shown.print("The parameters that the board keeps are still there: eesm params kept")
    if others:
        shown.print(f"Left alone: {', '.join(others[:8])}")
    if no_restart:
        shown.print("The board is at its prompt; it starts the drive at its next reset.")
    else:
        said = result.identity
        shown.print(
            f"Unit {said['unit']} on board {said['board']} answers at {result.port}: "
            f"kernel {said['kernel_hash'][:12]}, firmware {said['firmware']}, {said['interpreter']}."
        )
    return OK


def build(unit: str, board: str, kernel: str) -> Path:
    """The unit's built folder for that board, with that form of kernel."""
    from host_tools import build as builder
    from host_tools.demo import linking, load_unit

    loaded = load_unit(unit, board)
    if loaded.board.hardware is None:
        raise UsageError(
            f"The board {board} has no chip that could be loaded; it runs on this computer.",
            f"eesm virtual --unit {unit}",
        )
    with linking():
        return builder.build(loaded, builder.folder_of(loaded, kernel), kernel)


def choose(port: str | None, unit: str, board: str) -> Device:
    """The board to load: a real one, or a virtual one that is such a board; never another virtual drive."""
    from host_tools import devices
    from host_tools.link_errors import NoBoard, SeveralBoards

    if port is not None:
        return devices.choose_device(port)
    found = [
        device
        for device in devices.find_devices()
        if device.kind != "virtual" or (device.board == board and device.unit in (unit, None))
    ]
    if not found:
        raise NoBoard(
            f"No board was found that could be loaded with unit {unit}.",
            "plug it in (a bare board with BOOTSEL held, and --uf2), or start a virtual one: "
            f"eesm virtual --unit {unit} --board {board}",
        )
    if len(found) > 1:
        listed = "\n".join(f"  {device.port}  {device.text}" for device in found)
        raise SeveralBoards(f"{len(found)} boards were found:\n{listed}", f"--port {found[0].port}")
    return found[0]


def install(volumes: list[Path], uf2: Path | None, yes: bool) -> None:
    """Installs MicroPython on the one board in BOOTSEL mode, if the user wants that."""
    from host_tools.flash import bootsel
    from host_tools.virtual_pico.firmware_build import check_firmware

    if len(volumes) > 1:
        listed = "\n".join(f"  {volume}" for volume in volumes)
        raise UsageError(
            f"{len(volumes)} boards are in BOOTSEL mode:\n{listed}", f"choose one: --volume {volumes[0]}"
        )
    volume = volumes[0]
    if uf2 is None:
        raise UsageError(
            f"A board in BOOTSEL mode is at {volume}: it needs MicroPython first.",
            "download MicroPython for the Raspberry Pi Pico (RPI_PICO, 1.25 or newer), then: "
            "eesm flash --uf2 <that file>   (or reset the board without BOOTSEL if it has it)",
        )
    check_firmware(uf2)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(
                f"Installing {uf2.name} on the board at {volume} needs your consent.", "add --yes"
            )
        if not click.confirm(f"Install {uf2.name} on the board at {volume}?", default=False):
            raise ToolError("Nothing was installed.", "reset the board without BOOTSEL to leave that mode")
    with show_bar(f"installing {uf2.name}", uf2.stat().st_size) as advance:
        bootsel.install_firmware(volume, uf2, advance)


def wait_for_port(patience: float = 10.0) -> bool:
    """True once a board's serial port is there; a board that was given MicroPython takes some seconds."""
    import time

    from host_tools.devices import find_serial

    end = time.monotonic() + patience
    while not find_serial():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


@contextmanager
def show_bar(text: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar, or one line where there is no terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    shown = console()
    if not shown.is_terminal:
        shown.print(f"{text} ...")
        yield lambda count: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=shown, transient=True) as progress:
        task = progress.add_task(text, total=max(1, total))
        yield lambda count: progress.advance(task, count)
