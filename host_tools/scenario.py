"""Scenarios: what a bench run does and what it must show, in a small TOML language.

    name = "spin"
    title = "Spin up"

    [[phase]]
    name = "arm"
    arm = true
    until = "ready"            # this phase ends when the drive is in that state ...
    timeout = 5.0              # ... at the latest after so many seconds

    [[phase]]
    name = "spin up"
    say = "0 to 2000 rpm"      # what is told while it runs
    duration = 1.5             # s
    speed_rpm = 2000           # or torque = 1.0, or currents = { i_d = 0, i_q = 5, i_f = 2 }
    load = 0.5                 # Nm at the shaft, positive brakes forward motion; virtual drives only
    ramp = 0.4                 # s in which load, torque or currents are reached, none: at once;
                               # for a speed: instead of the drive's own acceleration
    settings = { acceleration = 900 }
    expect = [
      { quantity = "speed_rpm", take = "all", last = 0.4, equals = 2000, percent = 1 },
    ]

    [[phase]]
    name = "stop"
    stop = true
    until = "off"

A phase can sweep its setpoint, for a bandwidth, and a file can set limits for the whole run:

    [limits]
    speed_rpm = [-100, 2500]   # beyond it the run is given up, and the drive stops in order

    [[phase]]
    name = "sweep"
    duration = 8
    speed_rpm = 1000
    chirp = { of = "speed_rpm", amplitude = 20, from_hz = 0.5, to_hz = 20 }
    expect = [{ quantity = "bandwidth_hz", reference = "w_m_ref", response = "w_m", above = 5 }]

All times are device time.  The same file runs on the virtual drive, in the simulation and on a
board: `host_tools.runner` executes it, `host_tools.figures` judges the record.

An expectation compares a quantity with `equals` (within `tolerance` in its unit or `percent` of
the value), `below` or `above`.  Quantities are logged signals, `speed_rpm`, `speed_ref_rpm`,
`load`, `power`, `power_shaft`, and the energies of the phase in J: `energy_in`, `energy_out`,
`energy_regenerated`, `energy_braked`.  `take` says which value of the window counts: mean, min,
max, rms, end, or all (every sample must hold); `last` is the window in s before the phase's end.
`of = "i_f_max"` makes the numbers shares of a setting of the drive.  `bandwidth_hz` is where the gain
from `reference` to `response` falls below -3 dB within the sweep.

Each key with its range is in `host_tools.scenario_language`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eesm.signals import STREAM_CHANNELS, Signals
from eesm.table import signals_of
from host_tools.errors import UsageError
from host_tools.scenario_language import (
    BANDWIDTH,
    CHIRP,
    CURRENTS,
    DERIVED,
    ENERGIES,
    EXPECT,
    PHASE,
    SCENARIO,
    STREAMED,
    Key,
)
from host_tools.toml_text import Place, Source
from host_tools.toml_text import near as _near
from host_tools.toml_text import shown as _shown

FOLDER = Path(__file__).resolve().parent / "scenarios"
# One stream row: what the figures and the plots need.
SIGNALS = (
    "w_e",
    "w_m_ref",
    "torque",
    "torque_ref",
    "load_torque",
    "i_d",
    "i_d_ref",
    "i_q",
    "i_q_ref",
    "i_f",
    "i_f_ref",
    "u_d",
    "u_q",
    "u_f",
    "u_dc",
)


@dataclass(frozen=True)
class Expectation:
    """What a quantity must be in a phase; numbers are SI, or shares of the setting `of`."""

    quantity: str
    take: str = "mean"
    last: float | None = None
    equals: float | None = None
    tolerance: float | None = None
    percent: float | None = None
    below: float | None = None
    above: float | None = None
    of: str | None = None
    reference: str | None = None
    response: str | None = None

    def describe(self) -> str:
        """The rule as a short text, such as `speed_rpm = 2000 +- 1 %`."""
        share = f" {self.of}" if self.of else ""
        if self.equals is not None:
            width = f"{self.percent:g} %" if self.percent is not None else f"{self.tolerance:g}{share}"
            rule = f"= {self.equals:g}{share} ± {width}"
        elif self.below is not None:
            rule = f"< {self.below:g}{share}"
        else:
            rule = f"> {self.above:g}{share}"
        if self.quantity == BANDWIDTH:
            return f"bandwidth from {self.reference} to {self.response} {rule}"
        taken = "" if self.quantity in ENERGIES else f"{self.take} of "
        return f"{taken}{self.quantity} {rule}"


@dataclass(frozen=True)
class Chirp:
    """A sine on top of a setpoint, whose frequency rises by the same factor each second."""

    of: str
    amplitude: float
    from_hz: float
    to_hz: float


@dataclass(frozen=True)
class Phase:
    """One part of a run: what is commanded when it begins, and when it ends."""

    name: str
    say: str = ""
    duration: float | None = None  # s of device time
    until: str | None = None  # state that ends the phase
    timeout: float = 10.0  # s of device time for `until`
    arm: bool = False
    stop: bool = False
    speed_rpm: float | None = None
    torque: float | None = None  # Nm
    currents: tuple[float, float, float] | None = None  # i_d, i_q, i_f in A
    load: float | None = None  # Nm
    ramp: float = 0.0  # s
    chirp: Chirp | None = None
    settings: Mapping[str, float] = field(default_factory=dict)
    expect: tuple[Expectation, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """A checked scenario."""

    name: str
    title: str
    phases: tuple[Phase, ...]
    rate_hz: float = 1000.0
    signals: tuple[str, ...] = SIGNALS
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    file: str = ""
    text: str = ""

    @property
    def needs_load(self) -> bool:
        """True when the shaft must be loaded, which only a virtual bench can do by itself."""
        return any(
            phase.load is not None or (phase.chirp is not None and phase.chirp.of == "load")
            for phase in self.phases
        )

    @property
    def seconds(self) -> float:
        """Device time that the timed phases take."""
        return sum(phase.duration or 0.0 for phase in self.phases)


def names() -> list[str]:
    """Scenarios that come with the tools."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def load(source: str | Path) -> Scenario:
    """Read a scenario: a file, or the name of one that comes with the tools."""
    path = Path(source)
    if path.suffix != ".toml" and not path.exists():
        path = FOLDER / f"{source}.toml"
    hint = f"give a .toml file or one of: {', '.join(names())}"
    return _Reader(Source.read(path, "scenario", hint, str(source))).scenario()


