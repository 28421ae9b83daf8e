"""What a bench has to stand: values that follow from a unit and the board it is on, each with its formula."""

from __future__ import annotations

import math
from dataclasses import dataclass

from host_tools.units import Unit
from host_tools.wiring.power import farads

SAFE_VOLTAGE = 5.0  # V, to which the bleeder's time is stated
RPM = 2 * math.pi / 60


@dataclass(frozen=True)
class Value:
    """One line of the table."""

    what: str
    formula: str
    value: str


def values_of(unit: Unit) -> list[Value]:
    """The values of a unit on a board with pins; ValueError for another board."""
    if unit.board.hardware is None:
        raise ValueError(f"board {unit.board.name} has no pins, so there is nothing to compute")
    return [*_sensing(unit), *_switching(unit), *_field(unit), *_machine(unit), *_supply(unit)]


def field_return(unit: Unit) -> tuple[float, float]:
    """(s, J): how long the exciter at reversed voltage takes from i_f_max to zero, and what comes back.

    i(t) = (i_f_max + u/R_f)*exp(-t/tau) - u/R_f; the energy is u times the integral of i.  A unipolar
    chopper cannot reverse: the field then falls by R_f alone, and nothing comes back.
    """
    motor, u = unit.motor, unit.exciter.u_nominal
    if unit.exciter.kind == "unipolar":
        return math.inf, 0.0
    final = u / motor.R_f
    seconds = motor.tau_f * math.log(1 + motor.i_f_max / final)
    charge = motor.tau_f * motor.i_f_max - final * seconds
    return seconds, u * charge


def _sensing(unit: Unit) -> list[Value]:
    hardware, motor, limits = unit.board.hardware, unit.motor, unit.limits
    assert hardware is not None
    s, full = hardware.sensing, unit.sensing
    half, whole = 1 << (unit.board.bits - 1), 1 << unit.board.bits
    pin = unit.dc_link.u_trip / full.u_dc_full_scale * hardware.reference
    return [
        Value(
            "phase current, full scale",
            "±U_ref / 2 / (R_shunt · gain)",
            f"±{full.i_full_scale:.4g} A, {1e3 * full.i_full_scale / half:.3g} mA a count",
        ),
        Value(
            "field current, full scale",
            "±U_ref / 2 / (R_shunt · gain)",
            f"±{full.i_f_full_scale:.4g} A, {1e3 * full.i_f_full_scale / half:.3g} mA a count",
        ),
        Value(
            "dc link, full scale",
            "U_ref · (1 + R_top / R_bottom)",
            f"{full.u_dc_full_scale:.4g} V, {1e3 * full.u_dc_full_scale / whole:.3g} mV a count",
        ),
        Value(
            "trips, share of full scale",
            "i_trip, i_f_trip, u_trip",
            f"{limits.i_trip:g} A {limits.i_trip / full.i_full_scale:.0%}, "
            f"{limits.i_f_trip:g} A {limits.i_f_trip / full.i_f_full_scale:.0%}, "
            f"{unit.dc_link.u_trip:g} V {unit.dc_link.u_trip / full.u_dc_full_scale:.0%}",
        ),
        Value("converter's pin at u_trip", "u_trip · R_bottom / (R_top + R_bottom)", f"{pin:.3g} V"),
        Value(
            "dc-link divider, time constant", "R_top ∥ R_bottom · C", f"{1e6 * hardware.u_dc_filter:.3g} µs"
        ),
        Value("current filters, time constant", "R · C", f"{1e6 * hardware.current_filter:.3g} µs"),
        Value(
            "loss in a phase shunt at i_max",
            "R_shunt · i_max² / 2",
            f"{s['phase_shunt'] * motor.i_max**2 / 2:.3g} W",
        ),
        Value(
            "loss in the field shunt at i_f_max",
            "R_shunt · i_f_max²",
            f"{s['field_shunt'] * motor.i_f_max**2:.3g} W",
        ),
    ]


def _switching(unit: Unit) -> list[Value]:
    board, hardware = unit.board, unit.board.hardware
    assert hardware is not None
    u, lost = unit.dc_link.u_nominal, board.dead_time * board.f_pwm
    times = ", ".join(
        f"{name} {1e6 * hardware.sample_time(name):+.3g} µs" for name in ("i_a", "i_b", "i_f", "u_dc")
    )
    margin = max(unit.u_margin_window, unit.control.u_margin)
    return [
        Value(
            "dead time",
            "⌈t_dead · f_clock⌉ counts",
            f"{board.dead_time_counts} counts = {1e6 * board.dead_time_counts / board.clock:.4g} µs",
        ),
        Value("voltage that dead time takes from a leg", "t_dead · f_pwm · u_nominal", f"{lost * u:.3g} V"),
        Value(
            "voltage vector that is left",
            "(1 − 2 · t_dead · f_pwm − margin) · u_nominal / √3",
            f"{(1 - 2 * lost - margin) * u / math.sqrt(3):.4g} V",
        ),
        Value("samples, from the carrier's centre", "order · (t_conversion + t_handover)", times),
    ]


