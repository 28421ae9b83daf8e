"""What pages may ask for, by name; each runs in a thread of its own and answers with a dictionary.

Commands that change something need control (`host_tools.scope.control`); looking, capturing and
noting do not, and stopping is everybody's right.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eesm.drive import RPM
from eesm.parameters import SETTINGS
from eesm.signals import STREAM_CHANNELS
from eesm.telemetry import DIVIDER_MAX
from host_tools import log, parameter_changes
from host_tools.client import EDGES
from host_tools.errors import ToolError, UsageError
from host_tools.link_errors import DriveError, OutOfRange
from host_tools.scope import arrays
from host_tools.scope.control import Control
from host_tools.scope.hub import Hub
from host_tools.scope.keeper import Keeper

TRIGGER_WAIT = 3600.0  # s: a capture waits until it is cancelled, not for ever
CONTROLLED = ("arm", "clear", "speed", "torque", "set", "undo", "rate")
OPEN = ("release", "settings", "want", "capture", "cancel", "note", "record", "finish", "take")


class Desk:
    """Obeys pages.  `want` in the event loop only; everything else from any thread."""

    def __init__(self, keeper: Keeper, hub: Hub) -> None:
        self.keeper = keeper
        self.hub = hub
        self.control = Control()
        self._lock = threading.Lock()
        self._captures = 0  # number of the capture that waits; a later one supersedes it

    def obey(self, page: str, what: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a page asks.  Raises ToolError."""
        if what in CONTROLLED:
            if self.control.use(page):
                self.tell_control()
        elif what not in OPEN:
            raise UsageError(f"This scope knows no command {what!r}.", "load the page again")
        handle: Callable[..., dict[str, Any] | None] = getattr(self, f"_{what}")
        try:
            return handle(page, asked) or {}
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{what} is asked for in a way that cannot be understood: {error!r}.") from error

    def stop(self) -> None:
        """Ask the drive to stop, at once and for whomever."""
        self.keeper.drive.stop(wait=False)

    # --- control ------------------------------------------------------------------------------------

    def tell_control(self) -> None:
        """Tell every page who commands."""
        self.keeper.tell("control", {"holder": self.control.holder})

    def _take(self, page: str, asked: Mapping[str, Any]) -> None:
        self.control.take(page, self.keeper.state)
        self.tell_control()

    def _release(self, page: str, asked: Mapping[str, Any]) -> None:
        self.control.release(page)
        self.tell_control()

    def forget(self, page: str) -> None:
        """The page in control has gone and does not come back: nobody watches, so the motor stops."""
        if self.control.holder != page:
            return
        self.control.release(page)
        self.tell_control()
        if self.keeper.state not in ("off", "fault"):
            try:
                self.stop()
            except ToolError:
                return  # the drive is gone as well, and stops by itself when it misses us
            self._told("stopped: the page in control has gone")

    # --- moving ---------------------------------------------------------------------------------------

    def _arm(self, page: str, asked: Mapping[str, Any]) -> None:
        self.keeper.drive.arm(wait=False)

    def _clear(self, page: str, asked: Mapping[str, Any]) -> None:
        self.keeper.drive.clear(wait=False)

    def _speed(self, page: str, asked: Mapping[str, Any]) -> None:
        self.keeper.drive.set_speed(_number(asked["value"]) * RPM)

    def _torque(self, page: str, asked: Mapping[str, Any]) -> None:
        self.keeper.drive.set_torque(_number(asked["value"]))

    # --- parameters -------------------------------------------------------------------------------------

    def _settings(self, page: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        drive = self.keeper.drive
        rows = []
        for name, (unit, low, high, meaning) in SETTINGS.items():
            row = {"name": name, "unit": unit, "low": low, "high": high, "meaning": meaning}
            rows.append({**row, "value": drive.get(name)})
        return {"settings": rows, "undo": self._undoable()}

    def _set(self, page: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        name, value = str(asked["name"]), _number(asked["value"])
        if name not in SETTINGS:
            raise UsageError(f"There is no parameter {name!r}.")
        unit, low, high, _ = SETTINGS[name]
        if not low <= value <= high:
            raise OutOfRange(f"{name} = {value:g} is outside {low:g} .. {high:g} {unit}; nothing was sent.")
        made = parameter_changes.change(self.keeper.drive, {name: value}, "scope")
        return self._changed(made) or {"name": name, "before": value, "value": value}

    def _undo(self, page: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        return self._changed(parameter_changes.undo(self.keeper.drive)) or {}

    def _changed(self, made: Sequence[parameter_changes.Change]) -> dict[str, Any] | None:
        """Tell every page and the log what was changed; returns the last of it."""
        changed = None
        for each in made:
            changed = {
                "name": each.name,
                "before": each.before,
                "value": each.after,
                "undo": self._undoable(),
            }
            self.hub.say(parameter=changed)
            unit = SETTINGS[each.name][0]
            text = f"{each.name}: {each.before:.6g} -> {each.after:.6g} {unit}"
            self._told(text, "parameter", at=each.t, name=each.name, value=each.after, before=each.before)
        if any(each.name in arrays.DECIDES for each in made):
            self.keeper.refresh()
        return changed

    def _undoable(self) -> str:
        """What undo would take back, "" for nothing."""
        return ", ".join(
            f"{each.name} to {each.before:.6g}" for each in parameter_changes.last(self.keeper.identity)
        )

    # --- records ----------------------------------------------------------------------------------------

    def want(self, wanted: set[str]) -> None:
        """What all pages together want streamed.  Raises OutOfRange when the board cannot stream so many."""
        if len(wanted) > STREAM_CHANNELS:
            raise OutOfRange(
                f"The board streams {STREAM_CHANNELS} signals; all pages together ask for {len(wanted)}.",
                "remove one first",
            )
        self.keeper.want(tuple(sorted(wanted)))

    def _rate(self, page: str, asked: Mapping[str, Any]) -> None:
        rate, t_pwm = _number(asked["value"]), self.keeper.drive.t_pwm
        lowest, highest = 1 / (t_pwm * DIVIDER_MAX), 1 / t_pwm
        if not lowest <= rate <= highest * 1.000001:
            raise OutOfRange(f"A rate of {rate:g} Hz is outside {lowest:g} .. {highest:g} Hz.")
        self.keeper.rate = rate

    def _capture(self, page: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        names = [str(name) for name in asked["names"]]
        edge, trigger = str(asked["edge"]), asked.get("trigger")
        if edge not in EDGES:
            raise OutOfRange(f"An edge is one of {', '.join(EDGES)}, not {edge!r}.")
        drive = self.keeper.drive
        with self._lock:
            self._captures += 1
            number = self._captures
        try:
            taken = drive.capture(
                names,
                trigger=str(trigger) if edge in ("rising", "falling") else None,
                level=_number(asked.get("level", 0.0)),
                edge=edge,
                pre=int(asked["pre"]),
                rate_hz=asked.get("rate"),
                timeout=0.5 if edge == "now" else TRIGGER_WAIT,
            )
        except DriveError:
            if number != self._captures:
                raise UsageError("This capture was cancelled.") from None
            raise
        if number != self._captures:
            raise UsageError("This capture was cancelled.")
        return {
            "capture": {
                "epoch": self.keeper.epoch,
                "trigger": taken.trigger_period * drive.t_pwm,
                "times": taken.times,
                "columns": taken.columns,
                "pre": taken.pre,
            }
        }

    def _cancel(self, page: str, asked: Mapping[str, Any]) -> None:
        """Give up the capture that waits: another one, at once, takes its place on the board."""
        with self._lock:
            self._captures += 1
        drive = self.keeper.drive
        drive.capture(["u_dc"], edge="now", pre=0, timeout=1.0)

    def _note(self, page: str, asked: Mapping[str, Any]) -> None:
        text = str(asked["text"]).strip()[:1000]
        if not text:
            raise UsageError("The note is empty.")
        time_ = asked.get("time")
        self._told(text, "note", at=None if time_ is None else _number(time_))

    def _told(self, text: str, kind: str = "note", at: float | None = None, **more: Any) -> None:
        """Put something on record: in the log, and as a mark on every page."""
        keeper = self.keeper
        at = keeper.time_now() if at is None else at
        period = round(at / keeper.drive.t_pwm)
        keeper.recorder.note(kind, period=period, text=text, **more)
        self.hub.say(mark={"time": at, "epoch": keeper.epoch, "text": text, "kind": kind})

    def _record(self, page: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        path = self.keeper.recorder.start(log.describe(self.keeper.drive))
        return {"file": str(path)}

    def _finish(self, page: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        path = self.keeper.recorder.stop()
        if path is None:
            raise UsageError("No log is open.")
        return {"file": str(path), "files": [str(file) for file in log.convert(path)]}


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is no number")
    return number
