"""The same bytes and requests at the firmware on 32-bit MicroPython, whose heap is watched."""

from __future__ import annotations

import json
import os
import select
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from eesm import drive as machine
from eesm import wire
from eesm.drive import STATES
from host_tools.fuzz.bench import Violation
from host_tools.fuzz.campaign import _forge, _noise
from host_tools.fuzz.messages import KINDS, Forger
from host_tools.interpreter import find_interpreter
from host_tools.soak.watched import make_folder

SPEED = 1500  # raw
GROWTH = 2048  # bytes of heap that are noise
SILENCE = 60.0  # s of this computer without an answer, which may be busy
# An advance is this program's own affair; a hand on the shaft or on the plug is no message of the link.
OTHERS = tuple(
    kind for kind in KINDS if kind not in (wire.BENCH_ADVANCE, wire.BENCH_LOAD, wire.BENCH_QUIT, wire.STOP)
)


class Firmware:
    """A board folder's main.py in lock step behind two pipes."""

    def __init__(self, folder: Path, every: int = 50) -> None:
        make_folder(folder, every=every)
        self._said = (folder / "said.txt").open("w+b")
        self._process = subprocess.Popen(
            [*find_interpreter(), "main.py", "--fast"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            bufsize=0,
        )
        signals = json.loads((folder / "unit.json").read_text())
        shift = signals["memory_shift"]
        self.offset = {name: word & 0x3FFF for name, word in signals["signals"].items()}
        self.indices = [place - shift for place in self.offset.values() if place >= shift]
        self.shift = shift
        self.decoder = wire.Decoder()
        self.answers: dict[tuple[int, int], tuple[int, bytes]] = {}
        self.answered = Counter[str]()
        self.token = 0
        self.following = 100
        self.period = 0

    def close(self) -> str:
        """End it; what it has said on stderr."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        said = self.said()
        self._said.close()
        return said

    def said(self) -> str:
        """All that the firmware has written to stderr."""
        self._said.seek(0)
        return self._said.read().decode(errors="replace")

    def heaps(self) -> list[int]:
        """Bytes in use after a collection, each `every` ticks."""
        return [int(line.split()[2]) for line in self.said().splitlines() if line.startswith("heap ")]

    def feed(self, data: bytes) -> None:
        """Send bytes, and take what comes back meanwhile."""
        assert self._process.stdin is not None and self._process.stdout is not None
        into, out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(into, False)
        view = memoryview(data)
        while view:
            readable, writable, _ = select.select([out], [into], [], SILENCE)
            if not readable and not writable:
                raise Violation(f"the firmware takes no bytes for {SILENCE:g} s")
            if readable:
                self._take(os.read(out, 65536))
            if writable:
                try:
                    view = view[os.write(into, view[:4096]) :]
                except BlockingIOError:
                    pass

    def _take(self, data: bytes) -> None:
        if not data:
            raise Violation(f"the firmware has ended: {self.said()[-2000:]}")
        for kind, _, period, payload in self.decoder.feed(data):
            self.period = period
            if kind == wire.OK:
                key = struct.unpack_from(wire.ANSWER, payload)
                self.answers[key] = 0, payload[wire.ANSWER_SIZE :]
                self.answered["ok"] += 1
            elif kind == wire.ERROR:
                asked, sequence, code = struct.unpack_from(wire.FAILURE, payload)
                if code == wire.INTERNAL:
                    raise Violation(f"a request failed inside: {payload[5:].decode(errors='replace')}")
                self.answered["version" if code == wire.WRONG_VERSION else "refused"] += 1
                self.answers[asked, sequence] = code, payload[wire.FAILURE_SIZE :]

    def pack(self, kind: int, fields: tuple[Any, ...] = (), tail: bytes = b"") -> bytes:
        """The next request of the session that drives."""
        layout = wire.REQUESTS[kind][1]
        body = struct.pack("<I", self.token) + (struct.pack(layout, *fields) if layout else b"") + tail
        frame = wire.pack(kind, self.following, 0, body)
        self.following = (self.following + 1) & 0xFFFF
        return frame

    def ask(self, kind: int, fields: tuple[Any, ...] = (), tail: bytes = b"") -> bytes:
        """The body of the answer; Violation when it is refused or does not come."""
        key = kind, self.following
        self.answers.clear()
        self.feed(b"\0" + self.pack(kind, fields, tail))
        assert self._process.stdout is not None
        out = self._process.stdout.fileno()
        end = time.monotonic() + SILENCE
        while key not in self.answers:
            if not select.select([out], [], [], max(0.0, end - time.monotonic()))[0]:
                raise Violation(f"request {kind} was not answered within {SILENCE:g} s")
            self._take(os.read(out, 65536))
        code, body = self.answers[key]
        if code:
            raise Violation(f"request {kind} was refused: {body.decode(errors='replace')}")
        return body

    def hello(self) -> None:
        """Get a token."""
        self.token = struct.unpack_from("<I", self.ask(wire.HELLO, (0,)))[0]

    def read(self, name: str) -> int:
        """A signal's word."""
        return struct.unpack(
            "<i", self.ask(wire.READ, (), struct.pack("<H", self.offset[name] - self.shift))
        )[0]

    def arm(self) -> None:
        """To running, at a speed."""
        self.ask(wire.ARM)
        for _ in range(60):
            self.ask(wire.BENCH_ADVANCE, (500,))
            if self.ask(wire.HEARTBEAT)[0] == machine.READY:
                self.ask(wire.SPEED, (SPEED, wire.NOW))
                self.ask(wire.BENCH_ADVANCE, (100,))
                return
        raise Violation("the drive is not ready")


def fuzz_micropython(
    bytes_count: int,
    messages: int,
    seed: int,
    folder: Path,
    tell: Callable[[str, int], None] = lambda what, done: None,
) -> Counter[str]:
    """Half of both at a drive that is off, half while a session drives; returns what the board counted."""
    random = Random(seed)
    board = Firmware(folder, max(1, min(50, messages // 1000)))
    forger = Forger(random, board.indices)
    try:
        board.hello()
        board.ask(wire.BENCH_ADVANCE, (500,))
        for state in (machine.OFF, machine.RUNNING):
            if state == machine.RUNNING:
                board.hello()
                board.arm()
            looks = len(board.heaps())
            sent = 0
            while sent < bytes_count // 2:
                size = min(4096, bytes_count // 2 - sent)
                board.feed(_noise(random, size))
                sent += size
                _stays(board, state)
                tell(f"bytes on MicroPython, {STATES[state]}", sent)
            sent = 0
            past: list[bytes] = []
            while sent < messages // 2:
                data = b""
                forger.period = board.period
                for _ in range(min(32, messages // 2 - sent)):
                    way = random.randrange(10)
                    if way == 0 and past:
                        data += b"\0" + random.choice(past)
                    elif way == 1 and past:
                        data += b"\0" + forger.damage(random.choice(past)) + b"\0"
                    else:
                        frame, kind = _forge(forger, random.getrandbits(32), random.getrandbits(16), OTHERS)
                        if kind and kind not in OTHERS:  # a kind that was damaged into a stop, say
                            continue
                        data += frame
                    sent += 1
                if state == machine.RUNNING:
                    past = [*past, board.pack(wire.SPEED, (SPEED, wire.NOW))][-100:]
                    data += b"\0" + past[-1]
                board.feed(data)
                _stays(board, state)
                tell(f"messages on MicroPython, {STATES[state]}", sent)
            # A drive that runs holds more than one that is off: its watches, and what they have seen.
            _judge(board.heaps()[looks:])
        status = board.ask(wire.STATUS)[struct.calcsize(wire.REQUESTS[wire.STATUS][3]) :]
        counters = dict(zip(wire.COUNTERS, wire.words_of(status, "I"), strict=True))
        good = sum(board.answered[name] for name in ("ok", "refused"))
        if good != counters["frames"] - counters["overrun"]:
            raise Violation(f"{counters['frames']} good frames have {good} answers")
        if board.answered["refused"] + board.answered["version"] != counters["refused"]:
            raise Violation(f"{dict(board.answered)}, but {counters['refused']} refusals are counted")
        heaps = board.heaps()
    finally:
        said = board.close()
    complaints = [line for line in said.splitlines() if not line.startswith("heap ")]
    if complaints:
        raise Violation("the firmware complained: " + "\n".join(complaints))
    return Counter(counters) | Counter(
        {"heap first": heaps[4], "heap last": heaps[-1], "heap looks": len(heaps)}
    )


def _judge(heaps: list[int]) -> None:
    """No growth: the lowest of the last looks is no higher than the highest of the first."""
    quarter = max(1, len(heaps) // 4)
    if len(heaps) < 8:
        raise Violation(f"the heap was looked at {len(heaps)} times only")
    grown = min(heaps[-quarter:]) - max(heaps[:quarter])
    if grown > GROWTH:
        raise Violation(f"the heap has grown by {grown} bytes, {GROWTH} are allowed: {heaps}")


def _stays(board: Firmware, state: int) -> None:
    """Let a tick or two pass; the drive is as it was."""
    if state == machine.OFF:
        board.hello()  # a flood of greetings pushes out whoever does not drive
    board.ask(wire.BENCH_ADVANCE, (60,))
    found, mine = board.ask(wire.HEARTBEAT)
    if found != state:
        raise Violation(f"the drive is {STATES[found]}, it was {STATES[state]}")
    if state == machine.OFF:
        gates = board.read("gate_enable")
        if gates:
            raise Violation(f"gates {gates} while the drive is off")
    elif board.read("w_m_set") != SPEED or not mine:
        raise Violation(f"the speed's setpoint is {board.read('w_m_set')}, its owner has set {SPEED}")
