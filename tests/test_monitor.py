"""`eesm monitor` as its user has it: keys pressed and the screen read, on the virtual drive."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable

import pexpect
import pytest
from textual.events import Paste
from textual.widgets import Digits, RichLog, Static

from host_tools import devices
from host_tools.client import Drive
from host_tools.monitor import Monitor, Tile
from host_tools.virtual_drive import VirtualDrive
from tests.test_repository import ROOT

pytestmark = pytest.mark.micropython


@pytest.fixture(autouse=True)
def registry(tmp_path, monkeypatch):
    monkeypatch.setattr(devices.list_ports, "comports", list)
    monkeypatch.setenv("EESM_VIRTUAL", str(tmp_path / "virtual"))


def be_patient(virtual: VirtualDrive) -> None:
    """A drive that does not stop when this computer has no time for its host."""
    with Drive.connect(virtual.port) as drive:
        drive.set("host_timeout", 5.0)


def state(app: Monitor) -> str:
    return str(app.query_one("#state", Static).render())


def words(app: Monitor) -> str:
    return "\n".join(line.text for line in app.query_one(RichLog).lines)


def figure(app: Monitor, name: str) -> float:
    return float(app.query_one(f"#tile-{name}", Tile).query_one(Digits).value)


async def until(pilot, condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, state(pilot.app) + "\n" + words(pilot.app)
        await asyncio.sleep(0.05)


async def press(app: Monitor, *keys: str) -> None:
    """Keys one after the other.  (A pilot's own `press` waits until a screen that lives stands still.)"""
    for key in keys:
        app.simulate_key(key)
        await asyncio.sleep(0.05)


async def leave(pilot, app: Monitor) -> None:
    await press(app, "q")
    await until(pilot, lambda: app.return_code is not None or not app.is_running)


def test_arm_turn_and_stop_by_keys():
    async def use() -> None:
        app = Monitor()
        async with app.run_test(size=(110, 40)) as pilot:
            await until(pilot, lambda: "unit a" in state(app))
            await press(app, "s", *"300", "enter")
            await until(pilot, lambda: "arm it" in words(app))  # refused, with what to do
            await press(app, "s", "-", "enter")
            await until(pilot, lambda: "speed: '-' is no number" in words(app))
            await press(app, "A")
            await until(pilot, lambda: "ready" in state(app))
            await press(app, "s", *"300", "enter")
            await until(pilot, lambda: abs(figure(app, "speed") - 300) < 10)
            assert "running" in state(app)
            # Space stops also while a number is being typed.
            await press(app, "t", "1", "space")
            await until(pilot, lambda: state(app).endswith("off"))
            await leave(pilot, app)

    with VirtualDrive("a") as virtual:
        be_patient(virtual)
        asyncio.run(use())


def test_keys_typed_at_once_are_all_taken_in_their_order():
    async def use() -> None:
        app = Monitor()
        async with app.run_test(size=(110, 40)) as pilot:
            await until(pilot, lambda: "unit a" in state(app))
            for key in (
                "s",
                *"13",
                "backspace",
                *"500",
                "enter",
                "t",
                *"1.5",
                "enter",
                "t",
                "4",
                "escape",
                "s",
            ):
                app.simulate_key(key)
            app.post_message(Paste("-20"))
            for key in ("A", "q", "1", "enter"):  # no letter is a command while a number is typed
                app.simulate_key(key)
            await until(pilot, lambda: words(app).count("a setpoint needs a drive that is ready") == 3)
            said = words(app)
            assert all(text in said for text in ("speed 1500:", "torque 1.5:", "speed -201:")), said
            assert "arm:" not in said and app.is_running
            await leave(pilot, app)

    with VirtualDrive("a") as virtual:
        be_patient(virtual)
        asyncio.run(use())


def test_leaving_stops_a_motor_that_was_armed_here():
    async def use() -> None:
        app = Monitor()
        async with app.run_test(size=(110, 40)) as pilot:
            await until(pilot, lambda: "unit a" in state(app))
            await press(app, "A")
            await until(pilot, lambda: "ready" in state(app))
            await leave(pilot, app)

    with VirtualDrive("a") as virtual:
        be_patient(virtual)
        asyncio.run(use())
        with Drive.connect(virtual.port) as drive:
            assert drive.state == "off"


def test_a_drive_that_was_killed_is_found_again_and_a_fault_is_told_with_its_remedy():
    async def use() -> None:
        app = Monitor()
        async with app.run_test(size=(110, 40)) as pilot:
            with VirtualDrive("a"):
                await until(pilot, lambda: "unit a" in state(app))
            await until(pilot, lambda: "next:" in state(app))  # gone
            with VirtualDrive("a", faults=("phases_swapped",)):
                await until(pilot, lambda: "unit a" in state(app))
                await press(app, "A")
                await until(pilot, lambda: "fault" in state(app))
                await until(pilot, lambda: "remedy:" in words(app))
                await until(pilot, lambda: "safe: field down" in state(app))
                await leave(pilot, app)

    asyncio.run(use())


@pytest.mark.parametrize("ended_by", ["ctrl-c", "SIGTERM"])
def test_in_a_real_terminal_every_way_out_stops_the_motor(ended_by):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/firmware", "TERM": "xterm-256color"}
    with VirtualDrive("a") as virtual:
        be_patient(virtual)
        command = ["-m", "host_tools.cli", "monitor", "--port", virtual.port]
        screen = pexpect.spawn(sys.executable, command, env=environment, dimensions=(40, 110), timeout=60)
        try:
            screen.expect("unit a")
            screen.send("A")
            screen.expect("ready")
            if ended_by == "ctrl-c":
                screen.sendcontrol("c")
            else:
                screen.kill(signal.SIGTERM)
            screen.expect(pexpect.EOF)
            assert b"Traceback" not in (screen.before or b"")
        finally:
            screen.close(force=True)
        assert screen.exitstatus == 0
        with Drive.connect(virtual.port) as drive:
            assert drive.state == "off"
