"""Frequency response of a control loop out of its step response: magnitude, phase, bandwidth, phase margin.

The transform of a step response's differences is the response from set point to value, T.  Broken at the
controller's error, the loop is L = T / (1 - T), whatever the controller is made of, as long as nothing is fed
forward from the set point and no limit was reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from host_tools.tuning import Response

# Loops with a linear step: one of the field takes all of the exciter's voltage, one of speed is ramped.
LINEAR = ("i_d", "i_q")
POINTS = 240
HIGHEST = 0.25  # of the sampling rate: beyond it the noise of a measurement is all there is
CORNER = 1 / np.sqrt(2)


@dataclass(frozen=True)
class Frequencies:
    """From set point to value: Hz, and the complex ratio at each."""

    f: np.ndarray
    closed: np.ndarray

    @property
    def magnitude(self) -> np.ndarray:
        """dB."""
        return 20 * np.log10(np.abs(self.closed))

    @property
    def phase(self) -> np.ndarray:
        """Degrees, without jumps."""
        return np.degrees(np.unwrap(np.angle(self.closed)))

    def bandwidth(self) -> float:
        """Hz at which the magnitude falls through -3 dB; nan when it does not."""
        return crossing(self.f, np.abs(self.closed) - CORNER)

    def margin(self) -> tuple[float, float]:
        """Phase margin in degrees, and the frequency in Hz at which it is taken; nan when there is none."""
        opened = self.closed / (1 - self.closed)
        at = crossing(self.f, np.abs(opened) - 1)
        phase = np.degrees(np.unwrap(np.angle(opened)))
        return 180 + float(np.interp(at, self.f, phase)) if np.isfinite(at) else np.nan, at


def crossing(f: np.ndarray, y: np.ndarray) -> float:
    """The first frequency at which y falls through 0, between points on a line; nan without one."""
    found = np.flatnonzero((y[:-1] > 0) & (y[1:] <= 0))
    if not len(found):
        return float("nan")
    k = int(found[0])
    return float(f[k] + (f[k + 1] - f[k]) * y[k] / (y[k] - y[k + 1]))


def transform(response: Response) -> Frequencies:
    """The frequency response that belongs to a step response, which has settled in its first half."""
    after = response.t >= 0
    t = response.t[after]
    step = t[1] - t[0]
    share = (response.y[after] - response.start) / (response.goal - response.start)
    changes = np.diff(share, prepend=0.0)
    # What comes after it has settled is noise, which is let out softly.
    half = len(changes) // 2
    changes[half:] *= 0.5 * (1 + np.cos(np.pi * np.arange(len(changes) - half) / (len(changes) - half)))
    f = np.geomspace(1 / (t[-1] - t[0]), HIGHEST / step, POINTS)
    # Between two rows the value goes on a line: a change is spread over the time before its row.
    return Frequencies(f, np.sinc(f * step) * (np.exp(-2j * np.pi * np.outer(f, t - step / 2)) @ changes))
