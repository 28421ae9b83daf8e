"""The thread that has the drive: streams what pages want, tells what happens, finds the drive again.

Requests of pages (arm, set, stop ...) go through `Drive` from threads of their own, which its
connection allows; only this thread opens and ends streams, and opens the port.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from host_tools.client import Drive, Event, FaultReport, Identity, Stream
from host_tools.errors import ToolError, UsageError
from host_tools.link_errors import AnswerTimeout, DriveError, PortClosed
from host_tools.scope import arrays, batch
from host_tools.scope.catalogue import list_signals
from host_tools.scope.hub import Hub
from host_tools.scope.recorder import Recorder

TICK = 0.03  # s between batches
LOOK = 0.1  # s between looks at the drive's state, which are signs of life as well
RETRY = 0.3  # s between attempts to find the drive again
SILENT_LOOKS = 3  # unanswered ones in a row until the link counts as lost
GAUGES = (
    "w_e",
    "torque",
    "i_d",
    "i_q",
    "i_f",
    "u_dc",
    "u_d",
    "u_q",
    "i_d_ref",
    "i_q_ref",
    "i_f_ref",
    "limited",
)
RATE = 2000.0  # Hz


class Gone(ToolError):
    """There is no drive at the moment."""

    def __init__(self) -> None:
        super().__init__("The drive is not connected at the moment.", "it is looked for; see the header")


class Keeper(threading.Thread):
    """Begin with `start`, end with `close`.

    With `lock_step` this thread is the one that lets a fast drive's time pass, as quickly as it can.
    """

    def __init__(
        self,
        drive: Drive,
        hub: Hub,
        recorder: Recorder,
        *,
        registry: Path | None = None,
        lock_step: bool = False,
    ) -> None:
        super().__init__(name="scope keeper", daemon=True)
        if drive.identity.fast and not lock_step:
            raise UsageError(
                "This virtual drive runs in lock step: its time passes only when a client advances it.",
                "start it without --fast",
            )
        self.hub = hub
        self.recorder = recorder
        self.rate = RATE
        self.state = drive.state
        # Of each connection, since device time may begin again with it; rises from scope to scope as well.
        self.epoch = 0
        self.lost_before = 0
        self._drive: Drive | None = drive
        self._first: Identity = drive.identity
        self._registry = registry
        self._wanted: tuple[str, ...] = ()
        self._stream: Stream | None = None
        self._streamed: tuple[tuple[str, ...], float] = ((), 0.0)
        self._layout = 0
        self._steps: Any = None
        self._ending = threading.Event()
        self._word = -1  # fault bits told last
        self._silent = 0
        self._next_look = 0.0
        self.catalogue: dict[str, dict[str, Any]] = {}
        self._tellings: dict[str, dict[str, Any]] = {}  # what a page that comes later must be told

    # --- for everybody ------------------------------------------------------------------------------

    @property
    def drive(self) -> Drive:
        """The drive.  Raises Gone while there is none."""
        drive = self._drive
        if drive is None:
            raise Gone
        return drive

    @property
    def identity(self) -> Identity:
        """Of the drive that this scope began with."""
        return self._first

    def want(self, names: tuple[str, ...]) -> None:
        """Stream these signals from the next tick on."""
        self._wanted = names

    def greet(self) -> list[dict[str, Any]]:
        """What a new page is told at first."""
        return list(self._tellings.values())

    def tell(self, kind: str, content: Any) -> None:
        """Tell every page, and those that come later."""
        self._tellings[kind] = {kind: content}
        self.hub.say(**{kind: content})

    def refresh(self) -> None:
        """Tell what follows from parameters anew."""
        self.tell("plane", arrays.read_plane(self.drive))

    def time_now(self) -> float:
        """Device time of the last message in s."""
        drive = self.drive
        return drive.now() * drive.t_pwm

    def close(self) -> None:
        """Stop the motor, end the thread, close the port."""
        self._ending.set()
        if self.is_alive():
            self.join(timeout=10.0)

    # --- the thread ---------------------------------------------------------------------------------

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                drive = self._drive or Drive.find_again(self._first, self._registry)
            except DriveError as error:
                self._tell_link("searching", error)
                self._ending.wait(RETRY)
                continue
            try:
                self._serve(drive)
            except DriveError as error:
                self._tell_link("lost", error)
            finally:
                self._drive = None
                with contextlib.suppress(DriveError, OSError):
                    drive.close()
        self.recorder.stop()

    def _serve(self, drive: Drive) -> None:
        self._adopt(drive)
        while not self._ending.is_set():
            tick = time.monotonic() + TICK
            self._match_stream(drive)
            self._pass_rows()
            if time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + LOOK
                self._look(drive)
            if drive.identity.fast:
                drive.advance(round(TICK / drive.t_pwm))
            else:
                self._ending.wait(max(0.0, tick - time.monotonic()))

    def _adopt(self, drive: Drive) -> None:
        """A drive is there, for the first time or again."""
        self.epoch = max(self.epoch + 1, time.time_ns() // 1_000_000)
        self._stream, self._streamed, self._word, self._silent, self._next_look = None, ((), 0.0), -1, 0, 0.0
        drive.on_event = self._happened
        self._drive = drive
        self._first = drive.identity
        signals = list_signals(drive.schema)
        self.catalogue = {signal["name"]: signal for signal in signals}
        self.tell(
            "drive",
            {
                "identity": asdict(drive.identity),
                "epoch": self.epoch,
                "t_pwm": drive.t_pwm,
                "signals": signals,
            },
        )
        self.refresh()
        self._tell_link("connected")

    def _match_stream(self, drive: Drive) -> None:
        """Stream what is wanted now."""
        wanted = (self._wanted, self.rate)
        if wanted == self._streamed:
            return
        if self._stream is not None:
            self.lost_before += self._stream.lost
            self._stream.close()
            self._pass_rows()
            self._stream = None
        self._streamed = wanted
        names, rate = wanted
        if names:
            try:
                stream = drive.stream(names, rate)
            except PortClosed:
                raise
            except DriveError as error:
                self.hub.say(error={"text": error.message, "hint": error.hint})
                return
            import numpy as np

            self._stream = stream
            self._layout += 1
            self._steps = np.array(stream.steps)
            layout = {
                "number": self._layout,
                "epoch": self.epoch,
                "names": names,
                "rate": stream.rate_hz,
                "divider": stream.divider,
            }
            self.tell("layout", layout)
            self.recorder.begin(stream)

    def _pass_rows(self) -> None:
        stream = self._stream
        if stream is None:
            return
        rows = stream.read(0)
        if rows:
            self.recorder.rows(rows)  # first of all
            lost = self.lost_before + stream.lost
            message = batch.pack(self._layout, rows, self._steps, lost, stream.divider)
            self.hub.give(message, len(rows))

    def _look(self, drive: Drive) -> None:
        """State, faults and the values of the header."""
        try:
            status = drive.status()
            gauges = drive.read([name for name in GAUGES if name in drive.signals])
        except AnswerTimeout as error:
            self._silent += 1
            if self._silent >= SILENT_LOOKS:
                raise PortClosed(error.message, error.hint) from error
            return
        self._silent = 0
        self.state = status.state
        word = hash(status.faults)
        if word != self._word:
            self._word = word
            self.tell("faults", _faults(drive.faults()))
        stream = self._stream
        self.tell(
            "status",
            {
                "state": status.state,
                "safe": status.safe,
                "time": status.period * drive.t_pwm,
                "epoch": self.epoch,
                "gauges": gauges,
                "lost": self.lost_before + (stream.lost if stream else 0),
                "dropped": stream.dropped if stream else 0,
                "late": status.counters["late"],
                "record": self.recorder.status(),
            },
        )

    def _happened(self, event: Event) -> None:
        """In the reader's thread: quick, and nothing that asks the drive."""
        if event.kind == "state":
            self.state = event.text
        self.recorder.note("event", period=event.period, what=event.kind, text=event.text)
        drive = self._drive
        seconds = event.period * drive.t_pwm if drive is not None else 0.0
        self.hub.say(event={"kind": event.kind, "text": event.text, "time": seconds, "epoch": self.epoch})

    def _tell_link(self, link: str, error: DriveError | None = None) -> None:
        said = {"link": link, "text": error.message if error else "", "hint": error.hint if error else ""}
        if self._tellings.get("link") != {"link": said}:
            self.tell("link", said)


def _faults(report: FaultReport) -> dict[str, Any]:
    return {"time": report.time, "list": [asdict(fault) for fault in report.faults]}
