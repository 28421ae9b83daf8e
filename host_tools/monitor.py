"""A drive at a glance in a terminal: figures, a short past, state, faults with remedy, and a stop key.

One thread follows the drive and finds it again when the link breaks; commands go by threads of their own,
so that a stop waits for nothing.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from rich.markup import escape
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Grid, Vertical
from textual.events import Key, Paste
from textual.widgets import Digits, Footer, RichLog, Sparkline, Static

from eesm.drive import RPM
from host_tools.client import Drive, Event, Row
from host_tools.errors import ToolError
from host_tools.link_errors import DriveError

RATE = 50.0  # rows a second
PAST = 240  # rows in a sparkline, about 5 s
SAFETY = ("field still up, wait", "safe: field down")
AGAIN = 0.5  # s between two looks for a drive that is gone
NUMERALS = frozenset("0123456789+-.e")
SIGNALS = ("w_e", "torque", "i_d", "i_q", "i_f", "u_dc")
# Tile: title, format, and the value of a row.
TILES: tuple[tuple[str, str, str, Callable[[Row, Mapping[str, float]], float]], ...] = (
    ("speed", "rpm", ".0f", lambda row, bases: row["w_e"] * bases["w_m"] / bases["w_e"] / RPM),
    ("torque", "N.m", ".2f", lambda row, bases: row["torque"]),
    ("u_dc", "V", ".1f", lambda row, bases: row["u_dc"]),
    ("i_d", "A", ".2f", lambda row, bases: row["i_d"]),
    ("i_q", "A", ".2f", lambda row, bases: row["i_q"]),
    ("i_f", "A", ".2f", lambda row, bases: row["i_f"]),
)


class Tile(Vertical):
    """One quantity: name, large figure, its last seconds."""

    def __init__(self, name: str, unit: str, layout: str) -> None:
        super().__init__(id=f"tile-{name}")
        self.border_title = f"{name}  [dim]{unit}[/]"
        self._layout_text = layout
        self._past: deque[float] = deque([0.0], maxlen=PAST)

    def compose(self) -> ComposeResult:
        yield Digits("-")
        yield Sparkline([0.0], summary_function=max)
        yield Static("", classes="range")

    def take(self, values: list[float]) -> None:
        """Values since the last call, oldest first."""
        self._past.extend(values)
        low, high = min(self._past), max(self._past)
        self.query_one(Digits).update(format(self._past[-1], self._layout_text))
        self.query_one(Sparkline).data = [value - low for value in self._past]
        shown = f"{low:{self._layout_text}} .. {high:{self._layout_text}}"
        self.query_one(".range", Static).update(shown)


class Monitor(App[int]):
    """`eesm monitor`.  Leaving it stops a motor that was armed here."""

    TITLE = "eesm monitor"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #state { height: 1; padding: 0 1; text-style: bold; background: $panel; }
    #state.running { background: $success-darken-2; }
    #state.fault, #state.lost { background: $error; }
    Grid { grid-size: 3; grid-gutter: 0 1; height: auto; }
    Tile { height: 9; border: round $primary; border-title-color: $text; padding: 0 1; }
    Tile .range { color: $text-muted; }
    Sparkline { height: 2; }
    RichLog { height: 1fr; padding: 0 1; border-top: solid $panel; }
    #line { display: none; padding: 0 1; border: round $accent; }
    """
    BINDINGS = [
        Binding("space", "stop", "Stop", priority=True),
        Binding("A", "arm", "Arm"),
        Binding("s", "ask('speed')", "Speed"),
        Binding("t", "ask('torque')", "Torque"),
        Binding("c", "clear_faults", "Clear faults"),
        Binding("q", "quit_in_order", "Quit"),
        Binding("ctrl+c,ctrl+q", "quit_in_order", show=False, priority=True),
    ]

    def __init__(self, port: str | None = None, unit: str | None = None) -> None:
        super().__init__()
        self._port, self._unit = port, unit
        self._asked = ""  # the set point whose number is being typed, "" for none
        self._typed = ""
        self._leaving = False
        self.drive: Drive | None = None

    def compose(self) -> ComposeResult:
        yield Static("looking for a drive", id="state")
        with Grid():
            for name, unit, layout, _ in TILES:
                yield Tile(name, unit, layout)
        yield RichLog(wrap=True, markup=True, max_lines=500)
        yield Static(id="line")
        yield Footer()

    def on_mount(self) -> None:
        self.query_one(RichLog).can_focus = False
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.action_quit_in_order)
        self.run_worker(self.follow, thread=True, group="follow")

    # --- following, in a thread of its own --------------------------------------------------------------

    def follow(self) -> None:
        """Connect, show, and begin again when the link breaks, until the user leaves."""
        while not self._leaving:
            try:
                with Drive.connect(self._port, unit=self._unit) as drive:
                    # The same unit again after a reset, whatever its port is called then.
                    self._unit = drive.identity.unit
                    if drive.identity.board == "virtual":
                        self._port = None
                    self.drive = drive
                    self.call_from_thread(self.say, f"unit {drive.identity.unit} at {drive.identity.port}")
                    self._show_rows(drive)
            except ToolError as error:
                self.drive = None
                if not self._leaving:
                    self.call_from_thread(self.show_lost, error)
                    time.sleep(AGAIN)
        self.call_from_thread(self.exit, 0)

    def _show_rows(self, drive: Drive) -> None:
        drive.events()
        state = drive.state
        if state == "fault":
            self.call_from_thread(self.tell_faults, drive.faults().faults)
        with drive.stream(SIGNALS, RATE) as rows:
            quiet_since = time.monotonic()
            while not self._leaving:
                batch = rows.read(0.2)
                events = drive.events()
                for event in events:
                    if event.kind == "state":
                        state = event.text
                    if event.kind == "fault":
                        self.call_from_thread(self.tell_faults, drive.faults().faults)
                if batch or events:
                    quiet_since = time.monotonic()
                    values = [[value(row, drive.bases) for row in batch] for *_, value in TILES]
                    said = state if state != "fault" else f"fault   {SAFETY[drive.status().safe]}"
                    self.call_from_thread(self.show, said, values, events)
                elif time.monotonic() - quiet_since > 1.0:
                    state = drive.state  # raises when nobody answers any more

    def show(self, state: str, values: list[list[float]], events: list[Event]) -> None:
        """News of the drive."""
        bar = self.query_one("#state", Static)
        unit = self.drive.identity.unit if self.drive else ""
        bar.update(f"unit {unit}   {state}")
        bar.set_classes(state.split()[0] if state.startswith(("running", "fault")) else "")
        for (name, *_), column in zip(TILES, values, strict=True):
            if column:
                self.query_one(f"#tile-{name}", Tile).take(column)
        for event in events:
            if event.kind != "state":
                self.say(f"{event.kind}: {escape(event.text)}")

    def show_lost(self, error: ToolError) -> None:
        """The drive is away."""
        bar = self.query_one("#state", Static)
        bar.update(escape(f"{error.message.splitlines()[0]}   next: {error.hint}"))
        bar.set_classes("lost")

    def tell_faults(self, faults: Any) -> None:
        """What happened and what to do."""
        for fault in faults:
            self.say(f"[bold red]{fault.name}[/]  {escape(fault.text)}")
            self.say(escape(f"    {fault.cause}; remedy: {fault.remedy}, then c"))

    def say(self, text: str) -> None:
        """A line below the tiles."""
        self.query_one(RichLog).write(text)

    # --- commands, each in a thread of its own ------------------------------------------------------------

    def command(self, what: str, act: Callable[[Drive], None]) -> None:
        """Do something with the drive, and say what the drive says to it."""
        drive = self.drive

        def run() -> None:
            try:
                if drive is None:
                    raise DriveError("No drive is connected.", "eesm devices")
                act(drive)
            except ToolError as error:
                text = f"{what}: {error.message}" + (f"   next: {error.hint}" if error.hint else "")
                self.call_from_thread(self.say, f"[yellow]{escape(text)}[/]")

        self.run_worker(run, thread=True, group=what)

    def action_stop(self) -> None:
        self._ask("")
        self.say("[bold]stop[/]")
        self.command("stop", lambda drive: drive.stop(wait=False))

    def action_arm(self) -> None:
        self.command("arm", lambda drive: drive.arm())

    def action_clear_faults(self) -> None:
        self.command("clear", lambda drive: drive.clear())

    def action_ask(self, what: str) -> None:
        """Ask for a set point."""
        self._ask(what)

    def _ask(self, what: str, typed: str = "") -> None:
        """Show the number that is being typed; with "" none is any more."""
        self._asked, self._typed = what, typed
        line = self.query_one("#line", Static)
        line.display = bool(what)
        unit = "rpm" if what == "speed" else "N.m"
        hint = "[dim]Enter sets it, Escape leaves it[/]"
        line.update(f"{what} in {unit}: [bold]{typed}[/][reverse] [/]   {hint}")

    def on_key(self, event: Key) -> None:
        """A number, while one is asked for.

        All keys come this way, in the order typed: a field that has yet to take the focus would miss the
        first digits of a set point.
        """
        what, typed = self._asked, self._typed
        if not what:
            return
        event.prevent_default()  # no binding's either
        if event.key == "enter":
            self._ask("")
            self._set(what, typed)
        elif event.key == "escape":
            self._ask("")
        elif event.key == "backspace":
            self._ask(what, typed[:-1])
        elif event.character is not None:
            self._type(event.character)

    def on_paste(self, event: Paste) -> None:
        """A number from elsewhere."""
        if self._asked:
            self._type(event.text.strip())

    def _type(self, text: str) -> None:
        if set(text) <= NUMERALS and len(self._typed + text) <= 20:
            self._ask(self._asked, self._typed + text)

    def _set(self, what: str, typed: str) -> None:
        """Ask the drive for a set point."""
        if not typed:
            return
        try:
            value = float(typed)
        except ValueError:
            self.say(f"[yellow]{what}: {escape(repr(typed))} is no number[/]")
            return
        if what == "speed":
            self.command(f"speed {value:g}", lambda drive: drive.set_speed(value * RPM))
        else:
            self.command(f"torque {value:g}", lambda drive: drive.set_torque(value))

    def action_quit_in_order(self) -> None:
        self.say("leaving; a motor that was armed here stops first")
        self._leaving = True
