"""Torque steps at the voltage limit, motoring and braking: no trip, voltage left again, torque arrives."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from boards.virtual import plant
from host_tools.accept.limits import machine_of, u_max
from host_tools.experiment import Experiment
from host_tools.references.envelope import max_torque
from host_tools.simulate import Simulation
from host_tools.units import load

# Of the highest torque at that speed; a step from each to each.
LEVELS = (-1.0, -0.77, -0.5, 0.0, 0.5, 1.0)
REST = 0.12  # s between two steps: i_q that was folded takes 0.1 s to come back
SATURATED = 10.0  # ms that the voltage limit may bind: b's field from its floor at top speed takes 6
OFF = 0.02  # of rated torque


def all_steps(levels):
    """A walk that makes each step between two different levels once."""
    last = len(levels)
    pairs = [(levels[n], levels[k]) for n in range(last) for k in range(n + 1, last)]
    return [level for pair in pairs for level in pair] + [levels[0]]


def test_the_walk_makes_every_step():
    walk = all_steps(LEVELS)
    steps = set(pairwise(walk))
    assert steps == {(a, b) for a in LEVELS for b in LEVELS if a != b}


@pytest.mark.parametrize("share", [0.4, -0.7, 1.0])
@pytest.mark.parametrize("name", ["a", "b", "c", "c_saturated"])
def test_torque_steps_arrive_without_a_trip(name, share):
    unit = load(name)
    w_m = share * unit.limits.w_m_max
    bench = Experiment(unit, w_m)
    bench.torque(0)
    bench.run(0.2)
    before = 0.0
    for level in all_steps(LEVELS):
        power = np.copysign(1.0, level * w_m)
        most = float(max_torque(machine_of(unit), power * abs(w_m) * unit.motor.pole_pairs, u_max(unit)))
        bench.torque(level * min(most, unit.limits.torque_limit))
        rows = bench.record(REST, ("saturated", "torque_ref"))
        step = f"{name} at {share:g} of its highest speed, torque {before:g} to {level:g} of the highest"
        assert bench.faults == 0, step
        assert 1e3 * rows["saturated"].max() * bench.t_pwm <= SATURATED, step
        end = slice(-round(0.005 / bench.t_pwm), None)
        off = rows["true_torque"][end].mean() - rows["torque_ref"][end].mean()
        assert abs(off) <= OFF * unit.limits.torque_rated, f"{step}: {off:g} N.m off"
        before = level


@pytest.mark.parametrize("seed", [1, 4])
def test_braking_by_a_full_link_keeps_its_torque_though_the_field_lags(seed):
    # i_d that helped the field took all of i_max here, for 0.1 s, and the load drove the shaft away.
    simulation = Simulation(load("c"), seed)
    simulation.loop.c[plant.EMF] *= 1.04
    simulation.arm()
    simulation.set_speed(3.0)
    simulation.load(189.0)
    simulation.advance(20_000)
    simulation.set_torque(-354.5)
    simulation.advance(1680)
    simulation.set_speed(-805.0)
    gone = []
    for _ in range(1000):
        simulation.advance(20)
        gone.append(simulation.read("torque") < 0.1 * simulation.read("torque_ref"))
    w_m = simulation.read("w_e") / simulation.drive.settings["pole_pairs"]
    assert sum(gone[100:]) <= 2, f"without torque for {sum(gone)} ms"
    assert w_m == pytest.approx(-805.0, rel=0.1)
