"""The part that turns backwards: found alone, whatever else the voltages do."""

import cmath
import math

import pytest

from eesm.signals import PHASE_MASK, Signals
from eesm.stages.balance import BACK_POINTS, find_backward
from tests.stages.bench import make_signals

CYCLES = 8192  # eight times as many as the means are over
PART = 1500 * cmath.exp(0.7j)


def turn(s: Signals, turns_a_cycle: float, parts: dict[int, complex]) -> None:
    """Voltages as the rotor sees them, of parts that turn so many times in each of its turns."""
    for k in range(CYCLES):
        theta = 2 * math.pi * turns_a_cycle * k
        s.theta_e = round(turns_a_cycle * k * (1 << 30)) & PHASE_MASK
        x = sum(part * cmath.exp(1j * n * theta) for n, part in parts.items())
        s.u_d, s.u_q = round(x.real), round(x.imag)
        find_backward(s)


def backward(s: Signals) -> complex:
    return complex(s.u_back_along, s.u_back_across) / (1 << BACK_POINTS)


@pytest.mark.parametrize("turns", [0.013, -0.05, 0.171, -0.31])
@pytest.mark.parametrize(
    "others",
    [{}, {0: 9000 - 4000j}, {2: 3000j, 6: 2000 + 1000j, -6: 1500j}, {0: -8000, 1: 2000, -1: 1000j, 4: 2000}],
    ids=["alone", "steady", "ripple", "all"],
)
def test_the_part_is_found_and_nothing_else(turns: float, others: dict[int, complex]) -> None:
    s = make_signals()
    turn(s, turns, {-2: PART, **others})
    assert abs(backward(s) - PART) < 100
    s = make_signals()
    turn(s, turns, {0: 5000, **others})
    assert abs(backward(s)) < 60


def test_a_step_is_forgotten() -> None:
    s = make_signals()
    turn(s, 0.013, {0: 20000})
    turn(s, 0.013, {0: -20000})
    assert abs(backward(s)) < 30
