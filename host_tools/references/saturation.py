"""Machines whose flux is not proportional to current: a saturation formula, or flux maps from a file.

Both offer what `host_tools.references.machine.Machine` asks for, so torque, loss, voltage and the
oracle work with them.  The fast search is for linear machines: on a saturated one, its i_d and i_f
cost little (about 2 % of loss at rated torque of a traction machine), but i_q must come from here,
or the torque is wrong by far more.

A map file is CSV with the columns i_d, i_q, i_f (A), psi_d, psi_q (V.s): every combination of the
currents' levels once, in any order; lines that begin with # are notes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from host_tools.errors import UsageError
from host_tools.references.machine import Array, LinearMachine, Machine, torque

if TYPE_CHECKING:
    from host_tools.units import Motor, Saturation

COLUMNS = ("i_d", "i_q", "i_f", "psi_d", "psi_q")
STEPS = 40  # of Newton, or halvings


@dataclass(frozen=True)
class _Shell:
    """Everything but flux comes from the linear machine of the same motor."""

    linear: LinearMachine

    @property
    def pole_pairs(self) -> int:
        return self.linear.pole_pairs

    @property
    def R_s(self) -> float:  # noqa: N802
        return self.linear.R_s

    @property
    def R_f(self) -> float:  # noqa: N802
        return self.linear.R_f

    @property
    def i_max(self) -> float:
        return self.linear.i_max

    @property
    def i_f_max(self) -> float:
        return self.linear.i_f_max

    def iron_factor(self, w_e: Array) -> Array:
        return self.linear.iron_factor(w_e)


@dataclass(frozen=True)
class SaturatedMachine(_Shell):
    """Hinkkanen's main-flux function, with leakage beside it; see `host_tools.units.Saturation`."""

    saturation: Saturation

    @classmethod
    def of_motor(cls, motor: Motor) -> SaturatedMachine:
        """The saturated machine of a motor file; ValueError when it has no saturation."""
        if motor.saturation is None:
            raise ValueError(f"the motor {motor.name} has no [saturation]")
        return cls(LinearMachine.of_motor(motor), motor.saturation)

    def psi(self, i_d: Array, i_q: Array, i_f: Array) -> tuple[Array, Array]:
        form = self.saturation
        main_d, main_q = self.linear.L_d - form.L_leakage, self.linear.L_q - form.L_leakage
        i_md, i_q = np.broadcast_arrays(
            np.asarray(i_d, dtype=float) + self.linear.M / main_d * np.asarray(i_f, dtype=float),
            np.asarray(i_q, dtype=float),
        )
        d, q = main_d * i_md, main_q * i_q
        grow = form.exponent + 1
        for _ in range(STEPS):  # from the unsaturated flux, which is too large: Newton comes down to the root
            d_s, q_s = form.a_dd * np.abs(d) ** form.exponent, form.a_qq * np.abs(q) ** form.exponent
            cross = 0.5 * form.a_dq
            error_d = (1 / main_d + d_s + cross * q**2) * d - i_md
            error_q = (1 / main_q + q_s + cross * d**2) * q - i_q
            j_dd = 1 / main_d + grow * d_s + cross * q**2
            j_qq = 1 / main_q + grow * q_s + cross * d**2
            j_dq = 2 * cross * d * q
            determinant = j_dd * j_qq - j_dq**2
            d = d - (j_qq * error_d - j_dq * error_q) / determinant
            q = q - (j_dd * error_q - j_dq * error_d) / determinant
        return d + form.L_leakage * i_d, q + form.L_leakage * i_q


