"""The board's reference tables, and the look-up that the kernel makes, in the same integers.

What a machine can do depends on the flux that the voltage allows.  With t = T/(1.5*p) the limit reads

    R_s^2*i^2 + w^2*psi^2 <= U^2 - 2*R_s*w*t          (see `host_tools.references.solver`)

so one table in `w / sqrt(U^2 - 2*R_s*w*t)` serves motoring, braking and every u_dc; only the iron
loss and the small R_s^2*i^2 belong to the nominal voltage it was made for.

Rows: that speed ratio.  Row 0 is standstill, row 1 lies just below the knee, the rest are spaced
geometrically, since the curves bend with 1/w; between two rows values go with 1/w as well.
Columns: (r + r^2)/2 with r = sqrt(|T| / T_max(row)).  All currents go with r until a limit is met; the
square crowds the columns towards T_max, where limits meet and the curves bend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from eesm.stages.fixed import amplify, magnitude, mul15, root_of, sat, sat15
from host_tools.references.machine import U_MAX_FACTOR, Array, LinearMachine, Machine
from host_tools.references.machine import torque as torque_of
from host_tools.references.saturation import SaturatedMachine
from host_tools.references.solver import Currents
from host_tools.references.strategies import solve_strategy

if TYPE_CHECKING:
    from host_tools.units import Unit

POINTS = 17
Q15 = 32768
Q15_MAX = 32767
RATIO_UNIT = 16384  # speed ratios are Q14 of (w_e base / u base)
SHARE_LOST = 16384  # most of U^2 that R_s may be thought to take or give, Q15
KNEE = 0.9  # row 1, in parts of the ratio where the torque of standstill ends
LOWEST_U = 0.8  # the table ends at w_max and this share of the nominal voltage,
RESERVE = 1.2  # with this much more for the share of R_s
# Towards the very end of the envelope the optimum moves as a square root, which a table cannot follow:
# giving up this last share of the torque halves the worst loss penalty.
GRANTED = 0.997
# proportional_field reaches i_f_max at this share of the torque of i_f_max and i_max: the rest of i_q
# makes up for a field that lags or is measured too high.
PROPORTIONAL = 0.8
HALVINGS = 30
FINE = np.linspace(0.0, 1.0, 129)  # roots of the torques at which a machine that saturates is looked at


@dataclass(frozen=True)
class ReferenceTables:
    """Words for the board; lists of int16, currents by row and column, row 0 first.

    In the look-up:  ratio = |w_e| * inv_u_dc >> 14;  q = resistive share, see `resistive_share`;
    ratio += ratio * (q/2 + 3/8*q^2 + 5/16*q^3);  row by `ratio_axis`;
    share = (ratio - ratio_axis[row]) * ratio_step[row] >> ratio_step_shift;
    share += share * (1 - share) * bend, except in row 0;
    root = sqrt(|T| * torque_inverse >> torque_inverse_shift);  column = (root + root^2) / 2, all Q15.
    """

    i_d: list[int]  # POINTS * POINTS, Q15 of the base "i"
    i_f: list[int]  # POINTS * POINTS, Q15 of the base "i_f"
    torque_max: list[int]  # POINTS, Q15 of the base "torque"
    torque_inverse: list[int]  # POINTS, 2**(15 + torque_inverse_shift) / torque_max
    torque_inverse_shift: int
    ratio_axis: list[int]  # POINTS, rising from 0, Q14 of w_e base / u base
    ratio_step: list[int]  # POINTS - 1, 2**(15 + ratio_step_shift) / width of the cell
    ratio_step_shift: int
    bend: int  # Q15, curvature of 1/w within a cell
    k_share: int  # q = (T*w_e/u_dc^2, Q14 of the bases) * k_share >> k_share_shift
    k_share_shift: int


def build_tables(
    machine: LinearMachine,
    bases: Mapping[str, float],
    w_e_max: float,
    u_nominal: float,
    u_max_factor: float = U_MAX_FACTOR,
    strategy: str = "optimal",
    field_floor: float = 0.0,
    field: float | None = None,
    true: Machine | None = None,
) -> ReferenceTables:
    """Tables for a machine that turns up to `w_e_max` (electrical rad/s) at `u_nominal` volts.

    `bases` as from `eesm.parameters.bases` (i, i_f, torque, w_e, u).  `field_floor` is the least i_f
    in A; rows whose voltage does not allow it do without.  `field` is the i_f of constant_field.
    `true` is a machine that saturates: it gets the currents of the linear one, at the torque that they
    make in it.
    Rows that a strategy cannot hold at all repeat the last one that it can.  ValueError for an
    unknown strategy.
    """
    factor = u_max_factor / np.sqrt(3.0)
    per_count = bases["w_e"] / bases["u"] / RATIO_UNIT  # ratio of one count, rad/s per V

    full = PROPORTIONAL * 1.5 * machine.pole_pairs * machine.M * machine.i_f_max * machine.i_max

    def points(torque: Array, w_e: Array, u_max: Array, floor: float = field_floor) -> Currents:
        drop = 2 * machine.R_s * w_e * torque / (1.5 * machine.pole_pairs)
        u_max = np.sqrt(u_max**2 + drop)
        return solve_strategy(strategy, machine, torque, w_e, u_max, floor, field, full)

    def highest(w_e: Array, u_max: Array, floor: float = field_floor) -> np.ndarray:
        low = np.zeros_like(w_e)
        high = np.full_like(w_e, 0.999 * bases["torque"])
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            held = points(middle, w_e, u_max, floor).ok
            low, high = np.where(held, middle, low), np.where(held, high, middle)
        return np.where(points(0 * low, w_e, u_max, floor).ok, low, np.nan)

    end = min(w_e_max / (LOWEST_U * u_nominal) * RESERVE, Q15_MAX * per_count)
    knee = _find_knee(lambda ratio: highest(ratio * u_nominal, np.full_like(ratio, factor * u_nominal)), end)
    first = min(KNEE * knee, 0.5 * end)
    ratios = np.concatenate([[0.0], first * (end / first) ** np.linspace(0.0, 1.0, POINTS - 1)])
    axis = np.round(ratios / per_count).astype(int)
    ratios = axis * per_count

    # A high ratio at the nominal voltage would be beyond the highest speed: there, the voltage is low.
    u_dc = np.minimum(u_nominal, w_e_max / np.maximum(ratios, 1e-9))
    w_e, u_max = ratios * u_dc, factor * u_dc
    floors = np.full(POINTS, field_floor)
    most = highest(w_e, u_max)
    if field_floor > 0:
        without = highest(w_e, u_max, 0.0)
        floors = np.where(np.isnan(most), 0.0, floors)
        most = np.where(np.isnan(most), without, most)
    most = GRANTED * most
    held = int(np.sum(np.cumprod(~np.isnan(most))))
    if held == 0:
        raise ValueError(f"the strategy {strategy} cannot even hold the machine at standstill")
    rows = np.minimum(np.arange(POINTS), held - 1)
    columns = (np.sqrt(0.25 + 2 * np.linspace(0.0, 1.0, POINTS)) - 0.5) ** 2  # T/T_max of each
    i_d, i_f = np.empty((POINTS, POINTS)), np.empty((POINTS, POINTS))
    for k in range(held):
        if true is None:
            found = points(most[k] * columns, w_e[k], u_max[k], float(floors[k]))
            i_d[k], i_f[k] = found.i_d, found.i_f
        else:
            found = points(most[k] * FINE**2, w_e[k], u_max[k], float(floors[k]))
            made = np.maximum.accumulate(torque_of(true, found.i_d, found.i_q, found.i_f))
            most[k] = made[-1]
            i_d[k] = np.interp(most[k] * columns, made, found.i_d)
            i_f[k] = np.interp(most[k] * columns, made, found.i_f)
    most, i_d, i_f = most[rows], i_d[rows], i_f[rows]

    torque_max = [_word(value / bases["torque"]) for value in most]
    inverse, inverse_shift = _reciprocals(torque_max)
    step, step_shift = _reciprocals(np.diff(axis).tolist())
    narrowing = 1.0 - ratios[1] / ratios[2]  # 1 - low/high of every cell but the first
    share = 4 * machine.R_s / (3 * machine.pole_pairs * factor**2)
    k_share, k_share_shift = _gain(share * bases["w_e"] * bases["torque"] / bases["u"] ** 2 * 2)
    return ReferenceTables(
        i_d=[_word(value / bases["i"]) for value in i_d.ravel()],
        i_f=[_word(value / bases["i_f"]) for value in i_f.ravel()],
        torque_max=torque_max,
        torque_inverse=inverse,
        torque_inverse_shift=inverse_shift,
        ratio_axis=axis.tolist(),
        ratio_step=step,
        ratio_step_shift=step_shift,
        bend=_word(narrowing / (1.0 - 0.5 * narrowing)),
        k_share=k_share,
        k_share_shift=k_share_shift,
    )


def u_max_factor_of(unit: Unit) -> float:
    """Share of u_dc/sqrt(3) that references may use: less where low-side sampling takes voltage away."""
    lost = 2 * unit.board.dead_time * unit.board.f_pwm
    return U_MAX_FACTOR * (1 - unit.u_margin_window / (1 - lost))


def tables_of_unit(
    unit: Unit,
    u_max_factor: float | None = None,
    strategy: str | None = None,
    field_floor: float | None = None,
) -> ReferenceTables:
    """Tables of a drive unit.

    `u_max_factor`, `strategy` and `field_floor` (share of i_f_max) are its own if missing.
    """
    from eesm import parameters

    motor = unit.motor
    floor = unit.control.field_floor if field_floor is None else field_floor
    return build_tables(
        LinearMachine.of_motor(motor),
        parameters.bases(unit.as_settings()),
        unit.limits.w_m_max * motor.pole_pairs,
        unit.dc_link.u_nominal,
        u_max_factor_of(unit) if u_max_factor is None else u_max_factor,
        strategy or unit.control.strategy,
        floor * motor.i_f_max,
        true=None if motor.saturation is None else SaturatedMachine.of_motor(motor),
    )


# --- the look-up in integers ----------------------------------------------------------------------


class _Roots:
    """The kernel's table of square roots, for `eesm.stages.fixed.root_of`."""

    root = [round(np.sqrt(k / 256) * Q15) for k in range(257)]


