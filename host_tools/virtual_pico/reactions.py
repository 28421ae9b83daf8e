"""How soon the bridges are off after a fault, as the firmware is made: what tests and documents claim.

`python -m host_tools.virtual_pico.reactions` prints the table for docs.  Times are in PWM periods,
counted from the instant of the fault to the last switching edge of the phases (or the fall of the
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


WATCHDOG_PERIODS = 4000  # watchdog_ms of boards/rpi_pico, at 20 kHz

REACTIONS = (
    Reaction("fault pin", "FAULT_INPUT", "PIO, to the gate-enable pin, without the processor", 1),
    # A sign of life holds for not quite two periods, counted from the interrupt's end.
    Reaction("missing trigger", "PERIOD_MISSED", "PIO: no sign of life from the interrupt", 2),
    Reaction("dead converter", "PERIODS_STOPPED", "PIO: no sign of life from the interrupt", 2),
    Reaction("interrupt overrun", "PERIOD_MISSED", "PIO: no sign of life from the interrupt", 2),
    # Sampled at one zero, computed in that period, the levels acting from the next zero on.
    Reaction("over-current", "PHASE_OVERCURRENT", "the control law, from its samples", 2),
    # Two looks of the main loop, late by collections of garbage (40 ms each), and a letter. In these three a
    # limit of the control law may be broken first, and is then what is reported.
    Reaction("encoder lost", "ENCODER_LOST", "the main loop: the count stands while the shaft turns", 2500),
    # 24 looks of the main loop, up to 50 periods apart while it serves a host, and two collections.
    Reaction("phase a stuck", "SENSOR_STUCK", "the main loop: one count stays, another moves", 5000),
    Reaction("phase b stuck", "SENSOR_STUCK", "the main loop: one count stays, another moves", 5000),
    # In order: host_timeout (0.5 s), torque down, field down, then the bridges.
    Reaction("USB unplugged", "", "the main loop: no word of the host; an ordered stop", 20000),
    Reaction("Ctrl-C at the port", "", "the main loop: no word of the host; an ordered stop", 20000),
    Reaction("exception in the main loop", "", "the main loop's way out", TICK_PERIODS),
    Reaction("main loop hangs", "", "the watchdog, which resets the chip", WATCHDOG_PERIODS),
)


def reaction_to(fault: str) -> Reaction:
    """The row of a fault; KeyError when there is none."""
    return {row.fault: row for row in REACTIONS}[fault]


def table() -> str:
    """The table as Markdown."""
    lines = ["| fault | reported as | seen by | bridges off within |", "|---|---|---|---|"]
    for row in REACTIONS:
        lines.append(f"| {row.fault} | {row.name or 'nothing'} | {row.seen_by} | {row.periods} periods |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
