"""The keys of a scenario file: kind, unit, range and meaning of each, once.

`host_tools.scenario` reads files by this description, and `schema` makes of it what editors need to
complete and check them: `eesm run --schema`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eesm.parameters import SETTINGS
from eesm.signals import STREAM_CHANNELS, Signals
from eesm.table import ARRAY_ROLES, CONSTANT, TRANSIENT, signals_of

DURATION_HIGH = 3600.0
TAKES = ("mean", "min", "max", "rms", "end", "all")
ENERGIES = ("energy_in", "energy_out", "energy_regenerated", "energy_braked")
DERIVED = ("speed_rpm", "speed_ref_rpm", "load", "power", "power_shaft", "w_m")
BANDWIDTH = "bandwidth_hz"
SWEPT = ("speed_rpm", "torque", "i_d", "i_q", "i_f", "load")
# States that can end a phase (`eesm.drive.STATES`; imported here it would pull in the board's code).
UNTIL = ("off", "ready")
STREAMED = tuple(
    name for name, row in signals_of(Signals).items() if row.role not in (*ARRAY_ROLES, CONSTANT, TRANSIENT)
)


@dataclass(frozen=True)
class Key:
    """One key: `kind` is text, flag, number, choice, names, table, tables, settings or limits."""

    kind: str
    meaning: str
    low: float = 0.0
    high: float = 0.0
    unit: str = ""
    choices: tuple[str, ...] = ()
    keys: dict[str, Key] | None = None
    required: bool = False


def _number(meaning: str, low: float, high: float, unit: str = "") -> Key:
    return Key("number", meaning, low, high, unit)


CURRENTS = {
    "i_d": _number("d current", -1e4, 1e4, "A"),
    "i_q": _number("q current", -1e4, 1e4, "A"),
    "i_f": _number("field current", 0.0, 1e3, "A"),
}
CHIRP = {
    "of": Key("choice", "what is swept about its setpoint", choices=SWEPT, required=True),
    "amplitude": _number("in the unit of what is swept", 1e-9, 1e6),
    "from_hz": _number("frequency at the beginning", 0.05, 25.0, "Hz"),
    "to_hz": _number("frequency at the end of the phase", 0.05, 25.0, "Hz"),
}
EXPECT = {
    "quantity": Key(
        "choice",
        "a logged signal or what follows from signals",
        choices=(*DERIVED, *ENERGIES, BANDWIDTH, *STREAMED),
        required=True,
    ),
    "take": Key("choice", "which value of the window counts; mean if missing", choices=TAKES),
    "last": _number("window before the phase's end", 0.001, DURATION_HIGH, "s"),
    "equals": _number("expected value, within tolerance or percent", -1e12, 1e12),
    "tolerance": _number("in the quantity's unit", 0.0, 1e12),
    "percent": _number("of the expected value", 0.0, 1e12, "%"),
    "below": _number("upper bound", -1e12, 1e12),
    "above": _number("lower bound", -1e12, 1e12),
    "of": Key("choice", "the numbers are shares of this parameter", choices=tuple(SETTINGS)),
    "reference": Key("choice", "for bandwidth_hz: what is followed", choices=(*DERIVED, *STREAMED)),
    "response": Key("choice", "for bandwidth_hz: what follows it", choices=(*DERIVED, *STREAMED)),
}
PHASE = {
    "name": Key("text", "unique in the file", required=True),
    "say": Key("text", "told while the phase runs"),
    "duration": _number("device time that the phase lasts", 0.01, DURATION_HIGH, "s"),
    "until": Key("choice", "drive state that ends the phase", choices=UNTIL),
    "timeout": _number("device time that until may take; 10 if missing", 0.01, DURATION_HIGH, "s"),
    "arm": Key("flag", 'arm the drive; with until = "ready"'),
    "stop": Key("flag", "stop the drive in order"),
    "speed_rpm": _number("speed setpoint", -1e6, 1e6, "rpm"),
    "torque": _number("torque setpoint", -1e5, 1e5, "N.m"),
    "currents": Key("table", "open currents, for bench work", keys=CURRENTS),
    "load": _number("torque at the shaft, positive brakes forward motion; virtual drives", -1e5, 1e5, "N.m"),
    "ramp": _number("time in which setpoint or load are reached; none: a step", 0.0, DURATION_HIGH, "s"),
    "chirp": Key("table", "a sine of rising frequency on top of a setpoint", keys=CHIRP),
    "settings": Key("settings", "parameters for this phase and those after it"),
    "expect": Key("tables", "what must be measured in this phase", keys=EXPECT),
}
SCENARIO = {
    "name": Key("text", "short name", required=True),
    "title": Key("text", "headline of the report"),
    "rate_hz": _number("rows a second in the log; 1000 if missing", 10.0, 5000.0, "Hz"),
    "signals": Key("names", f"logged signals, {STREAM_CHANNELS} at most", choices=STREAMED),
    "limits": Key("limits", "name = [low, high]: beyond it the run is given up and the drive stopped"),
    "phase": Key("tables", "the phases, one after the other", keys=PHASE, required=True),
}


def schema() -> dict[str, Any]:
    """The language as a JSON schema, for completion and checks in editors."""
    return {
        "title": "eesm scenario",
        **_table(SCENARIO),
    }


def _table(keys: dict[str, Key]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [name for name, key in keys.items() if key.required],
        "properties": {name: _value(key) for name, key in keys.items()},
    }


def _value(key: Key) -> dict[str, Any]:
    says = {"description": f"{key.meaning}, in {key.unit}" if key.unit else key.meaning}
    if key.kind == "number":
        return {**says, "type": "number", "minimum": key.low, "maximum": key.high}
    if key.kind == "choice":
        return {**says, "enum": list(key.choices)}
    if key.kind == "names":
        listed = {"enum": list(key.choices)}
        return {**says, "type": "array", "items": listed, "uniqueItems": True, "maxItems": STREAM_CHANNELS}
    if key.kind == "settings":
        numbers = {
            name: _value(Key("number", meaning, low, high, unit))
            for name, (unit, low, high, meaning) in SETTINGS.items()
        }
        return {**says, "type": "object", "additionalProperties": False, "properties": numbers}
    if key.kind == "limits":
        pair = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
        names = dict.fromkeys((*DERIVED, *STREAMED), pair)
        return {**says, "type": "object", "additionalProperties": False, "properties": names}
    if key.kind == "table":
        return {**says, **_table(key.keys or {})}
    if key.kind == "tables":
        return {**says, "type": "array", "items": _table(key.keys or {})}
    return {**says, "type": "boolean" if key.kind == "flag" else "string"}
