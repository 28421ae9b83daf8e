"""The fault table agrees with the kernel and with every name that the code uses."""

import re
from pathlib import Path

import pytest

from eesm import (
    drive,
    faults,
    parameters,
    signals,
    startup,
    watch_balance,
    watch_currents,
    watch_field,
    watch_heat,
    watch_winding,
)
from eesm.fault_table import FAULTS
from eesm.stages import average, derate
from eesm.table import Q15_MAX, signals_of
from tests import mutate

FIRMWARE = Path(str(faults.__file__)).parent.parent


def test_kernel_bits_agree_with_the_signal_table():
    for name in faults.NAMES[: faults.KERNEL_FAULTS]:
        constant = "FAULT_" + name.removeprefix("FAULT_")
        assert faults.bit_of(name) == getattr(signals, constant), name
    assert faults.ASKED == signals.FAULT_ASKED
    assert not faults.ASKED & faults.bit_of(faults.NAMES[faults.KERNEL_FAULTS]) - 1


def test_the_table_has_a_row_for_every_name_and_fits_the_link():
    assert [row.name for row in FAULTS] == list(faults.NAMES)
    assert [row.number for row in FAULTS] == list(range(1, len(FAULTS) + 1))
    assert len(faults.NAMES) <= 64  # a word of faults on the link
    assert len(faults.NAMES) <= signals_of(signals.Signals)["fault_request"].high


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: row.name)
def test_every_fault_has_a_cause_a_limit_and_a_remedy(row):
    assert re.fullmatch(r"[A-Z_]+", row.name)
    for text in (row.cause, row.remedy):
        assert len(text) > 15
        assert not text.endswith(".")
    assert row.limit
    assert row.periods is None or row.periods > 0


def test_every_name_that_the_code_raises_is_in_the_table():
    raised = set()
    for path in FIRMWARE.rglob("*.py"):
        raised |= set(re.findall(r"(?:Failed|fail|bit_of)\(\s*\"([A-Z_]+)\"", path.read_text()))
    assert raised
    assert raised <= set(faults.NAMES)


def test_constants_repeated_for_the_board_agree_with_the_signal_table():
    for module in (drive, startup, watch_field):
        for name in dir(module):
            if name.startswith(("BRIDGE_", "FIELD_", "REFERENCE_")) and hasattr(signals, name):
                assert getattr(module, name) == getattr(signals, name), name
    for module in (drive, watch_currents):
        assert module.ADC_TOP == signals.ADC_TOP
    assert watch_currents.LOOK_PERIODS == drive.TICK_PERIODS
    assert watch_heat.LIMITED_OVERLOAD == derate.LIMITED_OVERLOAD
    assert watch_heat.LIMITED_TEMPERATURE == derate.LIMITED_TEMPERATURE
    assert watch_heat.Q15_MAX == Q15_MAX
    for module in (watch_balance, watch_winding):
        assert module.MEAN_PERIODS == parameters.OUTER_PERIODS << average.MEAN_SHIFT
    row = signals_of(signals.Signals)["temperature_rotor"]
    assert row.low == 16 * watch_heat.NOT_KNOWN and row.q == 4


def test_words_name_their_faults():
    word = faults.bit_of("FIELD_OPEN") | faults.bit_of("OVERSPEED")
    assert faults.names_of(word) == ["OVERSPEED", "FIELD_OPEN"]


@pytest.mark.parametrize("name", faults.NAMES)
def test_every_fault_can_be_taken_out_by_make_mutate(name):
    for file, text in mutate.removals(name):
        compile(text, file, "exec")


def test_every_other_protection_can_be_taken_out_by_make_mutate():
    for _, file, old, new, tests in mutate.OTHERS:
        compile(mutate.replaced(file, old, new), file, "exec")
        assert (mutate.ROOT / tests).is_file()
