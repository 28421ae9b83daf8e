"""The subcommand completion, and what Tab offers for arguments."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from host_tools.errors import OK, UsageError

SHELLS = ("bash", "zsh", "fish")
LOOPS = ("i_d", "i_q", "i_f", "speed")


@click.command(short_help="Print what makes Tab complete in your shell.")
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def completion(shell: str | None) -> int:
    """Print the script that makes Tab complete commands, options, ports, units, signals, parameters and
    faults. SHELL is
    bash, zsh or fish; by default the one that SHELL names in the environment.

    \b
    Examples:
      eval "$(eesm completion bash)"                                 in ~/.bashrc
      eval "$(eesm completion zsh)"                                  in ~/.zshrc
      eesm completion fish > ~/.config/fish/completions/eesm.fish
    """
    from click.shell_completion import get_completion_class

    from host_tools.cli.entry import eesm

    name = shell or Path(os.environ.get("SHELL", "")).name
    made = get_completion_class(name) if name in SHELLS else None
    if made is None:
        raise UsageError(f"There is no completion for the shell {name!r}.", "eesm completion bash")
    click.echo(made(eesm, {}, "eesm", "_EESM_COMPLETE").source())
    return OK


def offer_ports(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[Any]:
    """Ports of drives that are found, with what they are."""
    from click.shell_completion import CompletionItem

    from host_tools.devices import find_devices

    return [
        CompletionItem(device.port, help=device.text)
        for device in find_devices()
        if device.port.startswith(begun)
    ]


def offer_units(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Names of the unit files."""
    return begin_with(begun, stems("units"))


def offer_boards(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Names of the boards."""
    from host_tools.devices import ROOT

    return begin_with(begun, sorted(file.parent.name for file in (ROOT / "boards").glob("*/board.toml")))


def offer_scenarios(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Scenarios that come with the tools, and files in TOML."""
    from host_tools.scenario import names

    return begin_with(begun, names()) + files_of(begun, ".toml")


def offer_benches(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[Any]:
    """Where a scenario runs."""
    from click.shell_completion import CompletionItem

    benches = begin_with(begun, ("simulate", "virtual", "rpi_pico", "rpi_pico_spi", "drive"))
    return [CompletionItem(name) for name in benches] + offer_ports(ctx, parameter, begun)


def offer_signals(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[Any]:
    """Names of the signals, with unit and meaning. A board may have fewer: it is not asked."""
    from click.shell_completion import CompletionItem

    from eesm.signals import Signals
    from eesm.table import signals_of

    return [
        CompletionItem(name, help=f"{signal.meaning} [{signal.unit}]")
        for name, signal in signals_of(Signals).items()
        if name.startswith(begun)
    ]


def offer_parameters(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Names of the parameters."""
    from eesm.parameters import SETTINGS

    return begin_with(begun, SETTINGS)


def offer_faults(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[Any]:
    """Names of the faults, with their cause."""
    from click.shell_completion import CompletionItem

    from eesm.fault_table import FAULTS

    return [CompletionItem(row.name, help=row.cause) for row in FAULTS if row.name.startswith(begun.upper())]


def offer_virtual_faults(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """What can be wrong with a virtual drive."""
    return begin_with(begun, virtual_faults())


def virtual_faults() -> list[str]:
    """What `eesm virtual --fault` takes."""
    from boards.virtual import plant, sensors, thermal

    return sorted([*plant.FAULTS, *sensors.FAULTS, *thermal.FAULTS])


def offer_loops(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Loops that `eesm tune` steps; `host_tools.tuning`, which has them, takes long to load."""
    return begin_with(begun, LOOPS)


def offer_forms(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Forms of a log, one after the other with commas between."""
    before, comma, last = begun.rpartition(",")
    return [before + comma + form for form in begin_with(last, ("parquet", "csv", "mdf4"))]


def begin_with(begun: str, names: Iterable[str]) -> list[str]:
    """Those that do."""
    return [name for name in names if name.startswith(begun)]


def stems(folder: str) -> list[str]:
    """Names of the TOML files in a folder of `boards`."""
    from host_tools.devices import ROOT

    return sorted(file.stem for file in (ROOT / "boards" / folder).glob("*.toml"))


def files_of(begun: str, ending: str) -> list[str]:
    """Folders, and files with an ending, by their beginning."""
    from glob import escape, glob

    found = sorted(glob(escape(begun) + "*"))
    return [name + "/" for name in found if Path(name).is_dir()] + [
        name for name in found if name.endswith(ending)
    ]
