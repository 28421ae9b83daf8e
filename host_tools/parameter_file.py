"""Parameter files: the parameters of a drive in TOML, by name, in SI units, with whose they are.

    [identity]
    unit = "a"
    board = "virtual"

    [parameters]
    R_s = 0.06  # Ohm, 1e-05 .. 100: stator resistance

What is loaded is checked before anything is sent: names, numbers and ranges, and that the drive is
the unit that the file was saved from.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eesm.parameters import SETTINGS
from host_tools.errors import REFUSED, ToolError
from host_tools.files import replacing
from host_tools.toml_text import Source, near, quote, shown

IDENTITY = ("unit", "board", "firmware", "kernel_hash", "schema_hash")


class OtherUnit(ToolError):
    """The file belongs to another unit than the drive is."""

    code = REFUSED


@dataclass(frozen=True)
class ParameterFile:
    """What a file holds: values in SI, and the identity of the drive that they were saved from."""

    values: dict[str, float]
    identity: dict[str, str]
    saved: str = ""  # UTC
    file: str = ""

    def check(self, identity: Any) -> None:
        """Raises OtherUnit unless the drive is of the unit that the file is from."""
        theirs, ours = self.identity.get("unit"), identity.unit
        if theirs is None:
            raise OtherUnit(
                f"{self.file} does not say which unit its parameters belong to; the drive is unit {ours}.",
                "if they are meant for it: --other-unit",
            )
        if theirs != ours:
            raise OtherUnit(
                f"{self.file} belongs to unit {theirs}, the drive at {identity.port} is unit {ours}.",
                "choose another drive with --port or --unit, or if it is meant: --other-unit",
            )


def write(path: str | Path, values: Mapping[str, float], identity: Any, *, tools: str = "") -> Path:
    """Write `values` of the drive with `identity`; the file appears only when it is whole."""
    path = Path(path)
    with replacing(path) as temporary:
        temporary.write_text(render(values, identity, tools=tools), encoding="utf-8")
    return path


def render(values: Mapping[str, float], identity: Any, *, tools: str = "", saved: str = "") -> str:
    """The text of a parameter file."""
    saved = saved or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    lines = [
        f"# Parameters of unit {identity.unit}, in SI units. Load them: eesm params load FILE",
        f"saved = {saved}",
        *([f"tools = {quote(tools)}"] if tools else []),
        "",
        "[identity]",
        *(f"{name} = {quote(str(getattr(identity, name)))}" for name in IDENTITY),
        "",
        "[parameters]",
    ]
    rows = [(f"{name} = {_number(value)}", name) for name, value in values.items()]
    width = max((len(row) for row, _ in rows), default=0)
    for row, name in rows:
        unit, low, high, meaning = SETTINGS[name]
        lines.append(f"{row:<{width}}  # {unit}, {low:g} .. {high:g}: {meaning}")
    return "\n".join(lines) + "\n"


def read(path: str | Path) -> ParameterFile:
    """Read a file; UsageError names file, line, key, value and range."""
    source = Source.read(Path(path), "parameter file", "eesm params save FILE writes one")
    content = source.content
    for key in content:
        if key not in ("saved", "tools", "identity", "parameters"):
            raise source.refuse(
                (key,),
                f"{key}: unknown key{near(key, ('identity', 'parameters'))}",
                "parameters = under [parameters]",
            )
    for key in ("identity", "parameters"):
        if not isinstance(content.get(key, {}), dict):
            raise source.refuse((key,), f"{key} = {shown(content[key])}: is a table, [{key}]")
    identity = {name: str(value) for name, value in content.get("identity", {}).items()}
    values = dict(_checked(source, content.get("parameters", {})))
    return ParameterFile(values, identity, str(content.get("saved", "")), source.name)


def _checked(source: Source, given: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in given.items():
        place, text = ("parameters", name), f"{name} = {shown(value)}"
        if name not in SETTINGS:
            raise source.refuse(
                place, f"{text}: there is no such parameter{near(name, SETTINGS)}", "eesm params list"
            )
        unit, low, high = SETTINGS[name][:3]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise source.refuse(place, f"{text}: is a number in {unit}")
        if not low <= value <= high:
            raise source.refuse(place, f"{text}: is outside {low:g} .. {high:g} {unit}")
        yield name, float(value)


@dataclass(frozen=True)
class Difference:
    """A parameter that differs between two sets; None where a set does not have it."""

    name: str
    before: float | None
    after: float | None

    def __str__(self) -> str:
        unit = SETTINGS[self.name][0]
        shown = ["-" if value is None else f"{value:.6g}" for value in (self.before, self.after)]
        return f"{self.name:<22} {shown[0]:>12} -> {shown[1]:<12} {unit}"


def differences(before: Mapping[str, float], after: Mapping[str, float]) -> list[Difference]:
    """Parameters that differ, in the order of the table; a last digit of a float is no difference."""
    names = [name for name in SETTINGS if name in before or name in after]
    found = [Difference(name, before.get(name), after.get(name)) for name in names]
    return [each for each in found if not _same(each.before, each.after)]


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    # The board holds what MicroPython's floats hold: single precision on some boards.
    return abs(one - other) <= 1e-6 * max(abs(one), abs(other))


def _number(value: float) -> str:
    text = repr(float(f"{value:.9g}"))
    return text if any(c in text for c in ".en") else text + ".0"
