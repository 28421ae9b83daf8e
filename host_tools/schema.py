"""What a board says about its signals, fetched once for each hash and kept in the user's cache folder."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host_tools.cache import cache_folder
from host_tools.link_errors import SchemaMismatch, UnknownSignal


@dataclass(frozen=True)
class SignalInfo:
    """One signal as the board describes it; SI value = raw * step."""

    name: str
    role: str
    unit: str
    low: int
    high: int
    meaning: str
    index: int
    length: int
    step: float
    base: str = "one"  # its name in `Schema.bases`

    @property
    def wide(self) -> bool:
        """True when 16 bits do not hold every value."""
        return self.low < -0x8000 or self.high > 0x7FFF


@dataclass(frozen=True)
class Schema:
    """All signals of a board's kernel, its bases, and its period in s."""

    hash: str
    bases: dict[str, float]
    t_pwm: float
    signals: dict[str, SignalInfo]

    def find(self, name: str) -> SignalInfo:
        """A scalar signal by name; UnknownSignal with what is near, when there is none."""
        signal = self.signals.get(name)
        if signal is None:
            near = difflib.get_close_matches(name, self.signals, n=3, cutoff=0.5)
            raise UnknownSignal(
                f"The board has no signal {name!r}." + (f" Near: {', '.join(near)}." if near else ""),
                "eesm info --signals   lists them all",
            )
        if signal.length:
            raise UnknownSignal(f"{name} is an array of {signal.length} words, not one value.")
        return signal


def compact(content: Any) -> str:
    """JSON without blanks, keys in their own order: the same content is the same text."""
    return json.dumps(content, separators=(",", ":"))


def hash_of(content: Any) -> str:
    """What host and board compare: 16 digits of the content's SHA-256, the hash itself left out."""
    return hashlib.sha256(compact(content).encode()).hexdigest()[:16]


def parse_schema(data: bytes, expected: str) -> Schema:
    """The schema in a schema.json; SchemaMismatch when its content does not have the hash `expected`."""
    try:
        content = json.loads(data)
        said = content.pop("hash")
        found = hash_of(content)
        bases = {str(name): float(value) for name, value in content["bases"].items()}
        signals = {}
        for row in content["signals"]:
            step = bases[row["base"]] / (1 << row["q"])
            fields = {key: row[key] for key in ("role", "unit", "low", "high", "meaning", "index", "length")}
            signals[row["name"]] = SignalInfo(name=row["name"], step=step, base=row["base"], **fields)
        schema = Schema(found, bases, float(content["t_pwm"]), signals)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SchemaMismatch(
            f"The board's schema cannot be read: {error!r}.", "build and load the board folder again"
        ) from error
    if not said == found == expected:
        raise SchemaMismatch(
            f"The board's schema has the hash {found}, says {said}; its firmware was built for {expected}.",
            "build and load the whole board folder again",
        )
    return schema


def fetch_schema(expected: str, describe: Callable[[], bytes], cache: Path | None = None) -> Schema:
    """The schema of a hash: from the cache, else by `describe()`."""
    folder = cache or cache_folder() / "schemas"
    file = folder / f"{expected}.json"
    with contextlib.suppress(OSError, SchemaMismatch):
        return parse_schema(file.read_bytes(), expected)
    data = describe()
    schema = parse_schema(data, expected)
    # A cache that cannot be written costs a second at the next connection, no more.
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f"{expected}.{os.getpid()}"
        fresh.write_bytes(data)
        fresh.replace(file)
    return schema
