"""The rules that tie the sections of a unit together, and the unit to its board."""

import math
from typing import TYPE_CHECKING

from host_tools.units.motor import Motor
from host_tools.units.reader import Reader

if TYPE_CHECKING:
    from host_tools.units.unit import Unit

# What the control law needs left to it.
HEADROOM = 1.25  # a sensor reaches at least this far beyond its trip
FIELD_HEADROOM = 1.5  # i_f may be kicked this far by a step of i_d (flux conservation)
DELAY_BUDGET = 0.35  # rad that the delay of 1.5 periods may cost at the current bandwidth
SAMPLES_PER_TURN = 14  # PWM periods of one electrical turn at the highest speed


def check_unit(unit: "Unit", reader: Reader) -> None:
    """The rules that tie sections together."""
    motor, board, link, limits = unit.motor, unit.board, unit.dc_link, unit.limits
    sensing, control, exciter, encoder = unit.sensing, unit.control, unit.exciter, unit.encoder
    rule = reader.rule

    rule(
        limits.i_trip > 1.03 * motor.i_max,
        f"limits.i_trip = {limits.i_trip:g} A",
        f"it must leave the control room above i_max = {motor.i_max:g} A (at least {1.03 * motor.i_max:g} A)",
    )
    rule(
        limits.i_f_trip >= FIELD_HEADROOM * motor.i_f_max,
        f"limits.i_f_trip = {limits.i_f_trip:g} A",
        f"steps of i_d kick i_f: at least {FIELD_HEADROOM:g}*i_f_max = {FIELD_HEADROOM * motor.i_f_max:g} A",
    )
    hardware = board.hardware
    for key, full_scale, trip, what in (
        ("i_full_scale", sensing.i_full_scale, limits.i_trip, "limits.i_trip"),
        ("i_f_full_scale", sensing.i_f_full_scale, limits.i_f_trip, "limits.i_f_trip"),
        ("u_dc_full_scale", sensing.u_dc_full_scale, link.u_trip, "dc_link.u_trip"),
    ):
        unit_text = "V" if key.startswith("u") else "A"
        holds = full_scale >= HEADROOM * trip * (1 - 1e-9)
        if hardware is None:
            rule(
                holds,
                f"sensing.{key} = {full_scale:g} {unit_text}",
                f"a trip must be seen: at least {HEADROOM:g}*{what.partition('.')[2]} = "
                f"{HEADROOM * trip:g} {unit_text}",
            )
        else:
            rule(
                holds,
                f"{what} = {trip:g} {unit_text}",
                f"board {board.name} measures up to {full_scale:.4g} {unit_text} = {hardware.formula(key)}, "
                f"and a trip must be seen: at most {full_scale / HEADROOM:.4g} {unit_text}; "
                f"or use a board file with other [sensing]",
            )
    if hardware is not None:
        _check_hardware(unit, reader)

    rule(
        link.u_min < 0.95 * link.u_nominal,
        f"dc_link.u_min = {link.u_min:g} V",
        f"it must be below 95 % of u_nominal = {link.u_nominal:g} V",
    )
    rule(
        link.u_min > 0.25 * sensing.u_dc_full_scale,
        f"dc_link.u_min = {link.u_min:g} V",
        f"the kernel divides by u_dc above a quarter of its full scale, {0.25 * sensing.u_dc_full_scale:g} V",
    )
    rule(
        link.u_trip >= 1.15 * link.u_nominal,
        f"dc_link.u_trip = {link.u_trip:g} V",
        f"braking needs room: at least 1.15*u_nominal = {1.15 * link.u_nominal:g} V",
    )
    rule(
        link.u_nominal < link.soft_limit < link.u_trip,
        f"dc_link.u_soft = {link.soft_limit:g} V",
        f"it must lie between u_nominal = {link.u_nominal:g} V and u_trip = {link.u_trip:g} V",
    )
    rule(
        link.u_min < link.low_limit < link.u_nominal,
        f"dc_link.u_low = {link.low_limit:g} V",
        f"it must lie between u_min = {link.u_min:g} V and u_nominal = {link.u_nominal:g} V",
    )
    rule(
        link.u_min < link.battery_emf < link.u_trip,
        f"dc_link.battery_emf = {link.battery_emf:g} V",
        f"it must lie between u_min = {link.u_min:g} V and u_trip = {link.u_trip:g} V",
    )
    if link.clamp_voltage is None or link.clamp_resistance is None:
        rule(
            link.clamp_voltage is link.clamp_resistance,
            "dc_link.clamp_voltage, dc_link.clamp_resistance",
            "a brake resistor needs both, a link without one neither",
        )
    else:
        rule(
            max(link.u_nominal, link.battery_emf) < link.clamp_voltage < link.u_trip,
            f"dc_link.clamp_voltage = {link.clamp_voltage:g} V",
            f"it must lie between u_nominal and u_trip, {link.u_nominal:g} .. {link.u_trip:g} V",
        )

    supply = link.u_nominal if exciter.supply == "link" else exciter.u_nominal
    rule(
        exciter.supply == "own" or exciter.u_nominal == link.u_nominal,
        f"exciter.u_nominal = {exciter.u_nominal:g} V",
        f"an exciter that is fed by the link has the link's {link.u_nominal:g} V",
    )
    rule(
        supply > motor.R_f * motor.i_f_max + motor.u_brush,
        f"exciter.u_nominal = {supply:g} V",
        f"i_f_max = {motor.i_f_max:g} A needs more than R_f*i_f_max = {motor.R_f * motor.i_f_max:g} V",
    )

    rule(
        encoder.counts >= 128 * motor.pole_pairs,
        f"encoder.counts = {encoder.counts}",
        f"a count may not exceed 2.8 degrees electrical: at least 128*pole_pairs = {128 * motor.pole_pairs}",
    )
    f_e = limits.n_trip / 60 * motor.pole_pairs
    rule(
        f_e * SAMPLES_PER_TURN <= board.f_pwm,
        f"limits.n_trip = {limits.n_trip:g} rpm",
        f"{f_e:.4g} Hz electrical leave {board.f_pwm / f_e:.3g} PWM periods a turn, "
        f"{SAMPLES_PER_TURN} are needed",
    )
    rule(
        limits.n_max <= motor.n_max,
        f"limits.n_max = {limits.n_max:g} rpm",
        f"the motor allows {motor.n_max:g} rpm",
    )
    rule(
        1.02 * limits.n_max <= limits.n_trip <= 1.2 * limits.n_max,
        f"limits.n_trip = {limits.n_trip:g} rpm",
        f"it must be 2 to 20 % above n_max = {limits.n_max:g} rpm (the kernel's speed range ends there)",
    )

    best = _most_torque(motor)
    rule(
        limits.torque_max <= best,
        f"limits.torque_max = {limits.torque_max:g} N.m",
        f"i_max and i_f_max make {best:.4g} N.m at most",
    )
    rule(
        limits.torque_rated <= limits.torque_max,
        f"limits.torque_rated = {limits.torque_rated:g} N.m",
        f"it may not exceed torque_max = {limits.torque_max:g} N.m",
    )
    rule(
        limits.torque_limit <= limits.torque_max,
        f"limits.torque_limit = {limits.torque_limit:g} N.m",
        f"it may not exceed torque_max = {limits.torque_max:g} N.m",
    )

    delay = 2 * math.pi * control.bandwidth_current * 1.5 / board.f_pwm
    highest = DELAY_BUDGET * board.f_pwm / (3 * math.pi)
    rule(
        delay <= DELAY_BUDGET,
        f"control.bandwidth_current = {control.bandwidth_current:g} Hz",
        f"1.5 periods of delay cost {delay:.3g} rad there, {DELAY_BUDGET:g} are allowed: "
        f"at most {highest:.4g} Hz at f_pwm = {board.f_pwm:g} Hz",
    )
    for low, high, share in (
        ("bandwidth_field", "bandwidth_current", 2.5),
        ("bandwidth_pll", "bandwidth_current", 2),
        ("bandwidth_speed", "bandwidth_pll", 4),
    ):
        inner, outer = getattr(control, high), getattr(control, low)
        rule(
            outer * share <= inner,
            f"control.{low} = {outer:g} Hz",
            f"it must stay below {high}/{share:g} = {inner / share:g} Hz",
        )
    rule(
        control.dead_time_compensated <= 1.5 * board.dead_time,
        f"control.dead_time_compensated = {control.dead_time_compensated:g} s",
        f"the board's dead time is {board.dead_time:g} s; much more makes the current chatter",
    )
    rule(
        control.dead_time_zone <= 0.25 * motor.i_max,
        f"control.dead_time_zone = {control.dead_time_zone:g} A",
        f"at most a quarter of i_max = {motor.i_max:g} A",
    )


