"""How soon the bridges are off after a fault, as the firmware is made: what tests and documents claim.

`python -m host_tools.virtual_pico.reactions` prints what docs/virtual-pico.md holds.  Times are in PWM
periods, counted from the instant of the fault to the last switching edge of the phases (or the fall of the
gate-enable pin, where that is what ends them); the field is reversed from that instant on.
"""

from __future__ import annotations

from dataclasses import dataclass

from eesm.drive import TICK_PERIODS


@dataclass(frozen=True)
class Reaction:
    """A fault, what sees it, and the most periods until the bridges are off."""

    fault: str
    name: str  # in eesm.faults; "" when the board cannot tell any more, or the drive stops in order
    seen_by: str
    periods: int


LAW = "the control law, from its samples"
ANGLE = "the main loop: the count or the EMF is elsewhere"
SENSOR = "the main loop: a sensor, read every 0.1 s"
WATCHDOG_PERIODS = 4000  # watchdog_ms of boards/rpi_pico, at 20 kHz

REACTIONS = (
    Reaction("fault pin", "FAULT_INPUT", "PIO, to the gate-enable pin, without the processor", 1),
    # A sign of life holds for not quite two periods, counted from the interrupt's end.
    Reaction("missing trigger", "PERIOD_MISSED", "PIO: no sign of life from the interrupt", 2),
    Reaction("dead converter", "PERIODS_STOPPED", "PIO: no sign of life from the interrupt", 2),
    Reaction("interrupt overrun", "PERIOD_MISSED", "PIO: no sign of life from the interrupt", 2),
    # Sampled at one zero, computed in that period, the levels acting from the next zero on.
    Reaction("over-current", "PHASE_OVERCURRENT", LAW, 2),
    Reaction("phases a and b shorted", "PHASE_OVERCURRENT", LAW, 2),
    Reaction("field reads 7.2 A", "FIELD_OVERCURRENT", LAW, 2),
    # The multiplexer comes to the link in every other period only.
    Reaction("battery at 105 % of u_dc_trip", "DC_OVERVOLTAGE", LAW, 3),
    Reaction("battery at 40 %", "DC_UNDERVOLTAGE", LAW, 3),
    Reaction("battery lost while braking", "LOAD_DUMP", LAW, 3),
    Reaction("encoder lost", "ENCODER_LOST", "the control law, in three looks 6 periods apart", 30),
    Reaction("load drives beyond w_m_trip", "OVERSPEED", "the control law, once in 6 periods", 20),
    Reaction("phase a reads its top count", "SENSOR_RANGE", LAW, 14),
    Reaction("phase b reads its lowest count", "SENSOR_RANGE", LAW, 14),
    Reaction("field reads its top count", "SENSOR_RANGE", LAW, 14),
    Reaction("link reads its top count", "SENSOR_RANGE", LAW, 14),
    # A turn at the speed of the tests, where the current is small at times. A limit of the control law may be
    # broken first, and is then what is reported.
    Reaction("phase a stuck", "SENSOR_STUCK", "the control law: one count stays, the current turns", 1500),
    Reaction("phase b stuck", "SENSOR_STUCK", "the control law: one count stays, the current turns", 1500),
    # Ticks of 7 ms and two collections, beside the 30 ms for which the field has to stay away.
    Reaction("field cable off", "FIELD_OPEN", "the main loop: voltage drives no field current", 4000),
    # Watches of board, winding and heat look in turn, one in a tick; i_f_trip may be first.
    Reaction("half of the field's turns shorted", "FIELD_SHORTED", "the main loop: too much i_f", 8000),
    Reaction("exciter's high side stays on", "EXCITER_STUCK", "the main loop: i_f rises untold", 2500),
    Reaction("load drives an excited machine up", "OVER_EXCITATION", "the main loop: EMF beyond u_dc", 1500),
    # The angle of the EMF, balance, motion and torque share one look in two ticks, which for each is one in
    # some 60 ms; three to six looks make a fault, and a jump that falls in a collection is left to the EMF.
    Reaction("170 degrees of counts lost at once", "ENCODER_JUMPED", ANGLE, 12000),
    Reaction("60 degrees of counts lost at once", "ENCODER_JUMPED", ANGLE, 12000),
    Reaction("2 % of the counts lost", "ANGLE_SLIPPED", ANGLE, 16000),
    Reaction("phase a is open", "ANGLE_SLIPPED", ANGLE, 15000),
    Reaction("phase a reads half too much", "PHASE_UNBALANCE", "the main loop: no voltage drives it", 30000),
    Reaction("load runs away with the shaft", "SPIN_OUT", "the main loop: quicker than torque_max", 8000),
    Reaction("set point of the other sign", "TORQUE_IMPLAUSIBLE", "the main loop: torque unasked for", 16000),
    # After a stall_time of 0.2 s, and 0.7 s of i_max with an overload_time of 0.5 s.
    Reaction("shaft blocked under full torque", "STALLED", "the main loop: torque without motion", 10000),
    Reaction("i_max for longer than it may flow", "STATOR_OVERLOAD", "the main loop: heat by i^2", 17000),
    Reaction("board at 120 degrees Celsius", "BOARD_HOT", SENSOR, 8000),
    Reaction("stator at 180 degrees Celsius", "STATOR_HOT", SENSOR, 8000),
    Reaction("stator sensor broken", "TEMPERATURE_LOST", "the main loop: no temperature for 1 s", 27000),
    Reaction("rotor at 230 degrees Celsius", "ROTOR_HOT", "the main loop: the field's resistance", 60000),
    Reaction("word of a table changed", "KERNEL_CORRUPTED", "the main loop: sums of memory", 40000),
    # In order: host_timeout (0.5 s), torque down, field down, then the bridges.
    Reaction("USB unplugged", "", "the main loop: no word of the host; an ordered stop", 20000),
    Reaction("Ctrl-C at the port", "", "the main loop: no word of the host; an ordered stop", 20000),
    Reaction("exception in the main loop", "", "the main loop's way out", TICK_PERIODS),
    Reaction("main loop hangs", "", "the watchdog, which resets the chip", WATCHDOG_PERIODS),
)

