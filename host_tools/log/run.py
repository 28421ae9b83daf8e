"""A record in memory: SI columns over device time, what was noted beside them, and what follows from both.

Needs the extra `log`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from eesm.cyclic import signed
from eesm.drive import RPM
from host_tools.errors import MissingExtra
from host_tools.log.raw import FORMAT, describe

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]
else:
    Array = Any


@dataclass
class Run:
    """A record in memory, from whatever file: SI columns over device time."""

    header: dict[str, Any]
    period: Array  # device periods, counted on beyond 30 bits
    columns: dict[str, Array]  # SI
    units: dict[str, str]
    notes: list[dict[str, Any]] = field(default_factory=list)
    cut: int = 0  # bytes at the end of the raw file that could not be read
    damage: list[tuple[int, int]] = field(default_factory=list)  # (offset, bytes) of those before

    @property
    def t_pwm(self) -> float:
        return float(self.header["t_pwm"])

    @cached_property
    def t(self) -> Array:
        """Device time in s since the board started."""
        return self.period * self.t_pwm

    def __len__(self) -> int:
        return len(self.period)

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> Array:
        """A column; KeyError names those that there are."""
        if name not in self.columns:
            raise KeyError(f"{name} is not in this log, which has {', '.join(self.columns)}")
        return self.columns[name]

    def time_of(self, period: int) -> float:
        """Device time of a note's 30-bit period."""
        return self.count_on(period) * self.t_pwm

    def count_on(self, period: int) -> int:
        """A note's 30-bit period on the scale of `period`."""
        near = int(self.period[0]) if len(self) else 0
        return near + signed(period - near)

    def notes_of(self, kind: str) -> list[dict[str, Any]]:
        return [note for note in self.notes if note["note"] == kind]

    @cached_property
    def end(self) -> int:
        """Period after the last row."""
        return int(self.period[-1]) + 1 if len(self) else 0

    @cached_property
    def phases(self) -> list[tuple[str, str, int, int]]:
        """(name, say, first period, last period) of each phase that was begun."""
        ends = {note["name"]: self.count_on(note["period"]) for note in self.notes_of("end")}
        begun = [
            (note["name"], note.get("say", ""), self.count_on(note["period"]))
            for note in self.notes_of("phase")
        ]
        return [(name, say, start, ends.get(name, self.end)) for name, say, start in begun]

    @cached_property
    def states(self) -> list[tuple[str, int, int]]:
        """(drive state, first period, last period) over the record."""
        changes = [(int(self.period[0]) if len(self) else 0, self.header.get("state", ""))]
        for note in self.notes_of("event"):
            if note["what"] == "state":
                changes.append((max(changes[0][0], self.count_on(note["period"])), note["text"]))
        stops = [start for start, _ in changes[1:]] + [self.end]
        spans = zip(changes, stops, strict=True)
        return [(name, start, stop) for (start, name), stop in spans if stop > start and name]

    @cached_property
    def faults(self) -> list[tuple[int, str]]:
        """(period, text) of each fault."""
        return [
            (self.count_on(note["period"]), note["text"])
            for note in self.notes_of("event")
            if note["what"] == "fault"
        ]

    @cached_property
    def records_lost(self) -> int:
        """Rows missing between the first and the last, by period, or as the link counted them."""
        gaps = 0
        if len(self) > 1:
            span = int(self.period[-1] - self.period[0])
            gaps = max(0, round(span / self.header["divider"]) + 1 - len(self))
        counted = [max(note["lost"], note["dropped"]) for note in self.notes_of("stream")]
        return max([gaps, *counted])


def count_on(period: Array) -> Array:
    """30-bit periods without their wraps."""
    np = numpy_module()
    if len(period) < 2:
        return period
    step = signed(np.diff(period))
    return np.concatenate([period[:1], period[0] + np.cumsum(step)])


# --- derived quantities ------------------------------------------------------------------------


def derive(run: Run, name: str) -> Array:
    """A column, or what follows from columns: w_m, speed_rpm, power ... (see `UNITS`)."""
    np = numpy_module()
    if name in run.columns:
        return run[name]
    if name == "w_m":
        return run["w_e"] * (run.header["bases"]["w_m"] / run.header["bases"]["w_e"])
    if name == "speed_rpm":
        return derive(run, "w_m") / RPM
    if name == "speed_ref_rpm":
        return run["w_m_ref"] / RPM
    if name == "load":
        return run["load_torque"]
    if name == "power":
        return 1.5 * (run["u_d"] * run["i_d"] + run["u_q"] * run["i_q"]) + run["u_f"] * run["i_f"]
    if name == "power_shaft":
        return run["torque"] * derive(run, "w_m")
    if name == "u_s":
        return np.hypot(run["u_d"], run["u_q"])
    return run[name]


UNITS = {
    "w_m": "rad/s",
    "speed_rpm": "rpm",
    "speed_ref_rpm": "rpm",
    "load": "N.m",
    "power": "W",
    "power_shaft": "W",
    "u_s": "V",
}


def from_capture(drive: Any, taken: Any) -> Run:
    """A `host_tools.client.Capture` as a run, so that it is written and drawn like a log."""
    np = numpy_module()
    names = list(taken.columns)
    steps = [{"name": name, "unit": taken.units[name], "step": drive.signals[name].step} for name in names]
    divider = taken.periods[1] - taken.periods[0]
    header = {"format": FORMAT, **describe(drive), "columns": steps, "divider": divider}
    note = {"note": "trigger", "period": taken.trigger_period}
    return Run(
        header=header | {"state": "", "title": "Capture"},
        period=np.array(taken.periods, dtype=np.int64),
        columns={name: np.array(taken.columns[name]) for name in names},
        units=dict(taken.units),
        notes=[note],
    )


def numpy_module() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise MissingExtra("numpy", "log", "Reading a log") from error
    return numpy
