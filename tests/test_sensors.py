"""The simulated sensors: quantisation, noise, offset, gain, encoder, failures."""

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boards.virtual import plant, sensors
from boards.virtual.sensors import inject, make_sensors, sample, settle
from host_tools.jitted import compile_plant
from host_tools.units import load

CLEAN: dict[str, Any] = {"adc_noise": 0.0, "offset_i_a": 0, "offset_i_b": 0, "offset_i_f": 0}


def build(name: str = "a", seed: int = 1, **options: Any) -> tuple[list, list, list[int]]:
    y, k = make_sensors(load(name).as_plant(), seed, options)
    return y, k, [0] * 5


def look(values: list[float], y: list, k: list, raw: list[int]) -> list[int]:
    sample(values, y, k, raw)
    return list(raw)


def test_sensors_read_the_first_words_of_the_plant() -> None:
    assert [plant.I_A, plant.I_B, plant.I_F, plant.U_DC, plant.TURNS] == [0, 1, 2, 3, 4]


@given(st.floats(-1.2, 1.2), st.floats(-1.2, 1.2), st.floats(-1.2, 1.2), st.floats(0, 1.2))
def test_converter_rounds_to_the_nearest_count_and_saturates(a: float, b: float, f: float, u: float) -> None:
    unit = load("a")
    y, k, raw = build(**CLEAN)
    full = (unit.sensing.i_full_scale, unit.sensing.i_full_scale, unit.sensing.i_f_full_scale)
    values = [a * full[0], b * full[1], f * full[2], u * unit.sensing.u_dc_full_scale, 0.0]
    found = look(values, y, k, raw)
    for n, share in enumerate((a, b, f)):
        assert abs(found[n] - max(0, min(4095, 2048 + 2048 * share))) <= 0.5 + 1e-6
    assert abs(found[3] - min(4095, 4096 * u)) <= 0.5 + 1e-6


def test_noise_is_normal_and_independent() -> None:
    """Standard deviation of 1 count on every channel, no correlation between them or in time."""
    y, k, raw = build(adc_noise=1.0)
    values = [10.3, -5.2, 1.7, 48.0, 0.2]
    rows = np.array([look(values, y, k, raw)[:4] for _ in range(20000)], float)
    # a rounding to whole counts adds 1/12 to the variance
    assert rows.std(axis=0) == pytest.approx((1 + 1 / 12) ** 0.5, rel=0.03)
    between = np.corrcoef(rows.T) - np.eye(4)
    assert np.abs(between).max() < 0.03
    assert abs(np.corrcoef(rows[1:, 0], rows[:-1, 0])[0, 1]) < 0.03


def test_offset_and_gain_error() -> None:
    y, k, raw = build(adc_noise=0.0, offset_i_a=7, gain_error_i_b=0.01, offset_u_dc=-3)
    found = look([0.0, 35.0, 0.0, 37.5, 0.0], y, k, raw)
    assert found[0] == 2055
    assert found[1] == 2048 - 11 + 1034
    assert found[3] == 2045


def turn(y: list, k: list, raw: list[int], path: list[float]) -> list[int]:
    return [look([0.0, 0.0, 0.0, 48.0, place % 1.0], y, k, raw)[4] for place in path]


@pytest.mark.parametrize("counts", [4096, 1000, 20000])
@pytest.mark.parametrize("backwards", [0, 1])
def test_incremental_encoder_counts_both_ways_and_wraps(counts: int, backwards: int) -> None:
    """Ten turns forward and back end at the count where they began, whatever divides 2**16."""
    y, k, raw = build(encoder_counts=counts, encoder_reversed=backwards)
    settle([0.0, 0.0, 0.0, 48.0, 0.3], y, k, raw)
    start = raw[4]
    steps = [0.3 + i / 50 for i in range(501)]
    forward = turn(y, k, raw, steps)
    sign = -1 if backwards else 1
    assert (forward[-1] - start) % 65536 == sign * 10 * counts % 65536
    assert all(0 <= n < 65536 for n in forward)
    back = turn(y, k, raw, steps[::-1])
    assert back[-1] == start


