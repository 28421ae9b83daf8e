"""Damping of a swinging driveline, with unit c behind a soft shaft."""

import math

import numpy as np
import pytest

from boards.virtual import plant
from eesm.signals import REFERENCE_TORQUE
from eesm.stages.damping import damp_driveline
from host_tools.experiment import TRUTHS, Experiment
from host_tools.units import load
from tests.stages.bench import make_signals

RATIO = 8.774
STIFFNESS = 10e3 / RATIO**2  # at the motor's side: 8.1 Hz against J = 0.05
VEHICLE = {"J": 0.05, "shaft_stiffness": STIFFNESS, "J_out": 2200 * 0.335**2 / RATIO**2}
VEHICLE["shaft_damping"] = 2 * 0.02 * math.sqrt(STIFFNESS * 0.05)
TORQUE = 60.0


def swing(damping: float) -> tuple[float, np.ndarray, Experiment]:
    """Decay of the shaft's twist in 1/s after a step of torque, and the torque references."""
    bench = Experiment(load("c"), w_m=100.0, held=False, plant_options=VEHICLE)
    before = sum(plant.stored_energy(bench.x, bench.c))
    bench.believe(driveline_damping=damping)
    bench.set(w_slow=bench.x[plant.W_M])
    bench.run(0.3)
    bench.torque(TORQUE)
    rows = bench.record(0.8, ["torque_ref"], every=20, truths=TRUTHS | {"twist": plant.TWIST})
    assert abs(plant.energy_residual(bench.x, bench.c, before)) < 1e-3 * bench.x[plant.E_THROUGHPUT]
    twist = rows["twist"][50:]
    envelope = [np.ptp(twist[n : n + 125]) for n in (0, 125, 250)]  # a period of 8 Hz each
    return math.log(envelope[0] / envelope[1]) / 0.125, rows["torque_ref"], bench


def test_a_swinging_driveline_comes_to_rest_three_times_as_fast() -> None:
    free, _, _ = swing(0.0)
    damped, torque, bench = swing(1.5)
    assert damped > 3 * free
    most = 0.1 * float(bench.settings["torque_max"])
    late = torque[20:]
    assert np.abs(late - TORQUE).max() <= 1.005 * most
    assert abs(late[-100:].mean() - TORQUE) < 0.1 * TORQUE


def test_damping_is_off_by_default_and_leaves_the_demand_alone() -> None:
    assert load("c").as_settings()["driveline_damping"] == 0
    s = make_signals(reference_mode=REFERENCE_TORQUE, torque_demand=1234, w_e=5000, driveline_limit=3000)
    damp_driveline(s)
    assert s.torque_demand == 1234


@pytest.mark.parametrize("sign", [-1, 1])
def test_damping_opposes_quick_changes_within_its_limit(sign: int) -> None:
    s = make_signals(
        reference_mode=REFERENCE_TORQUE, w_e=sign * 9000, driveline_limit=3000, k_driveline=16384,
        k_driveline_shift=14,
    )  # fmt: skip
    damp_driveline(s)
    assert abs(s.torque_demand + sign * 3000) <= 1
