"""What the start-up and the ordered stop have to find, on the virtual Pico with the flashed firmware.

As in `host_tools.campaign.arming`, a drive that arms with something wrong says so by the fault's name, never
gets ready, and leaves bridge and field off; the shaft hardly turns.  One board is mended, cleared and
used again.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from host_tools.client import Drive
from host_tools.link_errors import DriveFault
from tests.pico.fault_rig import ANSWER, Rig

pytestmark = [pytest.mark.timeout(900), pytest.mark.full]

SLOW = 0.01 * 628  # rad/s that the test of the direction may leave a free shaft with


@dataclass(frozen=True)
class Arming:
    """What is injected, with which amount, and what the start-up names it."""

    fault: str
    injected: str
    amount: float | None = None
    siblings: tuple[str, ...] = ()


ARMINGS = (
    Arming("OFFSET_OUT_OF_RANGE", "offset_b", 140),
    Arming("PHASES_SWAPPED", "gates_swapped"),
    Arming("SHUNT_INVERTED_A", "shunt_inverted_a"),
    Arming("SHUNT_INVERTED_B", "shunt_inverted_b"),
    Arming("WIRING_UNCLEAR", "adc_stuck_b"),
    Arming("WIRING_UNCLEAR", "phase_open"),
    Arming("FIELD_OPEN", "exciter_open"),
    # A test that is repeated because the main loop came late may find the shaft still turning from the time
    # before, or where a field that turned the wrong way holds it.
    Arming("ENCODER_REVERSED", "encoder_reversed", siblings=("ROTOR_MOVING", "ROTOR_BLOCKED")),
)


def at_rest(rig: Rig) -> Drive:
    """Off, at a stand."""
    drive = rig.connect()
    rig.settle()
    assert drive.state == "off"
    return drive


def assert_refused(rig: Rig, drive: Drive, names: set[str]) -> None:
    """Arming ends in one of the faults, with nothing on and a shaft that hardly turns."""
    with pytest.raises(DriveFault):
        drive.arm(timeout=2 * ANSWER)
    faults = drive.faults().faults
    print(f"{faults[0].name}: {faults[0].text}")
    assert faults[0].name in names
    rig.wait_for_field()
    assert rig.pico.control("pins")["phases"]["off"]
    assert abs(rig.pico.control("plant")["w_m"]) < SLOW


@pytest.mark.parametrize("case", [pytest.param(row, id=row.injected) for row in ARMINGS])
def test_what_is_wrong_is_named_before_there_is_torque(shared: Rig, case: Arming) -> None:
    drive = at_rest(shared)
    with ExitStack() as after:
        shared.pico.control("inject", name=case.injected, amount=case.amount)
        after.callback(shared.pico.control, "inject", name=case.injected, on=False)
        shared.sleep(0.1)
        assert_refused(shared, drive, {case.fault, *case.siblings})


def test_shaft_that_is_blocked_is_named(shared: Rig) -> None:
    drive = at_rest(shared)
    with ExitStack() as after:
        after.callback(shared.hold_shaft)
        shared.pico.control("set_load", brake=80.0)
        assert_refused(shared, drive, {"ROTOR_BLOCKED"})


def test_shaft_that_begins_to_turn_is_named(shared: Rig) -> None:
    drive = at_rest(shared)
    with ExitStack() as after:
        after.callback(shared.hold_shaft)
        # One that turns already is refused at once.
        shared.pico.control("set_load", torque=-0.3, period=shared.period() + 1500)
        with pytest.raises(DriveFault):
            drive.arm(timeout=2 * ANSWER)
        assert shared.names()[:1] == ("ROTOR_MOVING",)
        assert shared.pico.control("pins")["phases"]["off"]


def test_exciter_that_cannot_be_switched_off_is_named_in_an_ordered_stop(shared: Rig) -> None:
    drive = shared.run()
    with ExitStack() as after:
        after.callback(shared.pico.control, "inject", name="exciter_stuck", on=False)
        drive.stop(wait=False)
        shared.sleep(0.05)
        shared.pico.control("inject", name="exciter_stuck")
        shared.wait_for_fault(2.0)
        assert set(shared.names()) & {"FIELD_NOT_DOWN", "EXCITER_STUCK", "FIELD_OVERCURRENT"}, shared.names()
        print(shared.names())
    shared.wait_for_field()
    assert shared.pico.control("pins")["phases"]["off"]
