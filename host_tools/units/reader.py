"""What all of the drive's TOML files share: typed values with units, and one reader that collects complaints.

A vocabulary is {section: {key: rule}}; a rule says the key's unit and range (`Key`), its words (`Choice`,
`Words`) or that it is a pin (`Pin`).
"""

import difflib
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BOARDS = Path(__file__).resolve().parent.parent.parent / "boards"
STATUSES = ("EST", "PUB", "KNOW")


class UnitError(ValueError):
    """A unit, motor or board file is unfit; each line says where and why."""


# unit of a key -> what may be written instead, and the divisor that leads to the key's own unit
SPELLINGS: dict[str, dict[str, float]] = {
    "Ohm": {"Ohm": 1, "mOhm": 1e3, "kOhm": 1e-3},
    "H": {"H": 1, "mH": 1e3, "uH": 1e6},
    "F": {"F": 1, "mF": 1e3, "uF": 1e6, "nF": 1e9},
    "A": {"A": 1, "mA": 1e3},
    "V": {"V": 1, "mV": 1e3},
    "s": {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9},
    "Hz": {"Hz": 1, "kHz": 1e-3, "MHz": 1e-6},
    "turn": {"turn": 1, "deg": 360},
}


@dataclass(frozen=True)
class Key:
    """One key of a file: its unit, the range it is refused outside of, a default if it may be missing."""

    unit: str  # "1" for pure numbers
    low: float
    high: float
    meaning: str
    default: float | None = None
    integer: bool = False
    above: bool = False  # the low end itself is refused too

    @property
    def expected(self) -> str:
        """What to write, for the complaint that it is missing."""
        return f"{self.meaning}, in {self.unit}"


def positive(unit: str, high: float, meaning: str, default: float | None = None) -> Key:
    return Key(unit, 0.0, high, meaning, default, above=True)


def not_negative(unit: str, high: float, meaning: str, default: float | None = None) -> Key:
    return Key(unit, 0.0, high, meaning, default)


def count(low: int, high: int, meaning: str, default: int | None = None) -> Key:
    return Key("1", low, high, meaning, default, integer=True)


@dataclass(frozen=True)
class Choice:
    """A key that is one of a few words, or true or false."""

    options: tuple[Any, ...]
    default: Any = None

    @property
    def expected(self) -> str:
        return " or ".join(map(str, self.options))


@dataclass(frozen=True)
class Words:
    """A key that is a list of words, such as `["i_a", "i_b"]`."""

    options: tuple[str, ...]
    meaning: str
    default: tuple[str, ...] | None = None

    @property
    def expected(self) -> str:
        return f"{self.meaning}, a list of {', '.join(self.options)}"


@dataclass(frozen=True)
class Pin:
    """A key that is a pin, written as its name, "GP14"; its value is the number."""

    meaning: str
    default: float | None = None  # NaN: it may be missing

    @property
    def expected(self) -> str:
        return f'{self.meaning}, a pin such as "GP14"'


Rule = Key | Choice | Words | Pin
Vocabulary = Mapping[str, Mapping[str, Rule]]


def optional(value: Any) -> Any:
    """None for a number that was left out and has no default."""
    return None if isinstance(value, float) and math.isnan(value) else value


def suggest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, 1, 0.5)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(sorted(known))}" if known else ""


def shown_path(path: Path) -> str:
    """A path as the user would write it."""
    for root in (BOARDS.parent, Path.cwd()):
        try:
            return path.resolve().relative_to(root).as_posix()
        except ValueError:
            pass
    return str(path)


