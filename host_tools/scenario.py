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

All times are device time.  The same file runs on the virtual drive, in the simulation and on a
board: `host_tools.runner` executes it, `host_tools.figures` judges the record.

An expectation compares a quantity with `equals` (within `tolerance` in its unit or `percent` of
the value), `below` or `above`.  Quantities are logged signals, `speed_rpm`, `speed_ref_rpm`,
`load`, `power`, `power_shaft`, and the energies of the phase in J: `energy_in`, `energy_out`,
`energy_regenerated`, `energy_braked`.  `take` says which value of the window counts: mean, min,
max, rms, end, or all (every sample must hold); `last` is the window in s before the phase's end.
`of = "i_f_max"` makes the numbers shares of a setting of the drive.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eesm.signals import STREAM_CHANNELS, Signals
from eesm.table import ARRAY_ROLES, CONSTANT, TRANSIENT, signals_of
from host_tools.errors import UsageError

FOLDER = Path(__file__).resolve().parent / "scenarios"
# States that can end a phase (`eesm.drive.STATES`; imported here it would pull in the board's code).
UNTIL = ("off", "ready")
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
TAKES = ("mean", "min", "max", "rms", "end", "all")
ENERGIES = ("energy_in", "energy_out", "energy_regenerated", "energy_braked")
DERIVED = ("speed_rpm", "speed_ref_rpm", "load", "power", "power_shaft", "w_m")
RATE_LOW, RATE_HIGH = 10.0, 5000.0
DURATION_HIGH = 3600.0


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
        taken = "" if self.quantity in ENERGIES else f"{self.take} of "
        return f"{taken}{self.quantity} {rule}"


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
    file: str = ""
    text: str = ""

    @property
    def needs_load(self) -> bool:
        """True when the shaft must be loaded, which only a virtual bench can do by itself."""
        return any(phase.load is not None for phase in self.phases)

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
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"No scenario {source}: {error.strerror or error}.",
            f"give a .toml file or one of: {', '.join(names())}",
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text.") from error
    return parse(text, path.name)


