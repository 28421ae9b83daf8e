"""Figures of a step response."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Step:
    """Of a response from `start` to `goal`: times in s, overshoot as a share of the step."""

    rise: float  # 10 to 90 %
    t90: float
    t98: float
    overshoot: float
    settled: float  # within 2 % from then on


def judge_step(t: np.ndarray, y: np.ndarray, start: float, goal: float, band: float = 0.02) -> Step:
    """The figures of y(t), whose set point changed at t = 0; nan for what is never reached."""
    share = (y - start) / (goal - start)
    outside = np.nonzero(np.abs(share - 1) > band)[0]
    if len(outside) == 0:
        settled = 0.0
    elif outside[-1] + 1 < len(t):
        settled = float(t[outside[-1] + 1])
    else:
        settled = float("nan")
    return Step(
        rise=crossing(t, share, 0.9) - crossing(t, share, 0.1),
        t90=crossing(t, share, 0.9),
        t98=crossing(t, share, 0.98),
        overshoot=max(0.0, float(share.max()) - 1),
        settled=settled,
    )


def crossing(t: np.ndarray, share: np.ndarray, level: float) -> float:
    """The first time at which `share` reaches `level`, between the samples; nan if never."""
    above = np.nonzero(share >= level)[0]
    if len(above) == 0:
        return float("nan")
    n = above[0]
    if n == 0:
        return float(t[0])
    part = (level - share[n - 1]) / (share[n] - share[n - 1])
    return float(t[n - 1] + part * (t[n] - t[n - 1]))
