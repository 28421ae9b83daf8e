"""The upper half of the drawing: the Pico, its pins in their physical order, and what they lead to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from host_tools.units.rp2040 import Hardware
from host_tools.wiring.svg import INK, PAPER, Canvas

# Pins of the module from the USB end down, both sides; a number is a GPIO.
LEFT = (0, 1, "GND", 2, 3, 4, 5, "GND", 6, 7, 8, 9, "GND", 10, 11, 12, 13, "GND", 14, 15)
RIGHT = (
    *("VBUS", "VSYS", "GND", "3V3_EN", "3V3", "ADC_VREF", 28, "AGND", 27, 26),
    *("RUN", 22, "GND", 21, 20, 19, 18, "GND", 17, 16),
)
PITCH = 30
TOP = 96
WIDTH = 1260
PICO_W = 224
PICO_X = (WIDTH - PICO_W) / 2
BLOCK_W = 352
MARGIN = 22
LABEL_W = 134

COLOURS = {
    "phases": "#2e6da4",
    "exciter": "#8e4aa8",
    "encoder": "#c77700",
    "safety": "#c8323c",
    "sensing": "#16817a",
    "angle": "#8a5a2b",
    "power": "#56616d",
}
TITLES = {
    "phases": "Gate drivers, phases",
    "exciter": "Gate drivers, exciter",
    "encoder": "Incremental encoder",
    "safety": "Safety",
    "sensing": "Sensing",
    "angle": "Absolute angle sensor",
    "power": "Supply",
}
# Pins of the module, by number, that feed the blocks.
_POWER = {38: "ground", 36: "3.3 V", 35: "reference"}


def colour_of(name: str) -> str:
    """Colour of a pin by its name in the board file."""
    return COLOURS[group_of(name)]


def group_of(name: str) -> str:
    """Block that a pin of the board file leads to."""
    for start, group in (
        ("phase_", "phases"),
        ("exciter_", "exciter"),
        ("encoder_", "encoder"),
        ("angle_", "angle"),
    ):
        if name.startswith(start):
            return group
    return "safety" if name in ("gate_enable", "fault") else "sensing"


def label_of(name: str) -> str:
    """What stands at the end of a pin's wire."""
    if name.startswith(("phase_", "exciter_")):
        return name.split("_", 1)[1].replace("_", " ")
    if name.startswith("encoder_"):
        return name[-1].upper()
    if name.startswith(("angle_", "converter_")):
        return {"rx": "data out", "tx": "data in", "cs": "CS", "sck": "SCK"}[name.rpartition("_")[2]]
    if name.startswith("select_"):
        return "S" + name[-1]
    return {
        "gate_enable": "gate enable",
        "fault": "fault",
        "adc_i_a": "i_a",
        "adc_i_b": "i_b",
        "adc_multiplexed": "multiplexer out",
        "led": "LED",
    }[name]


@dataclass
class Row:
    """One pin of the module."""

    number: int  # 1 .. 40
    place: int | str
    y: float
    group: str = ""  # "" for a pin without a use
    label: str = ""


def rows_of(side: tuple[int | str, ...], first: int, step: int, owner: dict[int, str]) -> list[Row]:
    """Pins of a side from the USB end down, with their numbers, heights and uses."""
    rows: list[Row] = []
    for n, place in enumerate(side):
        row = Row(first + n * step, place, TOP + 34 + n * PITCH)
        if isinstance(place, int):
            if place in owner:
                row.group, row.label = group_of(owner[place]), label_of(owner[place])
        elif row.number in _POWER:
            row.group, row.label = "power", _POWER[row.number]
        rows.append(row)
    return rows