def _field(unit: Unit) -> list[Value]:
    motor, link = unit.motor, unit.dc_link
    seconds, energy = field_return(unit)
    rows = [
        Value("field time constant", "L_f / R_f", f"{1e3 * motor.tau_f:.3g} ms"),
        Value("energy in the field", "L_f · i_f_max² / 2", f"{motor.L_f * motor.i_f_max**2 / 2:.3g} J"),
        Value(
            "voltage of a winding that is interrupted",
            "L_f · i_f_max / t, for t = 1 µs",
            f"{motor.L_f * motor.i_f_max / 1e-6 / 1e6:.3g} MV, so it arcs",
        ),
    ]
    if energy:
        u_after = math.sqrt(link.u_nominal**2 + 2 * energy / link.capacitance)
        needed = 2 * energy / (link.u_trip**2 - link.u_nominal**2)
        rows += [
            Value(
                "field from i_f_max to 0, exciter reversed",
                "L_f / R_f · ln(1 + R_f · i_f_max / u)",
                f"{1e3 * seconds:.3g} ms",
            ),
            Value("energy that then comes back", "u · ∫ i_f dt", f"{energy:.3g} J"),
        ]
        if unit.exciter.supply == "link":
            rows += [
                Value(
                    "dc link afterwards, nothing taking it",
                    "√(u_nominal² + 2 · E / C)",
                    f"{u_after:.3g} V, u_trip is {link.u_trip:g} V",
                ),
                Value(
                    "capacitance that would keep it below u_trip",
                    "2 · E / (u_trip² − u_nominal²)",
                    farads(float(f"{needed:.3g}")),
                ),
            ]
    return rows


def _machine(unit: Unit) -> list[Value]:
    motor, link, limits = unit.motor, unit.dc_link, unit.limits
    per_speed = math.sqrt(3) * motor.pole_pairs * motor.M * motor.i_f_max
    inertia = motor.J + unit.transmission.J_load
    return [
        Value(
            "speed at which the full field's emf reaches the dc link",
            "u_nominal / (√3 · p · M · i_f_max)",
            f"{link.u_nominal / per_speed / RPM:.4g} rpm",
        ),
        Value(
            "line-to-line peak emf at n_max with full field",
            "√3 · p · ω · M · i_f_max",
            f"{per_speed * limits.w_m_max:.3g} V",
        ),
        Value("energy of the rotor at n_max", "J · ω² / 2", f"{inertia * limits.w_m_max**2 / 2:.3g} J"),
    ]


def _supply(unit: Unit) -> list[Value]:
    hardware, link, motor = unit.board.hardware, unit.dc_link, unit.motor
    assert hardware is not None
    bleeder = hardware.safety["bleeder"]
    base = link.u_nominal / (math.sqrt(3) * motor.pole_pairs * motor.M * motor.i_f_max)
    rows = [
        Value(
            f"bleeder: from u_trip to {SAFE_VOLTAGE:g} V",
            f"R · C · ln(u_trip / {SAFE_VOLTAGE:g} V)",
            f"{bleeder * link.capacitance * math.log(link.u_trip / SAFE_VOLTAGE):.2g} s",
        ),
        Value("bleeder: loss at u_trip", "u_trip² / R", f"{link.u_trip**2 / bleeder:.2g} W"),
        Value(
            "shaft power at rated torque and that speed, as supply current",
            "torque_rated · ω / u_nominal",
            f"{unit.limits.torque_rated * base / link.u_nominal:.3g} A",
        ),
    ]
    if link.clamp_voltage is not None and link.clamp_resistance is not None:
        rows.append(
            Value(
                "brake resistor at its threshold",
                "clamp_voltage² / clamp_resistance",
                f"{link.clamp_voltage**2 / link.clamp_resistance:.4g} W",
            )
        )
    return rows


def table(unit: Unit) -> str:
    """The values as a Markdown table."""
    rows = [f"| {row.what} | {row.formula} | {row.value} |" for row in values_of(unit)]
    return "\n".join((f"| unit {unit.name} on {unit.board.name} | formula | value |", "|---|---|---|", *rows))
