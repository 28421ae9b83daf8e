"""The reference pages name everything that the tables hold, and every command fits a screen."""

import re

import click
import pytest

from eesm.fault_table import FAULTS
from eesm.parameters import SETTINGS
from eesm.signals import Signals
from eesm.table import signals_of
from host_tools.cli.entry import COMMANDS, eesm
from host_tools.reference_pages import pages


def test_every_row_of_every_table_is_on_its_page():
    made = pages()
    assert set(re.findall(r"^\| `(\w+)`", made["reference/signals.md"], re.M)) == set(signals_of(Signals))
    assert set(re.findall(r"^\| `(\w+)`", made["reference/parameters.md"], re.M)) == set(SETTINGS)
    assert re.findall(r"^## \d+ (\w+)$", made["reference/faults.md"], re.M) == [row.name for row in FAULTS]
    for _, name, _, _ in COMMANDS:
        assert f"### eesm {name}\n" in made["reference/commands.md"]


def every_command(group: click.Group, context: click.Context, path: str):
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from every_command(command, click.Context(command, info_name=name), f"{path} {name}")


@pytest.mark.parametrize(
    ("path", "command"), list(every_command(eesm, click.Context(eesm, info_name="eesm"), "eesm"))
)
def test_help_fits_a_screen_and_has_an_example(path: str, command: click.Command):
    shown = command.get_help(click.Context(command, info_name=path, terminal_width=80, max_content_width=100))
    assert len(shown.splitlines()) <= 48, f"{path} --help has {len(shown.splitlines())} lines"
    assert re.search(rf"Examples?\b.*\n    .*{path}", shown), f"{path} --help has no example"
