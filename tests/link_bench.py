"""The board's link in this process: real drive, linked kernel and plant, a port of two byte strings."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from eesm import wire
from eesm.drive import TICK_PERIODS, Drive
from eesm.kept import Kept
from eesm.link import Link
from eesm.mailbox import Mailbox
from eesm.telemetry import Telemetry
from host_tools.loop import Loop
from tests.drive_bench import linked_unit


class Pipe:
    """A port of the board; `room` is how many bytes a write takes, None for all."""

    def __init__(self) -> None:
        self.to_board = b""
        self.to_host = b""
        self.room: int | None = None

    def read(self, limit: int = 2048) -> bytes:
        data, self.to_board = self.to_board[:limit], self.to_board[limit:]
        return data

    def write(self, data: bytes, at: int, end: int) -> int:
        count = end - at if self.room is None else min(end - at, self.room)
        self.to_host += data[at : at + count]
        return count


class StepDriver:
    """A virtual driver in lock step over `host_tools.loop`."""

    fast = True
    waits = True

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.granted = 0
        self.ended = False
        self._left = TICK_PERIODS

    def advance(self, periods: int) -> None:
        self.granted += periods

    def set_load(self, torque: float, due: int | None = None) -> None:
        self.load = (torque, due)

    def quit(self) -> None:
        self.ended = True

    def poll(self, busy: bool) -> bool:
        count = 0 if busy else min(self._left, self.granted)
        if count:
            self.loop.run(count)
            self.granted -= count
            self._left -= count
        if self._left:
            return False
        self._left = TICK_PERIODS
        return True


class Client:
    """A host at the other end, without threads: a request turns the board until it has answered."""

    def __init__(self, board: Board, sequence: int = 0) -> None:
        self.board = board
        self.sequence = sequence
        self.token = 0

    def send(
        self, kind: int, fields: tuple[Any, ...] = (), tail: bytes = b"", token: int | None = None
    ) -> int:
        """Send a request; returns its sequence."""
        layout = wire.REQUESTS[kind][1]
        token = self.token if token is None else token
        body = struct.pack("<I", token) + (struct.pack(layout, *fields) if layout else b"") + tail
        self.board.port.to_board += wire.pack(kind, self.sequence, 0, body)
        sent, self.sequence = self.sequence, (self.sequence + 1) & 0xFFFF
        return sent

    def ask(self, kind: int, fields: tuple[Any, ...] = (), tail: bytes = b"") -> bytes | tuple[int, str]:
        """The body of the answer, or (code, text) of a refusal."""
        return self.board.answer(kind, self.send(kind, fields, tail))

    def ok(self, kind: int, fields: tuple[Any, ...] = (), tail: bytes = b"") -> bytes:
        answer = self.ask(kind, fields, tail)
        assert isinstance(answer, bytes), answer
        return answer

    def refusal(self, kind: int, fields: tuple[Any, ...] = (), tail: bytes = b"") -> tuple[int, str]:
        answer = self.ask(kind, fields, tail)
        assert isinstance(answer, tuple), answer
        return answer

    def hello(self, earlier: int = 0) -> dict[str, Any]:
        body = self.ok(wire.HELLO, (earlier,))
        self.token = struct.unpack_from("<I", body)[0]
        return json.loads(body[4:])

    def advance(self, periods: int) -> None:
        while periods > 0:
            self.ok(wire.BENCH_ADVANCE, (min(periods, 500),))
            periods -= 500

    def arm(self) -> None:
        """Arm and wait for ready."""
        self.ok(wire.ARM)
        for _ in range(100):
            self.advance(500)
            if self.board.drive.state == 6:
                return
        raise AssertionError(self.board.drive.events)


class Board:
    """Main loop of a board in this process; `store` is the folder of kept settings."""

    def __init__(self, folder: Path, unit: str = "a", store: Path | None = None) -> None:
        loaded, linked = linked_unit(unit)
        self.schema = linked.schema
        path = folder / "schema.json"
        path.write_text(json.dumps(linked.schema, separators=(",", ":")))
        self.loop = Loop(loaded, 1, {}, linked=linked)
        self.kernel = self.loop.kernel
        kept = None if store is None else Kept(str(store), self.kernel)
        self.mailbox = Mailbox(self.kernel)
        self.driver = StepDriver(self.loop)
        self.drive = Drive(self.kernel, self.mailbox, self.driver)
        self.telemetry = Telemetry(self.kernel)
        self.port = Pipe()
        if kept is not None:
            kept.tell(self.drive)
        self.link = Link(self.port, self.drive, self.telemetry, self.kernel.identity, str(path), kept=kept)
        self.decoder = wire.Decoder()
        self.received: list[tuple[int, int, int, bytes]] = []  # frames that are not answers

    def turn(self) -> None:
        """One turn of the main loop, as in main.py."""
        if self.driver.poll(bool(self.link.outbox)):
            self.drive.tick()
        self.mailbox.pump()
        self.link.poll()

    def frames(self) -> list[tuple[int, int, int, bytes]]:
        data, self.port.to_host = self.port.to_host, b""
        return self.decoder.feed(data)

    def answer(self, kind: int, sequence: int) -> bytes | tuple[int, str]:
        """Turn until the request is answered; everything else is kept in `received`."""
        found = None
        for _ in range(20_000):
            self.turn()
            for frame in self.frames():
                answered, _, _, payload = frame
                if answered == wire.OK and struct.unpack_from("<BH", payload) == (kind, sequence):
                    found = payload[3:]
                elif answered == wire.ERROR and struct.unpack_from("<BH", payload) == (kind, sequence):
                    found = struct.unpack_from("<H", payload, 3)[0], payload[5:].decode()
                else:
                    self.received.append(frame)
            if found is not None:
                return found
        raise AssertionError(f"request {kind} was not answered")

    def index(self, name: str) -> int:
        return self.kernel.index(name)

    def pushed(self, kind: int) -> list[bytes]:
        """Payloads of a kind that came by themselves, taken out."""
        found = [frame[3] for frame in self.received if frame[0] == kind]
        self.received = [frame for frame in self.received if frame[0] != kind]
        return found
