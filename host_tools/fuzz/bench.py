"""The board's main loop in this process: its own link, drive and linked kernel, over the compiled plant."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from boards.virtual.plant import LOAD_TORQUE
from drivers.virtual import VirtualDriver
from eesm import drive as machine
from eesm import link as links
from eesm import mailbox as mailboxes
from eesm import wire
from eesm.cyclic import signed
from eesm.drive import TICK_PERIODS, Drive
from eesm.link import Link
from eesm.mailbox import Mailbox
from eesm.parameters import SETTINGS
from eesm.telemetry import Telemetry
from firmware import main
from host_tools.build import Linked, link_unit
from host_tools.loop import Loop
from host_tools.units import Unit, load

# What a buffer may hold.
INBOX = 2 * links.INBOX
OUTBOX = links.OUTBOX + 2
TICKS = 10_000  # within which everything is answered: an arming answers nobody for some hundred
LETTERS = mailboxes.QUEUE_LIMIT + mailboxes.RESERVE


class Violation(AssertionError):
    """A promise of the link that was not kept."""


@cache
def linked_unit(name: str) -> tuple[Unit, Linked]:
    """A unit and its kernel, linked once in a process."""
    unit = load(name)
    return unit, link_unit(unit)


class Pipe:
    """The board's port: bytes that wait to be read, and what was sent."""

    closed = False

    def __init__(self) -> None:
        self.unread = b""
        self.sent: list[bytes] = []

    def read(self, limit: int = 2048) -> bytes:
        data, self.unread = self.unread[:limit], self.unread[limit:]
        return data

    def write(self, data: Any, at: int, end: int) -> int:
        self.sent.append(bytes(memoryview(data)[at:end]))
        return end - at

    def wait(self, milliseconds: int) -> None:
        """Periods pass by the turn here, never by the clock."""

    def close(self) -> None:
        """Nothing to give back."""


class Driver(VirtualDriver):
    """The virtual board's driver over the compiled loop: a tick's periods pass in each turn."""

    def __init__(self, loop: Loop, port: Pipe, waits: bool) -> None:
        super().__init__(loop.kernel.unit, ("--fast",) if waits else (), port)
        self.loop = loop
        self.x = loop.x
        self.waits = waits
        self.watch: Callable[[], None] = lambda: None
        self.idle: Callable[[], bool] = lambda: True

    def _due_periods(self, busy: object) -> int:
        self.granted = max(0, self.granted - self._left)
        return self._left

    def run(self, count: int) -> None:
        now = self.loop.kernel.read("period")
        while self.loads and signed(self.loads[0][0] - now) <= count:
            self.loop.x[LOAD_TORQUE] = self.loads.pop(0)[1]
        self.loop.run(count)
        self.watch()

    def quit(self) -> None:
        """The bench's plug is not pulled here."""

    def alive(self) -> bool:
        """Until all that came is answered."""
        return not self.idle()


@dataclass
class Answer:
    """OK's body, or the code and the text of a refusal."""

    kind: int
    sequence: int
    body: bytes
    code: int = 0
    text: str = ""


