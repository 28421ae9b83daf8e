"""Input sequences for the whole kernel: every parameter anywhere in its range, yet the drive runs.

Left alone, random trip levels would latch a fault in every period and random signal indices would
point outside the block.  So trips mostly rest at their widest, modes prefer those that control,
samples seldom sit at the converter's ends, and letters and channels carry indices that exist.
"""

from __future__ import annotations

import numpy as np

from eesm.kernel import Kernel
from eesm.table import PARAMETER
from host_tools.build import link_unit
from host_tools.linker import Program
from host_tools.linker.schedule import Schedule, corner_schedule, hold, walk_schedule
from host_tools.units import load

LETTER_WORDS = 16
STREAM_CHANNELS = 15
CAPTURE_CHANNELS = 8

# Weighted choices, each held for a while.
MODES = {
    "bridge_mode": [0, 1, 3, 2, 2, 2, 2, 2, 2, 2],
    "field_mode": [0, 2, 3, 1, 1, 1, 1, 1, 1, 1],
    "reference_mode": [0, 1, 1, 2, 2, 2],
    "fault_request": [0] * 60 + [17, 255],
    "w_e_lost": [32767] * 60 + [0, 3000],
    "silence_max": [0] * 60 + [1, 300],
    "i_trip": [32767] * 60 + [0, 1, 12000],
    "i_f_trip": [32767] * 60 + [0, 1, 12000],
    "u_dc_trip": [32767] * 60 + [0, 20000, 32766],
    "u_dc_min": [0] * 60 + [1, 15000, 32767],
    "w_e_trip": [32767] * 60 + [0, 3000],
    "stream_divider": [0, 1, 2, 7, 20000],
    "capture_divider": [1, 1, 2, 5],
    "capture_pre": [0, 1, 40, 128, 511],
    "capture_edge": [0, 1, 1, 2, 2, 3],
    "measure_samples": [1, 2, 64, 4096],
    "mailbox_due": [0, 1, 100, 3000, 9000, (1 << 30) - 1],
}
CORNER_SAMPLES = [0, 4095] + [1, 2, 700, 2047, 2048, 2049, 3300, 4093, 4094] * 6


def make_kernel(unit: str = "a") -> tuple[Program, np.ndarray]:
    """The linked program of a unit and its block as the board fills it."""
    linked = link_unit(load(unit))
    block = np.zeros(linked.program.layout.size, dtype=np.int32)
    Kernel(linked.unit, block=block, tables=linked.tables)
    return linked.program, block


def fill_tables_at_random(program: Program, block: np.ndarray, seed: int) -> np.ndarray:
    """A copy of the block with reference tables of anything that their range allows."""
    rng = np.random.default_rng(seed)
    block = block.copy()
    for name in ("table_i_d", "table_i_f", "table_torque"):
        row, start = program.table[name], program.layout.offset[name]
        block[start : start + row.length] = rng.integers(row.low, row.high + 1, row.length)
    return block


def special_columns(program: Program, steps: int, rng: np.random.Generator) -> dict[int, np.ndarray]:
    """Columns whose values must fit together or keep the drive running."""
    layout, table = program.layout, program.table
    scalars = np.array([layout.memory_index(name) for name in layout.scalars()])
    columns = {layout.offset[name]: hold(np.array(c), steps, rng, 60.0) for name, c in MODES.items()}
    posted = [name for name in layout.scalars() if table[name].role == PARAMETER and name != "capture_source"]
    for word in range(LETTER_WORDS):
        row = table[posted[rng.integers(len(posted))]]
        columns[layout.offset["mailbox_index"] + word] = np.full(steps, layout.memory_index(row.name))
        value = rng.integers(row.low, row.high + 1, steps) if row.name not in MODES else None
        if value is None:
            value = hold(np.array(MODES[row.name]), steps, rng)
        columns[layout.offset["mailbox_value"] + word] = value.astype(np.int32)
    for name, count in (("stream_channel", STREAM_CHANNELS), ("capture_channel", CAPTURE_CHANNELS)):
        for word in range(count):
            columns[layout.offset[name] + word] = hold(scalars, steps, rng, 200.0)
    columns[layout.offset["capture_source"]] = hold(scalars, steps, rng, 500.0)
    for name, mean in (("mailbox_sequence", 20.0), ("fault_clear", 4.0), ("capture_arm", 900.0)):
        columns[layout.offset[name]] = hold(np.arange(0x10000), steps, rng, mean)
    columns[layout.offset["board_faults"]] = hold(np.array([0] * 30 + [64, 128]), steps, rng)
    columns[layout.offset["encoder_raw"]] = turning_encoder(steps, rng)
    columns[layout.offset["measure_start"]] = hold(np.arange(0x10000), steps, rng, 90.0)
    return columns


def turning_encoder(steps: int, rng: np.random.Generator) -> np.ndarray:
    """Counts of an encoder that turns both ways at walking speed, stands, and seldom jumps."""
    speed = hold(np.array([0, 0, 1, -1, 7, -7, 60, -60, 200, -200]), steps, rng, 400.0)
    jumps = np.where(rng.random(steps) < 0.002, rng.integers(0, 0x10000, steps), 0)
    return (np.cumsum(speed + rng.integers(-1, 2, steps) + jumps) & 0xFFFF).astype(np.int32)


def walk(program: Program, block: np.ndarray, steps: int, seed: int) -> Schedule:
    """Random walks of all inputs and parameters."""
    rng = np.random.default_rng(seed)
    return walk_schedule(program, steps, seed, special_columns(program, steps, rng), list(block))


def corners(program: Program, block: np.ndarray, steps: int, seed: int) -> Schedule:
    """All inputs and parameters at the corners of their ranges."""
    rng = np.random.default_rng(seed)
    columns = special_columns(program, steps, rng)
    for name in ("i_a_raw", "i_b_raw", "i_f_raw", "u_dc_raw"):
        columns[program.layout.offset[name]] = hold(np.array(CORNER_SAMPLES), steps, rng, 4.0)
    return corner_schedule(program, steps, seed, columns, list(block))


def tuned_walk(program: Program, block: np.ndarray, steps: int, seed: int) -> Schedule:
    """Random walks of inputs and setpoints; gains and limits stay as the unit derives them.

    Letters come, since only they make a clear be obeyed, but write what nothing reads.
    """
    block = block.copy()
    block[program.layout.offset["mailbox_index"] :][:LETTER_WORDS] = program.layout.memory_index("scratch")
    whole = walk(program, block, steps, seed)
    layout, table = program.layout, program.table
    free = {"i_d_set", "i_q_set", "i_f_set", "torque_set", "w_m_set", *MODES}
    keep = []
    for column, word in enumerate(whole.words):
        name = layout.name_at(int(word)).split("[")[0]
        if name.startswith("mailbox") and name not in ("mailbox_sequence", "mailbox_pumps"):
            continue  # a letter of anything would detune it
        if (
            table[name].role != PARAMETER
            or name in free
            or name.startswith(("capture", "stream", "measure"))
            or name == "fault_clear"
        ):
            keep.append(column)
    return Schedule(whole.words[keep], whole.values[:, keep], whole.initial)
