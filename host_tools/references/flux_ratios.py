"""Saturation for the board: two small tables of ratios, from any machine whose flux is known.

A machine that saturates is taken as a T-equivalent: its main flux along d would be
x = (L_d - L_leakage)*i_d + M*i_f without saturation, and

    psi_d = L_leakage*i_d + r_d(x, |i_q|) * x        psi_q = L_q * r_q(x, |i_q|) * i_q

with ratios r <= 1, sampled on 9 x 9 points.  For Hinkkanen's flux function with cross saturation that
is exact; for flux maps it is exact on the line of least copper loss, where the drive works.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eesm import parameters
from eesm.parameters import split_gain
from eesm.stages.fixed import amplify, magnitude, mul15, sat15
from host_tools.references.closed_form import copper_ratios
from host_tools.references.machine import LinearMachine, Machine
from host_tools.references.saturation import MappedMachine, SaturatedMachine, load_maps
from host_tools.units import BOARDS, Unit

POINTS = 9
Q15_MAX = 32767
LEAKAGE = 0.1  # of L_d, where nobody knows
FIELD_ROOM = 1.25  # of M*i_f_max that the axis of x covers


@dataclass(frozen=True)
class FluxRatios:
    """What the kernel looks fluxes up in; tables row by row of |i_q|, Q15."""

    ratio_d: list[int]
    ratio_q: list[int]
    words: dict[str, int]  # gains with their shifts


def ratios_of(
    machine: Machine, linear: LinearMachine, bases: dict[str, float], leakage: float | None = None
) -> FluxRatios:
    """Ratios of a machine that saturates beside its unsaturated parameters.

    `bases` as from `eesm.parameters.bases`; `leakage` is the stator leakage inductance in H.
    """
    leak = LEAKAGE * linear.L_d if leakage is None else leakage
    main = linear.L_d - leak
    top = FIELD_ROOM * linear.M * linear.i_f_max
    # At zero current a ratio is that of its limit: a small one stands for it.
    x = np.maximum(np.linspace(0.0, top, POINTS), 1e-3 * top)
    i_q = np.maximum(np.linspace(0.0, linear.i_max, POINTS), 1e-3 * linear.i_max)
    per_field = copper_ratios(linear)[0]  # i_d/i_f
    i_f = x / (main * per_field + linear.M)
    on_q, on_f = np.meshgrid(i_q, i_f, indexing="ij")
    on_d = per_field * on_f
    psi_d, psi_q = machine.psi(on_d, on_q, on_f)
    ratio_d = (psi_d - leak * on_d) / np.broadcast_to(x, on_f.shape)
    ratio_q = psi_q / (linear.L_q * on_q)
    words: dict[str, int] = {}
    for name, value in (
        ("k_l_main", main * bases["i"] / bases["psi"]),
        ("k_l_leak", leak * bases["i"] / bases["psi"]),
        ("k_place_d", bases["psi"] / top),
        ("k_place_q", bases["i"] / linear.i_max),
    ):
        words[name], words[name + "_shift"] = split_gain(name, value)
    return FluxRatios(_words(ratio_d), _words(ratio_q), words)


def find_maps(unit: Unit) -> Path | None:
    """The file of flux maps that belongs to a unit's motor, `MOTOR.maps.csv`: beside the unit, else among
    the motors of the project."""
    for folder in (unit.path.parent, BOARDS / "motors"):
        path = folder / f"{unit.motor.name}.maps.csv"
        if path.is_file():
            return path
    return None


def saturates(unit: Unit) -> bool:
    """Whether the saturation of a unit's motor is known, by flux maps or by formula."""
    return unit.motor.saturation is not None or find_maps(unit) is not None


def ratios_of_unit(unit: Unit) -> FluxRatios:
    """Ratios of a drive unit: by its flux maps, else by its formula; ValueError with neither.

    UsageError for maps that are unfit.
    """
    motor, maps = unit.motor, find_maps(unit)
    bases = parameters.bases(unit.as_settings())
    leak = motor.saturation.L_leakage if motor.saturation is not None else None
    if maps is None:
        machine = SaturatedMachine.of_motor(motor)
    else:
        machine = MappedMachine(LinearMachine.of_motor(motor), load_maps(maps))
    return ratios_of(machine, machine.linear, bases, leak)


def _words(ratio: Any) -> list[int]:
    return [max(0, min(Q15_MAX, round(float(value) * 32768))) for value in np.ravel(ratio)]


def look_up_flux(
    ratios: FluxRatios, gains: dict[str, int], i_d: int, i_q: int, i_f: int
) -> tuple[int, int, int]:
    """(psi_d, psi_q, psi_t) in integers, as the kernel finds them; `gains` holds k_m, k_l_q, shifts."""
    k = {**gains, **ratios.words}
    main = sat15(amplify(i_d, k["k_l_main"], k["k_l_main_shift"]) + amplify(i_f, k["k_m"], k["k_m_shift"]))
    place_d = sat15(amplify(magnitude(main), k["k_place_d"], k["k_place_d_shift"]))
    place_q = sat15(amplify(magnitude(i_q), k["k_place_q"], k["k_place_q_shift"]))
    corner = (place_q >> 12) * POINTS + (place_d >> 12)
    along_d, along_q = (place_d & 0xFFF) << 3, (place_q & 0xFFF) << 3

    def blend(table: list[int]) -> int:
        low = table[corner] + mul15(table[corner + 1] - table[corner], along_d)
        high = table[corner + POINTS]
        high += mul15(table[corner + POINTS + 1] - high, along_d)
        return low + mul15(high - low, along_q)

    psi_d = sat15(mul15(main, blend(ratios.ratio_d)) + amplify(i_d, k["k_l_leak"], k["k_l_leak_shift"]))
    l_q = mul15(k["k_l_q"], blend(ratios.ratio_q))
    psi_q = sat15(amplify(i_q, l_q, k["k_l_q_shift"]))
    return psi_d, psi_q, sat15(psi_d - amplify(i_d, l_q, k["k_l_q_shift"]))
