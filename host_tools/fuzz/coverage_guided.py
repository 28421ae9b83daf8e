"""Messages that libFuzzer makes, led by which lines of the firmware they reach: `make fuzz-guided`.

`python -m host_tools.fuzz.coverage_guided [libFuzzer's options]`, such as -max_total_time=60; needs the extra
`fuzz`.  What ends the process is kept by libFuzzer as a file crash-...; give its name to run it again.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

# MicroPython's names are not there, and what runs once at import is of no interest.
try:
    import atheris as _atheris  # pyright: ignore[reportMissingImports]
except ImportError:
    sys.exit("eesm: coverage-guided fuzzing needs atheris: pip install 'eesm[fuzz]', or make fuzz-guided")

atheris: Any = _atheris
with atheris.instrument_imports(include=["eesm"]):
    from eesm import drive, framing, link, mailbox, telemetry, wire  # noqa: F401

from host_tools.fuzz.bench import Board, Session  # noqa: E402
from host_tools.fuzz.parts import write_schema  # noqa: E402

CORPUS = Path("build/fuzz-corpus")
LIFE = 500  # inputs after which a fresh board comes
TOKENS = ("own", "other", "none", "as it comes")


class Guided:
    """Two sessions at a board; an input is a conversation."""

    def __init__(self, schema: Path) -> None:
        self.schema = schema
        self.inputs = 0

    def converse(self, data: bytes) -> None:
        """Bytes to messages: half of them well framed, with tokens that are good or not."""
        if self.inputs % LIFE == 0:
            self.board = Board(self.schema)
            self.own, self.other = Session(self.board, 10), Session(self.board, 500)
        self.inputs += 1
        board, own, other = self.board, self.own, self.other
        own.hello()
        other.hello()
        made: Any = atheris.FuzzedDataProvider(data)
        while made.remaining_bytes():
            if made.ConsumeIntInRange(0, 7) == 0:
                board.feed(made.ConsumeBytes(made.ConsumeIntInRange(1, 64)))
                continue
            session = {"own": own, "other": other}.get(made.PickValueInList(list(TOKENS)))
            kind = made.PickValueInList(list(wire.REQUESTS))
            if kind == wire.BENCH_LOAD:
                continue  # no machine stands a million N.m
            token = session.token if session else made.ConsumeInt(4) & 0xFFFFFFFF
            sequence = session.following if session else made.ConsumeInt(2)
            payload = token.to_bytes(4, "little") + made.ConsumeBytes(made.ConsumeIntInRange(0, 64))
            if session:
                session.following = (session.following + 1) & 0xFFFF
            board.feed(b"\0" + wire.pack(kind, sequence & 0xFFFF, 0, payload))
        board.turn(made.ConsumeIntInRange(0, 40))
        board.check_bounds()
        board.check_counters()


def main() -> None:
    """Fuzz until libFuzzer has enough."""
    CORPUS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        guided = Guided(write_schema(Path(folder) / "schema.json"))
        options = sys.argv[1:]
        if not any(not option.startswith("-") for option in options):
            options.append(str(CORPUS))
        atheris.Setup(
            [sys.argv[0], f"-artifact_prefix={CORPUS}{os.sep}", "-max_len=2048", "-len_control=0", *options],
            guided.converse,
        )
        with contextlib.suppress(KeyboardInterrupt):
            atheris.Fuzz()


if __name__ == "__main__":
    main()
