"""From a bench and a scenario to a folder of results: log, picture, report, summary."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

from host_tools import log
from host_tools.errors import FAILED, INTERRUPTED, OK
from host_tools.files import require_writable
from host_tools.runner import Bench, Outcome, Progress, Runner
from host_tools.scenario import Scenario


@dataclass
class Result:
    """What a run left."""

    summary: dict[str, Any]
    outcome: Outcome
    folder: Path

    @property
    def code(self) -> int:
        """Exit code."""
        if self.outcome.interrupted:
            return INTERRUPTED
        return OK if self.summary["ok"] else FAILED


def execute(
    scenario: Scenario,
    bench: Bench,
    folder: str | Path,
    *,
    setup_s: float = 0.0,
    facts: Mapping[str, Any] = MappingProxyType({}),
    on_progress: Callable[[Progress], None] | None = None,
    on_write: Callable[[str], None] | None = None,
) -> Result:
    """Run a scenario and write run.eesmlog, run.parquet, run.csv, report.png, .html and summary.json.

    `facts` about the bench go into the summary. What was logged is written in every case; a broken link is
    raised again after that. Raises UsageError when `folder` cannot be written to.
    """
    folder = Path(folder)
    tell = on_write or (lambda name: None)
    raw = folder / "run.eesmlog"
    require_writable(raw)
    # What an earlier run left must not pass for this one's.
    for name in ("summary.json", "run.parquet", "run.csv", "report.png", "report.html"):
        (folder / name).unlink(missing_ok=True)
    began = time.monotonic()
    with log.Writer(raw, log.describe(bench, scenario, tools=version())) as writer:
        outcome = Runner(scenario, bench, writer, on_progress).run()
    run_s = time.monotonic() - began
    summary = write_results(raw, scenario, outcome, setup_s=setup_s, run_s=run_s, facts=facts, tell=tell)
    if outcome.error is not None:
        raise outcome.error
    return Result(summary, outcome, folder)


def write_results(
    raw: Path,
    scenario: Scenario,
    outcome: Outcome,
    *,
    setup_s: float = 0.0,
    run_s: float = 0.0,
    facts: Mapping[str, Any] = MappingProxyType({}),
    tell: Callable[[str], None] = lambda name: None,
) -> dict[str, Any]:
    """Everything that follows from a raw log, and the summary with `facts` added; returns that."""
    from host_tools import figures, plot, report

    folder = raw.parent
    tell("run.parquet, run.csv")
    run = log.read(raw)
    log.convert(raw, run)
    trouble = outcome.trouble or (str(outcome.error) if outcome.error is not None else "")
    summary = figures.summarise(run, scenario, outcome.completed, trouble)
    speed = round(summary["drive_s"] / run_s, 3) if run_s else None
    summary |= {"setup_s": round(setup_s, 3), "run_s": round(run_s, 3), "times_real_time": speed, **facts}
    if len(run):
        tell("report.png")
        plot.write(run, folder / "report.png")
        tell("report.html")
        report.write(run, summary, folder / "report.html")
    # Last, and whole at once: whoever finds it may rely on the other files.
    temporary = folder / "summary.json.part"
    temporary.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, folder / "summary.json")
    return summary


def version() -> str:
    """Version of these tools."""
    try:
        return f"eesm {metadata.version('eesm')}"
    except metadata.PackageNotFoundError:
        return "eesm, not installed"
