"""Random bytes and forged requests against the board in this process, in each of the three settings."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from eesm import drive as machine
from eesm import wire
from eesm.drive import FAULT, OFF, RUNNING, STATES
from host_tools.fuzz.bench import Board, Session, Violation
from host_tools.fuzz.messages import KINDS, Forger

BATCH = 32  # messages sent at once
LIFE = 20_000  # messages after which a board inside is replaced by a fresh one
# What only the hand on the bench does: it may stall the shaft, pull the plug.
HANDS = (wire.BENCH_LOAD, wire.BENCH_QUIT)
ORDERLY = {machine.RUNNING, machine.STOPPING, machine.FIELD_DOWN, machine.OFF}

Told = Callable[[str, int], None]


def _indices(board: Board) -> list[int]:
    return [board.kernel.index(name) for name in board.kernel.offset if board.kernel.index(name) >= 0]


def _noise(random: Random, size: int) -> bytes:
    """Bytes: plain, or with so many zeros that frames are short, or nearly frames."""
    way = random.randrange(3)
    if way == 0:
        return random.randbytes(size)
    if way == 1:
        return bytes(random.choices((0, 1, 2, 5, 14, 64, 255, random.randrange(256)), k=size))
    text = bytearray(random.randbytes(size))
    for at in range(0, size - 20, 20):
        # A block as long as it says, with the right version: as near as noise gets.
        text[at : at + 4] = bytes((0, 19, wire.VERSION, random.choice(KINDS)))
    return bytes(text)


def _blocks() -> int:
    """Pieces of memory that this process holds."""
    gc.collect()
    return sys.getallocatedblocks()


def fuzz_bytes(count: int, seed: int, schema: Path, tell: Told = lambda what, done: None) -> Counter[str]:
    """Half of the bytes at a sleeping drive, half at one that a session drives; returns what was counted."""
    random = Random(seed)
    totals = Counter[str]()
    board = Board(schema, waits=bool(seed & 1))
    board.watch = lambda: _stay(board, (OFF,))
    held = 0
    for sent in range(0, count // 2, 4096):
        board.feed(_noise(random, min(4096, count // 2 - sent)))
        board.check_bounds()
        held = held or _blocks()
        tell("bytes, asleep", sent)
    grown = _blocks() - held
    _conclude(board, totals, grown)

    board = Board(schema, waits=bool(seed & 1))
    owner = _begin(board)
    board.watch = lambda: _stay(board, (RUNNING,))
    held = 0
    for sent in range(0, count - count // 2, 4096):
        board.feed(_noise(random, min(4096, count - count // 2 - sent)))
        owner.ok(wire.HEARTBEAT)
        _keeps_its_setpoint(board)
        board.check_bounds()
        held = held or _blocks()
        tell("bytes, running", sent)
    _conclude(board, totals, _blocks() - held)
    return totals


def _stay(board: Board, states: tuple[int, ...]) -> None:
    if board.drive.state not in states:
        raise Violation(f"the drive is {STATES[board.drive.state]}: {board.drive.events[-5:]}")


def _conclude(board: Board, totals: Counter[str], grown: int) -> None:
    board.check_counters()
    if grown > 2000:
        raise Violation(f"{grown} more pieces of memory are held than at the beginning")
    decoder = board.link.decoder
    for name in ("frames", "bad_crc", "bad_version", "too_long", "malformed", "repeated", "lost"):
        totals[name] += getattr(decoder, name)
    totals["refused"] += board.link.refused
    totals["overrun"] += board.link.overrun
    totals["ok"] += board.answered["ok"]


SPEED = 1500  # raw


def _begin(board: Board) -> Session:
    """A session that drives at a steady speed."""
    owner = Session(board, 100)
    owner.hello()
    board.turn(20)
    owner.arm()
    owner.ok(wire.SPEED, (SPEED, wire.NOW))
    board.turn(5)
    return owner


def _keeps_its_setpoint(board: Board) -> None:
    found = board.kernel.read("w_m_set")
    if board.drive.state == RUNNING and found != SPEED:
        raise Violation(f"the speed's setpoint became {found}, its owner has set {SPEED}")


# --- messages -----------------------------------------------------------------------------------


def fuzz_asleep(count: int, seed: int, schema: Path, tell: Told = lambda what, done: None) -> Counter[str]:
    """Forged requests without a session: the drive stays off, its gates stay open."""
    random = Random(seed)
    board = Board(schema, waits=bool(seed & 1))
    board.watch = lambda: _stay(board, (OFF,))
    forger = Forger(random, _indices(board))
    totals = Counter[str]()
    held = 0
    for sent in range(0, count, BATCH):
        forger.period = board.kernel.read("period")
        data = b""
        for _ in range(min(BATCH, count - sent)):
            data += _forge(forger, random.choice((0, 1, random.getrandbits(32))), random.getrandbits(16))[0]
        board.feed(data)
        if sent // BATCH % 50 == 0:
            board.check_bounds()
            held = held or _blocks()
            tell("messages, asleep", sent)
    _conclude(board, totals, _blocks() - held)
    return totals


def _forge(
    forger: Forger, token: int, sequence: int, kinds: tuple[int, ...] = KINDS, earlier: int = 0
) -> tuple[bytes, int]:
    """(frame, kind) of a CRC-valid message; kind 0 when it is no whole request."""
    random = forger.random
    kind = random.choice(kinds)
    payload = forger.payload(kind, token, earlier)
    if random.random() < 0.25:
        payload = forger.mutate(payload)
    if random.random() < 0.03:
        kind = random.randrange(256)
    version = random.randrange(256) if random.random() < 0.01 else wire.VERSION
    frame = wire.pack(kind, sequence, random.choice((0, 1, 0xFFFFFFFF)), payload, version)
    whole = version == wire.VERSION and kind in wire.REQUESTS
    return frame, kind if whole else 0


def fuzz_running(count: int, seed: int, schema: Path, tell: Told = lambda what, done: None) -> Counter[str]:
    """Strangers, thieves, replays and noise around a session that drives: it goes on, or stops in order."""
    random = Random(seed)
    board = Board(schema, waits=bool(seed & 1))
    forger = Forger(random, _indices(board))
    totals = Counter[str]()
    owner = _begin(board)
    thief = Session(board, 7)
    stops = 0
    may_stop = False
    past: list[bytes] = []

    def watch() -> None:
        state = board.drive.state
        if state != RUNNING and not (may_stop and state in ORDERLY):
            raise Violation(f"the drive is {STATES[state]}: {board.drive.events[-5:]}")

    board.watch = watch
    others = tuple(kind for kind in KINDS if kind not in (*HANDS, wire.STOP))
    held = sent = 0
    while sent < count:
        forger.period = board.kernel.read("period")
        if sent // BATCH % 40 == 0:
            thief.hello()  # a valid session, until the flood of greetings has pushed it out
        data = b""
        for _ in range(min(BATCH, count - sent)):
            way = random.randrange(10)
            if way < 3:
                thief.following = (thief.following + 1) & 0xFFFF
                frame, kind = _forge(forger, thief.token, forger.sequence(thief.following), others)
                may_stop = may_stop or kind == wire.STOP
                data += frame
            elif way < 6:
                kinds = others if random.random() < 0.999 else (wire.STOP,)
                frame, kind = _forge(forger, random.getrandbits(32), random.getrandbits(16), kinds)
                may_stop = may_stop or kind == wire.STOP
                data += frame
            elif way < 8 and past:
                data += random.choice(past)  # a replay, byte for byte
            elif past:
                data += b"\0" + forger.damage(random.choice(past)) + b"\0"
            sent += 1
        fresh = [owner.pack(wire.HEARTBEAT)]
        if random.random() < 0.3:
            fresh.append(owner.pack(wire.SPEED, (SPEED, wire.NOW)))
        if random.random() < 0.1:
            fresh.append(owner.pack(wire.TORQUE, (20001, wire.NOW)))  # refused now, and when replayed
        past = (past + fresh)[-200:]
        board.feed(data + b"\0" + b"".join(fresh))
        _keeps_its_setpoint(board)
        may_stop = may_stop and board.drive.state != RUNNING  # it may have been cut too short to be obeyed
        if may_stop:
            for _ in range(100):
                board.turn(50)
                if board.drive.state == OFF:
                    break
            _stay(board, (OFF,))
            stops += 1
            board.watch = lambda: None
            owner.hello()
            owner.arm()
            owner.ok(wire.SPEED, (SPEED, wire.NOW))
            board.turn(5)
            past, may_stop = [], False
            board.watch = watch
        if sent // BATCH % 50 == 0:
            board.check_bounds()
            held = held or _blocks()
            tell("messages, running", sent)
    board.watch = lambda: None
    _conclude(board, totals, _blocks() - held)
    totals["stopped in order"] = stops
    return totals


def fuzz_inside(count: int, seed: int, schema: Path, tell: Told = lambda what, done: None) -> Counter[str]:
    """The session that may command talks nonsense: each request is refused, or obeyed within the limits."""
    random = Random(seed)
    totals = Counter[str]()
    sent = 0
    while sent < count:
        life = min(LIFE, count - sent)
        board = Board(schema, seed=random.randrange(1000), waits=bool(random.randrange(2)))
        forger = Forger(random, _indices(board))
        own = Session(board, random.getrandbits(16))
        own.hello()
        gentle = tuple(kind for kind in KINDS if kind not in (wire.STOP, wire.SET, wire.HELLO, *HANDS))
        for k in range(0, life, BATCH):
            forger.period = board.kernel.read("period")
            data = b""
            for _ in range(min(BATCH, life - k)):
                # Commands that end the motion are rarer, else there would be none.
                kinds = gentle if random.random() < 0.97 else KINDS
                token = own.token if random.random() < 0.95 else random.getrandbits(32)
                sequence = forger.sequence(own.following)
                ahead = (sequence - own.following) & 0xFFFF
                if token == own.token and ahead < 1000:
                    own.following = (sequence + 1) & 0xFFFF
                data += _forge(forger, token, sequence, kinds)[0]
            board.feed(data)
            board.check_bounds()
            totals[STATES[board.drive.state]] += 1
            sent += BATCH
            if not _help_on(board, own, random):
                break
        _conclude(board, totals, 0)
        totals["boards"] += 1
        tell("messages, inside", sent)
    return totals


def _help_on(board: Board, own: Session, random: Random) -> bool:
    """Bring a drive that was stopped, or has a fault, back to where things happen; False if it cannot be."""
    state = board.drive.state
    if state not in (OFF, FAULT, machine.READY) or random.random() < 0.5:
        return True
    if state == machine.READY:
        own.ask(wire.SPEED, (random.randrange(-3000, 3000), wire.NOW))
        return True
    own.hello(own.token)
    if state == FAULT:
        board.turn(400)
        if own.ask(wire.CLEAR).code:
            return False
        board.turn(30)
    if own.ask(wire.ARM).code:
        return False
    for _ in range(60):
        board.turn(25)
        own.ask(wire.HEARTBEAT)
        if board.drive.state not in machine.STARTUP:
            break
    return board.drive.state != FAULT
