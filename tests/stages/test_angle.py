"""Encoder and tracker."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eesm.parameters import encoder_words
from eesm.stages.angle import find_direction, read_encoder, track_angle
from tests.stages.bench import make_signals

TURN = 1 << 30


def words(counts: int, pole_pairs: int, reverse: bool = False):
    return encoder_words(
        {
            "pole_pairs": pole_pairs,
            "encoder_counts": counts,
            "encoder_reversed": reverse,
            "encoder_offset": 0.0,
        }
    )


@given(
    st.integers(16, 32768),
    st.integers(1, 24),
    st.booleans(),
    st.integers(0, 0xFFFF),
    st.lists(st.integers(-200, 200), max_size=50),
)
def test_phase_follows_the_counter_without_drift(counts, pole_pairs, reverse, start, moves) -> None:
    """Any count of a turn, any wrap of the counter: the phase is that of the position."""
    s = make_signals(**words(counts, pole_pairs, reverse))
    s.encoder_raw = start
    read_encoder(s)
    position = s.position
    for move in moves:
        move = max(-counts, min(counts, move))
        s.encoder_raw = (s.encoder_raw + move) & 0xFFFF
        position = (position + move) % counts
        read_encoder(s)
        sign = -1 if reverse else 1
        exact = (sign * (position + 0.5) * pole_pairs / counts) % 1.0
        error = (s.theta_encoder / TURN - exact + 0.5) % 1.0 - 0.5
        assert abs(error) < 3e-5 * pole_pairs


@pytest.mark.parametrize("speed_hz", [-600.0, -3.0, 0.2, 50.0, 800.0])
def test_tracker_settles_on_angle_and_speed(speed_hz: float) -> None:
    """No lag at constant electrical speed; the quantised encoder is smoothed."""
    f_pwm, counts = 20000, 4096
    bandwidth = 2 * math.pi * 100 / f_pwm
    s = make_signals(
        w_shift=11, k_pll_p=round(2 * 0.9 * bandwidth * 4096 * 16), k_pll_p_shift=4,
        k_pll_i=round(bandwidth**2 * 4096 * 2048), k_pll_i_shift=11,
        **words(counts, 1),
    )  # fmt: skip
    worst = 0.0
    for k in range(6000):
        turns = speed_hz * k / f_pwm
        s.encoder_raw = math.floor(turns * counts) & 0xFFFF
        read_encoder(s)
        track_angle(s)
        find_direction(s)
        if k > 4000:
            error = (s.theta_e / TURN - turns + 0.5) % 1.0 - 0.5
            worst = max(worst, abs(error))
    assert worst < 0.6 / counts
    assert abs(s.w_step / TURN * f_pwm - speed_hz) < 0.4
    ahead = 2 * math.pi * (turns + 1.5 * speed_hz / f_pwm)
    assert abs(s.sin_out / 32767 - math.sin(ahead)) < 0.006
    assert abs(s.cos_out / 32767 - math.cos(ahead)) < 0.006


@given(st.integers(0, TURN - 1), st.integers(0, TURN - 1))
def test_a_new_offset_turns_the_tracked_phase_without_any_speed(before: int, after: int) -> None:
    s = make_signals(theta_offset=before, k_pll_p=14000, k_pll_p_shift=6, k_pll_i=8000, k_pll_i_shift=11)
    s.encoder_counts, s.encoder_gain_high, s.encoder_gain_low = 4096, 16, 0
    for _ in range(3):
        read_encoder(s)
        track_angle(s)
    s.theta_offset = after
    read_encoder(s)
    track_angle(s)
    assert s.w_step == 0
    assert s.theta_e == s.theta_encoder == after
