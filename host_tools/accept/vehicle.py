"""A vehicle on the WLTC class 3b: what torque the motor must give at which speed.

The trace (UN GTR 15) is that of PyPI's `wltp`, an optional extra.  Its one data file is loaded by
itself, since the package imports pandas.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path

import numpy as np

from host_tools.errors import MISSING, ToolError

CHECKSUM = 83758.6  # sum of all speeds in km/h
GRAVITY = 9.81
AIR = 1.2  # kg/m3
TURNING = 1.04  # mass that wheels and rotor seem to add


@dataclass(frozen=True)
class Vehicle:
    """A large electric car: mass kg, drag area m2, rolling resistance, wheel radius m, regeneration N.m."""

    mass: float = 2200.0
    drag_area: float = 0.547
    rolling: float = 0.0085
    radius: float = 0.335
    regeneration: float = 200.0  # most that the motor brakes; the wheel brakes take the rest

    def force(self, v: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Force at the wheels in N on a level road at v in m/s, a in m/s2."""
        rolling = self.mass * GRAVITY * self.rolling * (v > 0)
        return self.mass * TURNING * a + rolling + 0.5 * AIR * self.drag_area * v**2

    def motor(
        self, v: np.ndarray, a: np.ndarray, ratio: float, efficiency: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """(shaft torque in N.m, shaft speed in rad/s); the gear's loss helps to brake."""
        torque = self.force(v, a) * self.radius / ratio
        torque = np.where(torque > 0, torque / efficiency, torque * efficiency)
        return np.maximum(torque, -self.regeneration), v / self.radius * ratio


def load_trace() -> np.ndarray:
    """Speed in m/s of the WLTC class 3b, once a second, 0 .. 1800 s; ToolError without the extra."""
    spec = importlib.util.find_spec("wltp")  # finds, does not import
    if spec is None or not spec.submodule_search_locations:
        raise ToolError(
            "the WLTC trace needs the package wltp", "install it: pip install 'eesm[cycle]'", MISSING
        )
    path = Path(spec.submodule_search_locations[0]) / "cycles" / "class3.py"
    loader = SourceFileLoader("wltc_class_3", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))  # pyright: ignore
    loader.exec_module(module)
    speeds = np.array(module.class_data_b()["cycle"])
    if abs(float(speeds.sum()) - CHECKSUM) > 0.05:
        raise ToolError(f"{path}: the speeds add up to {speeds.sum():.1f}, must be {CHECKSUM}", "", MISSING)
    return speeds / 3.6


def fill(trace: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """(speed, acceleration) `rate` times a second, linear between the trace's seconds, at mid-step."""
    t = (np.arange((trace.size - 1) * rate) + 0.5) / rate
    return np.interp(t, np.arange(trace.size), trace), np.repeat(np.diff(trace), rate)
