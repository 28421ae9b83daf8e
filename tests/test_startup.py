"""What the start-up concludes from its measurements, without a drive around it."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eesm.drive import fall_time
from eesm.startup import degrees, excitation_response, judge_wiring, rise_time

H = math.sqrt(3) / 2
# How each mistake changes the phase currents (a, b) that are measured.
MISTAKES = {
    "SHUNT_INVERTED_A": [[-1, 0], [0, 1]],
    "SHUNT_INVERTED_B": [[1, 0], [0, -1]],
    "swapped phases a and b": [[0, 1], [1, 0]],
    "swapped phases b and c": [[1, 0], [-1, -1]],
    "swapped phases c and a": [[-1, -1], [0, 1]],
}
FROM_AB = [[1, 0], [1 / math.sqrt(3), 2 / math.sqrt(3)]]
TO_AB = [[1, 0], [-0.5, H]]


def times(x, y):
    return [[sum(x[i][k] * y[k][j] for k in range(2)) for j in range(2)] for i in range(2)]


def machine(angle, ratio):
    """Current per voltage of a machine with its quick axis at an angle."""
    c, s = math.cos(angle), math.sin(angle)
    return [[ratio * c * c + s * s, (ratio - 1) * c * s], [(ratio - 1) * c * s, ratio * s * s + c * c]]


def flat(x, noise=(0, 0, 0, 0)):
    return tuple(v + n for v, n in zip((x[0][0], x[0][1], x[1][0], x[1][1]), noise, strict=True))


def broken(mistake, answer):
    return times(times(times(FROM_AB, MISTAKES[mistake]), TO_AB), answer)


angles = st.floats(0, math.pi)
noises = st.tuples(*[st.floats(-0.08, 0.08)] * 4)


@given(angles, st.floats(1, 5), noises)
def test_a_sound_machine_is_accepted_at_every_angle_and_saliency(angle, ratio, noise):
    assert judge_wiring(flat(machine(angle, ratio), noise), 5) is None


@given(angles, st.floats(1, 3), noises, st.sampled_from(sorted(MISTAKES)))
def test_no_wiring_mistake_passes_as_a_sound_machine(angle, ratio, noise, mistake):
    assert judge_wiring(flat(broken(mistake, machine(angle, ratio)), noise), 3) is not None


@given(angles, st.floats(1, 1.5), st.sampled_from(sorted(MISTAKES)))
def test_a_wiring_mistake_is_named(angle, ratio, mistake):
    verdict = judge_wiring(flat(broken(mistake, machine(angle, ratio))), 1.5)
    assert verdict is not None
    name, phases = verdict
    if mistake.startswith("SHUNT"):
        assert name == mistake
    else:
        assert (name, phases) == ("PHASES_SWAPPED", mistake)


@given(angles, st.floats(1, 3))
def test_both_shunts_inverted_and_phases_turned_are_named(angle, ratio):
    answer = machine(angle, ratio)
    verdict = judge_wiring(flat([[-v for v in row] for row in answer]), 3)
    assert verdict is not None
    assert verdict[0] == "SHUNT_INVERTED_A"
    for sign in (1, -1):
        turned = times([[-0.5, -sign * H], [sign * H, -0.5]], answer)
        verdict = judge_wiring(flat(turned), 3)
        assert verdict is not None
        assert verdict[0] == "PHASES_SWAPPED"


@given(st.sampled_from([0, 1, 2]), st.tuples(*[st.floats(-0.03, 0.03)] * 4))
def test_an_open_phase_is_not_named_as_what_its_noise_looks_like(phase, noise):
    c, s = math.cos(2 * math.pi * phase / 3), math.sin(2 * math.pi * phase / 3)
    answer = [[s * s, -s * c], [-s * c, c * c]]  # current flows across that phase's axis only
    assert judge_wiring(flat(answer, noise), 3) == ("WIRING_UNCLEAR", "no known mistake")


@given(st.floats(-1e4, 1e4))
def test_degrees_stay_within_half_a_turn(angle):
    value = degrees(angle)
    assert -180 <= value <= 180
    assert math.cos(math.radians(value)) == pytest.approx(math.cos(angle), abs=1e-6)


LAB = {
    "R_s": 0.06,
    "L_d": 1.1e-3,
    "L_q": 0.7e-3,
    "M": 15e-3,
    "R_f": 6.0,
    "L_f": 0.4,
    "sigma_L_d": 256e-6,
    "i_f_max": 4.0,
    "exciter_kind": "half_bridge",
}


def test_the_excitation_pulse_peaks_where_the_reference_simulation_does():
    t_peak, i_d, _ = excitation_response(LAB)
    assert t_peak == pytest.approx(11.5e-3, rel=0.1)
    assert 48 * i_d == pytest.approx(21, rel=0.05)


@given(st.floats(0.1, 3.9), st.floats(20, 60))
def test_field_times_follow_the_exponential(i_f, supply):
    assume(supply / 6.0 > 1.2 * i_f)
    tau = 0.4 / 6.0
    t = rise_time(LAB, supply, i_f)
    assert supply / 6.0 * (1 - math.exp(-t / tau)) == pytest.approx(i_f, rel=1e-6)
    t = fall_time(LAB, supply, i_f, 0.08)
    assert (i_f + supply / 6.0) * math.exp(-t / tau) - supply / 6.0 == pytest.approx(0.08, abs=1e-6)
    free = fall_time({**LAB, "exciter_kind": "unipolar"}, supply, i_f, 0.08)
    assert i_f * math.exp(-free / tau) == pytest.approx(0.08, rel=1e-6)
