"""Limits that trip: seen and acted on in the same period."""

from eesm.signals import (
    ADC_TOP,
    BRIDGE_OFF,
    FAULT_ASKED,
    FAULT_DC_OVERVOLTAGE,
    FAULT_DC_UNDERVOLTAGE,
    FAULT_FIELD_OVERCURRENT,
    FAULT_LOAD_DUMP,
    FAULT_MAIN_LOOP_SILENT,
    FAULT_OVERSPEED,
    FAULT_PHASE_OVERCURRENT,
    FAULT_SENSOR_RANGE,
    Signals,
)
from eesm.stages.fixed import magnitude
from eesm.table import Q30_MAX


def guard(s: Signals) -> None:
    """Latch every limit that is broken now; remember the first and its period.

    A latched fault opens the six switches and drives the field down (`modulate`,
    `control_field`).  Only a changed `fault_clear` clears, and only what no longer holds.

    Every period asks once whether anything may be wrong: the sign of an OR is set when one of the
    distances to the limits is negative.  No phase current is longer than the current vector.
    `suspect` stands for what cannot come quicker than a letter or a cycle of the outer law (`watch`).
    """
    if (
        s.i_trip * s.i_trip - 1 - s.i_alpha * s.i_alpha - s.i_beta * s.i_beta
        | s.suspect - s.board_faults
        | s.i_f_trip - s.i_f
        | s.i_f_trip + s.i_f
        | s.u_dc_trip - s.u_dc
        | s.u_dc - s.u_dc_min
    ) < 0:
        s.suspect = 0
        latch(s, s.board_faults | find_broken(s))


def watch(s: Signals) -> None:
    """Make the guard look closely: a converter at its end, the shaft too quick, the main loop silent.

    An outer slot.  A current or u_dc so large as the converter's end trips by itself, in its period; this
    finds the sensor whose end is within the limits.
    """
    s.suspect = 0
    if s.mailbox_pumps != s.pumps_seen:
        s.pumps_seen = s.mailbox_pumps
        s.silence = 0
    elif s.silence < Q30_MAX:
        s.silence = s.silence + 1
    if s.silence_max != 0 and s.silence > s.silence_max:
        s.suspect = -1
    if (
        s.w_e_trip - s.w_e
        | s.w_e_trip + s.w_e
        | s.i_a_raw - 1
        | s.i_b_raw - 1
        | s.i_f_raw - 1
        | ADC_TOP - 1 - s.i_a_raw
        | ADC_TOP - 1 - s.i_b_raw
        | ADC_TOP - 1 - s.i_f_raw
        | ADC_TOP - 1 - s.u_dc_raw
    ) < 0:
        s.suspect = -1


def find_broken(s: Signals) -> int:
    """The bits of the limits that are broken."""
    now = 0
    if magnitude(s.i_a) > s.i_trip or magnitude(s.i_b) > s.i_trip or magnitude(s.i_a + s.i_b) > s.i_trip:
        now = now | FAULT_PHASE_OVERCURRENT
    if magnitude(s.i_f) > s.i_f_trip:
        now = now | FAULT_FIELD_OVERCURRENT
    if s.u_dc > s.u_dc_trip:
        now = now | FAULT_DC_OVERVOLTAGE
        if s.u_dc - s.u_dc_last > s.u_dc_jump:
            now = now | FAULT_LOAD_DUMP
    if s.u_dc < s.u_dc_min and s.bridge_mode != BRIDGE_OFF:
        now = now | FAULT_DC_UNDERVOLTAGE
    if magnitude(s.w_e) > s.w_e_trip:
        now = now | FAULT_OVERSPEED
    if s.i_a_raw == 0 or s.i_a_raw == ADC_TOP or s.i_b_raw == 0 or s.i_b_raw == ADC_TOP:
        now = now | FAULT_SENSOR_RANGE
    if s.i_f_raw == 0 or s.i_f_raw == ADC_TOP or s.u_dc_raw == ADC_TOP:
        now = now | FAULT_SENSOR_RANGE
    if s.silence_max != 0 and s.silence > s.silence_max:
        now = now | FAULT_MAIN_LOOP_SILENT
    if s.fault_request != 0:
        now = now | FAULT_ASKED
    return now


def latch(s: Signals, now: int) -> None:
    """Add to the faults, after a clear that was asked for."""
    clear_faults(s)
    if now != 0 and s.faults == 0:
        s.fault_first = now
        s.fault_period = s.period
    s.faults = s.faults | now


def clear_faults(s: Signals) -> None:
    """Forget the latched faults when `fault_clear` has changed."""
    if s.fault_clear != s.fault_cleared:
        s.fault_cleared = s.fault_clear
        s.faults = 0
        s.fault_first = 0
