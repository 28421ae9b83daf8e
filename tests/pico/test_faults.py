"""Faults on the virtual Pico with the flashed firmware, unit a turning under load with its field up.

Each ends with the bridges off and the field reversed, within the periods of `virtual_pico.reactions`:
from the instant of the fault to the last edge of the phases or the fall of the gate-enable pin, both as
the probes see them.

The only thing added to the board is a boot.py that, when a scratch register of the watchdog says so,
makes the main loop raise, hang, or keep its interrupts off.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from host_tools import build, units
from host_tools.client import Drive
from host_tools.devices import Device
from host_tools.flash import flash_folder
from host_tools.flash.reach import Port, reach_prompt
from host_tools.virtual_pico.pico import VirtualPico
from host_tools.virtual_pico.reactions import reaction_to

BOARD = "rpi_pico"
PERIOD = 6250  # cycles
AHEAD = 1000  # periods
RPM = 600.0
LOAD = 0.5  # N.m
SCRATCH = 0x4005800C  # SCRATCH0 of the watchdog
RAISE, HANG, DEAFEN = 1, 2, 3
BOOT = b"""
from machine import disable_irq, enable_irq, mem32
from time import sleep_us
from eesm.mailbox import Mailbox
before = Mailbox.pump
def pump(self):
    what = mem32[0x4005800C] & 3
    if what == 3:
        # The fault begins here: the mark is written when no interrupt comes any more.
        state = disable_irq()
        mem32[0x4005800C] = 0
        sleep_us(130)
        enable_irq(state)
    elif what:
        mem32[0x4005800C] = 0
        if what == 1:
            raise ValueError("of the test")
        if what == 2:
            while True:
                pass
    before(self)
Mailbox.pump = pump
"""
ANSWER = 120.0  # s of this computer for one answer, and for a start; a busy one emulates slowly
pytestmark = pytest.mark.timeout(900)


class Rig:
    """A virtual Pico with a drive, in the emulator's own time."""

    def __init__(self, pico: VirtualPico) -> None:
        self.pico = pico
        self.drive: Drive | None = None

    def seconds(self) -> float:
        return self.pico.control("counters")["nanos"] / 1e9

    def sleep(self, seconds: float) -> None:
        end = self.seconds() + seconds
        while self.seconds() < end:
            time.sleep(0.02)

    def run(self) -> Drive:
        """Armed, field up, turning under load; from whatever was before."""
        if self.drive is None:
            self.sleep(3.0)  # it compiles its kernel
            self.drive = Drive.connect(self.pico.port, timeout=ANSWER)
            self.drive.set("host_timeout", 5.0)  # a busy computer is none of the faults here
        drive = self.drive
        if drive.state == "fault":
            self.wait_for_field()
            self.hold_shaft()
            drive.clear()
        if drive.state == "off":
            drive.arm(timeout=2 * ANSWER)
        drive.speed = RPM
        self.sleep(0.6)
        self.pico.control("set_load", torque=LOAD)
        self.sleep(0.2)
        plant = self.pico.control("plant")
        assert drive.state == "running"
        assert plant["w_m"] > 0.9 * RPM / 9.55 and plant["i_f"] > 0.4, plant
        return drive

    def hold_shaft(self) -> None:
        """Brake to a stand."""
        self.pico.control("set_load", torque=0.0, brake=5.0)
        while abs(self.pico.control("plant")["w_m"]) > 0.01:
            self.sleep(0.02)
        self.sleep(0.05)
        self.pico.control("set_load", torque=0.0, brake=0.0)

    def wait_for_field(self) -> None:
        """The field is reversed until it is down."""
        plant = self.pico.control("plant")
        end = self.seconds() + 2
        while plant["i_f"] > 0.05:
            assert plant["u_f"] < -0.8 * plant["u_dc"], plant
            assert self.seconds() < end, plant
            plant = self.pico.control("plant")

    def period(self) -> int:
        return self.pico.control("bench")["period"]

    def inject(self, name: str, **arguments: Any) -> None:
        """Begin a fault 50 ms from now, which leaves a busy computer the time to say so."""
        self.pico.control("inject", name=name, on=True, period=self.period() + AHEAD, cycle=3000, **arguments)

    def poke(self, what: int) -> None:
        """Tell boot.py's hook; the time from its reading to the gate-enable pin's fall is measured."""
        self.pico.control("measure", name="off", **{"from": f"write:{SCRATCH}", "to": "note:gate_low"})
        self.pico.control("write_memory", address=SCRATCH, data=bytes([what]).hex())

    def assert_reacted(self, fault: str, periods: float) -> None:
        """In time, no leg overlapping, phases off for good, and the field on its way down."""
        claimed = reaction_to(fault).periods
        assert 0 <= periods <= claimed, f"{fault}: {periods:.2f} periods, {claimed} are claimed"
        pins = self.pico.control("pins")
        assert pins["phases"]["off"], pins
        for bridge in pins["bridges"].values():
            assert bridge["overlaps"] == 0, pins
        self.wait_for_field()
        print(f"{fault}: {periods:.3f} periods, {claimed} claimed")

    def wait_for_event(self, drive: Drive, kind: str) -> str:
        """Text of the first event of a kind that the board sends; within 1 s of its time."""
        end = self.seconds() + 1.0
        while True:
            over = self.seconds() > end
            for event in drive.events():
                if event.kind == kind:
                    return event.text
            assert not over, f"no event {kind!r} came"
            time.sleep(0.02)

    def since_injection(self) -> float:
        """Periods from the injected fault to the last edge of the phases."""
        pins = self.pico.control("pins")
        return (pins["phases"]["off_cycle"] - pins["injected"]["cycle"]) / PERIOD

    def names(self) -> tuple[str, ...]:
        assert self.drive is not None
        return tuple(fault.name for fault in self.drive.faults().faults)