def test_incremental_encoder_begins_anywhere() -> None:
    begun = set()
    for seed in range(50):
        y, k, raw = build(seed=seed)
        settle([0.0, 0.0, 0.0, 48.0, 0.3], y, k, raw)
        begun.add(raw[4])
        after = look([0.0, 0.0, 0.0, 48.0, 0.3], y, k, raw)[4]
        assert after == raw[4] == y[1]
    assert len(begun) == 50 and max(begun) > 40000


@pytest.mark.parametrize("backwards", [0, 1])
@given(st.floats(0, 0.999), st.floats(0, 0.999))
def test_absolute_encoder_counts_zero_at_its_offset(backwards: int, offset: float, place: float) -> None:
    y, k, raw = build("b", encoder_absolute=1, encoder_offset=offset, encoder_reversed=backwards)
    settle([0.0, 0.0, 0.0, 48.0, place], y, k, raw)
    share = (place - offset / 6) % 1.0
    if backwards:
        share = -share % 1.0
    assert raw[4] == int(share * 4096) or abs(share * 4096 - round(share * 4096)) < 1e-6


def test_inverted_shunts() -> None:
    y, k, raw = build(**CLEAN)
    values = [7.0, -14.0, 1.0, 48.0, 0.0]
    right = look(values, y, k, raw)
    inject(k, "shunt_inverted_a")
    inject(k, "shunt_inverted_b")
    wrong = look(values, y, k, raw)
    assert (wrong[0] - 2048, wrong[1] - 2048) == pytest.approx((2048 - right[0], 2048 - right[1]), abs=1)
    inject(k, "shunt_inverted_a", False)
    assert look(values, y, k, raw)[0] == right[0]


@pytest.mark.parametrize(("name", "n"), [("adc_stuck_a", 0), ("adc_stuck_b", 1), ("adc_stuck_f", 2)])
def test_stuck_converter_keeps_its_last_count(name: str, n: int) -> None:
    y, k, raw = build(**CLEAN)
    first = look([5.0, 5.0, 1.0, 48.0, 0.0], y, k, raw)
    inject(k, name)
    later = look([9.0, 9.0, 2.0, 40.0, 0.1], y, k, raw)
    assert [later[i] == first[i] for i in range(4)] == [i == n for i in range(4)]
    inject(k, name, False)
    assert look([9.0, 9.0, 2.0, 40.0, 0.1], y, k, raw)[n] != first[n]


def test_lost_encoder_stands_still_and_reversed_one_counts_back() -> None:
    y, k, raw = build()
    settle([0.0, 0.0, 0.0, 48.0, 0.3], y, k, raw)
    first = raw[4]
    inject(k, "encoder_lost")
    assert turn(y, k, raw, [0.3, 0.31, 0.32]) == [first] * 3
    y, k, raw = build()
    inject(k, "encoder_reversed")
    settle([0.0, 0.0, 0.0, 48.0, 0.3], y, k, raw)
    assert (turn(y, k, raw, [0.31])[0] - raw[4]) % 65536 in range(65536)
    assert (raw[4] - first) % 65536 in (65536 - 41, 65536 - 40)


@pytest.mark.parametrize(("name", "n"), [("gain_a", 0), ("gain_b", 1)])
def test_a_gain_drifts(name: str, n: int) -> None:
    y, k, raw = build(**CLEAN)
    values = [10.0, -20.0, 1.0, 48.0, 0.0]
    right = look(values, y, k, raw)
    for amount, factor in ((None, 1.3), (-0.5, 0.5), (0.1, 1.1)):
        inject(k, name, True, amount)
        wrong = look(values, y, k, raw)
        assert wrong[n] - 2048 == pytest.approx(factor * (right[n] - 2048), abs=1)
        assert wrong[:n] + wrong[n + 1 :] == right[:n] + right[n + 1 :]
    inject(k, "shunt_inverted_" + name[-1])
    assert look(values, y, k, raw)[n] - 2048 == pytest.approx(-1.1 * (right[n] - 2048), abs=1)
    inject(k, "shunt_inverted_" + name[-1], False)
    inject(k, name, False)
    assert look(values, y, k, raw) == right