class Board:
    """A board at a port; everything that is sent to it and comes from it is counted."""

    def __init__(
        self, schema: Path, unit: str = "a", seed: int = 1, waits: bool = True, period: int = 0
    ) -> None:
        loaded, linked = linked_unit(unit)
        self.loop = Loop(loaded, seed, {}, linked=linked)
        self.kernel = self.loop.kernel
        self.loop.block[self.kernel.offset["period"]] = period
        self.mailbox = Mailbox(self.kernel)
        self.port = Pipe()
        self.driver = Driver(self.loop, self.port, waits)
        self.driver.start(self.kernel)
        self.drive = Drive(self.kernel, self.mailbox, self.driver)
        self.telemetry = Telemetry(self.kernel)
        self.link = Link(self.port, self.drive, self.telemetry, self.kernel.identity, str(schema))
        self.driver.watch, self.driver.idle = self._watch, self._idle
        self.watch: Callable[[], None] = lambda: None
        self.frames = 0  # sent to the board, of any kind
        self.answered = Counter[str]()
        self.rows = 0  # of streams, as received
        self.told: list[str] = []  # kinds of events, as received
        self.states: list[int] = [self.drive.state]  # as the ticks saw them change
        self._open = False  # the last byte sent was within a frame
        self._decoder = wire.Decoder()
        self._ticks = 0  # since bytes were sent
        self._off = 0  # ticks that the drive has been off for
        linked_signals = linked.unit["signals"]
        self._writable = [name for name, word in linked_signals.items() if word >> 21]

    # --- talking ----------------------------------------------------------------------------------

    def feed(self, data: bytes) -> list[Answer]:
        """Send bytes and turn the main loop until they are read, served and answered."""
        self.port.unread += data
        self._count(data)
        self._ticks = 0
        main.turn(self.driver, self.drive, self.mailbox, self.link)
        self.link._quit = False
        return self._answers()

    def index(self, name: str) -> int:
        """Memory index of a signal."""
        return self.kernel.index(name)

    def turn(self, ticks: int) -> list[Answer]:
        """Let so many ticks pass, with the main loop turning."""
        self._ticks = 0
        until = self.kernel.read("period") + ticks * TICK_PERIODS
        self.driver.idle = lambda: signed(self.kernel.read("period") - until) >= 0
        main.turn(self.driver, self.drive, self.mailbox, self.link)
        self.driver.idle = self._idle
        return self._answers()

    def _idle(self) -> bool:
        link = self.link
        return not (self.port.unread or link._inbox or link.outbox)

    def _count(self, data: bytes) -> None:
        pieces = data.split(b"\0")
        for piece in pieces[:-1]:
            self.frames += bool(piece) or self._open
            self._open = False
        self._open = self._open or bool(pieces[-1])

    def _answers(self) -> list[Answer]:
        data = b"".join(self.port.sent)
        self.port.sent.clear()
        found = []
        for kind, _, _, payload in self._decoder.feed(data):
            if kind == wire.OK:
                asked, sequence = struct.unpack_from(wire.ANSWER, payload)
                found.append(Answer(asked, sequence, payload[wire.ANSWER_SIZE :]))
                self.answered["ok"] += 1
            elif kind == wire.ERROR:
                asked, sequence, code = struct.unpack_from(wire.FAILURE, payload)
                text = payload[wire.FAILURE_SIZE :].decode(errors="replace")
                if code == wire.INTERNAL:
                    raise Violation(f"a request failed inside: {text}")
                self.answered["version" if code == wire.WRONG_VERSION else "refused"] += 1
                found.append(Answer(asked, sequence, b"", code, text))
            elif kind == wire.STREAM:
                self.rows += payload[1]
            elif kind == wire.EVENT:
                self.told.append(payload[4:].decode(errors="replace").partition("\n")[0])
        return found

    # --- promises ---------------------------------------------------------------------------------

    def _watch(self) -> None:
        """After each tick's periods: a drive that is off drives no gate of the inverter."""
        state = self.drive.state
        if state != self.states[-1]:
            self.states.append(state)
            del self.states[:-50]
        # From the moment that the kernel has all of the state machine's letters.
        self._off = self._off + 1 if state == machine.OFF and self.mailbox.idle() else 0
        gates = self.kernel.read("gate_enable")
        # The exciter reverses as long as a field is left; only a drive that was never armed has none at all.
        if self._off > 3 and (gates & 1 or (gates and self.states == [machine.OFF])):
            raise Violation(f"gates {gates} while the drive is off")
        self._ticks += 1
        if self._ticks > TICKS:
            raise Violation(f"requests wait for {TICKS} ticks: {self.drive.events[-5:]}")
        self.watch()

    def check_bounds(self) -> None:
        """No buffer beyond its bound, no setting and no word of the kernel beyond its range."""
        link, drive = self.link, self.drive
        for name, held, bound in (
            ("inbox", link._inbox, INBOX),
            ("outbox", link.outbox, OUTBOX),
            ("unfinished frame", link.decoder._tail, wire.MAX_FRAME),
            ("sessions", link._sessions, links.SESSIONS),
            ("letters", self.mailbox.queue, LETTERS),
            ("events", drive.events, machine.EVENTS),
            ("loads", self.driver.loads, 64),
        ):
            if len(held) > bound:
                raise Violation(f"{name}: {len(held)}, the bound is {bound}")
        for name, (_, low, high, *_) in SETTINGS.items():
            if name in drive.settings and not low <= drive.settings[name] <= high:
                raise Violation(f"{name} = {drive.settings[name]} is outside {low} .. {high}")
        for name in self._writable:
            low, high = self.kernel.limits_of(name)
            if not low <= self.kernel.read(name) <= high:
                raise Violation(f"{name} = {self.kernel.read(name)} is outside {low} .. {high} in the kernel")

    def check_counters(self) -> None:
        """End the last frame; then each frame is in one counter, and each good one has one answer."""
        self.feed(b"\0")
        while self.link._advance is not None:
            self.turn(50)
        link, decoder = self.link, self.link.decoder
        counted = (
            decoder.frames + decoder.bad_crc + decoder.bad_version + decoder.too_long + decoder.malformed
        )
        if counted != self.frames:
            raise Violation(f"{self.frames} frames were sent, the counters tell of {counted}")
        answers = self.answered["ok"] + self.answered["refused"] + link.overrun
        if answers != decoder.frames:
            raise Violation(f"{decoder.frames} good frames have {answers} answers, {dict(self.answered)}")
        refused = self.answered["refused"] + self.answered["version"]
        if refused != link.refused:
            raise Violation(f"{refused} refusals were received, {link.refused} are counted")
        bad = self._decoder.bad_crc + self._decoder.malformed + self._decoder.too_long + self._decoder.lost
        if bad:
            raise Violation(f"{bad} of the board's own frames were damaged or missing")