def runs_of(rows: list[Row]) -> Iterator[list[Row]]:
    """Neighbouring pins of one block; pins without a use do not part them."""
    run: list[Row] = []
    for row in rows:
        if not row.group:
            continue
        if run and run[-1].group != row.group:
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def draw_controller(canvas: Canvas, hardware: Hardware, remarks: dict[str, list[str]]) -> float:
    """Draw module and blocks; `remarks` are lines for the blocks.  Returns the height of the lower end."""
    owner = {pin: name for name, pin in hardware.pins.items() if name != "led"}
    left, right = rows_of(LEFT, 1, 1, owner), rows_of(RIGHT, 40, -1, owner)
    bottom = TOP + 34 + 20 * PITCH
    _draw_module(canvas, left, right, bottom)
    blocks = [(run, on_left) for rows, on_left in ((left, True), (right, False)) for run in runs_of(rows)]
    for run, on_left in blocks:
        group = run[0].group
        largest = max((other for other, _ in blocks if other[0].group == group), key=len)
        _draw_block(canvas, run, on_left, remarks.get(group, []) if run is largest else [])
    return bottom


def _draw_module(canvas: Canvas, left: list[Row], right: list[Row], bottom: float) -> None:
    x, w, h = PICO_X, PICO_W, bottom - TOP
    canvas.rect(x, TOP, w, h, fill="#1d6b52", line="#124a38", r=12, width=2)
    canvas.rect(x + w / 2 - 34, TOP - 12, 68, 44, fill="#d5d9dd", line="#8d969e", r=4)
    canvas.text(x + w / 2, TOP + 10, "USB", 12, INK, "middle", bold=True)
    canvas.rect(x + w / 2 - 32, TOP + h / 2 - 36, 64, 64, fill="#20272d", line="#20272d", r=4)
    canvas.text(x + w / 2, TOP + h / 2 - 4, "RP2040", 12, PAPER, "middle", bold=True)
    canvas.rect(x + w / 2 - 17, TOP + 120, 34, 20, fill="#f3f4f4", line="#c8ccd0", r=5)
    canvas.text(x + w / 2, TOP + 152, "BOOTSEL", 9.5, PAPER, "middle")
    canvas.text(x + w / 2, bottom - 96, "Raspberry Pi", 15, PAPER, "middle", bold=True)
    canvas.text(x + w / 2, bottom - 76, "Pico", 15, PAPER, "middle", bold=True)
    for rows, edge, inward in ((left, x + 12, 1), (right, x + w - 12, -1)):
        for row in rows:
            used = bool(row.group)
            canvas.circle(edge, row.y, 7, fill="#e9c46a" if used else "#b9a46a", line="#8a6d1f", width=1.2)
            name = f"GP{row.place}" if isinstance(row.place, int) else row.place
            anchor = "start" if inward == 1 else "end"
            canvas.text(edge + 12 * inward, row.y, name, 11.5, PAPER, anchor, bold=used)
            canvas.text(edge, row.y, str(row.number), 7.5, INK, "middle")


def _draw_block(canvas: Canvas, run: list[Row], on_left: bool, notes: list[str]) -> None:
    colour = COLOURS[run[0].group]
    x = MARGIN if on_left else canvas.width - MARGIN - BLOCK_W
    first = run[0].y
    low = max(run[-1].y, first + 8 + len(notes) * 15)
    canvas.rect(x, first - 12.5, BLOCK_W, low - first + 25, fill=colour + "12", line=colour, r=8)
    column = x + (12 if on_left else LABEL_W)
    canvas.text(column, first, TITLES[run[0].group], 13, colour, bold=True)
    canvas.lines(column, first + 18, notes)
    edge, pin, inward, anchor = (
        (x + BLOCK_W, PICO_X + 5, -10, "end") if on_left else (x, PICO_X + PICO_W - 5, 10, "start")
    )
    for row in run:
        canvas.line((edge, row.y), (pin, row.y), colour=colour, width=2)
        canvas.circle(edge, row.y, 3.2, fill=colour, line=colour)
        canvas.text(edge + inward, row.y, row.label, 12, INK, anchor)