@pytest.mark.parametrize(("name", "n"), [("offset_a", 0), ("offset_b", 1), ("offset_f", 2)])
def test_a_zero_moves(name: str, n: int) -> None:
    y, k, raw = build(**CLEAN)
    values = [10.0, -20.0, 1.0, 48.0, 0.0]
    right = look(values, y, k, raw)
    for amount, counts in ((None, 200), (-35.0, -35)):
        inject(k, name, True, amount)
        assert [a - b for a, b in zip(look(values, y, k, raw), right, strict=True)] == [
            counts if m == n else 0 for m in range(5)
        ]
    inject(k, name, False)
    assert look(values, y, k, raw) == right


@pytest.mark.parametrize("options", [{}, sensors.PICO])
@pytest.mark.parametrize(("name", "n"), [("range_a", 0), ("range_b", 1), ("range_f", 2), ("range_u", 3)])
def test_a_channel_leaves_its_range(name: str, n: int, options: dict[str, Any]) -> None:
    y, k, raw = build(**options)
    same_y, same_k, same = build(**options)
    values = [10.0, -20.0, 1.0, 48.0, 0.0]
    for amount, count in ((None, 4095), (0.0, 0)):
        inject(k, name, True, amount)
        for _ in range(50):
            found, right = look(values, y, k, raw), look(values, same_y, same_k, same)
            assert found[n] == count
            assert found[:n] + found[n + 1 :] == right[:n] + right[n + 1 :]
    inject(k, name, False)
    assert look(values, y, k, raw) == look(values, same_y, same_k, same)


def test_stuck_voltage_keeps_its_last_count() -> None:
    y, k, raw = build(**CLEAN)
    first = look([5.0, 5.0, 1.0, 48.0, 0.0], y, k, raw)
    inject(k, "adc_stuck_u")
    later = look([9.0, 9.0, 2.0, 40.0, 0.1], y, k, raw)
    assert later[3] == first[3] and later[0] != first[0]
    inject(k, "adc_stuck_u", False)
    assert look([9.0, 9.0, 2.0, 40.0, 0.1], y, k, raw)[3] == pytest.approx(40 / 75 * 4096, abs=1)


