"""The column of rows with a Pico's own converter."""

import pytest

from host_tools.accept import converter
from host_tools.accept.sheet import Sheet
from host_tools.units import load


def test_the_unit_changes_by_its_converter_alone() -> None:
    own, pico = load("a").as_plant(), converter.with_pico(load("a")).as_plant()
    assert {name for name in own if own[name] != pico[name]} == {"adc_noise", "adc_spur", "adc_skew"}
    assert converter.with_pico(load("a")).as_settings() == load("a").as_settings()


@pytest.mark.slow
def test_rows_are_named_after_the_converter_and_ripple_is_larger() -> None:
    sheet = Sheet("a", "converter")
    converter.check(load("a"), sheet)
    assert all(row.requirement.endswith("(Pico's converter)") for row in sheet.results)
    rows = {row.requirement.split(" (")[0]: row for row in sheet.results}
    assert 0.2 < rows["torque: ripple, rms"].measured < 1
    assert 0.3 < rows["phase-current THD at 50 % current, 300 rpm"].measured < 3