def parse(text: str, file: str = "scenario") -> Scenario:
    """Check the text of a scenario; UsageError names file, key, value and rule."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}: is not TOML: {error}.") from error
    return _Reader(file).scenario(content, text)


class _Reader:
    """Walks the tables of one file and complains with the full key."""

    def __init__(self, file: str) -> None:
        self.file = file

    def refuse(self, key: str, value: Any, rule: str) -> UsageError:
        return UsageError(f"{self.file}: {key} = {_shown(value)}: {rule}.")

    def scenario(self, content: dict[str, Any], text: str) -> Scenario:
        self.only(content, "", ("name", "title", "rate_hz", "signals", "phase"))
        name = self.text(content, "name", "", required=True)
        phases = content.get("phase")
        if not isinstance(phases, list) or not phases:
            raise self.refuse("phase", phases, "at least one [[phase]] is needed")
        read = tuple(self.phase(phase, f"phase[{n}]") for n, phase in enumerate(phases, 1))
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
            rate_hz=self.number(content, "rate_hz", "", RATE_LOW, RATE_HIGH, "Hz") or 1000.0,
            signals=signals,
            file=self.file,
            text=text,
        )

    def phase(self, row: Any, key: str) -> Phase:
        if not isinstance(row, dict):
            raise self.refuse(key, row, "a phase is a table")
        known = tuple(Phase.__dataclass_fields__)
        self.only(row, key, known)
        name = self.text(row, "name", key, required=True)
        key = f'phase "{name}"'
        duration = self.number(row, "duration", key, 0.01, DURATION_HIGH, "s")
        until = self.text(row, "until", key) or None
        if until is not None and until not in UNTIL:
            raise self.refuse(f"{key}.until", until, f"a phase can wait for {' or '.join(UNTIL)}")
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
        ramp = self.number(row, "ramp", key, 0.0, DURATION_HIGH, "s") or 0.0
        load = self.number(row, "load", key, -1e5, 1e5, "N.m")
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
            timeout=self.number(row, "timeout", key, 0.01, DURATION_HIGH, "s") or 10.0,
            arm=arm,
            stop=stop,
            speed_rpm=self.number(row, "speed_rpm", key, -1e6, 1e6, "rpm"),
            torque=self.number(row, "torque", key, -1e5, 1e5, "N.m"),
            currents=self.currents(row, key),
            load=load,
            ramp=ramp,
            settings=self.settings(row, key),
            expect=self.expectations(row, key, duration),
        )

    def currents(self, row: dict[str, Any], key: str) -> tuple[float, float, float] | None:
        if "currents" not in row:
            return None
        given, key = row["currents"], f"{key}.currents"
        if not isinstance(given, dict):
            raise self.refuse(key, given, "is a table { i_d, i_q, i_f } in A")
        self.only(given, key, ("i_d", "i_q", "i_f"))
        i_d, i_q = (self.number(given, name, key, -1e4, 1e4, "A") or 0.0 for name in ("i_d", "i_q"))
        return i_d, i_q, self.number(given, "i_f", key, 0.0, 1e3, "A") or 0.0

    def settings(self, row: dict[str, Any], key: str) -> dict[str, float]:
        from eesm.parameters import SETTINGS

        given, key = row.get("settings", {}), f"{key}.settings"
        if not isinstance(given, dict):
            raise self.refuse(key, given, "is a table of settings")
        read = {}
        for name, value in given.items():
            if name not in SETTINGS:
                raise self.refuse(f"{key}.{name}", value, f"no such setting{_near(name, SETTINGS)}")
            unit, low, high = SETTINGS[name][:3]
            read[name] = self.number(given, name, key, low, high, unit) or 0.0
        return read

    def expectations(self, row: dict[str, Any], key: str, duration: float | None) -> tuple[Expectation, ...]:
        given, key = row.get("expect", []), f"{key}.expect"
        if not isinstance(given, list):
            raise self.refuse(key, given, "is a list of tables")
        return tuple(self.expectation(each, f"{key}[{n}]", duration) for n, each in enumerate(given, 1))

    def expectation(self, row: Any, key: str, duration: float | None) -> Expectation:
        if not isinstance(row, dict):
            raise self.refuse(key, row, "is a table")
        self.only(row, key, tuple(Expectation.__dataclass_fields__))
        quantity = self.text(row, "quantity", key, required=True)
        take = self.text(row, "take", key) or "mean"
        if take not in TAKES:
            raise self.refuse(f"{key}.take", take, f"is one of {', '.join(TAKES)}")
        last = self.number(row, "last", key, 0.001, DURATION_HIGH, "s")
        if last is not None and duration is not None and last > duration:
            raise self.refuse(f"{key}.last", last, f"is longer than the phase ({duration:g} s)")
        rules = [rule for rule in ("equals", "below", "above") if rule in row]
        if len(rules) != 1:
            raise self.refuse(key, quantity, "give one of equals, below, above")
        numbers = {rule: self.number(row, rule, key, -1e12, 1e12, "") for rule in rules}
        widths = {w: self.number(row, w, key, 0.0, 1e12, "") for w in ("tolerance", "percent")}
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
        return Expectation(quantity=quantity, take=take, last=last, of=of, **numbers, **widths)

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
        table = signals_of(Signals)
        unusable = (*ARRAY_ROLES, CONSTANT, TRANSIENT)
        streamed = [name for name, signal in table.items() if signal.role not in unusable]
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
        usable = (*signals, *DERIVED, *ENERGIES)
        for phase in phases:
            for n, each in enumerate(phase.expect, 1):
                if each.quantity not in usable:
                    key = f'phase "{phase.name}".expect[{n}].quantity'
                    raise self.refuse(key, each.quantity, f"is not logged{_near(each.quantity, usable)}")

    # --- single values ------------------------------------------------------------------------

    def only(self, row: dict[str, Any], key: str, known: tuple[str, ...]) -> None:
        for name in row:
            if name not in known:
                where = f"{key}.{name}" if key else name
                raise self.refuse(where, row[name], f"unknown key{_near(name, known)}")

    def text(self, row: dict[str, Any], name: str, key: str, required: bool = False) -> str:
        where = f"{key}.{name}" if key else name
        if name not in row:
            if required:
                raise UsageError(f"{self.file}: {where}: is missing.")
            return ""
        if not isinstance(row[name], str) or not row[name].strip():
            raise self.refuse(where, row[name], "is a text")
        return row[name]

    def flag(self, row: dict[str, Any], name: str, key: str) -> bool:
        value = row.get(name, False)
        if not isinstance(value, bool):
            raise self.refuse(f"{key}.{name}", value, "is true or false")
        return value

    def number(
        self, row: dict[str, Any], name: str, key: str, low: float, high: float, unit: str
    ) -> float | None:
        if name not in row:
            return None
        value, where = row[name], f"{key}.{name}" if key else name
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(where, value, f"is a number{' in ' + unit if unit else ''}")
        if not low <= value <= high:  # also refuses nan
            raise self.refuse(where, value, f"lies outside {low:g} .. {high:g} {unit}".rstrip())
        return float(value)


def _shown(value: Any) -> str:
    """A value as it stood in the file, shortened."""
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _near(name: Any, known: Any) -> str:
    """A guess at what was meant."""
    from difflib import get_close_matches

    near = get_close_matches(str(name), list(known), 1)
    return f", do you mean {near[0]}?" if near else ""
