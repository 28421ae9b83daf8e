"""The fault table agrees with the kernel and with every name that the code uses."""

import re
from pathlib import Path

from eesm import drive, faults, signals, startup


def test_kernel_bits_agree_with_the_signal_table():
    kernel = {
        "PHASE_OVERCURRENT": signals.FAULT_PHASE_OVERCURRENT,
        "FIELD_OVERCURRENT": signals.FAULT_FIELD_OVERCURRENT,
        "DC_OVERVOLTAGE": signals.FAULT_DC_OVERVOLTAGE,
        "DC_UNDERVOLTAGE": signals.FAULT_DC_UNDERVOLTAGE,
        "OVERSPEED": signals.FAULT_OVERSPEED,
        "SENSOR_RANGE": signals.FAULT_SENSOR_RANGE,
        "PERIOD_MISSED": signals.FAULT_PERIOD_MISSED,
        "FAULT_INPUT": signals.FAULT_INPUT,
    }
    for row in faults.FAULTS:
        if row[0] <= faults.KERNEL_FAULTS:
            assert faults.bit_of(row[1]) == kernel.pop(row[1])
    assert not kernel


def test_main_loop_bits_fit_the_request_mask_and_numbers_are_unique():
    numbers = [row[0] for row in faults.FAULTS]
    assert len(set(numbers)) == len(numbers)
    assert len({row[1] for row in faults.FAULTS}) == len(numbers)
    for row in faults.FAULTS:
        if row[0] > faults.KERNEL_FAULTS:
            assert faults.bit_of(row[1]) & signals.FAULT_REQUEST_MASK


def test_every_fault_has_a_cause_and_a_remedy():
    for _, name, cause, remedy in faults.FAULTS:
        assert re.fullmatch(r"[A-Z_]+", name)
        assert len(cause) > 15
        assert len(remedy) > 15


def test_every_name_that_the_code_raises_is_in_the_table():
    known = {row[1] for row in faults.FAULTS}
    for module in (drive, startup):
        text = Path(str(module.__file__)).read_text()
        raised = set(re.findall(r"Failed\(\s*\"([A-Z_]+)\"", text)) | set(
            re.findall(r"bit_of\(\"([A-Z_]+)\"", text)
        )
        assert raised <= known


def test_constants_repeated_for_the_board_agree_with_the_signal_table():
    for module in (drive, startup):
        for name in dir(module):
            if name.startswith(("BRIDGE_", "FIELD_", "REFERENCE_")) and hasattr(signals, name):
                assert getattr(module, name) == getattr(signals, name), name
    assert drive.ADC_TOP == signals.ADC_TOP


def test_words_name_their_faults():
    word = faults.bit_of("FIELD_OPEN") | faults.bit_of("OVERSPEED")
    assert faults.names_of(word) == ["OVERSPEED", "FIELD_OPEN"]