@pytest.fixture(scope="module")
def flashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flash of a board with the firmware of unit a, and the hook."""
    folder = tmp_path_factory.mktemp("faults")
    built = build.build(units.load("a", board=BOARD), folder / "a")
    image = folder / "flash.bin"
    with VirtualPico("a", flash=image, registry=folder, pace="free") as pico:
        device = Device(pico.port, "virtual", "virtual Pico", "a", pico.pid, board=BOARD)
        flash_folder(built, device, restart=False)
        with reach_prompt(Port(pico.port, pico.pid), 300.0, 6.0) as prompt:
            prompt.write("boot.py", BOOT)
    return image


def boot(flashed: Path, folder: Path) -> Iterator[Rig]:
    flash = folder / "flash.bin"
    shutil.copy(flashed, flash)
    with VirtualPico("a", flash=flash, registry=folder, pace="free") as pico:
        rig = Rig(pico)
        yield rig
        if rig.drive is not None:
            rig.drive._armed = False
            rig.drive.close()


@pytest.fixture(scope="module")
def shared(flashed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One board for the faults that a drive survives: it is cleared and armed again."""
    yield from boot(flashed, tmp_path_factory.mktemp("shared"))


@pytest.fixture
def rig(flashed: Path, tmp_path: Path) -> Iterator[Rig]:
    """A board of its own for what ends at a prompt or in a reset."""
    yield from boot(flashed, tmp_path)


@pytest.mark.parametrize(
    ("fault", "injected"),
    [
        ("fault pin", {"name": "fault_pin", "periods": 40}),
        ("missing trigger", {"name": "missing_trigger", "periods": 40}),
        ("encoder lost", {"name": "encoder_lost", "periods": 2000}),
        ("phase a stuck", {"name": "adc_stuck_a", "periods": 4000}),
        ("phase b stuck", {"name": "adc_stuck_b", "periods": 4000}),
    ],
)
def test_fault_opens_the_bridges_in_the_claimed_periods(
    shared: Rig, fault: str, injected: dict[str, Any]
) -> None:
    shared.run()
    shared.inject(**injected)
    shared.sleep(0.30)
    shared.assert_reacted(fault, shared.since_injection())
    reaction = reaction_to(fault)
    if reaction.periods <= 2:
        assert reaction.name in shared.names()
    else:  # a limit of the control law may have been broken first, or the exciter driven to its end
        first = {reaction.name, "FIELD_OVERCURRENT", "PHASE_OVERCURRENT", "EXCITER_STUCK"}
        assert first & set(shared.names())


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
