"""What an interactive user gets: numbers that say their unit, and parameters by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

from eesm.parameters import SETTINGS
from host_tools.parameter_changes import change

if TYPE_CHECKING:
    from host_tools.client import Drive


class Quantity(float):
    """A float that is shown with its unit; `help` tells what it means."""

    unit: str

    def __new__(cls, value: float, unit: str, meaning: str) -> Quantity:
        quantity = super().__new__(cls, value)
        quantity.unit = unit
        quantity.__doc__ = f"{meaning}, in {unit}" if unit else meaning
        return quantity

    def __repr__(self) -> str:
        return f"{float(self):.6g} {self.unit}".rstrip()


class Parameters(Mapping[str, Quantity]):
    """A drive's parameters, SI, by attribute or by key; setting one changes it on the board,
    and is kept in the history that `eesm params undo` reads.

    Raises AttributeError or KeyError for a name that there is not, OutOfRange or Refused for a value
    that the board does not take.
    """

    _drive: Drive

    def __init__(self, drive: Drive) -> None:
        object.__setattr__(self, "_drive", drive)

    def __getitem__(self, name: str) -> Quantity:
        if name not in SETTINGS:
            raise KeyError(_unknown(name))
        unit, _, _, meaning = SETTINGS[name]
        return Quantity(self._drive.get(name), unit, meaning)

    def __setitem__(self, name: str, value: float) -> None:
        if name not in SETTINGS:
            raise KeyError(_unknown(name))
        change(self._drive, {name: value})

    def __getattr__(self, name: str) -> Quantity:
        if name not in SETTINGS:
            raise AttributeError(_unknown(name))
        return self[name]

    def __setattr__(self, name: str, value: float) -> None:
        if name not in SETTINGS:
            raise AttributeError(_unknown(name))
        self[name] = value

    def __iter__(self) -> Iterator[str]:
        return iter(SETTINGS)

    def __len__(self) -> int:
        return len(SETTINGS)

    def __dir__(self) -> list[str]:
        return list(SETTINGS)

    def __repr__(self) -> str:
        return "\n".join(f"{name:<22} {self[name]!r}" for name in self)


def _unknown(name: str) -> str:
    near = get_close_matches(name, SETTINGS, 1)
    return f"There is no parameter {name!r}." + (f" Do you mean {near[0]}?" if near else "")