# Faults of a running drive that have no row by their name, and why.
WITHOUT = {
    "TORQUE_REVERSED": "an incremental encoder cannot be half an electrical turn off at once; of the counts "
    "that it loses while the shaft turns, `ENCODER_JUMPED` or `ANGLE_SLIPPED` is named first",
    "PHASE_SUM": "the board has no input for a third current",
    "MAIN_LOOP_SILENT": "seen in the row of a main loop that hangs, of which the reset leaves no trace",
    "MAIN_LOOP_FAILED": "seen in the row of an exception, of which the prompt tells",
    "HOST_LOST": "no fault but an ordered stop: the rows of USB and Ctrl-C",
    "HEAP_LOW": "injected on MicroPython of the desktop (`make fault-campaign`)",
    "STACK_LOW": "injected on MicroPython of the desktop (`make fault-campaign`)",
}


def reaction_to(fault: str) -> Reaction:
    """The row of a fault; KeyError when there is none."""
    return {row.fault: row for row in REACTIONS}[fault]


def table() -> str:
    """The table as Markdown."""
    lines = ["| fault | reported as | seen by | bridges off within |", "|---|---|---|---|"]
    for row in REACTIONS:
        lines.append(f"| {row.fault} | {row.name or 'nothing'} | {row.seen_by} | {row.periods} periods |")
    return "\n".join(lines)


def rest() -> str:
    """Faults without a row, as Markdown."""
    return "\n".join(f"- `{name}`: {why}." for name, why in WITHOUT.items())


if __name__ == "__main__":
    print(f"{table()}\n\n{rest()}")