@dataclass(frozen=True, eq=False)
class FluxMaps:
    """Flux linkages on a grid of currents; arrays of shape (i_d, i_q, i_f) levels."""

    i_d: np.ndarray
    i_q: np.ndarray
    i_f: np.ndarray
    psi_d: np.ndarray
    psi_q: np.ndarray

    def look_up(self, i_d: Array, i_q: Array, i_f: Array) -> tuple[np.ndarray, np.ndarray]:
        """(psi_d, psi_q), linear between the eight neighbours; beyond the grid, straight on."""
        places = []
        for levels, value in ((self.i_d, i_d), (self.i_q, i_q), (self.i_f, i_f)):
            value = np.asarray(value, dtype=float)
            low = np.clip(np.searchsorted(levels, value, side="right") - 1, 0, levels.size - 2)
            places.append((low, (value - levels[low]) / (levels[low + 1] - levels[low])))
        psi_d, psi_q = 0.0, 0.0
        for corner in product((0, 1), repeat=3):
            weight = 1.0
            index = []
            for (low, share), up in zip(places, corner, strict=True):
                weight = weight * (share if up else 1.0 - share)
                index.append(low + up)
            psi_d = psi_d + weight * self.psi_d[tuple(index)]
            psi_q = psi_q + weight * self.psi_q[tuple(index)]
        return np.asarray(psi_d), np.asarray(psi_q)

    def save(self, path: Path, note: str = "") -> None:
        """Write the map file."""
        levels = np.meshgrid(self.i_d, self.i_q, self.i_f, indexing="ij")
        rows = np.column_stack([x.ravel() for x in (*levels, self.psi_d, self.psi_q)])
        lines = [f"# {line}" for line in note.splitlines()] + [",".join(COLUMNS)]
        lines += [",".join(f"{value:.9g}" for value in row) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def load_maps(path: Path) -> FluxMaps:
    """The maps of a file; UsageError, with the file, the line and the rule, when they are unfit."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
    rows: list[list[float]] = []
    head = None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        cells = [cell.strip() for cell in text.split(",")]
        if head is None:
            head = cells
            if head != list(COLUMNS):
                raise UsageError(f"{path}:{number}: the columns must be {', '.join(COLUMNS)}")
            continue
        try:
            row = [float(cell) for cell in cells]
        except ValueError:
            row = []
        if len(row) != len(COLUMNS) or not np.all(np.isfinite(row)):
            raise UsageError(f"{path}:{number}: {line!r} is not {len(COLUMNS)} numbers")
        rows.append(row)
    if not rows:
        raise UsageError(f"{path}: no flux linkages in it")
    data = np.array(rows)
    levels = [np.unique(data[:, k]) for k in range(3)]
    for name, values in zip(COLUMNS, levels, strict=False):
        if values.size < 2:
            raise UsageError(f"{path}: {name} has one level only, a map needs two or more")
    shape = tuple(values.size for values in levels)
    index = tuple(np.searchsorted(values, data[:, k]) for k, values in enumerate(levels))
    count = np.zeros(shape, dtype=int)
    np.add.at(count, index, 1)
    if np.any(count != 1):
        at = np.argwhere(count != 1)[0]
        point = ", ".join(
            f"{name} = {values[k]:g} A" for name, values, k in zip(COLUMNS, levels, at, strict=False)
        )
        raise UsageError(
            f"{path}: {count[tuple(at)]} lines for {point}, every combination must be there once"
        )
    psi_d, psi_q = np.empty(shape), np.empty(shape)
    psi_d[index], psi_q[index] = data[:, 3], data[:, 4]
    if np.any(np.diff(psi_d, axis=0) <= 0) or np.any(np.diff(psi_q, axis=1) <= 0):
        raise UsageError(f"{path}: psi_d must rise with i_d and psi_q with i_q, or no inductance is positive")
    return FluxMaps(levels[0], levels[1], levels[2], psi_d, psi_q)


def sample_maps(machine: Machine, i_d: np.ndarray, i_q: np.ndarray, i_f: np.ndarray) -> FluxMaps:
    """Maps of a machine on levels of current."""
    on_d, on_q, on_f = np.meshgrid(i_d, i_q, i_f, indexing="ij")
    psi_d, psi_q = machine.psi(on_d, on_q, on_f)
    return FluxMaps(np.asarray(i_d), np.asarray(i_q), np.asarray(i_f), psi_d, psi_q)


@dataclass(frozen=True, eq=False)
class MappedMachine(_Shell):
    """A machine known by its flux maps; resistances, limits and iron loss from its parameters."""

    maps: FluxMaps

    def psi(self, i_d: Array, i_q: Array, i_f: Array) -> tuple[Array, Array]:
        return self.maps.look_up(i_d, i_q, i_f)


def i_q_for(machine: Machine, wanted: Array, i_d: Array, i_f: Array) -> np.ndarray:
    """The i_q within +-i_max that comes nearest to `wanted` N.m with these i_d, i_f (bisection)."""
    wanted, i_d, i_f = np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in (wanted, i_d, i_f)))
    sign = np.where(wanted < 0, -1.0, 1.0)
    low, high = np.zeros(wanted.shape), np.full(wanted.shape, machine.i_max)
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        short = np.abs(torque(machine, i_d, sign * middle, i_f)) < np.abs(wanted)
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return sign * 0.5 * (low + high)