def _check_hardware(unit: "Unit", reader: Reader) -> None:
    """What a board with pins must be able to do for this unit."""
    hardware, name = unit.board.hardware, unit.board.name
    assert hardware is not None
    exciter, encoder, rule = unit.exciter, unit.encoder, reader.rule
    rule(
        exciter.kind in hardware.exciters,
        f"exciter.kind = {exciter.kind!r}",
        f"board {name} has {', '.join(hardware.exciters)}",
    )
    rule(
        encoder.kind in hardware.encoders,
        f"encoder.kind = {encoder.kind!r}",
        f"board {name} reads {', '.join(hardware.encoders)}",
    )
    highest = hardware.limits["u_dc_max"]
    for where, voltage in (("dc_link.u_trip", unit.dc_link.u_trip), ("exciter.u_nominal", exciter.u_nominal)):
        rule(voltage <= highest, f"{where} = {voltage:g} V", f"board {name} stands {highest:g} V")
    if encoder.kind == "incremental":
        rate = encoder.counts * unit.limits.n_trip / 60
        rule(
            rate <= hardware.count_rate_max,
            f"encoder.counts = {encoder.counts}",
            f"{rate:.4g} counts a second at n_trip, board {name} follows {hardware.count_rate_max:g}",
        )
    elif hardware.angle_sensor is not None and encoder.kind in hardware.encoders:
        counts = 1 << hardware.angle_sensor["bits"]
        rule(
            encoder.counts == counts,
            f"encoder.counts = {encoder.counts}",
            f"the angle sensor of board {name} has {hardware.angle_sensor['bits']} bits: write {counts}",
        )


def _most_torque(motor: Motor) -> float:
    """Highest torque at i_max and i_f_max, searched over the angle of the current."""
    best = 0.0
    for step in range(181):
        angle = math.pi * step / 180
        i_d, i_q = motor.i_max * math.cos(angle), motor.i_max * math.sin(angle)
        best = max(best, motor.torque(i_d, i_q, motor.i_f_max))
    return best * 1.0005  # the search's own step