@pytest.mark.parametrize("absolute", [0, 1])
@pytest.mark.parametrize("amount", [None, -100.0])
def test_an_encoder_jumps_once(absolute: int, amount: float | None) -> None:
    """By electrical degrees: a sixth of a pole pair's share of the counts, and back when it is mended."""
    y, k, raw = build(encoder_absolute=absolute)
    settle([0.0, 0.0, 0.0, 48.0, 0.3], y, k, raw)
    before = raw[4]
    counts = round(4096 / 2 * (60 if amount is None else amount) / 360)
    wrap = 4096 if absolute else 65536
    inject(k, "encoder_jumped", True, amount)
    for _ in range(3):
        moved = (turn(y, k, raw, [0.3])[0] - before + wrap // 2) % wrap - wrap // 2
        assert moved == pytest.approx(counts, abs=1)
    inject(k, "encoder_jumped", False)
    assert turn(y, k, raw, [0.3])[0] == before


@pytest.mark.parametrize("absolute", [0, 1])
@pytest.mark.parametrize("backwards", [0, 1])
@pytest.mark.parametrize("amount", [None, 0.1, -0.2])
def test_an_encoder_slips_as_it_turns(absolute: int, backwards: int, amount: float | None) -> None:
    """Ten turns less their share; nothing at standstill; what is lost stays lost."""
    share = 0.02 if amount is None else amount
    y, k, raw = build(encoder_absolute=absolute, encoder_reversed=backwards)
    settle([0.0, 0.0, 0.0, 48.0, 0.3], y, k, raw)
    inject(k, "encoder_slips", True, amount)
    start = turn(y, k, raw, [0.3] * 20)[-1]
    assert start == raw[4]
    path = turn(y, k, raw, [0.3 + i / 100 for i in range(1001)] + [0.3])
    wrap = 4096 if absolute else 65536
    expected = (-1 if backwards else 1) * 10 * 4096 * (1 - share)
    assert (path[-1] - start - expected + wrap / 2) % wrap - wrap / 2 == pytest.approx(0, abs=1.01)
    inject(k, "encoder_slips", False)
    after = turn(y, k, raw, [0.3 + i / 100 for i in range(101)])
    moved = (after[-1] - path[-1] + wrap // 2) % wrap - wrap // 2
    assert abs(moved) == pytest.approx(0 if absolute else 4096, abs=1)


@pytest.mark.parametrize("absolute", [0, 1])
def test_a_noisy_encoder_counts_what_is_not_there(absolute: int) -> None:
    """Up to 20 counts in each period: an incremental one walks away with them, an absolute one does not."""
    y, k, raw = build(encoder_absolute=absolute)
    settle([0.0, 0.0, 0.0, 48.0, 0.3], y, k, raw)
    before = raw[4]
    inject(k, "encoder_noisy")
    path = np.array(turn(y, k, raw, [0.3] * 2000))
    path = (path - before + 32768) % 65536 - 32768
    steps = np.diff(path)
    assert np.abs(steps).max() <= (41 if absolute else 21)
    assert (np.abs(path).max() <= 21) == bool(absolute)
    assert steps.std() == pytest.approx(11.8 * (2**0.5 if absolute else 1), rel=0.1)
    inject(k, "encoder_noisy", False)
    rest = turn(y, k, raw, [0.3] * 3)
    assert len(set(rest)) == 1
    if absolute:
        assert rest[0] == pytest.approx(before, abs=1)


def test_amounts_of_sensor_faults_are_checked() -> None:
    _, k, _ = build()
    with pytest.raises(ValueError, match=r"amount of range_a is 5000, the count that it reads; .* 0 .. 4095"):
        inject(k, "range_a", True, 5000.0)
    with pytest.raises(ValueError, match="adc_stuck_a takes no amount; those that do: encoder_jumped"):
        inject(k, "adc_stuck_a", True, 1.0)


@pytest.mark.parametrize("absolute", [0, 1])
def test_faulty_converter_is_the_same_compiled(absolute: int) -> None:
    _, compiled = compile_plant()
    y, k, raw = build("b", encoder_absolute=absolute)
    fast_y, fast_k, fast_raw = np.array(y, dtype=np.int64), np.array(k), np.zeros(5, dtype=np.int64)
    for n in range(100 * len(sensors.FAULTS)):
        name = sensors.FAULTS[n // 100]
        if n % 100 in (0, 80):
            inject(k, name, n % 100 == 0)
            inject(fast_k, name, n % 100 == 0)
        values = [20 * np.sin(0.3 * n), 25 * np.sin(0.3 * n + 2), 0.003 * n, 40.0, n / 170 % 1.0]
        compiled(np.array(values), fast_y, fast_k, fast_raw)
        assert look(values, y, k, raw) == fast_raw.tolist()
    assert k == fast_k.tolist()


def test_every_fault_has_a_name_that_injects() -> None:
    for name in sensors.FAULTS:
        before = build()[1]
        after = build()[1]
        inject(after, name)
        assert after != before
        inject(after, name, False)
        assert after == before
    for name in plant.FAULTS:
        _, before = plant.make_plant(load("a").as_plant(), 1)
        _, after = plant.make_plant(load("a").as_plant(), 1)
        plant.inject(after, name)
        assert after != before
        plant.inject(after, name, False)
        assert after == before


def test_numba_samples_like_cpython() -> None:
    _, compiled = compile_plant()
    y, k, raw = build(adc_noise=1.3)
    states = np.array(y, float), np.array(k), np.zeros(5, np.int32)
    for n in range(3000):
        values = [60.0 - n * 0.05, -50.0 + n * 0.04, n * 0.003, 70.0 - n * 0.02, (n * 0.0137) % 1.0]
        sample(values, y, k, raw)
        compiled(np.array(values), *states)
        assert list(states[2]) == raw
    assert list(states[0]) == y


# --- the converter of a Pico --------------------------------------------------------------------------


def test_converter_of_a_pico_has_four_wide_codes() -> None:
    """Codes 512 and 1024*k + 512 take 10 counts of a ramp, each other one a little less than 1."""
    y, k, raw = build(**CLEAN, adc_spur=9.0)
    steps = 64
    levels = np.arange(-2048 * steps, 2048 * steps) / (2048 * steps)
    full = load("a").sensing.i_full_scale
    counts = np.array([look([level * full, 0.0, 0.0, 0.0, 0.0], y, k, raw)[0] for level in levels])
    width = np.bincount(counts, minlength=4096)[1:4095] / steps
    wide = {int(code) + 1 for code in np.nonzero(width > 2)[0]}
    assert wide == {512, 1536, 2560, 3584}
    assert width[511] == pytest.approx(9.99, abs=0.05)
    assert np.delete(width, [511, 1535, 2559, 3583]).max() < 1.05
    assert (np.diff(counts) >= 0).all()
    assert counts[2048 * steps] == 2048


@pytest.mark.parametrize(("spur", "low", "high"), [(0.0, 8.9, 9.1), (9.0, 8.2, 8.6)])
def test_effective_bits_of_a_pico(spur: float, low: float, high: float) -> None:
    """Signal to everything else for a sine of the full range: 9 bits by noise, 8.4 with the wide codes."""
    y, k, raw = build(**{**CLEAN, **sensors.PICO, "adc_spur": spur, "adc_skew": 0.0})
    full = load("a").sensing.i_full_scale
    angle = np.arange(20000) * 0.6180339887 * 2 * np.pi
    ideal = 0.99 * np.sin(angle)
    counts = np.array([look([value * full, 0.0, 0.0, 0.0, 0.0], y, k, raw)[0] for value in ideal], float)
    basis = np.column_stack([np.ones_like(ideal), ideal])
    rest = counts - basis @ np.linalg.lstsq(basis, counts, rcond=None)[0]
    bits = np.log2(4096 / np.sqrt(12) / rest.std())
    assert low < bits < high


def test_channels_of_a_pico_are_taken_one_after_the_other() -> None:
    """On a steady slope channel n reads what it has n * 2 us later."""
    unit = load("a")
    y, k, raw = build(**{**CLEAN, **sensors.PICO, "adc_noise": 0.0, "adc_spur": 0.0})
    slope = 0.2 * unit.sensing.i_full_scale  # A a period
    share = 2e-6 * unit.board.f_pwm
    look([0.0, 0.0, 0.0, 0.0, 0.0], y, k, raw)
    found = look([slope, slope, 0.0, 0.0, 0.0], y, k, raw)
    assert found[0] == round(2048 + 0.2 * 2048)
    assert found[1] == round(2048 + 0.2 * 2048 * (1 + share))


@pytest.mark.parametrize("options", [{}, sensors.PICO])
def test_converter_is_the_same_compiled(options: dict[str, Any]) -> None:
    _, compiled = compile_plant()
    y, k, raw = build(**options)
    fast_y, fast_k, fast_raw = np.array(y, dtype=np.int64), np.array(k), np.zeros(5, dtype=np.int64)
    for n in range(2000):
        values = [20 * np.sin(0.3 * n), 25 * np.sin(0.3 * n + 2), 0.003 * n, 40 + 0.005 * n, n / 2000]
        compiled(np.array(values), fast_y, fast_k, fast_raw)
        assert look(values, y, k, raw) == fast_raw.tolist()


SCRIPT = """
import sys
sys.path.insert(0, {root!r})
import json
from math import sin
from boards.virtual.sensors import make_sensors, sample
y, k = make_sensors(json.loads({plant!r}), 3)
rows = []
for n in range(200):
    raw = [0] * 5
    sample([30 * sin(0.3 * n), 30 * sin(0.3 * n + 2), 0.02 * n, 48.0, n / 200], y, k, raw)
    rows.append(raw)
print(json.dumps(rows))
"""


@pytest.mark.micropython
@pytest.mark.parametrize("options", [{}, sensors.PICO])
def test_micropython_samples_alike(options: dict[str, Any], micropython: list[str], tmp_path: Path) -> None:
    plant_options = load("a").as_plant() | options
    script = tmp_path / "look.py"
    root = str(Path(sensors.__file__).parents[2])
    script.write_text(SCRIPT.format(root=root, plant=json.dumps(plant_options)))
    done = subprocess.run([*micropython, str(script)], capture_output=True, text=True, timeout=60, check=True)
    y, k = make_sensors(load("a").as_plant(), 3, options)
    for n, row in enumerate(json.loads(done.stdout)):
        values = [30 * math.sin(0.3 * n), 30 * math.sin(0.3 * n + 2), 0.02 * n, 48.0, n / 200]
        assert look(values, y, k, [0] * 5) == row
