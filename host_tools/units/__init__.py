"""Drive units: board, motor, transmission and limits from their files, checked.

    unit = load("a")                     # boards/units/a.toml
    unit = load("a", board="rpi_pico")   # the same drive on another board
    unit = load("my_drive.toml")         # a file of your own; its motor and board may lie beside it

A number is written `{ value = 60, unit = "mOhm" }`: the unit is part of the file, so a wrong one is
refused.  A motor's numbers also carry `status` (EST, PUB, KNOW) and `source`.
`based_on = "b"` starts from another file of the same folder (a board from another board) and changes what
is written; `without = ["multiplexer"]` leaves sections or keys of it out.
Whatever does not fit is refused by UnitError, which names the file, the key, the value and the rule,
all of them at once.

    reader    typed values with units, complaints     board         what every board has; check_board
    motor     machines                                rp2040        sampling and sensing with an RP2040
    unit      the drive unit; load                    rp2040_pins   what its pins can do
    rules     what ties the sections together         words         words that files share

Standard library only.
"""

from host_tools.units.board import Board, board_names, load_board
from host_tools.units.motor import Motor, Saturation, load_motor
from host_tools.units.reader import BOARDS, STATUSES, UnitError
from host_tools.units.unit import (
    Control,
    DcLink,
    Encoder,
    Exciter,
    Limits,
    Sensing,
    Transmission,
    Unit,
    load,
    unit_names,
)
from host_tools.units.words import ENCODERS, EXCITERS, STRATEGIES, SUPPLIES

__all__ = [
    "BOARDS",
    "ENCODERS",
    "EXCITERS",
    "STATUSES",
    "STRATEGIES",
    "SUPPLIES",
    "Board",
    "Control",
    "DcLink",
    "Encoder",
    "Exciter",
    "Limits",
    "Motor",
    "Saturation",
    "Sensing",
    "Transmission",
    "Unit",
    "UnitError",
    "board_names",
    "load",
    "load_board",
    "load_motor",
    "unit_names",
]