class Reader:
    """Reads one file by its vocabulary and collects what is wrong with it."""

    def __init__(self, path: Path, problems: list[str] | None = None, sourced: bool = False):
        self.path = path
        self.sourced = sourced
        self.problems = [] if problems is None else problems
        self.words: dict[str, str] = {}
        self.provenance: dict[str, tuple[str, str]] = {}
        self.data: dict[str, Any] = {}
        self.vocabulary: Vocabulary = {}
        self.find_base = self._beside

    def refuse(self, where: str, why: str) -> None:
        self.problems.append(f"{shown_path(self.path)}: {where}: {why}")

    def rule(self, holds: bool, where: str, why: str) -> bool:
        if not holds:
            self.refuse(where, why)
        return holds

    def finish(self) -> None:
        if self.problems:
            raise UnitError("\n".join(self.problems))

    def open(self) -> None:
        """Parse the file; what `based_on` names comes below it, less what `without` lists."""
        self.data = parse(self.path)
        base = self.data.pop("based_on", None)
        without = self.data.pop("without", None)
        if base is not None:
            self.data = self._merge(str(base), without or [])
        elif without is not None:
            self.refuse(
                "without", "says what is left out of the file that `based_on` names, and there is none"
            )

    def start(self, vocabulary: Vocabulary, optional: Sequence[str], words: Sequence[str]) -> None:
        """Check the file's words and that its sections are known and there."""
        self.vocabulary = vocabulary
        for word in words:
            value = self.data.get(word)
            if word == "name" and value is None:
                value = self.path.stem
            if word == "title" and value is None:
                value = self.data.get("name", self.path.stem)
            if not isinstance(value, str) or not value:
                self.refuse(
                    word, "a name in quotes is missing" if value is None else f"{value!r} is not a name"
                )
                value = ""
            self.words[word] = value
        for name in self.data:
            if name not in vocabulary and name not in words:
                self.refuse(name, f"unknown{suggest(name, [*vocabulary, *words])}")
            elif name in vocabulary and not isinstance(self.data[name], dict):
                self.refuse(name, f"[{name}] is a section")
                self.data[name] = {}
        for name in vocabulary:
            if name not in self.data and name not in optional:
                self.refuse(f"[{name}]", "the section is missing")
        if any(not self.words[word] for word in words):
            self.finish()

    def _beside(self, base: str) -> tuple[Path, list[str]]:
        """The file that `based_on` names, and the names that there are: both in this file's folder."""
        folder = self.path.parent
        return folder / (base if base.endswith(".toml") else f"{base}.toml"), stems(folder)

    def _merge(self, base: str, without: Any) -> dict[str, Any]:
        """The base file's data with this file's own keys put over it."""
        file, known = self.find_base(base)
        if not file.is_file():
            self.refuse(f"based_on = {base!r}", "no such file" + suggest(base, known))
            self.finish()
        merged = parse(file)
        if "based_on" in merged:
            self.refuse(f"based_on = {base!r}", "that file is itself based on another; name the first")
            self.finish()
        self._leave_out(merged, without)
        for word in ("name", "title"):  # a file's own
            merged.pop(word, None)
        for name, value in self.data.items():
            if isinstance(value, dict) and isinstance(merged.get(name), dict):
                merged[name] = merged[name] | value
            else:
                merged[name] = value
        return merged

    def _leave_out(self, merged: dict[str, Any], without: Any) -> None:
        """Remove from the base what `without` lists: "section" or "section.key"."""
        if not isinstance(without, list) or not all(isinstance(name, str) for name in without):
            self.refuse("without", 'is a list such as ["multiplexer", "pins.select_0"]')
            return
        for name in without:
            section, _, key = name.partition(".")
            table = merged.get(section)
            if not isinstance(table, dict) or (key and key not in table):
                known = [n for n, value in merged.items() if isinstance(value, dict)]
                known += [f"{n}.{k}" for n in known for k in merged[n]]
                self.refuse(f"without {name!r}", f"the base has none{_near(name, known)}")
            elif key:
                del table[key]
            else:
                del merged[section]

    def section(self, name: str) -> dict[str, Any]:
        """SI values of a section; what is wrong goes to `problems`, and is NaN or the default here."""
        keys = self.vocabulary[name]
        table = self.data.get(name, {})
        for key in table:
            if key not in keys:
                self.refuse(f"{name}.{key}", f"unknown key{suggest(key, list(keys))}")
        values: dict[str, Any] = {}
        for key, rule in keys.items():
            where = f"{name}.{key}"
            if key not in table:
                values[key] = rule.default
                if rule.default is None:
                    values[key] = math.nan
                    if name in self.data:
                        self.refuse(where, f"missing ({rule.expected})")
            elif isinstance(rule, Choice):
                values[key] = self._choose(where, rule, table[key])
            elif isinstance(rule, Words):
                values[key] = self._list(where, rule, table[key])
            elif isinstance(rule, Pin):
                values[key] = self._pin(where, rule, table[key])
            else:
                values[key] = self._number(where, key, rule, table[key])
        return values

    def _choose(self, where: str, rule: Choice, value: Any) -> Any:
        for option in rule.options:
            if value == option and type(value) is type(option):
                return option
        words = [str(option).lower() for option in rule.options]
        self.refuse(f"{where} = {value!r}", f"must be {' or '.join(words)}{_near(value, words)}")
        return rule.options[0]

    def _list(self, where: str, rule: Words, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            self.refuse(f"{where} = {value!r}", f"must be {rule.expected}")
            return ()
        for word in value:
            if word not in rule.options:
                self.refuse(f"{where}: {word!r}", f"unknown{suggest(str(word), list(rule.options))}")
        return tuple(word for word in value if word in rule.options)

    def _pin(self, where: str, rule: Pin, value: Any) -> int | float:
        number = value[2:] if isinstance(value, str) and value.startswith("GP") else ""
        if not (number.isascii() and number.isdigit() and str(int(number)) == number):
            self.refuse(f"{where} = {value!r}", f'{rule.meaning}: write the pin as "GP14"')
            return math.nan
        return int(number)

    def _number(self, where: str, key: str, rule: Key, entry: Any) -> float | int:
        if not isinstance(entry, dict):
            self.refuse(f"{where} = {entry!r}", f'write {{ value = ..., unit = "{rule.unit}" }}')
            return math.nan
        allowed = ("value", "unit", "status", "source")
        for word in entry:
            if word not in allowed:
                self.refuse(f"{where}.{word}", f"unknown{suggest(word, list(allowed))}")
        value, unit = entry.get("value"), entry.get("unit")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            self.refuse(where, "the value is missing" if value is None else f"{value!r} is not a number")
            return math.nan
        spellings = SPELLINGS.get(rule.unit, {rule.unit: 1})
        if unit not in spellings:
            said = "no unit" if unit is None else f"the unit {unit!r}"
            self.refuse(f"{where} = {value!r}", f"has {said}, needs {' or '.join(spellings)}")
            return math.nan
        shown = f"{where} = {value:g} {unit}".removesuffix(" 1")
        result = value / spellings[unit] if spellings[unit] != 1 else value
        if rule.integer:
            if result != int(result):
                self.refuse(shown, "must be a whole number")
                return math.nan
            result = int(result)
        else:
            result = float(result)
        in_unit = "" if rule.unit == "1" else f" {rule.unit}"
        if rule.above and result <= rule.low:
            self.refuse(shown, f"{rule.meaning}: must be above {rule.low:g}{in_unit}")
        elif not rule.low <= result <= rule.high:
            self.refuse(shown, f"{rule.meaning}: must lie in {rule.low:g} .. {rule.high:g}{in_unit}")
        if self.sourced:
            status, source = entry.get("status"), entry.get("source")
            if status not in STATUSES:
                self.refuse(f"{where}.status", f"{status!r} is not one of {', '.join(STATUSES)}")
            if not isinstance(source, str) or not source.strip():
                self.refuse(f"{where}.source", "says where the value comes from, and is missing")
            self.provenance[key] = (str(status), str(source))
        return result


def parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UnitError(f"{shown_path(path)}: not a TOML file: {error}") from None


def stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.toml"))


def _near(value: Any, words: list[str]) -> str:
    near = difflib.get_close_matches(str(value), words, 1, 0.5)
    return f"; did you mean {near[0]}?" if near else ""
