"""Telemetry of the flashed firmware on the virtual Pico, unit a turning: what it carries, what overload does.

Times are the board's own; how fast this computer emulates it changes nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

from eesm import wire
from host_tools import build, units
from host_tools.client import Drive
from host_tools.connection import Connection
from host_tools.devices import Device
from host_tools.flash import flash_folder
from host_tools.virtual_pico.pico import VirtualPico

TEN = ("w_e", "torque_ref", "i_d", "i_q", "i_f", "i_d_ref", "i_q_ref", "i_f_ref", "u_d", "u_q")
ANSWER = 120.0  # s of this computer: many times what the emulator takes when others keep it busy
pytestmark = pytest.mark.timeout(600)


class Rig:
    """A drive on a virtual Pico, in the board's time."""

    def __init__(self, pico: VirtualPico) -> None:
        self.pico = pico
        self.drive = Drive(Connection(pico.port, timeout=ANSWER))
        self.first_resets = self.resets

    @property
    def resets(self) -> int:
        return self.pico.control("counters")["resets"]

    def seconds(self) -> float:
        return self.pico.control("counters")["nanos"] / 1e9

    def sleep(self, seconds: float) -> None:
        end = self.seconds() + seconds
        while self.seconds() < end:
            time.sleep(0.02)

    def run(self) -> Drive:
        """Armed and turning, from whatever was before."""
        drive = self.drive
        drive.set("host_timeout", 10.0)  # a busy computer is no host that is gone
        if drive.state != "running":
            drive.arm(timeout=100)
            drive.speed = 300
            self.sleep(0.3)
        assert drive.state == "running"
        return drive

    def assert_alive(self) -> None:
        """No reset, no fault, no period missed, and the link answers."""
        assert self.resets == self.first_resets
        assert self.drive.faults().faults == ()
        assert self.drive.read("missed_periods") == 0

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """The host neither reads nor writes, with its port open, as when a laptop's lid is closed."""
        connection = self.drive.connection
        awake = threading.Event()
        feed = connection.decoder.feed

        def wait_and_feed(data: bytes) -> list:
            awake.wait()
            return feed(data)

        with connection._lock:
            connection.decoder.feed = wait_and_feed  # type: ignore[method-assign]
            try:
                yield
            finally:
                connection.decoder.feed = feed  # type: ignore[method-assign]
                awake.set()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("stream")
    built = build.build(units.load("a", board="rpi_pico"), folder / "a")
    with VirtualPico("a", flash=folder / "flash.bin", registry=folder, pace="free") as pico:
        flash_folder(built, Device(pico.port, "virtual", "virtual Pico", "a", pico.pid, board="rpi_pico"))
        made = Rig(pico)
        yield made
        made.drive._armed = False
        made.drive.close()


def test_ten_signals_at_1000_rows_a_second_arrive_whole_while_running(rig: Rig) -> None:
    drive = rig.run()
    with drive.stream(TEN, 1000.0) as stream:
        rig.sleep(1.0)
        rows = stream.read(timeout=ANSWER)
    assert len(rows) > 800
    assert (stream.lost, stream.dropped) == (0, 0)
    assert {b.period - a.period for a, b in pairwise(rows)} == {20}
    assert all(row["w_e"] > 0 for row in rows)
    rig.assert_alive()


def test_a_stream_beyond_what_fits_drops_and_counts_rows_and_nothing_else_suffers(rig: Rig) -> None:
    drive = rig.run()
    names = [name for name, signal in drive.schema.signals.items() if signal.length == 0][:15]
    with drive.stream(names, 20000.0) as stream:
        rig.sleep(0.3)
        for _ in range(3):
            began = rig.seconds()
            drive.speed = 300
            assert rig.seconds() - began < 2
        assert drive.state == "running"
    assert stream.received > 100
    assert stream.dropped > 1000
    assert stream.lost >= stream.dropped
    rig.assert_alive()


def test_a_flood_of_commands_is_answered_and_nothing_else_suffers(rig: Rig) -> None:
    drive = rig.run()
    connection = drive.connection
    before = connection.decoder.frames
    with drive.stream(TEN, 500.0):
        with connection._lock:
            for _ in range(120):
                sequence = connection._sequence
                connection._sequence = (sequence + 1) & 0xFFFF
                connection._serial.write(
                    wire.pack(wire.HEARTBEAT, sequence, 0, connection.token.to_bytes(4, "little"))
                )
        assert drive.state == "running"  # asked behind all these
    assert connection.decoder.frames - before > 120
    rig.assert_alive()


def test_a_host_that_sleeps_has_its_drive_stopped_in_order_and_finds_the_link_again(rig: Rig) -> None:
    drive = rig.run()
    drive.set("host_timeout", 0.5)
    with drive.stream(TEN, 1000.0) as stream:
        rig.sleep(0.1)
        with rig.asleep():
            rig.sleep(3.0)
        assert drive.state == "off"
        rig.sleep(0.2)
        assert any(event.kind == "host lost" for event in drive.events())
    assert stream.lost > 0
    rig.assert_alive()
    rig.run()


def test_an_unplugged_host_resets_nothing_and_finds_the_link_again(rig: Rig) -> None:
    drive = rig.run()
    drive.set("host_timeout", 0.5)
    with drive.stream(TEN, 1000.0):
        rig.sleep(0.1)
        with rig.asleep():
            rig.pico.control("usb_unplug")
            rig.sleep(3.0)
            rig.pico.control("usb_plug")
            rig.sleep(0.2)
        assert drive.state == "off"
    rig.assert_alive()
