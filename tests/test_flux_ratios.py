"""Saturation tables for the board: torque by integers beside that of the machine."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eesm import parameters
from host_tools.experiment import Experiment
from host_tools.references.flux_ratios import find_maps, look_up_flux, ratios_of, ratios_of_unit
from host_tools.references.machine import LinearMachine, torque
from host_tools.references.saturation import MappedMachine, SaturatedMachine, i_q_for, sample_maps
from host_tools.references.table import tables_of_unit
from host_tools.units import Unit, load

UNIT = load("c_saturated")
SETTINGS = UNIT.as_settings()
BASES = parameters.bases(SETTINGS)
GAINS = parameters.derive(SETTINGS, BASES)
LINEAR = LinearMachine.of_motor(UNIT.motor)
SATURATED = SaturatedMachine.of_motor(UNIT.motor)


def torque_errors(ratios) -> np.ndarray:
    """|torque by the integers less the machine's| over rated torque, at currents that the drive uses."""
    rng = np.random.default_rng(1)
    errors = []
    for _ in range(300):
        i_f = rng.uniform(1.0, UNIT.motor.i_f_max)
        i_d, i_q = (share * UNIT.motor.i_max for share in (rng.uniform(-0.2, 0.2), rng.uniform(-0.9, 0.9)))
        raw = [round(32768 * value) for value in (i_d / BASES["i"], i_q / BASES["i"], i_f / BASES["i_f"])]
        psi_t = look_up_flux(ratios, GAINS, *raw)[2] / 32768 * BASES["psi"]
        made = 1.5 * UNIT.motor.pole_pairs * psi_t * i_q
        errors.append(abs(made - float(torque(SATURATED, i_d, i_q, i_f))) / UNIT.limits.torque_rated)
    return np.array(errors)


def test_torque_of_the_formula() -> None:
    """Constant inductances would be wrong by 22 % at rated torque."""
    errors = torque_errors(ratios_of_unit(UNIT))
    assert np.percentile(errors, 95) < 0.003
    assert errors.max() < 0.03


def test_torque_of_flux_maps_with_leakage_unknown() -> None:
    levels = np.linspace(-UNIT.motor.i_max, UNIT.motor.i_max, 15)
    maps = sample_maps(SATURATED, levels, levels, np.linspace(0, 1.25 * UNIT.motor.i_f_max, 11))
    errors = torque_errors(ratios_of(MappedMachine(LINEAR, maps), LINEAR, BASES))
    assert np.percentile(errors, 95) < 0.01
    assert errors.max() < 0.03


def test_a_linear_machine_has_ratios_of_one() -> None:
    ratios = ratios_of(LINEAR, LINEAR, BASES)
    assert min(ratios.ratio_d + ratios.ratio_q) >= 32766
    flux = look_up_flux(ratios, GAINS, 3000, -5000, 12000)
    psi_d = (LINEAR.L_d * 3000 * BASES["i"] + LINEAR.M * 12000 * BASES["i_f"]) / BASES["psi"]
    psi_q = -LINEAR.L_q * 5000 * BASES["i"] / BASES["psi"]
    assert flux[:2] == pytest.approx((psi_d, psi_q), abs=3)


def copy_with_maps(folder: Path) -> Unit:
    """c_saturated with a file of flux maps beside it, its unit file moved there."""
    levels = np.linspace(-UNIT.motor.i_max, UNIT.motor.i_max, 11)
    maps = sample_maps(SATURATED, levels, levels, np.linspace(0, 1.25 * UNIT.motor.i_f_max, 11))
    maps.save(folder / f"{UNIT.motor.name}.maps.csv", "made by a test")
    return replace(UNIT, path=folder / "mapped.toml")


def test_maps_beside_the_unit_count_more_than_the_formula(tmp_path: Path) -> None:
    unit = copy_with_maps(tmp_path)
    assert find_maps(UNIT) is None
    assert find_maps(unit) == tmp_path / "c_traction_saturated.maps.csv"
    by_maps, by_formula = ratios_of_unit(unit), ratios_of_unit(UNIT)
    assert by_maps.ratio_d != by_formula.ratio_d
    assert by_maps.ratio_d == pytest.approx(by_formula.ratio_d, abs=0.01 * 32768)


@pytest.mark.slow
def test_closed_loop_torque_is_right_with_maps_from_a_file(tmp_path: Path) -> None:
    """Within 3 % of rated at all torques, below and above base speed; constant inductances miss by 21 %."""
    unit = copy_with_maps(tmp_path)
    for w_m, share in ((20.0, 0.25), (20.0, 1.0), (20.0, -1.0), (500.0, 0.8)):
        bench = Experiment(unit, w_m)
        bench.torque(share * unit.limits.torque_rated)
        bench.run(0.6)
        made = bench.record(0.05)["true_torque"].mean()
        assert bench.faults == 0
        assert abs(made / unit.limits.torque_rated - share) < 0.01


def test_a_unit_without_saturation_is_refused() -> None:
    with pytest.raises(ValueError, match="no \\[saturation\\]"):
        ratios_of_unit(load("c"))


def test_tables_know_the_torque_that_currents_really_make() -> None:
    """Every cell's currents make its torque in the saturated machine, within i_max."""
    motor = UNIT.motor
    tables = tables_of_unit(UNIT)
    q = 32768
    columns = (np.sqrt(0.25 + 2 * np.linspace(0, 1, 17)) - 0.5) ** 2
    for row in (0, 1, 8, 16):
        for column in (4, 10, 16):
            wanted = tables.torque_max[row] / q * BASES["torque"] * columns[column]
            i_d = tables.i_d[17 * row + column] / q * BASES["i"]
            i_f = tables.i_f[17 * row + column] / q * BASES["i_f"]
            i_q = float(i_q_for(SATURATED, wanted, i_d, i_f))
            assert float(torque(SATURATED, i_d, i_q, i_f)) == pytest.approx(wanted, rel=1e-3)
            assert np.hypot(i_d, i_q) < 1.002 * motor.i_max
