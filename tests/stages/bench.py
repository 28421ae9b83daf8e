"""A stage's test bench: the plain signal object with its tables filled."""

import math
from typing import Any

from eesm.signals import Signals


def make_signals(**values: Any) -> Signals:
    """Signals at their initial values, tables of sine and root filled, then `values` set."""
    s = Signals(
        sine=[round(32767 * math.sin(2 * math.pi * k / 512)) for k in range(641)],
        root=[min(32768, round(32768 * math.sqrt(k / 256))) for k in range(257)],
        memory=[0] * 8192,
    )
    for name, value in values.items():
        assert hasattr(s, name), name
        setattr(s, name, value)
    return s


def set_direction(s: Signals, turns: float) -> None:
    """Point the rotor frame, now and at the output, at a part of an electrical turn."""
    angle = 2 * math.pi * turns
    s.sin_e = s.sin_out = round(32767 * math.sin(angle))
    s.cos_e = s.cos_out = round(32767 * math.cos(angle))
