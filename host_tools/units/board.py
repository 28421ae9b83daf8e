"""Boards: boards/<board>/board.toml, PWM, bridge and converter, and the pins of a board that has a chip."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from host_tools.units import rp2040
from host_tools.units.reader import (
    BOARDS,
    Key,
    Reader,
    UnitError,
    Vocabulary,
    count,
    not_negative,
    positive,
    shown_path,
    suggest,
)

VIRTUAL: Vocabulary = {
    "pwm": {
        "f_pwm": Key("Hz", 2000, 100e3, "PWM and control frequency"),
        "clock": positive("Hz", 1e9, "clock of the PWM counter"),
        "top": count(256, 32767, "highest count of the centre-aligned counter"),
        "dead_time": not_negative("s", 20e-6, "dead time of a leg"),
    },
    "bridge": {"R_on": not_negative("Ohm", 1, "resistance of a switch that conducts", 0.0)},
    "converter": {
        "bits": count(12, 12, "resolution; the kernel counts in 12 bits"),
        "noise": not_negative("count", 100, "standard deviation of a sample", 0.0),
        "spur": not_negative("count", 20, "excess width of codes 512, 1536, 2560, 3584 (RP2040: 9)", 0.0),
        "skew": not_negative("s", 10e-6, "time from one channel to the next, 0: all at once", 0.0),
        "offset_i_a": Key("count", -500, 500, "zero of phase a off the middle", 0.0),
        "offset_i_b": Key("count", -500, 500, "zero of phase b off the middle", 0.0),
        "offset_i_f": Key("count", -500, 500, "zero of the field off the middle", 0.0),
        "offset_u_dc": Key("count", -500, 500, "zero of the dc link", 0.0),
        "gain_error_i_a": Key("1", -0.2, 0.2, "relative gain error of phase a", 0.0),
        "gain_error_i_b": Key("1", -0.2, 0.2, "relative gain error of phase b", 0.0),
        "gain_error_i_f": Key("1", -0.2, 0.2, "relative gain error of the field", 0.0),
        "gain_error_u_dc": Key("1", -0.2, 0.2, "relative gain error of the dc link", 0.0),
        "phase_sensors": count(2, 3, "phase currents that are measured; the third is a slow reading", 2),
    },
    "heat": {
        "ambient": Key("Cel", -40, 85, "temperature of the air around the bridge", 25.0),
        "loss": Key("1", 0.01, 2, "loss of the bridge over that of the stator's copper", 0.25),
        "rise": positive("K", 200, "rise of the bridge with 0.55 of the motor's i_max for ever", 60.0),
        "time": positive("s", 1e4, "time constant of the bridge", 30.0),
    },
}
OPTIONAL = ("bridge", "heat")
CHIPS = ("rp2040",)
# Share of a period that both edges' dead time may take, and by which a counter may miss its frequency.
MOST_LOST = 0.1
MOST_OFF = 0.01


@dataclass(frozen=True)
class Board:
    """Controller, bridge and converter."""

    name: str
    title: str
    f_pwm: float
    clock: float
    top: int
    dead_time: float
    R_on: float
    bits: int
    noise: float
    spur: float
    skew: float
    offset_i_a: float
    offset_i_b: float
    offset_i_f: float
    offset_u_dc: float
    gain_error_i_a: float
    gain_error_i_b: float
    gain_error_i_f: float
    gain_error_u_dc: float
    phase_sensors: int
    heat: Mapping[str, float]
    hardware: rp2040.Hardware | None = None  # None: a board without pins
    path: Path | None = None  # its file

    @property
    def chip(self) -> str:
        """What the driver is named after."""
        return "virtual" if self.hardware is None else self.hardware.chip

    @property
    def dead_time_counts(self) -> int:
        """Dead time in clocks of the PWM counter, never less than the time."""
        return -int(-self.dead_time * self.clock * (1 - 1e-9) // 1)

    def at(self, f_pwm: float, clock: float | None = None) -> "Board":
        """The same board with another PWM frequency and clock; `check_board` says whether it can."""
        clock = self.clock if clock is None else clock
        return replace(self, f_pwm=f_pwm, clock=clock, top=round(clock / (2 * f_pwm)))


def load_board(name: str | Path) -> Board:
    """The board of that name (boards/<name>/board.toml) or in that file."""
    path = Path(name)
    problems: list[str] = []
    board = read_board(path if path.suffix == ".toml" else BOARDS / name / "board.toml", problems)
    if board is None:
        raise UnitError("\n".join(problems))
    return board


def read_board(path: Path, problems: list[str]) -> Board | None:
    """The board of a file, or None with the reasons added to `problems`."""
    if not path.is_file():
        problems.append(f"{shown_path(path)}: no such board{suggest(path.parent.name, board_names())}")
        return None
    reader = Reader(path, problems)
    before = len(problems)
    reader.find_base = lambda base: (_base_of(path, base), board_names())
    reader.open()
    if path.stem == "board":
        reader.data.setdefault("name", path.parent.name)
    chip = reader.data.pop("chip", None)
    if chip is not None and chip not in CHIPS:
        reader.refuse(f"chip = {chip!r}", f"no such chip{suggest(str(chip), list(CHIPS))}")
        return None
    vocabulary = VIRTUAL if chip is None else rp2040.vocabulary(VIRTUAL)
    reader.start(vocabulary, (*OPTIONAL, *rp2040.OPTIONAL), words=("name", "title"))
    values: dict[str, dict[str, Any]] = {section: reader.section(section) for section in vocabulary}
    if len(problems) > before:
        return None
    hardware = None
    if chip is not None:
        hardware = rp2040.read_hardware(reader, values)
        converter = values["converter"]
        values["converter"] = {key: converter[key] for key in VIRTUAL["converter"] if key != "skew"}
        values["converter"]["skew"] = 0.0 if hardware is None else hardware.pitch
    if len(problems) > before:
        return None
    board = Board(
        name=reader.words["name"],
        title=reader.words["title"],
        hardware=hardware,
        path=path.resolve(),
        **values["pwm"],
        **values["bridge"],
        **values["converter"],
        heat=values["heat"],
    )
    for where, why in check_board(board):
        reader.refuse(where, why)
    return board if len(problems) == before else None


def board_names() -> list[str]:
    """Names of the boards that come with the project."""
    return sorted(path.parent.name for path in BOARDS.glob("*/board.toml"))


def _base_of(path: Path, base: str) -> Path:
    """File of the board that another is based on: beside it, else one of the project's."""
    beside = path.parent / (base if base.endswith(".toml") else f"{base}.toml")
    return beside if beside.is_file() and beside.resolve() != path.resolve() else BOARDS / base / "board.toml"


def check_board(board: Board) -> list[tuple[str, str]]:
    """What contradicts in a board's numbers: (where, why)."""
    found: list[tuple[str, str]] = []
    actual = board.clock / (2 * board.top)
    if abs(actual - board.f_pwm) > MOST_OFF * board.f_pwm:
        found.append(
            (
                f"pwm.top = {board.top}",
                f"a centre-aligned counter of {board.clock:g} Hz gives {actual:g} Hz, "
                f"f_pwm says {board.f_pwm:g} Hz",
            )
        )
    lost = 2 * board.dead_time * board.f_pwm
    if lost > MOST_LOST:
        found.append(
            (
                f"pwm.dead_time = {board.dead_time:g} s",
                f"both edges take {100 * lost:.3g} % of a period, at most {100 * MOST_LOST:g} % may be lost",
            )
        )
    if board.hardware is not None:
        found += board.hardware.check(board.f_pwm, board.clock, board.dead_time)
    return found
