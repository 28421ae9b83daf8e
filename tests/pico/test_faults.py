"""Faults on the virtual Pico with the flashed firmware, unit a turning under load with its field up.

Each ends with the bridges off and the field reversed, within the periods of `virtual_pico.reactions`:
from the instant of the fault to the last edge of the phases or the fall of the gate-enable pin, both as
the probes see them.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from host_tools.virtual_pico.reactions import reaction_to
from tests.pico.fault_rig import AHEAD, DEAFEN, HANG, PERIOD, RAISE, RPM, Rig

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize(
    ("fault", "injected"),
    [
        ("fault pin", {"name": "fault_pin", "periods": 40}),
        ("missing trigger", {"name": "missing_trigger", "periods": 40}),
        ("phase a stuck", {"name": "adc_stuck_a", "periods": 2000}),
        ("phase b stuck", {"name": "adc_stuck_b", "periods": 2000}),
    ],
)
def test_fault_opens_the_bridges_in_the_claimed_periods(
    shared: Rig, fault: str, injected: dict[str, Any]
) -> None:
    shared.run()
    shared.inject(**injected)
    shared.sleep((AHEAD + injected["periods"]) * PERIOD / 125e6 + 0.3)
    shared.assert_reacted(fault, shared.since_injection())
    reaction = reaction_to(fault)
    if reaction.periods <= 2:
        assert reaction.name in shared.names()
    else:  # a limit of the control law may have been broken first, or the exciter driven to its end
        first = {reaction.name, "FIELD_OVERCURRENT", "PHASE_OVERCURRENT", "EXCITER_STUCK"}
        assert first & set(shared.names())


@pytest.mark.parametrize("rpm", [400.0, 600.0, 3000.0])
def test_a_lost_encoder_opens_the_bridges_in_the_claimed_periods(shared: Rig, rpm: float) -> None:
    shared.run(rpm)
    shared.inject("encoder_lost", periods=200)
    shared.sleep((AHEAD + 200) * PERIOD / 125e6 + 0.1)
    shared.assert_reacted("encoder lost", shared.since_injection())
    assert "ENCODER_LOST" in shared.names()


def test_over_current_opens_the_bridges_in_the_claimed_periods(shared: Rig) -> None:
    shared.run()
    shared.pico.control("force_counts", channel="i_a", counts=4000, period=shared.period() + AHEAD, periods=4)
    shared.sleep(0.1)
    shared.assert_reacted("over-current", shared.since_injection())
    assert "PHASE_OVERCURRENT" in shared.names()


def test_interrupt_overrun_opens_the_bridges_in_the_claimed_periods(shared: Rig) -> None:
    shared.run()
    shared.poke(DEAFEN)
    shared.sleep(0.06)
    shared.assert_reacted("interrupt overrun", shared.pico.control("measures")["off"]["worst"] / PERIOD)
    assert "PERIOD_MISSED" in shared.names()


def test_heat_that_only_a_keeper_sees_trips_and_the_first_fault_is_kept(shared: Rig) -> None:
    drive = shared.run()
    drive.events()
    shared.pico.control("set_temperature", stator=30.0, board=120.0)
    assert shared.wait_for_event(drive, "fault").startswith("BOARD_HOT: the board has 1")
    shared.sleep(1.5)
    shared.pico.control("set_temperature", stator=30.0, board=30.0)
    kept = drive.snapshot()
    assert [fault.name for fault in kept.faults] == ["BOARD_HOT"]
    assert kept.state == "running"
    assert kept.capture is not None and len(kept.capture.times) == 512
    assert kept.signals["w_e"] > 0.8 * RPM / 9.55 * 2
    shared.sleep(0.3)


@pytest.mark.parametrize("fault", ["USB unplugged", "Ctrl-C at the port"])
def test_host_that_is_gone_ends_in_an_ordered_stop_in_the_claimed_time(rig: Rig, fault: str) -> None:
    drive = rig.run()
    drive.set("host_timeout", 0.5)
    drive.connection.close()
    if fault == "USB unplugged":
        rig.pico.control("usb_unplug")
    else:
        with open(rig.pico.port, "wb", buffering=0) as port:
            port.write(b"\r\x03\x03")
    began = rig.pico.control("pins")["cycle"]
    lowest = 0.0
    end = rig.seconds() + 1.5
    while rig.seconds() < end:
        lowest = min(lowest, rig.pico.control("plant")["u_f"])
        time.sleep(0.005)
    assert lowest < -40  # V: the field was reversed
    assert rig.pico.control("plant")["i_f"] < 0.05
    rig.assert_reacted(fault, (rig.pico.control("pins")["phases"]["off_cycle"] - began) / PERIOD)
    assert rig.pico.control("counters")["resets"] == 0


def test_dead_converter_opens_the_bridges_in_the_claimed_periods_and_ends_in_a_reset(rig: Rig) -> None:
    drive = rig.run()
    drive.events()
    rig.inject("adc_dead", periods=100)
    # The board says so by itself, before the watchdog's reset, whenever it is read here.
    told = rig.wait_for_event(drive, "fault")
    assert told.startswith(reaction_to("dead converter").name + ":"), told
    rig.assert_reacted("dead converter", rig.since_injection())
    rig.sleep(0.3)
    assert rig.pico.control("counters")["resets"] == 1


def test_exception_in_the_main_loop_opens_the_bridges_in_the_claimed_periods(rig: Rig) -> None:
    rig.run()
    rig.poke(RAISE)
    rig.sleep(0.06)
    rig.assert_reacted("exception in the main loop", rig.pico.control("measures")["off"]["worst"] / PERIOD)
    rig.sleep(0.4)
    assert rig.pico.control("counters")["resets"] == 0  # the watchdog rests, the prompt lives


def test_main_loop_that_hangs_is_reset_by_the_watchdog_in_the_claimed_time(rig: Rig) -> None:
    rig.run()
    began = rig.seconds()
    rig.poke(HANG)
    while not rig.pico.control("pins")["all_off"]:
        assert rig.seconds() < began + 1
        time.sleep(0.002)
    # The control law has opened the bridges by itself (MAIN_LOOP_SILENT); the watchdog's reset follows.
    rig.sleep(0.1)
    rig.assert_reacted("main loop hangs", rig.pico.control("measures")["off"]["worst"] / PERIOD)
    assert rig.pico.control("counters")["resets"] == 1
