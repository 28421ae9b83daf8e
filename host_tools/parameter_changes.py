"""Every change of a parameter, kept: what it was, what it is, when by the drive's own clock, and undo.

One file a unit and board, a line of JSON a change, in the user's state folder (EESM_STATE, else
XDG_STATE_HOME/eesm, else ~/.local/state/eesm).  Changes made at once, as by loading a file, are one
group, and undo takes the whole group back.

`change` is the way to change parameters: all of them or none.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from eesm.parameters import SETTINGS
from host_tools.errors import REFUSED, ToolError
from host_tools.parameter_file import differences


class Settable(Protocol):
    """What is needed of a drive; `host_tools.client.Drive` has it."""

    @property
    def identity(self) -> Any: ...
    @property
    def t_pwm(self) -> float: ...

    def now(self) -> int: ...
    def get(self, name: str) -> float: ...
    def set(self, name: str, value: float) -> float: ...


class Forgetful(Settable, Protocol):
    """One that also keeps parameters."""

    def settings(self) -> dict[str, float]: ...
    def erase(self) -> Any: ...


@dataclass(frozen=True)
class Change:
    """One parameter that was changed."""

    group: int  # changes made at once have the same number
    name: str
    before: float  # SI
    after: float  # as the board holds it
    period: int  # device period at which the board had answered
    t: float  # device time in s, since the board started
    at: str  # UTC of this computer
    why: str  # set, load FILE, undo, forget, ...
    port: str
    undoes: int | None = None  # group that this one takes back

    def __str__(self) -> str:
        unit = SETTINGS.get(self.name, ("",))[0]
        return (
            f"{self.at}  {self.t:12.4f} s  {self.name:<22} {self.before:>12.6g} -> {self.after:<12.6g} "
            f"{unit:<7} {self.why}"
        )


def state_folder() -> Path:
    """Where this user's history is kept."""
    chosen = os.environ.get("EESM_STATE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser().absolute() / "eesm"


def history_file(identity: Any) -> Path:
    """The history of a unit on a board."""
    name = "".join(c if c.isalnum() or c in "._-" else "-" for c in f"{identity.unit}-{identity.board}")
    return state_folder() / "parameters" / f"{name}.jsonl"


def history(identity: Any) -> list[Change]:
    """All changes of a unit, oldest first; a line that a crash cut short is left out."""
    try:
        lines = history_file(identity).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(Change(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def change(
    drive: Settable, values: Mapping[str, float], why: str = "set", *, undoes: int | None = None
) -> list[Change]:
    """Set `values` on the drive, all or none, and keep each change; returns those that changed.

    A value that the board refuses beside the old ones may fit once others are set, so the order does
    not matter.  Raises the board's refusal when one fits in no order; what was set is then set back.
    """
    before = {name: drive.get(name) for name in values}
    waiting = {each.name: values[each.name] for each in differences(before, values)}
    done: list[tuple[str, float, int]] = []
    while waiting:
        refusal: ToolError | None = None
        for name, value in list(waiting.items()):
            try:
                held = drive.set(name, value)
            except ToolError as error:
                if error.code != REFUSED:
                    raise  # the link broke: nothing can be set back
                refusal = refusal or error
                continue
            done.append((name, held, drive.now()))
            del waiting[name]
            break
        else:
            for name, _, _ in reversed(done):
                drive.set(name, before[name])
            assert refusal is not None
            raise refusal
    return _record(drive, before, done, why, undoes) if done else []


def forget(drive: Forgetful) -> list[Change]:
    """Let the drive forget what it keeps, which sets its parameters back; returns those that changed."""
    before = drive.settings()
    drive.erase()
    after = drive.settings()
    done = [(each.name, after[each.name], drive.now()) for each in differences(before, after)]
    return _record(drive, before, done, "forget") if done else []


def _record(
    drive: Settable,
    before: Mapping[str, float],
    done: Iterable[tuple[str, float, int]],
    why: str,
    undoes: int | None = None,
) -> list[Change]:
    """Add what was `done` (name, value that the board holds, period) to the history, as one group."""
    past = history(drive.identity)
    group = past[-1].group + 1 if past else 1
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    made = [
        Change(
            group,
            name,
            before[name],
            held,
            period,
            period * drive.t_pwm,
            at,
            why,
            drive.identity.port,
            undoes,
        )
        for name, held, period in done
    ]
    _keep(drive.identity, made)
    return made


def _keep(identity: Any, made: Iterable[Change]) -> None:
    file = history_file(identity)
    text = "".join(json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in made)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as out:
            out.write(text)  # one write, so that lines of two programs do not mix
    except OSError as error:
        names = ", ".join(each.name for each in made)
        raise ToolError(
            f"{names} changed on the drive, but {file} cannot be written: {error.strerror}.",
            "set EESM_STATE to a folder that can be written",
        ) from error


def last(identity: Any) -> list[Change]:
    """The newest group that is neither an undo nor taken back already; empty without one."""
    past = history(identity)
    undone = {each.undoes for each in past if each.undoes is not None}
    groups = [each.group for each in past if each.undoes is None and each.group not in undone]
    return [each for each in past if each.group == groups[-1]] if groups else []


def undo(drive: Settable) -> list[Change]:
    """Take the newest change back; ToolError when there is none, or the drive no longer holds it."""
    made = last(drive.identity)
    if not made:
        raise ToolError("There is no change to take back.", "eesm params log", REFUSED)
    present = {each.name: drive.get(each.name) for each in made}
    for moved in differences({each.name: each.after for each in made}, present):
        raise ToolError(
            f"{moved.name} is {moved.after:.6g}, not {moved.before:.6g} as the last change left it: "
            "the board has restarted, or another program changed it.",
            f"eesm params set {moved.name} VALUE",
            REFUSED,
        )
    return change(drive, {each.name: each.before for each in made}, "undo", undoes=made[0].group)
