"""The drive cycle: its trace, its vehicle, and a short drive by the real kernel."""

import importlib.util
import sys

import numpy as np
import pytest

from host_tools.accept import cycle, vehicle
from host_tools.accept.sheet import Sheet
from host_tools.accept.vehicle import Vehicle, fill, load_trace
from host_tools.errors import ToolError
from host_tools.units import load


@pytest.mark.skipif(importlib.util.find_spec("wltp") is None, reason="pip install 'eesm[cycle]'")
def test_trace_is_the_wltc_and_imports_no_package() -> None:
    """23.27 km in 1800 s, 131.3 km/h at most, by UN GTR 15."""
    before = set(sys.modules)
    trace = load_trace()
    assert trace.size == 1801
    assert trace.sum() / 1e3 == pytest.approx(23.266, abs=1e-3)
    assert trace.max() == pytest.approx(131.3 / 3.6)
    assert not {"pandas", "wltp"} & (set(sys.modules) - before)


def test_vehicle_at_constant_speed() -> None:
    """100 km/h: 183 N of rolling and 253 N of air; the gear's loss adds in motoring, helps in braking."""
    v = np.array([100 / 3.6, 100 / 3.6, 0.0])
    a = np.array([0.0, -0.5, 0.0])
    torque, w_m = Vehicle().motor(v, a, 8.774, 0.975)
    assert torque[0] == pytest.approx((183.45 + 253.24) * 0.335 / 8.774 / 0.975, rel=1e-3)
    assert torque[1] == pytest.approx((436.69 - 1144) * 0.335 / 8.774 * 0.975, rel=1e-3)
    assert torque[2] == 0
    assert w_m[0] * 30 / np.pi == pytest.approx(6948, rel=1e-3)
    assert Vehicle().motor(v, a - 9.0, 8.774, 0.975)[0].min() == -200


def test_trace_between_its_seconds() -> None:
    v, a = fill(np.array([0.0, 2.0, 1.0]), 4)
    assert v.tolist() == [0.25, 0.75, 1.25, 1.75, 1.875, 1.625, 1.375, 1.125]
    assert a.tolist() == [2.0] * 4 + [-1.0] * 4


def test_missing_trace_skips_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vehicle.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match="wltp"):
        load_trace()
    sheet = Sheet("c", "cycle")
    cycle.check(load("c"), sheet)
    assert not sheet.results
    assert "eesm[cycle]" in sheet.skipped[0]


def test_only_the_traction_machine_is_driven() -> None:
    assert {name for name in ("a", "b", "c", "c_saturated") if cycle.applies(load(name))} == {"c"}


@pytest.mark.slow
def test_short_drive_closes_its_energy_near_the_optimum() -> None:
    """To 50 km/h and back in 16 s."""
    trace = np.interp(np.arange(17), [0, 8, 10, 16], [0, 50 / 3.6, 50 / 3.6, 0])
    unit = load("c")
    driven = cycle.drive(unit, trace, Vehicle())
    assert driven.faults == 0
    assert driven.residual < 1e-4
    assert abs(driven.torque - driven.asked).mean() < 0.01 * unit.limits.torque_rated
    sheet = Sheet("c", "cycle")
    cycle.judge(unit, sheet, driven)
    # A quarter of a minute of town is no WLTC: its loss may lie farther from the optimum.
    assert 0 < sheet.results[0].measured < 8
    assert all(row.ok for row in sheet.results[2:])
