"""What a family of requirements writes: rows of measured against limit, and curves to plot."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

POINTS = 1500  # of a curve that is kept


@dataclass(frozen=True)
class Result:
    """One requirement on one unit."""

    requirement: str
    unit: str
    measured: float
    limit: float
    ok: bool
    at_least: bool = False  # the limit is a lower one
    in_unit: str = ""  # of measured and limit
    note: str = ""

    @property
    def margin(self) -> float:
        """How far within the limit, as a share of it; negative when missed."""
        gap = self.measured - self.limit if self.at_least else self.limit - self.measured
        return gap / abs(self.limit) if self.limit else gap

    def as_row(self) -> dict[str, Any]:
        """For accept.json."""
        row = asdict(self)
        for name in ("measured", "limit"):
            row[name] = round(float(row[name]), 6)
        return row


@dataclass
class Curve:
    """One line of a plot."""

    pane: str  # curves of one pane share their axes
    label: str
    x: np.ndarray
    y: np.ndarray
    dashed: bool = False


@dataclass
class Sheet:
    """Collects the rows and curves of one family on one unit."""

    unit: str
    family: str
    converter: str = ""  # names a converter other than the board's own
    x_label: str = "time / s"
    results: list[Result] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)  # what could not be measured, and what to do about it

    def skip(self, requirement: str, reason: str) -> None:
        """Say why a requirement has no row."""
        self.skipped.append(f"{requirement}: {reason}")

    def at_most(self, requirement: str, measured: float, limit: float, in_unit: str = "", note: str = ""):
        """A row whose measured value may not exceed the limit."""
        ok = bool(measured <= limit)
        self._add(requirement, measured, limit, ok, False, in_unit, note)

    def at_least(self, requirement: str, measured: float, limit: float, in_unit: str = "", note: str = ""):
        """A row whose measured value may not fall below the limit."""
        ok = bool(measured >= limit)
        self._add(requirement, measured, limit, ok, True, in_unit, note)

    def curve(self, pane: str, label: str, x: Any, y: Any, dashed: bool = False) -> None:
        """Keep a curve for the family's plot."""
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        step = max(1, len(x) // POINTS)
        self.curves.append(Curve(pane, label, x[::step], y[::step], dashed))

    def _add(
        self,
        requirement: str,
        measured: float,
        limit: float,
        ok: bool,
        at_least: bool,
        in_unit: str,
        note: str,
    ) -> None:
        if self.converter:
            requirement = f"{requirement} ({self.converter})"
        self.results.append(
            Result(requirement, self.unit, float(measured), float(limit), ok, at_least, in_unit, note)
        )
