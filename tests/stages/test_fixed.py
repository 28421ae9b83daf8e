"""Integer helpers against exact arithmetic."""

import math

from hypothesis import given
from hypothesis import strategies as st

from eesm.stages.angle import find_direction
from eesm.stages.fixed import amplify, magnitude, mul15, root_of, sat, within, wrap
from tests.stages.bench import make_signals

S = make_signals()
Q15 = st.integers(-32767, 32767)


@given(st.integers(-(1 << 31), (1 << 31) - 1), st.integers(0, (1 << 30) - 1))
def test_saturation_is_the_nearest_value_inside(x: int, limit: int) -> None:
    assert sat(x, limit) == max(-limit, min(limit, x))
    assert within(x, limit) == max(0, min(limit, x))


@given(Q15, Q15)
def test_product_is_within_half_a_step(x: int, y: int) -> None:
    assert abs(mul15(x, y) - x * y / 32768) <= 0.5
    assert magnitude(x) == abs(x)


@given(Q15, st.integers(0, 32767), st.integers(0, 30))
def test_gain_is_floor_of_the_exact_product(x: int, k: int, k_shift: int) -> None:
    assert amplify(x, k, k_shift) == math.floor(x * k / 2**k_shift)


@given(st.integers(0, (1 << 30) - 1), st.integers(0, (1 << 30) - 1))
def test_wrapped_difference_is_the_short_way_round(a: int, b: int) -> None:
    d = wrap(a - b)
    assert -(1 << 29) <= d < (1 << 29)
    assert (b + d - a) % (1 << 30) == 0


@given(st.integers(0, (1 << 30) - 1))
def test_sine_and_cosine_are_right_to_three_steps(phase: int) -> None:
    angle = 2 * math.pi * phase / (1 << 30)
    s = make_signals(theta_e=phase)
    find_direction(s)
    for value, exact in ((s.sin_e, math.sin(angle)), (s.cos_e, math.cos(angle))):
        assert abs(value - 32767 * exact) < 3
        assert abs(value) <= 32768


@given(st.integers(0, (1 << 30) - 1))
def test_root_is_right_to_two_steps(square: int) -> None:
    assert abs(root_of(S, square) - math.sqrt(square)) < 2
