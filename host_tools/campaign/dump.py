"""`python -m host_tools.campaign.dump`: the battery is lost at full braking power; what would hold the link.

Prints a table for docs: highest u_dc over nominal with open switches, with the machine shorted, with the
unit's own clamp, and the capacitance with which open switches would stay below 1.25 nominal.
"""

from __future__ import annotations

from math import hypot
from typing import Any

import click

from boards.virtual import plant
from eesm.drive import FAULT
from host_tools.build import Linked, link_unit
from host_tools.campaign.measure import LINK_HIGHEST
from host_tools.campaign.rig import Point, Record, Rig
from host_tools.units import Unit, load

POINTS = (Point("40 % speed", 0.4, -0.95), Point("90 % speed", 0.9, -0.95))
SECONDS = 0.3


def lose_battery(rig: Rig) -> tuple[float, float, float]:
    """Highest u_dc over nominal, stator current over i_max and field current over i_f_max after the loss."""
    rig.record = Record()
    rig.loop.inject("battery_lost")
    rig.run(SECONDS)
    rows = rig.record.rows()
    settings = rig.settings
    current = max(map(hypot, rows["i_d"], rows["i_q"]))
    return (
        float(rows["u_dc"].max()) / float(settings["u_dc_nominal"]),
        float(current) / float(settings["i_max"]),
        float(rows["i_f"].max()) / float(settings["i_f_max"]),
    )


def at(unit: Unit, linked: Linked, point: Point, short: bool, clamp: bool, **options: Any) -> Rig:
    """A rig that brakes with all it has."""
    rig = Rig(unit, linked, **options)
    rig.go_to(point)
    rig.drive.set_setting("short_allowed", int(short))
    rig.run(0.05)
    if not clamp:
        rig.c[plant.CLAMP] = 1e9
    assert rig.drive.state != FAULT, rig.story()
    return rig


def capacitance_needed(unit: Unit, linked: Linked, point: Point) -> float:
    """F with which open switches keep u_dc below 1.25 nominal, within 5 %."""
    low = high = unit.dc_link.capacitance
    while peak_with(unit, linked, point, high) > LINK_HIGHEST:
        low, high = high, 2 * high
    while high > 1.05 * low:
        middle = (low * high) ** 0.5
        if peak_with(unit, linked, point, middle) > LINK_HIGHEST:
            low = middle
        else:
            high = middle
    return high


def peak_with(unit: Unit, linked: Linked, point: Point, capacitance: float) -> float:
    return lose_battery(at(unit, linked, point, False, False, capacitance=capacitance))[0]


def lines() -> list[str]:
    """The table, as Markdown."""
    found = [
        "| unit, braking at | power, kW | open switches | shorted: u_dc, stator over i_max, "
        "field over i_f_max | with its clamp | capacitance, needed |",
        "|---|---|---|---|---|---|",
    ]
    for name in ("a", "b", "c"):
        unit = load(name)
        linked = link_unit(unit)
        for point in POINTS:
            rig = at(unit, linked, point, False, False)
            power = abs(float(rig.x[plant.TORQUE] * rig.x[plant.W_M])) / 1e3
            opened = lose_battery(rig)[0]
            shorted = lose_battery(at(unit, linked, point, True, False))
            clamp = "-"
            if unit.dc_link.clamp_voltage is not None:
                clamp = f"{lose_battery(at(unit, linked, point, False, True))[0]:.2f}"
            needed = 1e3 * capacitance_needed(unit, linked, point)
            has = 1e3 * unit.dc_link.capacitance
            found.append(
                f"| {name}, {point.name} | {power:.1f} | {opened:.2f} | {shorted[0]:.2f}, {shorted[1]:.1f}, "
                f"{shorted[2]:.1f} | {clamp} | {has:.3g} mF, {needed:.3g} mF |"
            )
            click.echo(found[-1], err=True)
    return found


if __name__ == "__main__":
    click.echo("\n".join(lines()))
