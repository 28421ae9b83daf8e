"""The wiring of a board as an SVG drawing, made from its board file, so that no pin can diverge.

    python -m host_tools.wiring rpi_pico        # boards/rpi_pico/wiring.svg

Modules: `svg` is the canvas with the circuit symbols, `controller` the Pico and the blocks that its pins lead
to, `power` the circuit from supply to machine, `values` what sensing and safety come to for a unit.
"""

from __future__ import annotations

from pathlib import Path

from host_tools.units import BOARDS, Board
from host_tools.units.rp2040 import Hardware
from host_tools.wiring.controller import PITCH, TOP, WIDTH, draw_controller
from host_tools.wiring.power import HEIGHT, draw_power, ohms
from host_tools.wiring.svg import SOFT, Canvas


def path_of(board: Board) -> Path:
    """Where a board's drawing lies: beside its file."""
    if board.path is None or board.path.stem == "board":
        return BOARDS / board.name / "wiring.svg"
    return board.path.with_suffix(".svg")


def draw(board: Board) -> str:
    """The drawing as SVG text; ValueError for a board without pins."""
    hardware = board.hardware
    if hardware is None:
        raise ValueError(f"board {board.name} has no pins, so there is nothing to wire")
    rail = TOP + 34 + 20 * PITCH + 92
    height = rail + HEIGHT
    canvas = Canvas(WIDTH, height, f"Wiring of the board {board.name}")
    canvas.text(24, 34, f"Wiring: {board.title}", 21, bold=True)
    source, chosen = f"boards/{board.name}/board.toml", board.name
    if board.path is not None and board.path.stem != "board":
        source = chosen = board.path.name
    canvas.text(24, 60, f"made from {source} by `eesm wiring {chosen}`", 12, SOFT)
    canvas.text(
        WIDTH - 24,
        34,
        f"{board.f_pwm / 1e3:g} kHz, dead time {board.dead_time * 1e6:g} µs",
        12,
        SOFT,
        "end",
    )
    bottom = draw_controller(canvas, hardware, remarks(hardware))
    canvas.line((24, bottom + 22), (WIDTH - 24, bottom + 22), colour="#d5dbe1")
    draw_power(canvas, hardware, rail)
    return canvas.render()


def remarks(hardware: Hardware) -> dict[str, list[str]]:
    """What the blocks say beside their pins."""
    scales, s = hardware.full_scales, hardware.sensing
    down = ohms(hardware.safety["gate_pull_down"])
    sensing = [
        f"i_a, i_b: ± {scales['i_full_scale']:.4g} A",
        f"i_f: ± {scales['i_f_full_scale']:.4g} A",
        f"u_dc: 0 to {scales['u_dc_full_scale']:.4g} V",
        "current amplifiers centred",
        f"on {hardware.reference / 2:g} V, behind {ohms(s['current_filter_r'])}",
    ]
    where = "input" if hardware.converter == "spi" else "multiplexer input"
    sensing += [
        f"{where} {channel}: {name.replace('_', ' ', 1) if len(name) > 4 else name}"
        for name, channel in hardware.channels.items()
    ]
    return {
        "phases": [
            "inputs for 3.3 V logic, high: on",
            f"{down} from each input to ground",
            "supply of the drivers: theirs",
        ],
        "exciter": [
            "unipolar: 1 high",
            "half bridge: 1 high, 1 low",
            "full bridge: all four",
            f"{down} each to ground",
        ],
        "encoder": ["3.3 V signals; a 5 V encoder", "needs a level shifter"],
        "safety": [
            f"gate enable: {down} to ground",
            f"fault: {ohms(hardware.safety['fault_pull_up'])} to 3.3 V; low is a fault",
        ],
        "sensing": sensing,
        "angle": [f"{hardware.angle_sensor['bits']} bits by SPI"] if hardware.angle_sensor else [],
        "power": ["USB through an isolator;", "all grounds meet at one point,", "the dc link's minus"],
    }
