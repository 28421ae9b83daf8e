"""The families of requirements, longest first, so that two processes end at about the same time."""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass

from host_tools.accept.sheet import Curve, Result, Sheet
from host_tools.units import Unit, load

# module of host_tools.accept: what it measures
FAMILIES = {
    "cycle": "drive cycle: loss beside the optimum and constant field",
    "optimum": "loss beside the optimum at random operating points",
    "envelope": "torque over speed, field weakening, saturation",
    "robustness": "16 combinations of wrong parameters",
    "accuracy": "steady currents over speed, delay compensation, clamp of sigma",
    "steps": "current steps at standstill and top speed",
    "quality": "phase-current harmonics, dead-time compensation",
    "torque": "torque step below base speed",
    "field": "field step",
    "supply": "torque over a ramp of the dc link",
    "twin": "integer kernel beside a float twin",
    "converter": "torque and current quality with a Pico's own converter",
}

# What can be asked of a machine that saturates: the other families judge by the linear machine.
SATURATED = ("steps", "torque", "quality", "supply")


@dataclass(frozen=True)
class Outcome:
    """What a family found on a unit."""

    family: str
    unit: str
    results: list[Result]
    curves: list[Curve]
    x_label: str
    seconds: float
    error: str = ""
    skipped: tuple[str, ...] = ()  # what could not be measured, and what to do about it


def families(only: tuple[str, ...] = ()) -> list[str]:
    """The families there are, or those whose name begins with a word of `only`."""
    return [name for name in FAMILIES if not only or any(name.startswith(word) for word in only)]


def applies(family: str, unit: Unit) -> bool:
    """Whether a family has anything to ask of a unit."""
    if unit.motor.saturation is not None and family not in SATURATED:
        return False
    test = getattr(importlib.import_module(f"host_tools.accept.{family}"), "applies", None)
    return True if test is None else bool(test(unit))


def run_family(family: str, name: str) -> Outcome:
    """Measure one family on one unit, in this process; a failure of the tool becomes a failed row."""
    begun = time.perf_counter()
    unit = load(name)
    sheet = Sheet(unit.name, family)
    error = ""
    try:
        importlib.import_module(f"host_tools.accept.{family}").check(unit, sheet)
    except Exception as problem:  # one broken family must not hide the others
        error = f"{type(problem).__name__}: {problem}"
        sheet.at_most(f"{family}: runs to its end", float("nan"), 0, "", error)
    return Outcome(
        family,
        unit.name,
        sheet.results,
        sheet.curves,
        sheet.x_label,
        time.perf_counter() - begun,
        error,
        tuple(sheet.skipped),
    )
