"""Limits that trip: seen and acted on in the same period."""

from eesm.signals import (
    ADC_TOP,
    BRIDGE_OFF,
    FAULT_DC_OVERVOLTAGE,
    FAULT_DC_UNDERVOLTAGE,
    FAULT_FIELD_OVERCURRENT,
    FAULT_OVERSPEED,
    FAULT_PHASE_OVERCURRENT,
    FAULT_SENSOR_RANGE,
    Signals,
)
from eesm.stages.fixed import magnitude


def guard(s: Signals) -> None:
    """Latch every limit that is broken now; remember the first and its period.

    A latched fault opens the six switches and drives the field down (`modulate`,
    `control_field`).  Only a changed `fault_clear` clears, and only what no longer holds.
    """
    now = s.fault_request | s.board_faults
    if magnitude(s.i_a) > s.i_trip or magnitude(s.i_b) > s.i_trip or magnitude(s.i_a + s.i_b) > s.i_trip:
        now = now | FAULT_PHASE_OVERCURRENT
    if magnitude(s.i_f) > s.i_f_trip:
        now = now | FAULT_FIELD_OVERCURRENT
    if s.u_dc > s.u_dc_trip:
        now = now | FAULT_DC_OVERVOLTAGE
    if s.u_dc < s.u_dc_min and s.bridge_mode != BRIDGE_OFF:
        now = now | FAULT_DC_UNDERVOLTAGE
    if magnitude(s.w_e) > s.w_e_trip:
        now = now | FAULT_OVERSPEED
    if s.i_a_raw == 0 or s.i_a_raw == ADC_TOP or s.i_b_raw == 0 or s.i_b_raw == ADC_TOP:
        now = now | FAULT_SENSOR_RANGE
    if s.i_f_raw == 0 or s.i_f_raw == ADC_TOP or s.u_dc_raw == ADC_TOP:
        now = now | FAULT_SENSOR_RANGE
    if s.fault_clear != s.fault_cleared:
        s.fault_cleared = s.fault_clear
        s.faults = 0
        s.fault_first = 0
    if now != 0 and s.faults == 0:
        s.fault_first = now
        s.fault_period = s.period
    s.faults = s.faults | now
