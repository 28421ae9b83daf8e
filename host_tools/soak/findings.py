"""What a soak found: figures for the table, and the promises that were not kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Findings:
    """Figures of one part by name, and a sentence for each violation."""

    part: str
    figures: dict[str, Any] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def expect(self, holds: bool, sentence: str) -> None:
        """Note a violation unless something holds."""
        if not holds and len(self.violations) < 20:
            self.violations.append(sentence)

    def equal(self, what: str, found: Any, expected: Any) -> None:
        """Note a violation unless two figures agree."""
        self.expect(found == expected, f"{what}: {found}, {expected} expected")


def memory_figures(findings: Findings, what: str, values: Sequence[float], allowed: float) -> None:
    """First, last and slope of a memory; a violation when it has grown by more than `allowed`.

    The first value is taken once everything that is made once has been made.  The growth is that of the line
    through all values, and of the lowest of the last quarter over the highest of the first: noise is neither.
    """
    if len(values) < 2:
        findings.expect(False, f"{what} was measured {len(values)} times only")
        return
    count = len(values)
    mean_x, mean_y = (count - 1) / 2, sum(values) / count
    spread = sum((k - mean_x) ** 2 for k in range(count))
    rise = sum((k - mean_x) * (value - mean_y) for k, value in enumerate(values)) / spread * (count - 1)
    findings.figures |= {
        f"{what} first": round(values[0]),
        f"{what} last": round(values[-1]),
        f"{what} highest": round(max(values)),
        f"{what} trend": round(rise),
        f"{what} measured": count,
    }
    quarter = max(1, count // 4)
    grown = min(values[-quarter:]) - max(values[:quarter])
    findings.expect(
        rise <= allowed and grown <= allowed,
        f"{what} grows: by {max(rise, grown):.0f} from first to last, {allowed:.0f} are allowed",
    )


def show(parts: Sequence[Findings]) -> str:
    """The table."""
    lines = []
    for part in parts:
        lines.append(f"{part.part}: {'ok' if not part.violations else 'VIOLATED'}")
        lines += [f"  {name:28} {value}" for name, value in part.figures.items()]
        lines += [f"  ! {sentence}" for sentence in part.violations]
    return "\n".join(lines)


def write(parts: Sequence[Findings], path: Path) -> None:
    """The same as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "ok": all(not part.violations for part in parts),
        "parts": {part.part: part.figures | {"violations": part.violations} for part in parts},
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
