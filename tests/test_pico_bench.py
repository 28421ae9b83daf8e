"""What a bench run's numbers are made into: acceptance's keys, verdicts, tables."""

from __future__ import annotations

from typing import Any

import pytest

from eesm.parameters import derive
from host_tools.virtual_pico import bench, bench_report
from host_tools.virtual_pico.bench_report import FIRST, Case


def bound(**more: Any) -> dict[str, Any]:
    way = {"best": 2000, "median": 2100, "p99": 2150, "worst": 2200, "mean": 2100.0}
    found = {
        "state": "running",
        "kernel": way,
        "rest": {**way, "best": 600},
        "interrupt": {**way, "worst": 3500, "mean": 3125.0},
        "wrap_to_write": {**way, "worst": 2600},
        "missed_periods": 0,
        "heap_free_steady": 41000,
    }
    measured = {name: dict(found[name]) for name in ("kernel", "rest", "interrupt", "wrap_to_write")}
    measured["interrupt"]["worst"] = 3900
    return {**found, "from_arming": measured, **more}


def entry(case: Case = FIRST, **more: Any) -> dict[str, Any]:
    return {**case._asdict(), "heap_free_boot": 50000, "ideal": bound(), "cache": bound(), **more}


def test_a_period_in_cycles() -> None:
    assert (FIRST.period, bench_report.FAST.period) == (6250, 5000)


def test_worst_and_highest_rate_are_those_of_the_whole_way_from_arming_in_both_bounds() -> None:
    found = bench_report.summarise([entry()])
    assert found["interrupt_cycles_worst"] == found["interrupt_cycles_worst_cache"] == 3900
    assert found["highest_rate_125mhz_ideal"] == found["highest_rate_125mhz_cache"] == round(125e6 / 3900)
    assert found["interrupt_cycles"] == 2100 + 600
    assert found["cpu_load_20khz_125mhz"] == 50.0
    assert found["kernel_cycles_native"] is None


def test_a_board_that_reset_has_missed_periods_of_nobody_knows_how_many() -> None:
    found = bench_report.summarise([entry(ideal={"failure": "the board reset"})])
    assert found["missed_20khz_125mhz_ideal"] is None
    assert found["missed_20khz_125mhz_cache"] == 0
    assert found["missed_periods"] is None
    assert found["kernel_cycles_viper"] is None


def test_a_drive_that_did_not_run_to_the_end_shows_nothing_about_missed_periods() -> None:
    for cache in (bound(state="fault"), bound(failure="the board reset")):
        assert bench_report.summarise([entry(cache=cache)])["missed_periods"] is None


def test_missed_periods_are_those_of_both_bounds() -> None:
    found = bench_report.summarise([entry(ideal=bound(missed_periods=2), cache=bound(missed_periods=3))])
    assert (found["missed_20khz_125mhz_cache"], found["missed_periods"]) == (3, 5)


def test_each_form_of_the_kernel_has_its_cycles() -> None:
    native = bound(kernel={**bound()["kernel"], "median": 1000})
    found = bench_report.summarise([entry(), entry(FIRST._replace(kernel="native"), ideal=native)])
    assert (found["kernel_cycles_viper"], found["kernel_cycles_native"]) == (2100, 1000)


def test_rows_count_only_where_the_board_keeps_up() -> None:
    rows = {
        "1000": {"rows_per_s": 990, "lost": 0, "keeps_up": True},
        "2000": {"rows_per_s": 1500, "lost": 4, "keeps_up": False},
    }
    assert bench_report.summarise([entry(ideal=bound(stream=rows))])["rows_per_s"] == 990


def test_what_was_not_measured_keeps_no_target() -> None:
    assert bench_report.verdict(None, 0) == "not measured"
    assert bench_report.verdict(0, 0) == "holds"
    assert bench_report.verdict(1, 0) == "missed"
    assert not bench_report.all_kept({})
    assert bench_report.all_kept({target.key: target.limit for target in bench_report.TARGETS})


def test_tables_tell_of_targets_margins_and_failures() -> None:
    slow = {**Case(40e3, 125e6, "native")._asdict(), "ideal": {"failure": "PERIOD_MISSED"}}
    text = bench_report.markdown(bench_report.summarise([entry(), slow]))
    assert "| interrupt, worst period | 3900 | 3900 | 4700 cycles | holds |" in text
    assert "| fast step, native C | - | - | 1100 cycles | not measured |" in text
    first = "| 20 kHz, 125 MHz | viper | ideal | 6250 | 2100 | 3900 | 2100 | 2600 | 2350 | 0 | 32.1 kHz |"
    assert first in text
    assert "| 40 kHz, 125 MHz | native | ideal | 3125 | PERIOD_MISSED |" in text
    assert "| 40 kHz, 125 MHz | native | cache | 3125 | not measured |" in text
    assert len({row.count("|") for row in text.splitlines() if row.startswith(("| 40", "| 20"))}) == 1


def test_tables_go_between_the_marks_and_nothing_else_changes() -> None:
    text = f"before\n{bench_report.BEGIN}\nold\n{bench_report.END}\nafter\n"
    once = bench_report.replace_between(text, "new\n")
    assert once == f"before\n{bench_report.BEGIN}\n\nnew\n\n{bench_report.END}\nafter\n"
    assert bench_report.replace_between(once, "new\n") == once
    with pytest.raises(ValueError, match="bench-pico"):
        bench_report.replace_between("no marks", "new")


def test_every_case_has_a_unit_that_its_rate_allows() -> None:
    for case in bench.CASES:
        unit = bench.unit_at(case)
        assert (unit.board.f_pwm, unit.board.clock) == (case.f_pwm, case.clock)
        derive(unit.as_settings())  # ValueError for a bandwidth that is too quick
