"""The bench of the virtual Pico, in short: one case in both bounds, whose figures must make sense."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from host_tools.virtual_pico import bench, bench_report

pytestmark = [pytest.mark.timeout(900), pytest.mark.full]


def test_figures_of_unit_a_at_20_khz_hold_in_both_bounds(tmp_path: Path) -> None:
    out = tmp_path / "pico.json"
    found = bench.run_bench((bench_report.FIRST,), out)
    assert json.loads(out.read_text()) == json.loads(json.dumps(found))
    assert [found["cases"][0][bound].get("failure") for bound in bench_report.BOUNDS] == [None, None]
    assert found["missed_periods"] == 0
    for end in ("", "_cache"):
        assert 1500 < found[f"kernel_cycles_viper{end}"] < 2300
        assert found[f"kernel_cycles_viper{end}"] < found[f"interrupt_cycles{end}"] <= 3150
        assert found[f"interrupt_cycles_median{end}"] < found[f"interrupt_cycles_worst{end}"] <= 4700
        assert 30 < found[f"cpu_load_20khz_125mhz{end}"] <= 58
        assert 20e3 < found["highest_rate_125mhz_" + ("cache" if end else "ideal")] < 40e3
        assert 10000 < found[f"heap_free{end}"] < found["heap_size"]
