"""Shares of `make soak`: minutes instead of hours, and what judges them."""

import ctypes
import random
from typing import Any

import pytest

from boards.virtual import plant, sensors
from eesm.cyclic import TURN
from host_tools import units
from host_tools.soak import firmware, killed, simulated
from host_tools.soak.findings import Findings, memory_figures
from host_tools.soak.plant_in_c import compile_library


def inject_all(constants, fault, on, x):
    """One fault of plant or sensors; `constants` are (c, k)."""
    c, k = constants
    if fault in plant.FAULTS:
        plant.inject(c, fault, on, None, x)
    else:
        sensors.inject(k, fault, on)


@pytest.mark.parametrize("faults", [(), (*plant.FAULTS, *sensors.FAULTS)], ids=["healthy", "faulty"])
@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_the_machine_in_c_is_the_machine_in_python_to_the_last_bit(name, faults, tmp_path):
    library: Any = ctypes.CDLL(str(compile_library(tmp_path, bits=64)))
    values = units.load(name).as_plant() | sensors.PICO
    x, c = plant.make_plant(values, 3, {"w_m": 50.0, "i_f": 1.0})
    y, k = sensors.make_sensors(values, 3)
    raw = [0] * 5
    x_c, c_c, k_c = [(ctypes.c_double * len(words))(*words) for words in (x, c, k)]
    y_c, raw_c = (ctypes.c_int * len(y))(*y), (ctypes.c_int * 5)()
    draw, top = random.Random(1), int(values["pwm_top"])
    gate = 3
    injected: set[str] = set()
    acting: str = ""
    for period in range(6000):
        if faults and period % 100 == 0:
            if acting:
                inject_all((c, k), acting, False, x)
                inject_all((c_c, k_c), acting, False, x_c)
            acting = faults[period // 100 % len(faults)]
            inject_all((c, k), acting, True, x)
            inject_all((c_c, k_c), acting, True, x_c)
            injected.add(acting)
        if period % 200 == 0:
            gate = draw.choice((0, 1, 2, 3, 3, 3))
            compares = [draw.randint(0, top) for _ in range(3)]
            field = draw.randint(-top, top)
        legs = [max(0, min(top, leg + draw.randint(-20, 20))) for leg in compares]
        sensors.sample(x, y, k, raw)
        plant.run_period(x, c, legs[0], legs[1], legs[2], field, gate)
        library.sample(x_c, y_c, k_c, raw_c)
        library.run_period(x_c, c_c, *legs, field, gate)
        assert list(raw_c) == raw, period
    assert list(x_c) == x
    assert list(y_c) == y
    assert list(k_c) == k
    assert injected == set(faults)
    assert len({word for word in x if word}) > 20


def test_minutes_of_the_simulation_across_the_wrap_are_without_a_finding(monkeypatch):
    monkeypatch.setattr(simulated, "LOOK_S", 20.0)
    monkeypatch.setattr(simulated, "REST_S", 60.0)
    found = simulated.soak(0.04, period=TURN - 1_500_000)
    assert found.violations == []
    assert found.figures["wraps of the period"] == 1
    assert found.figures["ordered stops"] == 3


@pytest.mark.micropython
@pytest.mark.slow
def test_two_minutes_of_the_firmware_are_without_a_finding(tmp_path):
    found = firmware.soak(120.0, tmp_path, look_s=10.0)
    assert found.violations == []
    assert found.figures["wrapped"]
    assert found.figures["rows"] > 59_000
    assert found.figures["heap bytes measured"] >= 12


@pytest.mark.micropython
@pytest.mark.slow
def test_a_drive_whose_host_is_killed_stops_in_order(tmp_path):
    found = killed.soak(4, tmp_path, seed=3)
    assert found.violations == []
    assert found.figures["hosts killed"] == 4


def test_a_memory_that_grows_is_found_and_noise_is_not():
    noise = random.Random(1)
    flat, leak = Findings("flat"), Findings("leak")
    memory_figures(flat, "heap", [176_000 + noise.randint(-400, 400) for _ in range(60)], 2048)
    memory_figures(leak, "heap", [176_000 + 64 * k + noise.randint(-400, 400) for k in range(60)], 2048)
    assert flat.violations == []
    assert "heap grows: by" in leak.violations[0]
