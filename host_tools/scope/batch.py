"""Rows as one binary message: what a page puts into its buffers without looking at each value.

Little endian: kind u32 (1), layout u32, rows u32, channels u32, period of the first row f64, rows
lost on the link u32, PWM periods of a row u32; then for each row its periods after the first (u32),
then channel by channel the SI values (f32).  The layout names the channels; a JSON message told it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from host_tools.stream import Row

ROWS = 1
HEAD = struct.Struct("<IIIIdII")


def pack(layout: int, rows: Sequence[Row], steps: Any, lost: int, divider: int) -> bytes:
    """The message of `rows` (at least one); `steps` is an array of each channel's SI value of 1."""
    import numpy as np

    first = rows[0].period
    after = np.array([row.period - first for row in rows], dtype="<u4")
    values = np.array([row.raw for row in rows], dtype=np.float64) * steps
    head = HEAD.pack(ROWS, layout, len(rows), values.shape[1], float(first), lost & 0xFFFFFFFF, divider)
    return head + after.tobytes() + np.ascontiguousarray(values.T, dtype="<f4").tobytes()