@dataclass(frozen=True)
class Looked:
    """What one look-up gives, in raw words."""

    torque: int  # the demand, limited
    torque_max: int
    i_d: int
    i_f: int


def look_up(
    tables: ReferenceTables, demand: int, w_e: int, inv_u_dc: int, torque: int, torque_limit: int = Q15_MAX
) -> Looked:
    """One cycle of the kernel's look-up: no division, products below 2**31.

    `demand` and `torque` (the reference of the cycle before) are Q15 of torque, `w_e` Q15,
    `inv_u_dc` Q13 of 1/u, 8192..32767.
    """
    ratio = min((magnitude(w_e) * inv_u_dc) >> 14, Q15_MAX)
    q = resistive_share(tables, torque if w_e >= 0 else -torque, ratio, inv_u_dc)
    gain = mul15(q, 0x4000 + mul15(q, 0x3000 + mul15(q, 0x2800)))
    ratio = min(ratio + mul15(ratio, gain), tables.ratio_axis[POINTS - 1])

    row = 0
    for step in (8, 4, 2, 1):
        if ratio >= tables.ratio_axis[row + step]:
            row += step
    row = min(row, POINTS - 2)
    share = (ratio - tables.ratio_axis[row]) * tables.ratio_step[row] >> tables.ratio_step_shift
    share = min(share, Q15_MAX)

    inverse = tables.torque_inverse[row]
    inverse += mul15(tables.torque_inverse[row + 1] - inverse, share)
    # T_max goes with 1/w: the chord, then one Newton step towards 1/inverse.
    most = tables.torque_max[row]
    most += mul15(tables.torque_max[row + 1] - most, share)
    most -= mul15(most, sat15(((most * inverse) >> tables.torque_inverse_shift) - Q15))
    if row > 0:
        share = min(share + mul15(mul15(share, Q15_MAX - share), tables.bend), Q15_MAX)

    limited = sat(demand, min(most, torque_limit))
    square = min((magnitude(limited) * inverse) >> tables.torque_inverse_shift, Q15_MAX)
    root = root_of(_Roots, square << 15)  # type: ignore[arg-type]
    place = min((root + ((root * root) >> 15)) >> 1, Q15_MAX)
    corner = row * POINTS + (place >> 11)
    along = (place & 0x7FF) << 4

    def blend(words: list[int]) -> int:
        low = words[corner] + mul15(words[corner + 1] - words[corner], along)
        high = words[corner + POINTS]
        high += mul15(words[corner + POINTS + 1] - high, along)
        return low + mul15(high - low, share)

    return Looked(limited, most, blend(tables.i_d), blend(tables.i_f))


