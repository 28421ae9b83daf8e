"""Which signals a page may choose: those of the board that are single values, and a few in everyday units."""

from __future__ import annotations

from typing import Any

from eesm.drive import RPM
from host_tools.schema import Schema

# Name: (signal, unit, meaning); what people say instead of electrical rad/s.
EVERYDAY = {
    "speed": ("w_e", "rpm", "shaft speed"),
    "speed_ref": ("w_m_ref", "rpm", "reference of the shaft speed after the ramp"),
}
# Bases that are no physical scale: such signals are the same in SI and per unit.
PLAIN = ("one", "count", "turn", "t_pwm")


def list_signals(schema: Schema) -> list[dict[str, Any]]:
    """Each choice: name, unit, meaning, role; streamed is `source`, shown that times `scale`.

    `base` is the value shown that is 1 per unit.
    """
    found = []
    for name, (source, unit, meaning) in EVERYDAY.items():
        signal = schema.signals.get(source)
        if signal is not None:
            shaft = schema.bases["w_m"] / schema.bases[signal.base] / RPM
            found.append(_entry(name, source, shaft, unit, meaning, "everyday", schema.bases["w_m"] / RPM))
    for name, signal in schema.signals.items():
        if not signal.length:
            base = 1.0 if signal.base in PLAIN else schema.bases[signal.base]
            found.append(_entry(name, name, 1.0, signal.unit, signal.meaning, signal.role, base))
    return found


def _entry(
    name: str, source: str, scale: float, unit: str, meaning: str, role: str, base: float
) -> dict[str, Any]:
    return {
        "name": name,
        "source": source,
        "scale": scale,
        "unit": unit,
        "meaning": meaning,
        "role": role,
        "base": base,
    }
