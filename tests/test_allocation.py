"""The main loop's usual turns take no memory, so that a board collects garbage only when it is commanded."""

import subprocess

import pytest

from host_tools.build import build
from host_tools.units import load

# The board's own link over a port of this script, counting bytes around each turn.
SCRIPT = """
import gc
import struct
from eesm.routines import load_routines
routines = load_routines()
from eesm import wire
from eesm.drive import Drive
from eesm.kernel import load
from eesm.link import Link
from eesm.mailbox import Mailbox
from eesm.telemetry import RUNNING, Telemetry

class Port:
    def __init__(self):
        self.unread = b""
        self.sent = 0
        self.room = 1000
    def read(self, limit):
        data, self.unread = self.unread, b""
        return data
    def write(self, data, at, end):
        count = min(self.room, end - at)
        self.sent += count
        return count

class Driver:
    waits = fast = False
    granted = 0

kernel = load(".", routines)
mailbox = Mailbox(kernel)
drive = Drive(kernel, mailbox, Driver())
telemetry = Telemetry(kernel)
port = Port()
link = Link(port, drive, telemetry, kernel.identity)

def turn(periods=20):
    for _ in range(periods):
        kernel.fast_step(kernel.block)
        kernel.outer_step(kernel.block)
    before = gc.mem_alloc()
    mailbox.pump()
    link.poll()
    return gc.mem_alloc() - before

def measure(name):
    port.sent = 0
    print(name, sum([turn() for _ in range(100)]), port.sent)

port.unread = wire.pack(wire.HELLO, 1, 0, bytes(8))
turn()
token = link._sessions[0][0]
gc.collect()
gc.disable()
for _ in range(10):
    turn()
measure("idle")
signals = ("w_e", "torque", "i_d", "i_q", "i_f", "i_d_ref", "i_q_ref", "u_d", "u_q")
channels = [kernel.index(name) for name in signals] + [kernel.index("theta_e") | wire.WIDE]
setup = struct.pack("<IH10H", token, 10, *channels)
port.unread = wire.pack(wire.STREAM_SETUP, 2, 0, setup)
while telemetry.state != RUNNING:
    turn()
for _ in range(50):
    turn()
measure("streaming")
port.room = 100
measure("pieces")
port.room = 0
measure("full")
port.room = 1000
measure("again")
print("dropped", telemetry.dropped)
"""


@pytest.mark.micropython
def test_a_turn_of_the_link_takes_no_memory_idle_or_streaming(micropython, tmp_path):
    folder = build(load("a"), tmp_path / "a")
    script = tmp_path / "turns.py"
    script.write_text("import sys\nsys.path.insert(0, '.')\n" + SCRIPT)
    done = subprocess.run([*micropython, str(script)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {
        words[0]: [int(word) for word in words[1:]] for words in map(str.split, done.stdout.splitlines())
    }
    assert found["idle"] == [0, 0]
    # 100 turns of 20 periods, a row of 26 bytes each 10 periods.
    for name in ("streaming", "pieces"):
        allocated, sent = found[name]
        assert allocated == 0
        assert 5200 < sent < 6000
    assert found["full"] == [0, 0]
    assert found["again"][0] == 0
    assert found["dropped"][0] > 50
