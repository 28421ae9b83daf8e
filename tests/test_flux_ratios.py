"""Saturation tables for the board: torque by integers beside that of the machine."""

import numpy as np
import pytest

from eesm import parameters
from host_tools.references.flux_ratios import look_up_flux, ratios_of, ratios_of_unit
from host_tools.references.machine import LinearMachine, torque
from host_tools.references.saturation import MappedMachine, SaturatedMachine, sample_maps
from host_tools.units import load

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


def test_a_unit_without_saturation_is_refused() -> None:
    with pytest.raises(ValueError, match="no \\[saturation\\]"):
        ratios_of_unit(load("c"))
