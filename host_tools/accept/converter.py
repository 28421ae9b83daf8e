"""Torque, ripple and current quality again, with the converter that a Pico has itself."""

from __future__ import annotations

from dataclasses import replace

from boards.virtual.sensors import PICO
from host_tools.accept import quality, torque
from host_tools.accept.sheet import Sheet
from host_tools.units import Unit

COLUMN = "Pico's converter"


def with_pico(unit: Unit) -> Unit:
    """The unit on a board whose converter is that of an RP2040."""
    board = replace(unit.board, noise=PICO["adc_noise"], spur=PICO["adc_spur"], skew=PICO["adc_skew"])
    return replace(unit, board=board)


def check(unit: Unit, sheet: Sheet) -> None:
    """Torque step and harmonics, each row named after the converter.

    How much dead-time compensation wins is not asked again: what is left are the converter's own
    harmonics, with and without.
    """
    sheet.converter = COLUMN
    pico = with_pico(unit)
    torque.check(pico, sheet)
    thd, _ = quality.distortion(pico, unit.control.dead_time_compensated)
    without, _ = quality.distortion(pico, 0.0)
    note = f"harmonics 2 to 50; {100 * without:.2f} % without dead-time compensation"
    sheet.at_most("phase-current THD at 50 % current, 300 rpm", 100 * thd, 3, "%", note)
