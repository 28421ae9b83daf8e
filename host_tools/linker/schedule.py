"""Sequences of inputs for comparing engines: random walks and corners of every signal's range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eesm.table import INPUT, PARAMETER, Signal

from .program import Program

SMALL_RANGE = 16  # modes and flags jump, they do not walk


@dataclass
class Schedule:
    """What is written into the block before each step.

    `words` are block offsets; row k of `values` (int32, steps x words) goes there before step k.
    `initial` is the block before the first step.
    """

    words: np.ndarray
    values: np.ndarray
    initial: np.ndarray

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.values)


def driven_signals(program: Program) -> list[Signal]:
    """Inputs and parameters: what comes from outside the stages."""
    return [row for row in program.table.values() if row.role in (INPUT, PARAMETER)]


def walk_schedule(
    program: Program,
    steps: int,
    seed: int,
    special: Mapping[int, np.ndarray] | None = None,
    initial: Sequence[int] | None = None,
) -> Schedule:
    """Every input and parameter walks at random within its range; small ranges jump now and then.

    `special` gives whole columns by block offset, for signals whose values must fit together.
    """
    rng = np.random.default_rng(seed)
    columns = {program.layout.offset[row.name]: _walk(row, steps, rng) for row in driven_signals(program)}
    return _assemble(program, steps, columns, special, initial)


def corner_schedule(
    program: Program,
    steps: int,
    seed: int,
    special: Mapping[int, np.ndarray] | None = None,
    initial: Sequence[int] | None = None,
) -> Schedule:
    """Every input and parameter sits at an end of its range, next to one, or about zero."""
    rng = np.random.default_rng(seed)
    columns = {program.layout.offset[row.name]: _corners(row, steps, rng) for row in driven_signals(program)}
    return _assemble(program, steps, columns, special, initial)


def hold(choices: np.ndarray, steps: int, rng: np.random.Generator, mean: float = 12.0) -> np.ndarray:
    """Values picked at random, each kept for a random number of steps."""
    change = rng.random(steps) < 1.0 / mean
    picks = rng.choice(choices, size=steps)
    latest = np.maximum.accumulate(np.where(change, np.arange(steps), 0))
    return picks[latest].astype(np.int32)


def _walk(row: Signal, steps: int, rng: np.random.Generator) -> np.ndarray:
    span = row.high - row.low
    if span < SMALL_RANGE:
        return hold(np.arange(row.low, row.high + 1), steps, rng, 40.0)
    moves = rng.normal(0.0, span / 100.0, steps)
    moves += np.where(rng.random(steps) < 0.01, rng.uniform(-span, span, steps), 0.0)
    path = rng.uniform(0, span) + np.cumsum(moves)
    folded = np.abs((path + span) % (2 * span) - span)  # reflected at both ends
    return np.clip(np.rint(row.low + folded), row.low, row.high).astype(np.int32)


def _corners(row: Signal, steps: int, rng: np.random.Generator) -> np.ndarray:
    wanted = {row.low, row.low + 1, row.high - 1, row.high, -1, 0, 1, row.initial}
    inside = np.array(sorted(value for value in wanted if row.low <= value <= row.high), dtype=np.int64)
    return hold(inside, steps, rng)


def _assemble(
    program: Program,
    steps: int,
    columns: dict[int, np.ndarray],
    special: Mapping[int, np.ndarray] | None,
    initial: Sequence[int] | None,
) -> Schedule:
    columns = {**columns, **(special or {})}
    words = np.array(sorted(columns), dtype=np.int32)
    values = np.empty((steps, len(words)), dtype=np.int32)
    for n, word in enumerate(words):
        values[:, n] = columns[int(word)]
    block = np.array(program.initial_block() if initial is None else initial, dtype=np.int32)
    return Schedule(words, values, block)
