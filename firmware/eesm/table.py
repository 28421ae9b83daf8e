"""The vocabulary of the signal table: what a signal is and which roles it can have.

Every signal is declared once, as a class attribute of `eesm.signals.Signals`.  The annotation
says `int` (or `list[int]`), so that an editor completes the names and a type checker follows
them through the stages; the value is a `Signal`, which the linker, tests, telemetry, host
tools and docs read.

A signal's value in SI units is `raw * bases[base] / 2**q`, where the bases belong to a drive
unit (see `eesm.parameters.bases`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Written before a step: by the driver (samples) or by the main loop (mailbox).
INPUT = "input"
# Kept from one period to the next by the stages.
STATE = "state"
# Tunable while running; written only through the mailbox.
PARAMETER = "parameter"
# Folded into the linked code; a change means linking again.
CONSTANT = "constant"
# Read by the driver after a step.
OUTPUT = "output"
# Lives only inside one linked routine; takes no word of the block.
TRANSIENT = "transient"
# Filled at boot, read by the stages.
TABLE = "table"
# Filled by the main loop before a mailbox is posted, read by the stages.
LETTER = "letter"
# Written by the stages, drained by the main loop.
RING = "ring"
# The whole block, addressed by signal index.
MEMORY = "memory"

ARRAY_ROLES = (TABLE, LETTER, RING, MEMORY)

Q15_MAX = 32767
Q30_MAX = (1 << 30) - 1


@dataclass(frozen=True)
class Signal:
    """One row of the table.

    `low` and `high` are the raw integers that the signal may take, both included.  `base` names
    the unit's base quantity, `q` the number of fraction bits, `unit` the SI unit that results.
    `length` is 0 for a scalar, else the number of words of an array.
    """

    role: str
    base: str
    q: int
    low: int
    high: int
    unit: str
    meaning: str
    initial: int = 0
    length: int = 0
    name: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        object.__setattr__(self, "name", name)

    def to_si(self, raw: int, bases: dict[str, float]) -> float:
        """Physical value of a raw integer, in `unit`."""
        return raw * bases[self.base] / (1 << self.q)

    def to_raw(self, value: float, bases: dict[str, float]) -> int:
        """Raw integer nearest to a physical value.

        Raises ValueError when it lies outside the signal's range.
        """
        raw = round(value * (1 << self.q) / bases[self.base])
        if not self.low <= raw <= self.high:
            low, high = self.to_si(self.low, bases), self.to_si(self.high, bases)
            raise ValueError(
                f"{self.name} = {value:g} {self.unit} is outside {low:g} .. {high:g} {self.unit}"
            )
        return raw


def _declare(role: str) -> Any:
    def declare(
        base: str,
        q: int,
        low: int,
        high: int,
        unit: str,
        meaning: str,
        initial: int = 0,
        length: int = 0,
    ) -> Any:
        return Signal(role, base, q, low, high, unit, meaning, initial, length)

    return declare


input_ = _declare(INPUT)
state = _declare(STATE)
parameter = _declare(PARAMETER)
constant = _declare(CONSTANT)
output = _declare(OUTPUT)
transient = _declare(TRANSIENT)
table = _declare(TABLE)
letter = _declare(LETTER)
ring = _declare(RING)
whole = _declare(MEMORY)


def per_unit(declare: Any, base: str, unit: str, meaning: str, **more: Any) -> Any:
    """Declare a signed Q15 signal: the usual form of a current, a voltage or a flux."""
    return declare(base, 15, -Q15_MAX, Q15_MAX, unit, meaning, **more)


def gain(meaning: str, initial: int = 0) -> Any:
    """Declare the mantissa of a gain; its shift is declared by `shift`."""
    return parameter("one", 0, 0, Q15_MAX, "1", meaning, initial)


def shift(meaning: str, low: int = 0, high: int = 30, initial: int = 15) -> Any:
    """Declare the right shift that goes with a gain's mantissa."""
    return parameter("one", 0, low, high, "1", meaning, initial)


def signals_of(owner: type) -> dict[str, Signal]:
    """All signals that a class declares, in order of declaration."""
    return {name: value for name, value in vars(owner).items() if isinstance(value, Signal)}


class SignalSet:
    """A plain object with every signal as an attribute: what a unit test hands to a stage."""

    def __init__(self, **values: Any) -> None:
        rows = signals_of(type(self))
        for name, row in rows.items():
            setattr(self, name, [row.initial] * row.length if row.length else row.initial)
        for name, value in values.items():
            if name not in rows:
                raise AttributeError(f"no signal is called {name!r}")
            setattr(self, name, value)