def resistive_share(tables: ReferenceTables, torque: int, ratio: int, inv_u_dc: int) -> int:
    """2*R_s*w*t/U^2 in Q15: what R_s takes from the voltage circle, negative in braking."""
    per_volt = sat15((torque * inv_u_dc) >> 14)
    per_volt = sat15((per_volt * ratio) >> 14)
    return sat(amplify(per_volt, tables.k_share, tables.k_share_shift), SHARE_LOST)


def settle(tables: ReferenceTables, demand: int, w_e: int, inv_u_dc: int, cycles: int = 8) -> Looked:
    """The look-up after some cycles at one speed: the torque limit depends on the torque itself."""
    looked = look_up(tables, demand, w_e, inv_u_dc, 0)
    for _ in range(cycles):
        looked = look_up(tables, demand, w_e, inv_u_dc, looked.torque)
    return looked


# --- words ------------------------------------------------------------------------------------------


def _find_knee(highest, end: float) -> float:
    """Ratio up to which the torque of standstill can be had, at most `end`."""
    grid = np.linspace(0.0, end, 129)
    torque = highest(grid)
    beyond = np.nonzero(~(torque >= 0.999 * torque[0]))[0]
    if beyond.size == 0:
        return end
    low, high = grid[beyond[0] - 1], grid[beyond[0]]
    inner = np.linspace(low, high, 33)
    held = np.nonzero(highest(inner) >= 0.999 * torque[0])[0]
    return float(inner[held[-1]]) if held.size else float(high)


def _word(per_unit: float) -> int:
    return max(-Q15_MAX, min(Q15_MAX, round(float(per_unit) * Q15)))


def _reciprocals(words: list[int]) -> tuple[list[int], int]:
    """(2**(15 + shift) / word for each, shift) with the largest shift that fits in 15 bits."""
    smallest = max(1, min(words))
    shift = 0
    while round((1 << (16 + shift)) / smallest) <= Q15_MAX:
        shift += 1
    return [min(Q15_MAX, round((1 << (15 + shift)) / max(1, word))) for word in words], shift


def _gain(value: float) -> tuple[int, int]:
    """A gain as mantissa below 2**15 and right shift."""
    shift = 30
    while shift > 0 and round(value * (1 << shift)) > Q15_MAX:
        shift -= 1
    return min(Q15_MAX, round(value * (1 << shift))), shift
