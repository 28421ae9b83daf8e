"""Requests that are well framed and wrong, or nearly right: fields at their edges, lists at their ends."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from random import Random
from typing import Any

from eesm import wire
from eesm.parameters import SETTINGS

KINDS = tuple(sorted(wire.REQUESTS))
EDGES = {
    "B": (0, 1, 2, 3, 4, 127, 255),
    "H": (0, 1, 2, 7, 511, 512, 1000, 20000, 20001, 0x7FFF, 0x8000, 0xFFFF),
    "I": (0, 1, 20, 400, 1_000_000, 1_000_001, 2**29, 2**30 - 1, 2**30, 2**31, 2**32 - 1),
    "i": (0, 1, -1, 100, -100, 3000, 32767, -32768, 2**29, 2**30 - 1, 2**31 - 1, -(2**31)),
    "d": (0.0, -0.0, 1.0, -1.0, 0.5, 1e-9, 1e6, -1e6, 5e-324, 1e308, math.inf, -math.inf, math.nan),
}
TEXTS = (
    b"",
    b"pole_pairs",
    b"f_pwm",
    b"exciter_kind",
    b"\xff\xfe",
    b"\0",
    "µ".encode(),
    b"R_s\0",
    b"x" * 400,
)
NAMES = tuple(name.encode() for name in SETTINGS)


class Forger:
    """Makes requests from one random sequence; `indices` are memory indices that exist."""

    def __init__(self, random: Random, indices: Sequence[int]) -> None:
        self.random = random
        self.indices = tuple(indices)
        self.period = 0  # the board's, for dues that are near

    def payload(self, kind: int, token: int, earlier: int = 0) -> bytes:
        """A request's payload that fits the layout of its kind, whatever it means."""
        random = self.random
        _, layout, tail = wire.REQUESTS[kind][:3]
        codes = layout[1:]
        values: list[Any] = [self._value(code) for code in codes]
        if kind in (wire.CURRENTS, wire.TORQUE, wire.SPEED) or kind == wire.BENCH_LOAD:
            values[-1] = self._due()
        if kind == wire.BENCH_LOAD and random.random() < 0.8:
            values[0] = random.uniform(-0.5, 0.5)
        elif kind in (wire.CURRENTS, wire.TORQUE, wire.SPEED) and random.random() < 0.7:
            values[:-1] = [random.randint(-4000, 4000) for _ in values[:-1]]
        elif kind == wire.HELLO:
            values[0] = earlier
        elif kind == wire.CAPTURE_SETUP and random.random() < 0.7:
            values = [random.randint(1, 50), random.randrange(512), random.randrange(4), 0, self._index()]
        elif kind == wire.STREAM_SETUP and random.random() < 0.7:
            values = [random.choice((0, 1, 10, 100))]
        elif kind == wire.CAPTURE_FETCH and random.random() < 0.7:
            values = [random.randrange(1, 300), random.randrange(512)]
        body = b""
        if tail == "text":
            body = self._text()
            if kind == wire.SET:
                values[0] = self._setting(body)
        elif tail:
            most = random.choice((1, 8, 15, 16, 64, 65, 230))
            body = struct.pack(f"<{most}H", *[self._channel(kind) for _ in range(most)])
        return struct.pack("<I", token) + struct.pack(layout, *values) + body

    def mutate(self, payload: bytes) -> bytes:
        """A payload that may not fit its layout any more, or holds other values."""
        random = self.random
        choice = random.randrange(4)
        if choice == 0:
            return payload[: random.randrange(len(payload) + 1)]
        if choice == 1:
            return (payload + random.randbytes(random.randrange(1, 60)))[: wire.MAX_PAYLOAD]
        # Behind the token: who may command is what the settings differ by.
        changed = bytearray(payload)
        for _ in range(random.randrange(1, 4)):
            if len(changed) > wire.TOKEN_SIZE:
                place = random.randrange(wire.TOKEN_SIZE, len(changed))
                changed[place] ^= 1 << random.randrange(8) if choice == 2 else random.randrange(256)
        return bytes(changed)

    def damage(self, frame: bytes) -> bytes:
        """A frame that the line has cut, hit or joined with noise."""
        random = self.random
        choice = random.randrange(4)
        if choice == 0:
            return frame[: random.randrange(len(frame))]
        if choice == 1:
            return random.randbytes(random.randrange(40)) + frame
        hit = bytearray(frame)
        for _ in range(1 if choice == 2 else 8):
            hit[random.randrange(len(hit))] ^= 1 << random.randrange(8)
        return bytes(hit)

    def sequence(self, following: int) -> int:
        """Mostly the number that is awaited, else one from before, from afar, or the last again."""
        random = self.random
        way = random.choices(
            (0, -1, random.randrange(1, 9), -random.randrange(2, 99), 2000, 40000), (60, 9, 20, 5, 3, 3)
        )
        return (following + way[0]) & 0xFFFF

    def _value(self, code: str) -> int | float:
        random = self.random
        if random.random() < 0.8:
            return random.choice(EDGES[code])
        if code == "d":
            return struct.unpack("<d", random.randbytes(8))[0]
        return struct.unpack("<" + code, random.randbytes(struct.calcsize(code)))[0]

    def _due(self) -> int:
        random = self.random
        way = random.randrange(6)
        if way < 3:
            return wire.NOW
        if way < 5:
            return (self.period + random.choice((-(2**29), -5000, -1, 0, 1, 30, 500, 5000, 2**28))) & (
                2**30 - 1
            )
        return random.choice(EDGES["I"])

    def _index(self) -> int:
        return self.random.choice(self.indices) & 0x7FFF

    def _channel(self, kind: int) -> int:
        if self.random.random() < 0.02:
            return int(self._value("H"))
        wide = wire.WIDE if kind == wire.STREAM_SETUP and self.random.random() < 0.5 else 0
        return self._index() | wide

    def _text(self) -> bytes:
        random = self.random
        if random.random() < 0.85:
            return random.choice(NAMES)
        return random.choice((*TEXTS, random.randbytes(random.randrange(30))))

    def _setting(self, name: bytes) -> float:
        """A value for a setting: at its ends, between them on a logarithmic scale, or beyond."""
        row = SETTINGS.get(name.decode(errors="replace"))
        if row is None or self.random.random() < 0.2:
            return float(self._value("d"))
        low, high = float(row[1]), float(row[2])
        if self.random.random() < 0.2:
            return self.random.choice((low, high, low - 1e-12, high * 1.0000001))
        least = max(low, 1e-9 * high)
        return least * (high / least) ** self.random.random()
