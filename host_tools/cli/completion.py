"""The subcommand completion, and what Tab offers for arguments."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from host_tools.errors import OK, UsageError

SHELLS = ("bash", "zsh", "fish")


@click.command(short_help="Print what makes Tab complete in your shell.")
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def completion(shell: str | None) -> int:
    """Print the script that makes Tab complete commands, options, ports, units and parameters. SHELL is
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
    from host_tools.devices import ROOT

    names = sorted(file.stem for file in (ROOT / "boards" / "units").glob("*.toml"))
    return [name for name in names if name.startswith(begun)]


def offer_parameters(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Names of the parameters."""
    from eesm.parameters import SETTINGS

    return [name for name in SETTINGS if name.startswith(begun)]
