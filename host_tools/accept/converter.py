"""Torque, ripple and current quality again, with the converter that a Pico has itself."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import replace

from boards.virtual.sensors import PICO
from host_tools.accept.sheet import Sheet
from host_tools.units import Unit

FAMILIES = ("torque", "quality")
COLUMN = "Pico's converter"


def with_pico(unit: Unit) -> Unit:
    """The unit on a board whose converter is that of an RP2040."""
    board = replace(unit.board, noise=PICO["adc_noise"], spur=PICO["adc_spur"], skew=PICO["adc_skew"])
    return replace(unit, board=board)


def check(unit: Unit, sheet: Sheet) -> None:
    """The rows of FAMILIES, each named after the converter."""
    sheet.converter = COLUMN
    for name in FAMILIES:
        if importlib.util.find_spec(f"host_tools.accept.{name}"):
            importlib.import_module(f"host_tools.accept.{name}").check(with_pico(unit), sheet)