class Session:
    """One client of a board: a token, and requests with their numbers in order."""

    def __init__(self, board: Board, sequence: int = 0) -> None:
        self.board = board
        self.following = sequence
        self.token = 0

    def pack(self, kind: int, fields: tuple[Any, ...] = (), tail: bytes = b"") -> bytes:
        """The next request as a frame."""
        layout = wire.REQUESTS[kind][1]
        body = struct.pack("<I", self.token) + (struct.pack(layout, *fields) if layout else b"") + tail
        frame = wire.pack(kind, self.following, 0, body)
        self.following = (self.following + 1) & 0xFFFF
        return frame

    def ask(self, kind: int, fields: tuple[Any, ...] = (), tail: bytes = b"") -> Answer:
        """The answer to a request."""
        sequence = self.following
        answers = self.board.feed(b"\0" + self.pack(kind, fields, tail))
        for answer in answers:
            if (answer.kind, answer.sequence) == (kind, sequence):
                return answer
        raise Violation(f"request {kind} was not answered")

    def ok(self, kind: int, fields: tuple[Any, ...] = (), tail: bytes = b"") -> bytes:
        """The body of an answer that is no refusal."""
        answer = self.ask(kind, fields, tail)
        if answer.code:
            raise Violation(f"request {kind} was refused: {answer.text}")
        return answer.body

    def hello(self, earlier: int = 0) -> None:
        """Get a token."""
        self.token = struct.unpack_from("<I", self.ok(wire.HELLO, (earlier,)))[0]

    def arm(self) -> None:
        """Arm, and wait for ready with a sign of life now and then."""
        self.ok(wire.ARM)
        for _ in range(100):
            self.board.turn(25)
            self.ok(wire.HEARTBEAT)
            if self.board.drive.state == machine.READY:
                return
        raise Violation(f"the drive is not ready: {self.board.drive.events}")