def parse(text: str, file: str = "scenario") -> Scenario:
    """Check the text of a scenario; UsageError names file, key, value and rule."""
    return _Reader(Source(text, file)).scenario()


class _Reader:
    """Walks the tables of one file and complains with line and full key."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.numbers: dict[str, int] = {}  # of the phases, by their names

    def refuse(self, key: str, value: Any, rule: str) -> UsageError:
        return self.source.refuse(self.place(key), f"{key} = {_shown(value)}: {rule}")

    def place(self, key: str) -> Place:
        """Where a key as it is told, such as `phase "spin".expect[2].take`, stands in the file."""
        found: list[str | int] = []
        named = re.match(r'phase "(.*?)"(?=\.|$)', key)
        if named:
            found, key = ["phase", self.numbers.get(named[1], 1)], key[named.end() :]
        for name, number in re.findall(r"(\w+)(?:\[(\d+)\])?", key):
            found += [name, *([int(number)] if number else [])]
        return tuple(found)

    def scenario(self) -> Scenario:
        content = self.source.content
        self.only(content, "", SCENARIO)
        name = self.text(content, "name", "", required=True)
        phases = content.get("phase")
        if not isinstance(phases, list) or not phases:
            raise self.refuse("phase", phases, "at least one [[phase]] is needed")
        read = tuple(self.phase(phase, n) for n, phase in enumerate(phases, 1))
        seen: set[str] = set()
        for n, phase in enumerate(read, 1):
            if phase.name in seen:
                raise self.refuse(f"phase[{n}].name", phase.name, "two phases have this name")
            seen.add(phase.name)
        signals = self.signals(content)
        self.order(read)
        self.quantities(read, signals)
        return Scenario(
            name=name,
            title=self.text(content, "title", "") or name,
            phases=read,
            rate_hz=self.number(content, "rate_hz", "", SCENARIO) or 1000.0,
            signals=signals,
            limits=self.limits(content, signals),
            file=self.source.name,
            text=self.source.text,
        )

    def phase(self, row: Any, n: int) -> Phase:
        key = f"phase[{n}]"
        if not isinstance(row, dict):
            raise self.refuse(key, row, "a phase is a table")
        self.only(row, key, PHASE)
        name = self.text(row, "name", key, required=True)
        self.numbers.setdefault(name, n)
        key = f'phase "{name}"'
        duration = self.number(row, "duration", key, PHASE)
        until = self.choice(row, "until", key, PHASE)
        if (duration is None) == (until is None):
            raise self.refuse(key, name, "give either duration or until")
        if "timeout" in row and until is None:
            raise self.refuse(f"{key}.timeout", row["timeout"], "belongs to until")
        arm, stop = self.flag(row, "arm", key), self.flag(row, "stop", key)
        modes = [mode for mode in ("speed_rpm", "torque", "currents") if mode in row]
        if len(modes) > 1:
            raise self.refuse(key, " and ".join(modes), "one setpoint a phase: speed_rpm, torque or currents")
        if arm and (stop or modes):
            raise self.refuse(f"{key}.arm", True, "arm alone, and command in a phase that follows")
        if stop and modes:
            raise self.refuse(f"{key}.stop", True, "a stop takes no setpoint")
        ramp = self.number(row, "ramp", key, PHASE) or 0.0
        load = self.number(row, "load", key, PHASE)
        if "ramp" in row and not modes and load is None:
            raise self.refuse(f"{key}.ramp", ramp, "there is no setpoint or load to ramp")
        if ramp and "speed_rpm" in modes and "acceleration" in row.get("settings", {}):
            raise self.refuse(f"{key}.ramp", ramp, "and settings.acceleration both say how steep")
        if duration is not None and ramp > duration:
            raise self.refuse(f"{key}.ramp", ramp, f"is longer than the phase ({duration:g} s)")
        return Phase(
            name=name,
            say=self.text(row, "say", key),
            duration=duration,
            until=until,
            timeout=self.number(row, "timeout", key, PHASE) or 10.0,
            arm=arm,
            stop=stop,
            speed_rpm=self.number(row, "speed_rpm", key, PHASE),
            torque=self.number(row, "torque", key, PHASE),
            currents=self.currents(row, key),
            load=load,
            ramp=ramp,
            chirp=self.chirp(row, key, duration, modes, load),
            settings=self.settings(row, key),
            expect=self.expectations(row, key, duration),
        )

    def currents(self, row: dict[str, Any], key: str) -> tuple[float, float, float] | None:
        if "currents" not in row:
            return None
        given, key = row["currents"], f"{key}.currents"
        if not isinstance(given, dict):
            raise self.refuse(key, given, "is a table { i_d, i_q, i_f } in A")
        self.only(given, key, CURRENTS)
        i_d, i_q, i_f = (self.number(given, name, key, CURRENTS) or 0.0 for name in CURRENTS)
        return i_d, i_q, i_f

    def chirp(
        self, row: dict[str, Any], key: str, duration: float | None, modes: list[str], load: float | None
    ) -> Chirp | None:
        if "chirp" not in row:
            return None
        given, inside = row["chirp"], f"{key}.chirp"
        if not isinstance(given, dict):
            raise self.refuse(inside, given, "is a table { of, amplitude, from_hz, to_hz }")
        self.only(given, inside, CHIRP)
        for name in CHIRP:
            if name not in given:
                raise self.refuse(inside, given, f"{name} is missing")
        of = self.choice(given, "of", inside, CHIRP) or ""
        if duration is None:
            raise self.refuse(inside, of, "a phase that sweeps needs a duration")
        set_by = "currents" if of in CURRENTS else of
        if set_by not in modes and not (of == "load" and load is not None):
            raise self.refuse(f"{inside}.of", of, f"has no setpoint in this phase: give {set_by}")
        if row.get("ramp"):
            raise self.refuse(f"{key}.ramp", row["ramp"], "a phase that sweeps begins at its setpoint")
        numbers = [self.number(given, name, inside, CHIRP) or 0.0 for name in CHIRP if name != "of"]
        if numbers[2] <= numbers[1]:
            raise self.refuse(f"{inside}.to_hz", numbers[2], f"is not above from_hz ({numbers[1]:g} Hz)")
        return Chirp(of, *numbers)

    def limits(self, content: dict[str, Any], signals: tuple[str, ...]) -> dict[str, tuple[float, float]]:
        given = content.get("limits", {})
        if not isinstance(given, dict):
            raise self.refuse("limits", given, "is a table of name = [low, high]")
        usable = (*signals, *DERIVED)
        for name, pair in given.items():
            if name not in usable:
                raise self.refuse(f"limits.{name}", pair, f"is not logged{_near(name, usable)}")
            numbers = isinstance(pair, list) and all(type(each) in (int, float) for each in pair)
            if not numbers or len(pair) != 2 or not pair[0] < pair[1]:
                raise self.refuse(f"limits.{name}", pair, "is [low, high]")
        return {name: (float(low), float(high)) for name, (low, high) in given.items()}

    def settings(self, row: dict[str, Any], key: str) -> dict[str, float]:
        from eesm.parameters import SETTINGS

        given, key = row.get("settings", {}), f"{key}.settings"
        if not isinstance(given, dict):
            raise self.refuse(key, given, "is a table of settings")
        read = {}
        for name, value in given.items():
            if name not in SETTINGS:
                raise self.refuse(f"{key}.{name}", value, f"no such setting{_near(name, SETTINGS)}")
            unit, low, high, meaning = SETTINGS[name]
            keys = {name: Key("number", meaning, low, high, unit)}
            read[name] = self.number(given, name, key, keys) or 0.0
        return read

    def expectations(self, row: dict[str, Any], key: str, duration: float | None) -> tuple[Expectation, ...]:
        given, key = row.get("expect", []), f"{key}.expect"
        if not isinstance(given, list):
            raise self.refuse(key, given, "is a list of tables")
        return tuple(self.expectation(each, f"{key}[{n}]", duration) for n, each in enumerate(given, 1))

    def expectation(self, row: Any, key: str, duration: float | None) -> Expectation:
        if not isinstance(row, dict):
            raise self.refuse(key, row, "is a table")
        self.only(row, key, EXPECT)
        quantity = self.text(row, "quantity", key, required=True)
        take = self.choice(row, "take", key, EXPECT) or "mean"
        last = self.number(row, "last", key, EXPECT)
        if last is not None and duration is not None and last > duration:
            raise self.refuse(f"{key}.last", last, f"is longer than the phase ({duration:g} s)")
        rules = [rule for rule in ("equals", "below", "above") if rule in row]
        if len(rules) != 1:
            raise self.refuse(key, quantity, "give one of equals, below, above")
        numbers = {rule: self.number(row, rule, key, EXPECT) for rule in rules}
        widths = {w: self.number(row, w, key, EXPECT) for w in ("tolerance", "percent")}
        given = [width for width in widths if widths[width] is not None]
        if ("equals" in rules) != (len(given) == 1):
            raise self.refuse(key, quantity, "equals takes either tolerance or percent, the others none")
        if widths["percent"] is not None and numbers["equals"] == 0:
            raise self.refuse(f"{key}.percent", row["percent"], "of zero is nothing, give a tolerance")
        of = self.text(row, "of", key) or None
        if of is not None:
            from eesm.parameters import SETTINGS

            if of not in SETTINGS:
                raise self.refuse(f"{key}.of", of, f"no such setting{_near(of, SETTINGS)}")
        ends = {name: self.text(row, name, key) or None for name in ("reference", "response")}
        if (quantity == BANDWIDTH) != all(ends.values()) or (quantity != BANDWIDTH and any(ends.values())):
            raise self.refuse(
                key, quantity, f"reference and response belong to {BANDWIDTH}, which needs both"
            )
        sweep = {"reference": ends["reference"], "response": ends["response"]}
        rules = {**numbers, **widths}
        return Expectation(quantity, take, last, of=of, **rules, **sweep)  # pyright: ignore[reportArgumentType]

    def order(self, phases: tuple[Phase, ...]) -> None:
        """Commands must come in an order that the drive can obey."""
        armed = False
        for phase in phases:
            key = f'phase "{phase.name}"'
            if phase.arm:
                if armed:
                    raise self.refuse(f"{key}.arm", True, "the drive is armed already, stop it first")
                armed = True
            commanded = phase.speed_rpm is not None or phase.torque is not None or phase.currents
            if commanded and not armed:
                raise self.refuse(key, phase.name, "a setpoint needs an arm = true before it")
            if phase.until == "ready" and not armed:
                raise self.refuse(f"{key}.until", "ready", "the drive is never armed before")
            if phase.stop:
                armed = False
            elif phase.until == "off" and armed:
                raise self.refuse(f"{key}.until", "off", "the drive is never stopped before")
        if armed:
            raise self.refuse("phase", phases[-1].name, "the last phase must leave the drive stopped")
        first = next((phase for phase in phases if phase.arm), None)
        if first is not None and first.until != "ready":
            raise self.refuse(f'phase "{first.name}".until', first.until, "arming takes until ready")

    def signals(self, content: dict[str, Any]) -> tuple[str, ...]:
        given = content.get("signals", list(SIGNALS))
        if not isinstance(given, list) or not given:
            raise self.refuse("signals", given, "is a list of signal names")
        table, streamed = signals_of(Signals), STREAMED
        for name in given:
            if name not in table:
                raise self.refuse("signals", name, f"no such signal{_near(name, streamed)}")
            if name not in streamed:
                raise self.refuse("signals", name, f"a {table[name].role} has no value to stream")
        if len(given) > STREAM_CHANNELS:
            raise self.refuse("signals", len(given), f"a stream takes {STREAM_CHANNELS} at most")
        if len(set(given)) != len(given):
            raise self.refuse("signals", given, "each signal once")
        return tuple(given)

    def quantities(self, phases: tuple[Phase, ...], signals: tuple[str, ...]) -> None:
        """Every expectation must be about something that is logged."""
        usable = (*signals, *DERIVED, *ENERGIES, BANDWIDTH)
        for phase in phases:
            for n, each in enumerate(phase.expect, 1):
                key = f'phase "{phase.name}".expect[{n}]'
                for name in ("quantity", "reference", "response"):
                    value = getattr(each, name)
                    if value is not None and value not in usable:
                        raise self.refuse(f"{key}.{name}", value, f"is not logged{_near(value, usable)}")
                if each.quantity == BANDWIDTH and phase.chirp is None:
                    raise self.refuse(f"{key}.quantity", each.quantity, "needs a chirp in this phase")

    # --- single values ------------------------------------------------------------------------

    def only(self, row: dict[str, Any], key: str, known: Mapping[str, Key]) -> None:
        for name in row:
            if name not in known:
                where = f"{key}.{name}" if key else name
                raise self.refuse(where, row[name], f"unknown key{_near(name, known)}")

    def text(self, row: dict[str, Any], name: str, key: str, required: bool = False) -> str:
        where = f"{key}.{name}" if key else name
        if name not in row:
            if required:
                raise self.source.refuse(self.place(where), f"{where}: is missing")
            return ""
        if not isinstance(row[name], str) or not row[name].strip():
            raise self.refuse(where, row[name], "is a text")
        return row[name]

    def flag(self, row: dict[str, Any], name: str, key: str) -> bool:
        value = row.get(name, False)
        if not isinstance(value, bool):
            raise self.refuse(f"{key}.{name}", value, "is true or false")
        return value

    def choice(self, row: dict[str, Any], name: str, key: str, keys: Mapping[str, Key]) -> str | None:
        value = self.text(row, name, key)
        known = keys[name].choices
        if value and value not in known:
            raise self.refuse(f"{key}.{name}", value, f"is one of {', '.join(known)}{_near(value, known)}")
        return value or None

    def number(self, row: dict[str, Any], name: str, key: str, keys: Mapping[str, Key]) -> float | None:
        if name not in row:
            return None
        value, where = row[name], f"{key}.{name}" if key else name
        low, high, unit = keys[name].low, keys[name].high, keys[name].unit
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(where, value, f"is a number{' in ' + unit if unit else ''}")
        if not low <= value <= high:  # also refuses nan
            raise self.refuse(where, value, f"lies outside {low:g} .. {high:g} {unit}".rstrip())
        return float(value)
