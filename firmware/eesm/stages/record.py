"""Rows for telemetry: a continuous stream, and a triggered capture with pre-trigger."""

from eesm.signals import (
    CAPTURE_CHANNELS,
    CAPTURE_DONE,
    CAPTURE_FILLING,
    CAPTURE_IDLE,
    CAPTURE_ROWS,
    CAPTURE_TRIGGERED,
    CAPTURE_WAITING,
    PHASE_MASK,
    STREAM_ROW,
    STREAM_ROWS,
    Signals,
)

STREAM_LAST = STREAM_ROW * (STREAM_ROWS - 1)
CAPTURE_LAST = CAPTURE_CHANNELS * (CAPTURE_ROWS - 1)

EDGE_NONE = 0
EDGE_RISING = 1
EDGE_FALLING = 2
EDGE_FAULT = 3


def stream(s: Signals) -> None:
    """Every `stream_divider` periods, write the period and the channels; the reader may lag, never delay.

    By fives: a row of all 15 takes a tenth of a period on a Pico.
    """
    if s.stream_divider != 0:
        s.stream_left = s.stream_left - 1
        if s.stream_left <= 0:
            s.stream_left = s.stream_divider
            head = s.stream_head
            s.stream_ring[head] = s.period
            s.stream_ring[head + 1] = s.memory[s.stream_channel[0]]
            s.stream_ring[head + 2] = s.memory[s.stream_channel[1]]
            s.stream_ring[head + 3] = s.memory[s.stream_channel[2]]
            s.stream_ring[head + 4] = s.memory[s.stream_channel[3]]
            s.stream_ring[head + 5] = s.memory[s.stream_channel[4]]
            if s.stream_count > 5:
                s.stream_ring[head + 6] = s.memory[s.stream_channel[5]]
                s.stream_ring[head + 7] = s.memory[s.stream_channel[6]]
                s.stream_ring[head + 8] = s.memory[s.stream_channel[7]]
                s.stream_ring[head + 9] = s.memory[s.stream_channel[8]]
                s.stream_ring[head + 10] = s.memory[s.stream_channel[9]]
                if s.stream_count > 10:
                    s.stream_ring[head + 11] = s.memory[s.stream_channel[10]]
                    s.stream_ring[head + 12] = s.memory[s.stream_channel[11]]
                    s.stream_ring[head + 13] = s.memory[s.stream_channel[12]]
                    s.stream_ring[head + 14] = s.memory[s.stream_channel[13]]
                    s.stream_ring[head + 15] = s.memory[s.stream_channel[14]]
            s.stream_rows = (s.stream_rows + 1) & PHASE_MASK
            if head < STREAM_LAST:
                s.stream_head = head + STREAM_ROW
            else:
                s.stream_head = 0
    else:
        s.stream_left = 0


def capture(s: Signals) -> None:
    """Fill the ring until the trigger, then until the rows after it are in; then keep it."""
    if s.capture_arm != s.capture_armed:
        s.capture_armed = s.capture_arm
        s.capture_state = CAPTURE_FILLING
        s.capture_rows_left = s.capture_pre
        s.capture_head = 0
        s.capture_left = 0
        s.capture_last = s.capture_level
    if s.capture_state != CAPTURE_IDLE and s.capture_state != CAPTURE_DONE:
        s.capture_left = s.capture_left - 1
        if s.capture_left <= 0:
            s.capture_left = s.capture_divider
            capture_row(s)


def capture_row(s: Signals) -> None:
    """Write one row and look for the trigger."""
    head = s.capture_head
    s.capture_ring[head] = s.memory[s.capture_channel[0]]
    s.capture_ring[head + 1] = s.memory[s.capture_channel[1]]
    s.capture_ring[head + 2] = s.memory[s.capture_channel[2]]
    s.capture_ring[head + 3] = s.memory[s.capture_channel[3]]
    s.capture_ring[head + 4] = s.memory[s.capture_channel[4]]
    s.capture_ring[head + 5] = s.memory[s.capture_channel[5]]
    s.capture_ring[head + 6] = s.memory[s.capture_channel[6]]
    s.capture_ring[head + 7] = s.memory[s.capture_channel[7]]
    source = s.memory[s.capture_source]
    if s.capture_state == CAPTURE_WAITING and is_triggered(s, source) == 1:
        s.capture_state = CAPTURE_TRIGGERED
        s.capture_period = s.period
        s.capture_rows_left = CAPTURE_ROWS - s.capture_pre
    if s.capture_state != CAPTURE_WAITING:
        if s.capture_rows_left > 0:
            s.capture_rows_left = s.capture_rows_left - 1
        if s.capture_rows_left == 0:
            if s.capture_state == CAPTURE_FILLING:
                s.capture_state = CAPTURE_WAITING
            else:
                s.capture_state = CAPTURE_DONE
    s.capture_last = source
    if head < CAPTURE_LAST:
        s.capture_head = head + CAPTURE_CHANNELS
    else:
        s.capture_head = 0


def is_triggered(s: Signals, source: int) -> int:
    """1 when the trigger condition holds for this row."""
    hit = 0
    if s.capture_edge == EDGE_NONE:
        hit = 1
    elif s.capture_edge == EDGE_RISING:
        if source > s.capture_level and s.capture_last <= s.capture_level:
            hit = 1
    elif s.capture_edge == EDGE_FALLING:
        if source < s.capture_level and s.capture_last >= s.capture_level:
            hit = 1
    elif s.faults != 0:
        hit = 1
    return hit
