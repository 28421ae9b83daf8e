"""The parts of a soak, as one processor takes them."""

from __future__ import annotations

import argparse
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from host_tools.soak import firmware, killed, simulated
from host_tools.soak.findings import Findings


def _tell(text: str) -> None:
    print(f"soak: {text}", flush=True)


def _run(part: str, soak: Callable[[], Findings]) -> Findings:
    try:
        return soak()
    except Exception:
        return Findings(part, violations=[traceback.format_exc()])


def drive_all_day(arguments: argparse.Namespace) -> list[Findings]:
    """The simulation."""
    return [
        _run("simulated", lambda: simulated.soak(arguments.hours, arguments.seed, arguments.unit, _tell)),
    ]


def live_through_it(arguments: argparse.Namespace) -> list[Findings]:
    """The parts on MicroPython, one after the other: they share a processor with nobody."""
    found = []
    for part, soak in (
        (
            "firmware",
            lambda folder: firmware.soak(
                60 * arguments.minutes, folder, arguments.seed, arguments.unit, tell=_tell
            ),
        ),
        (
            "killed",
            lambda folder: killed.soak(arguments.rounds, folder, arguments.seed, arguments.unit, _tell),
        ),
    ):
        with tempfile.TemporaryDirectory() as folder:
            found.append(_run(part, lambda soak=soak, folder=folder: soak(Path(folder))))
    return found
