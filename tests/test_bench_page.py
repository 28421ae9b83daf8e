"""The page on building a bench: its commands exist, its numbers are those that the command shows."""

import math
import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from host_tools.cli.entry import eesm
from host_tools.cli.wiring import wiring
from host_tools.units import load
from host_tools.wiring import values

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "bench-rpi_pico.md"
TEXT = PAGE.read_text(encoding="utf-8")
COMMANDS = sorted(
    {line.strip() for line in TEXT.splitlines() if line.startswith("       eesm ")}
    | set(re.findall(r"`(eesm [^`]+)`", TEXT))
)


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) > 20


@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_the_page_exists_with_its_options(command: str) -> None:
    """Parsed as it would be run, but not run."""
    words = shlex.split(command, comments=True)[1:]
    node: click.Command = eesm
    context = click.Context(eesm)
    while isinstance(node, click.Group):
        if node.invoke_without_command and node is not eesm and (not words or words[0].startswith("-")):
            node.make_context(command, words, parent=context)  # a group that does something by itself
            return
        found = node.get_command(context, words[0])
        assert found is not None, f"eesm has no {words[0]}"
        node, words = found, words[1:]
        if not isinstance(node, click.Group):
            node.make_context(command, words, parent=context)


def test_table_is_what_the_command_shows() -> None:
    result = CliRunner().invoke(wiring, ["rpi_pico", "--values", "a"])
    assert result.exit_code == 0
    (shown,) = re.findall(r"<!-- values: begin -->\n(.*)<!-- values: end -->", TEXT, re.S)
    assert shown.strip() == result.output.strip(), "put the output of: eesm wiring rpi_pico --values a"


def test_numbers_in_the_text_are_those_of_the_table() -> None:
    """What the paragraphs repeat: each number of the left must still be one of the table."""
    table = values.table(load("a", board="rpi_pico"))
    for phrase, row in (
        ("3.2 J", "energy in the field"),
        ("27 ms", "field from i_f_max to 0"),
        ("2205 rpm", "emf reaches the dc link"),
        ("131 V", "emf at n_max"),
        ("790 J", "energy of the rotor"),
        ("16.8 A", "supply current"),
        ("bleeder needs 5 s", "bleeder: from"),
        ("0.5 µs", "dead time"),
    ):
        assert phrase in TEXT
        number = re.search(r"[\d.]+", phrase)
        assert number is not None
        (line,) = [line for line in table.splitlines() if row in line and "leg" not in line]
        assert number.group() in line


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (PAGE.parent / target).exists(), target


def test_field_that_comes_back_against_an_integration() -> None:
    """The closed form, against 100 000 steps of L di/dt = -u - R i."""
    unit = load("a", board="rpi_pico")
    motor, u = unit.motor, unit.exciter.u_nominal
    i, t, energy, step = motor.i_f_max, 0.0, 0.0, 1e-6
    while i > 0:
        slope = -(u + motor.R_f * i) / motor.L_f
        energy += u * (i + 0.5 * slope * step) * step
        i += slope * step
        t += step
    seconds, returned = values.field_return(unit)
    assert seconds == pytest.approx(t, rel=1e-3)
    assert returned == pytest.approx(energy, rel=1e-3)
    assert returned < motor.L_f * motor.i_f_max**2 / 2
    assert f"{math.sqrt(48**2 + 2 * energy / 2e-3):.3g} V" in values.table(unit)


def test_chopper_gives_nothing_back(tmp_path: Path) -> None:
    text = (ROOT / "boards" / "units" / "a.toml").read_text(encoding="utf-8")
    path = tmp_path / "chopper.toml"
    path.write_text(text.replace('kind = "half_bridge"', 'kind = "unipolar"'), encoding="utf-8")
    unit = load(path, board="rpi_pico")
    assert values.field_return(unit) == (math.inf, 0.0)
    assert "comes back" not in values.table(unit)


def test_values_need_a_board_with_pins() -> None:
    result = CliRunner().invoke(wiring, ["virtual", "--values", "a"])
    assert result.exit_code != 0 and "has no pins" in str(result.exception)
