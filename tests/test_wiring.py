"""The wiring drawings: those in the repository are what the command makes, and show every pin."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from click.testing import CliRunner

from host_tools import wiring
from host_tools.cli.wiring import wiring as command
from host_tools.units import BOARDS, board_names, load_board
from host_tools.wiring import __main__, power
from host_tools.wiring.controller import LEFT, RIGHT

WITH_PINS = [name for name in board_names() if load_board(name).hardware is not None]
SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(SVG + "text")]


def test_boards_with_pins_are_drawn() -> None:
    assert WITH_PINS == ["rpi_pico", "rpi_pico_spi"]


@pytest.mark.parametrize("name", WITH_PINS)
def test_drawing_in_the_repository_is_what_the_command_makes(name: str) -> None:
    committed = (BOARDS / name / "wiring.svg").read_text(encoding="utf-8")
    assert committed == wiring.draw(load_board(name)), f"run: eesm wiring {name}"


@pytest.mark.parametrize("name", WITH_PINS)
def test_drawing_shows_every_pin_and_value(name: str) -> None:
    board = load_board(name)
    assert board.hardware is not None
    drawn = wiring.draw(board)
    shown = texts(drawn)
    # A wire starts at each used pin's height: as many wires leave the module as pins are used.
    used = set(board.hardware.pins.values()) - {board.hardware.pins["led"]}
    assert used <= {place for place in (*LEFT, *RIGHT) if isinstance(place, int)}
    assert len(re.findall(r'<circle [^>]*r="3.2"', drawn)) == len(used) + 3
    for phrase in ("a high", "c low", "2 low", "gate enable", "fault", "100 kΩ", "4.3 kΩ", "4.7 nF", "1 mΩ"):
        assert phrase in shown
    assert "i_a, i_b: ± 82.5 A" in shown and "u_dc: 0 to 80.04 V" in shown


def test_a_moved_pin_moves_its_wire(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    path.write_text('based_on = "rpi_pico"\n[pins]\ngate_enable = "GP13"\n', encoding="utf-8")
    heights = []
    for board in (load_board("rpi_pico"), load_board(path)):
        root = ElementTree.fromstring(wiring.draw(board))
        heights.append(
            {
                e.text: float(e.get("y", 0))
                for e in root.iter(SVG + "text")
                if e.text in ("gate enable", "GP14", "GP13")
            }
        )
    before, after = heights
    assert before["gate enable"] == pytest.approx(before["GP14"], abs=0.5)
    assert after["gate enable"] == pytest.approx(after["GP13"], abs=0.5)


def test_low_side_shunts_stand_in_the_legs(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    path.write_text('based_on = "rpi_pico"\n[sampling]\nkind = "low_side"\n', encoding="utf-8")
    shown = texts(wiring.draw(load_board(path)))
    assert "shunts 1 mΩ, × 20" in shown and "1 mΩ" not in shown
    assert "i_a" in shown and "i_a, × 20" not in shown


def test_nothing_leaves_the_paper() -> None:
    for name in WITH_PINS:
        root = ElementTree.fromstring(wiring.draw(load_board(name)))
        _, _, width, height = map(float, root.get("viewBox", "").split())
        for element in root.iter():
            for x, y in re.findall(r"([-\d.]+),([-\d.]+)", element.get("points", "")):
                assert 0 <= float(x) <= width and 0 <= float(y) <= height
            if element.tag in (SVG + "rect", SVG + "text") and element.get("x"):
                assert 0 <= float(element.get("x", 0)) <= width and 0 <= float(element.get("y", 0)) <= height


def test_parts_are_named_as_printed_on_them() -> None:
    assert [power.ohms(v) for v in (0.0005, 10, 4300, 1e6)] == ["0.5 mΩ", "10 Ω", "4.3 kΩ", "1 MΩ"]
    assert [power.farads(v) for v in (1e-10, 4.7e-9, 1e-6, 2e-3)] == ["100 pF", "4.7 nF", "1 µF", "2 mF"]


def test_command_writes_the_drawing_and_refuses_a_board_without_pins(tmp_path: Path) -> None:
    out = tmp_path / "x.svg"
    result = CliRunner().invoke(command, ["rpi_pico_spi", "-o", str(out)])
    assert result.exit_code == 0 and out.read_text(encoding="utf-8") == wiring.draw(
        load_board("rpi_pico_spi")
    )
    for board, told in (("virtual", "has no pins"), ("rpi_pica", "did you mean rpi_pico?")):
        result = CliRunner().invoke(command, [board, "-o", str(out)])
        assert result.exit_code != 0 and told in str(result.exception)
    result = CliRunner().invoke(command, ["rpi_pico", "-o", str(tmp_path / "no" / "x.svg")])
    assert "cannot be written: No such file" in str(result.exception)


def test_module_writes_beside_the_board_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.toml"
    path.write_text('based_on = "rpi_pico"\n', encoding="utf-8")
    assert __main__.main([str(path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "bench.svg")
    assert "Wiring: bench" in (tmp_path / "bench.svg").read_text(encoding="utf-8")
    assert __main__.main(["nothing"]) == 2
