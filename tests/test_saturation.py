"""Saturated machines: the formula, maps from a file, torque from them."""

import numpy as np
import pytest

from host_tools.errors import UsageError
from host_tools.references import oracle
from host_tools.references.closed_form import least_loss
from host_tools.references.machine import LinearMachine, torque
from host_tools.references.saturation import (
    FluxMaps,
    MappedMachine,
    SaturatedMachine,
    i_q_for,
    load_maps,
    sample_maps,
)
from host_tools.units import Saturation, load

LINEAR = LinearMachine.of_motor(load("c").motor)
# A fifth of the flux lost at rated torque.
FORM = Saturation(L_leakage=30e-6, exponent=4, a_dd=1.2e6, a_qq=6e6, a_dq=5e4)
SATURATED = SaturatedMachine(LINEAR, FORM)
LEVELS = (np.linspace(-700, 300, 21), np.linspace(-700, 700, 29), np.linspace(0, 30, 16))


def test_without_saturation_terms_the_formula_is_the_linear_machine():
    machine = SaturatedMachine(LINEAR, Saturation(30e-6, 4, 0.0, 0.0, 0.0))
    point = (np.array([-200.0, 50.0]), np.array([300.0, -400.0]), np.array([10.0, 20.0]))
    np.testing.assert_allclose(machine.psi(*point), LINEAR.psi(*point), rtol=1e-12)


def test_the_flux_satisfies_the_saturation_formula_and_only_shrinks():
    i_d, i_q, i_f = (x.ravel() for x in np.meshgrid(*LEVELS))
    psi_d, psi_q = SATURATED.psi(i_d, i_q, i_f)
    d, q = psi_d - FORM.L_leakage * i_d, psi_q - FORM.L_leakage * i_q
    main_d, main_q = LINEAR.L_d - FORM.L_leakage, LINEAR.L_q - FORM.L_leakage
    i_md = (1 / main_d + FORM.a_dd * np.abs(d) ** 4 + FORM.a_dq / 2 * q**2) * d
    i_mq = (1 / main_q + FORM.a_qq * np.abs(q) ** 4 + FORM.a_dq / 2 * d**2) * q
    np.testing.assert_allclose(i_md, i_d + LINEAR.M / main_d * i_f, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(i_mq, i_q, rtol=1e-8, atol=1e-8)
    linear_d, linear_q = LINEAR.psi(i_d, i_q, i_f)
    assert np.all(np.abs(d) <= np.abs(linear_d - FORM.L_leakage * i_d) * (1 + 1e-9) + 1e-12)
    assert np.all(np.abs(psi_q) <= np.abs(linear_q) * (1 + 1e-9) + 1e-12)


def test_linear_references_lose_torque_and_i_q_from_the_flux_restores_it():
    i_d, i_q, i_f, _ = least_loss(LINEAR, 400.0)
    assert torque(SATURATED, i_d, i_q, i_f) < 0.9 * 400.0
    i_q = i_q_for(SATURATED, [400.0, -400.0], i_d, i_f)
    np.testing.assert_allclose(torque(SATURATED, i_d, i_q, i_f), [400.0, -400.0], rtol=1e-9)


def test_linear_i_d_and_i_f_with_the_right_i_q_cost_little_more_than_the_saturated_optimum():
    u_max = 0.92 * 400 / np.sqrt(3)
    for wanted in (50.0, 200.0):
        i_d, _, i_f, _ = least_loss(LINEAR, wanted)
        i_q = float(i_q_for(SATURATED, wanted, i_d, i_f))
        best = oracle.least_loss(SATURATED, wanted, 0.0, u_max)
        assert best is not None
        got = 1.5 * LINEAR.R_s * (i_d**2 + i_q**2) + LINEAR.R_f * i_f**2
        assert got <= 1.03 * best.loss


def test_maps_survive_their_file_and_give_the_torque_of_the_machine(tmp_path):
    maps = sample_maps(SATURATED, *LEVELS)
    maps.save(tmp_path / "maps.csv", "sampled from the formula")
    machine = MappedMachine(LINEAR, load_maps(tmp_path / "maps.csv"))
    rng = np.random.default_rng(2)
    point = (rng.uniform(-600, 200, 200), rng.uniform(-690, 690, 200), rng.uniform(0, 20, 200))
    np.testing.assert_allclose(machine.psi(*point), SATURATED.psi(*point), atol=2e-3)
    most = float(torque(SATURATED, 0.0, 690.0, 20.0))
    error = torque(machine, *point) - torque(SATURATED, *point)
    assert np.max(np.abs(error)) < 0.02 * most
    # Shuffled lines are the same maps.
    lines = (tmp_path / "maps.csv").read_text().splitlines()
    (tmp_path / "shuffled.csv").write_text("\n".join([lines[1], *reversed(lines[2:])]))
    np.testing.assert_array_equal(load_maps(tmp_path / "shuffled.csv").psi_d, machine.maps.psi_d)


def test_the_oracle_takes_a_mapped_machine():
    machine = MappedMachine(LINEAR, sample_maps(LINEAR, *LEVELS))
    found = oracle.least_loss(machine, 200.0, 500.0, 200.0)
    reference = oracle.least_loss(LINEAR, 200.0, 500.0, 200.0)
    assert found is not None and reference is not None
    assert found.loss == pytest.approx(reference.loss, rel=1e-4)


HEAD = "i_d,i_q,i_f,psi_d,psi_q\n"
POINTS = [(d, q, f, d + f, q) for d in (0, 1) for q in (0, 1) for f in (0, 1)]


def lines_of(points) -> str:
    return HEAD + "\n".join(",".join(str(x) for x in point) for point in points)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no flux linkages"),
        ("i_d,i_q,psi_d\n1,2,3\n", r":1: the columns must be i_d, i_q, i_f, psi_d, psi_q"),
        (HEAD + "0,0,0,x,0\n", r":2: '0,0,0,x,0' is not 5 numbers"),
        (HEAD + "0,0,0,nan,0\n", "is not 5 numbers"),
        (HEAD + "0,0,0,0,0\n", "i_d has one level only"),
        (lines_of(POINTS[:-1]), "0 lines for i_d = 1 A, i_q = 1 A, i_f = 1 A"),
        (lines_of([*POINTS, POINTS[0]]), "2 lines for i_d = 0 A"),
        (lines_of([(d, q, f, -d, q) for d, q, f, *_ in POINTS]), "psi_d must rise with i_d"),
    ],
)
def test_unfit_maps_are_refused_with_the_place_and_the_rule(tmp_path, text, message):
    path = tmp_path / "maps.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        load_maps(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.csv"):
        load_maps(tmp_path / "nowhere.csv")


def test_beyond_the_grid_maps_go_straight_on():
    ends = np.array([0.0, 1.0])
    on_d, on_q, _ = np.meshgrid(ends, ends, ends, indexing="ij")
    psi_q = FluxMaps(ends, ends, ends, on_d, on_q).look_up(2.0, 3.0, 0.0)[1]
    assert float(psi_q) == pytest.approx(3.0)


def test_a_motor_without_saturation_says_so():
    with pytest.raises(ValueError, match="has no \\[saturation\\]"):
        SaturatedMachine.of_motor(load("a").motor)
