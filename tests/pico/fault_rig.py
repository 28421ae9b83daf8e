"""A drive on the virtual Pico that faults are injected into, in the emulator's own time.

The only thing added to the board is a boot.py that, when a scratch register of the watchdog says so,
makes the main loop raise, hang, or keep its interrupts off.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from host_tools.client import Drive
from host_tools.virtual_pico.pico import VirtualPico
from host_tools.virtual_pico.reactions import reaction_to

BOARD = "rpi_pico"
PERIOD = 6250  # cycles
AHEAD = 1000  # periods
RPM = 600.0
LOAD = 0.5  # N.m
FIELD_DOWN = 0.05  # A, where the law ends the reversal, by a sensor with so much noise:
FIELD_NOISE = 0.03
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


class Rig:
    """A virtual Pico with a drive, in the emulator's own time."""

    def __init__(self, pico: VirtualPico, folder: Path) -> None:
        self.pico = pico
        self.drive: Drive | None = None
        self.ready_at = 0  # cycle
        self._shift = int(json.loads((folder / "unit.json").read_text())["memory_shift"])

    def seconds(self) -> float:
        return self.pico.control("counters")["nanos"] / 1e9

    def sleep(self, seconds: float) -> None:
        end = self.seconds() + seconds
        while self.seconds() < end:
            time.sleep(0.02)

    def connect(self) -> Drive:
        """The drive, once its board has started."""
        if self.drive is None:
            self.sleep(3.0)  # it compiles its kernel
            self.drive = Drive.connect(self.pico.port, timeout=ANSWER)
            self.drive.set("host_timeout", 5.0)  # a busy computer is none of the faults here
        return self.drive

    def settle(self) -> None:
        """At a stand, without the fault that there was."""
        drive = self.connect()
        if drive.state in ("ready", "running"):
            drive.stop(timeout=ANSWER)
            self.hold_shaft()
        elif drive.state == "fault":
            self.wait_for_field()
            self.hold_shaft()
            drive.clear()

    def ready(self) -> Drive:
        """Armed, field up, at a stand; from whatever was before."""
        drive = self.connect()
        self.settle()
        if drive.state == "off":
            drive.arm(timeout=2 * ANSWER)
        self.ready_at = self.pico.control("pins")["cycle"]
        return drive

    def run(self, rpm: float = RPM, load: float = LOAD) -> Drive:
        """Armed, field up, turning under load; from whatever was before."""
        drive = self.ready()
        drive.speed = rpm
        self.sleep(0.5 + rpm / RPM * 0.1)
        self.pico.control("set_load", torque=load)
        self.sleep(0.2)
        plant = self.pico.control("plant")
        assert drive.state == "running"
        assert plant["w_m"] > 0.9 * rpm / 9.55 and plant["i_f"] > 0.4, plant
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
        while plant["i_f"] > FIELD_DOWN:
            assert plant["u_f"] < -0.8 * plant["u_dc"] or plant["i_f"] < FIELD_DOWN + FIELD_NOISE, plant
            assert self.seconds() < end, plant
            plant = self.pico.control("plant")

    def period(self) -> int:
        return self.pico.control("bench")["period"]

    def inject(self, name: str, **arguments: Any) -> None:
        """Begin a fault 50 ms from now, which leaves a busy computer the time to say so."""
        self.pico.control("inject", name=name, on=True, period=self.period() + AHEAD, cycle=3000, **arguments)

    def begin(self, do: str, **arguments: Any) -> None:
        """A command of the bench that makes a fault, 50 ms from now."""
        self.pico.control(do, period=self.period() + AHEAD, **arguments)

    def set_word(self, name: str, change: Callable[[int], int], place: int = 0) -> None:
        """A word of the control law that changes by itself, 50 ms from now."""
        assert self.drive is not None
        word = self.drive.signals[name].index + self._shift + place
        (raw,) = self.pico.control("read_block", first=word, count=1)["words"]
        self.begin("set_word", word=word, raw=change(raw))

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

    def wait_for_fault(self, seconds: float) -> None:
        """The drive has a fault and the phases are off, within some time of what begins soon.

        The probes are asked, for a board that serves a host has less time for its watches; the board itself
        only when the phases are off, as they are in some dead times too.
        """
        assert self.drive is not None
        end = self.seconds() + AHEAD * 50e-6 + seconds
        while not (self.pico.control("pins")["phases"]["off"] and self.drive.state == "fault"):
            assert self.seconds() < end, "no fault is seen"
            time.sleep(0.01)

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
        began = pins["injected"]["cycle"]
        assert began > self.ready_at, "nothing was injected"
        return (pins["phases"]["off_cycle"] - began) / PERIOD

    def names(self) -> tuple[str, ...]:
        assert self.drive is not None
        return tuple(fault.name for fault in self.drive.faults().faults)
