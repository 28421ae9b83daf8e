"""Step responses of the virtual drive beside the model's, and what is said when they differ."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from host_tools import devices
from host_tools.cli.entry import run
from host_tools.frequency import transform
from host_tools.tuning import LOOPS, Plan, Response, Result, cut, mean_of, mirror, plan_step
from host_tools.virtual_drive import VirtualDrive

LIMITS = {"i_max": 40.0, "i_f_max": 4.0, "w_m_max": 600.0}


def first_order(rise: float, overshoot: float = 0.0, goal: float = 8.0) -> Response:
    """10-90 % in `rise` s, with a hump of `overshoot`."""
    t = np.linspace(-0.001, 0.02, 600)
    share = np.where(t > 0, 1 - np.exp(-t * 2.197 / rise), 0.0)
    share = share + overshoot * np.exp(-(((t - 4 * rise) / rise) ** 2)) * (t > 0)
    return Response(t, share * goal, 0.0, goal)


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        (first_order(0.5e-3), ""),
        (first_order(1.0e-3), "rises in 2.0.* times the model's time; check R_s, L_q"),
        (first_order(0.25e-3), "rises in 0.49"),
        (first_order(0.5e-3, overshoot=0.3), "overshoots .* % more than the model"),
        (first_order(1.0), "never reaches"),
    ],
)
def test_verdict_names_what_differs_and_what_to_look_at(measured, said):
    verdict = Result(LOOPS["i_q"], 600.0, measured, first_order(0.5e-3)).verdict()
    assert re.search(said, verdict) if said else not verdict, verdict


@pytest.mark.parametrize("name", LOOPS)
def test_steps_stay_within_the_limits_and_last_long_enough(name):
    loop = LOOPS[name]
    plan = plan_step(loop, LIMITS, 80.0, 20_000.0)
    assert plan.rate_hz <= 20_000
    low, high = plan.ends()
    assert low != high
    if name == "speed":
        assert max(low, high) < LIMITS["w_m_max"]
    else:
        for i_d, i_q, i_f in (plan.low, plan.high):
            assert np.hypot(i_d, i_q) <= 0.5 * LIMITS["i_max"]
            assert 0 <= i_f <= LIMITS["i_f_max"]
    assert 448 / plan.rate_hz > 20 / (2 * np.pi * 80)


def test_torque_steps_in_turns_average_to_the_same_response():
    one = first_order(0.5e-3)
    other = replace(one, y=-one.y, goal=-one.goal)
    assert np.allclose(mean_of([one, other]).y, one.y)
    plan = plan_step(LOOPS["i_q"], LIMITS, 600.0, 20_000.0)
    assert mirror(plan).ends() == (0.0, -plan.ends()[1])


def test_a_record_begins_at_the_set_points_change_and_ends_at_its_way_back():
    plan = Plan(LOOPS["i_q"], (0.0, 0.0, 2.0), (0.0, 8.0, 2.0), 1000.0)
    t = np.arange(100) / 1000.0
    asked = np.where((t >= 0.03) & (t < 0.07), 8.0, 0.0)
    found = cut(plan, t, asked, asked, {})
    assert found.t[0] == pytest.approx(-0.016)
    assert found.t[-1] == pytest.approx(0.039)
    assert (found.start, found.goal) == (0.0, 8.0)


@pytest.mark.parametrize("noise", [0.0, 0.003])
@pytest.mark.parametrize("delay", [0, 6])
def test_a_loop_is_found_in_its_step_response(delay, noise):
    """An integrator of 500 Hz behind a delay: its phase margin is what the delay leaves of 90 degrees."""
    step, rows, corner = 5e-6, 4000, 2 * np.pi * 500.0
    lag = 10 * delay
    y = np.zeros(rows)
    for k in range(1, rows):
        y[k] = y[k - 1] + corner * step * (1 - y[k - 1 - lag] if k > lag else 1.0) * (k > lag)
    t = step * np.arange(0, rows, 10)
    sampled = y[::10] + noise * np.random.default_rng(1).standard_normal(rows // 10)
    found = transform(Response(t, 2 + 6 * sampled, 2.0, 8.0))
    margin, at = found.margin()
    assert at == pytest.approx(500, rel=0.03)
    assert margin == pytest.approx(90 - np.degrees(corner * lag * step), abs=3)
    if delay == 0:
        assert found.bandwidth() == pytest.approx(500, rel=0.03)
        assert np.interp(500, found.f, found.phase) == pytest.approx(-45, abs=3)
    else:
        assert found.bandwidth() > 600


@pytest.mark.micropython
def test_a_drive_like_its_model_is_found_like_it_and_left_off(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(devices.list_ports, "comports", list)
    monkeypatch.setenv("EESM_VIRTUAL", str(tmp_path / "virtual"))
    picture, bode = tmp_path / "tune.png", tmp_path / "bode.png"
    with VirtualDrive("a", fast=True):
        assert run(["tune", "i_q", "speed"]) == 4
        assert "eesm tune --arm" in capsys.readouterr().err
        assert run(["tune", "i_w"]) == 2
        assert run(["tune", "--arm", "--current", "5000"]) != 0
        assert "bandwidth_current" in capsys.readouterr().err
        assert run(["tune", "speed", "--arm", "--bode", str(bode)]) == 2
        command = ["tune", "--arm", "--json", "--current", "500", "-o", str(picture), "--bode", str(bode)]
        capsys.readouterr()
        assert run(command) == 0
        rows = {row["loop"]: row for row in json.loads(capsys.readouterr().out)}
        assert run(["info", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["state"] == "off"
    assert set(rows) == set(LOOPS)
    assert all(row["verdict"] == "" for row in rows.values()), rows
    assert rows["i_q"]["bandwidth_hz"] == 500
    # A first-order response of that bandwidth.
    assert rows["i_q"]["rise_ms"] == pytest.approx(1e3 * 2.197 / (2 * np.pi * 500), rel=0.3)
    assert picture.stat().st_size > 20_000
    assert bode.stat().st_size > 20_000
    for name in ("i_d", "i_q"):
        row = rows[name]
        assert row["corner_hz"] == pytest.approx(row["corner_model_hz"], rel=0.15)
        assert row["phase_margin_degrees"] == pytest.approx(row["phase_margin_model_degrees"], abs=8)
    assert all("corner_hz" not in rows[name] for name in ("i_f", "speed"))
