"""While wiring and angle are measured a board answers nobody, but a stop is obeyed all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from eesm import drive as states
from eesm import wire
from eesm.drive import TICK_PERIODS
from firmware import main
from tests.link_bench import Board, Client

STEP = 4  # periods a turn of the main loop takes here


class Passing:
    """A driver whose periods pass by themselves, as a board's do; ends after so many periods."""

    waits = False
    silent = False
    granted = 0

    def __init__(self, board: Board, periods: int) -> None:
        self.loop = board.loop
        self.left = periods

    def poll(self, busy: object) -> bool:
        self.loop.run(STEP)
        self.left -= STEP
        return self.loop.kernel.read("period") // STEP % (TICK_PERIODS // STEP) == 0

    def alive(self) -> bool:
        return self.left > 0


def run(board: Board, periods: int) -> None:
    """Let so many periods pass; whole ticks."""
    main.turn(Passing(board, periods), board.drive, board.mailbox, board.link)


def board_in(state: int, folder: Path) -> tuple[Board, Client]:
    board = Board(folder)
    client = Client(board)
    client.hello()
    board.drive.arm()
    for _ in range(10_000):
        if board.drive.state == state:
            return board, client
        run(board, 32)
    raise AssertionError(board.drive.events)


@pytest.mark.parametrize("state", [states.WIRING, states.ANGLE])
@pytest.mark.parametrize("later", range(0, 1600, 160))  # periods after the state began
def test_a_stop_is_obeyed_within_20_ms_while_pulses_are_given(tmp_path, state, later):
    board, client = board_in(state, tmp_path)
    run(board, later)
    if board.drive.state != state:
        return  # over sooner
    assert board.drive.urgent or later
    client.send(wire.HEARTBEAT)
    client.send(wire.STOP)
    run(board, 400)
    assert board.drive.state in (states.FIELD_DOWN, states.OFF), board.drive.events
    run(board, 2000)
    assert board.drive.state == states.OFF
    kinds = [frame[3][0] for frame in board.frames() if frame[0] == wire.OK]
    assert kinds[-2:] == [wire.HEARTBEAT, wire.STOP]  # and both are answered afterwards


def test_a_flood_while_pulses_are_given_is_kept_within_bounds_and_disturbs_nothing(tmp_path):
    board, client = board_in(states.WIRING, tmp_path)
    for _ in range(200):
        client.send(wire.HEARTBEAT)
    for _ in range(2000):
        run(board, 32)
        assert len(board.link._inbox) < 40
        if board.drive.state == states.READY:
            return
    raise AssertionError(board.drive.events)
