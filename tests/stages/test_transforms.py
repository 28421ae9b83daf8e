"""Clarke and Park: round trips and invariants."""

import math

from hypothesis import given
from hypothesis import strategies as st

from eesm.stages.transforms import clarke, park, turn_voltage
from tests.stages.bench import make_signals, set_direction

turns = st.floats(0, 1)
length = st.floats(0, 32000)


@given(length, turns)
def test_clarke_keeps_the_amplitude(amplitude: float, phase: float) -> None:
    s = make_signals()
    s.i_a = round(amplitude * math.cos(2 * math.pi * phase))
    s.i_b = round(amplitude * math.cos(2 * math.pi * (phase - 1 / 3)))
    clarke(s)
    assert abs(math.hypot(s.i_alpha, s.i_beta) - amplitude) < 5


@given(length, turns, turns)
def test_park_finds_a_turned_vector(amplitude: float, phase: float, rotor: float) -> None:
    s = make_signals()
    set_direction(s, rotor)
    s.i_alpha = round(amplitude * math.cos(2 * math.pi * phase))
    s.i_beta = round(amplitude * math.sin(2 * math.pi * phase))
    park(s)
    assert abs(s.i_d - amplitude * math.cos(2 * math.pi * (phase - rotor))) < 4
    assert abs(s.i_q - amplitude * math.sin(2 * math.pi * (phase - rotor))) < 4


@given(st.integers(-23000, 23000), st.integers(-23000, 23000), turns)
def test_turning_out_and_back_returns_the_vector(d: int, q: int, rotor: float) -> None:
    s = make_signals()
    set_direction(s, rotor)
    s.u_d, s.u_q = d, q
    turn_voltage(s)
    s.i_alpha, s.i_beta = s.u_alpha, s.u_beta
    park(s)
    assert abs(s.i_d - d) <= 5
    assert abs(s.i_q - q) <= 5
