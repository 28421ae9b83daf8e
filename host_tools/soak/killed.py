"""Hosts that end by SIGKILL at random moments, while they arm or drive a drive that keeps its own time."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from host_tools.client import Drive
from host_tools.soak.findings import Findings
from host_tools.soak.watched import complaints_of, make_folder
from host_tools.virtual_drive import VirtualDrive

# The host that dies: it arms, drives, streams, and never comes to an end by itself.
HOST = """
import random, sys
from host_tools.client import Drive
with Drive.connect(sys.argv[1]) as drive:
    limit = 0.5 * drive.get("w_m_max")
    print("arming", flush=True)
    drive.arm()
    with drive.stream(["i_q", "w_e", "u_dc", "torque"], 1000) as rows:
        while True:
            drive.set_speed(random.uniform(-limit, limit))
            drive.sleep(random.uniform(0.0, 0.3))
            rows.read(0)
"""
ARMED = ("ready", "running")
LONGEST = 2.5  # s from arming until a host dies; arming itself takes 0.7 s
STOP_S = 15.0  # s in which a drive has to be off again; a machine that is busy may be slow
ORDER = ("stopping", "field down", "off")


def soak(
    rounds: int,
    folder: Path,
    seed: int = 1,
    unit: str = "a",
    tell: Callable[[str], None] = lambda text: None,
) -> Findings:
    """Kill so many hosts; after each the drive is to stop in order, and a new host to be welcome."""
    findings = Findings(f"killed hosts, {rounds}, unit {unit}")
    random = Random(seed)
    make_folder(folder / unit, unit, every=100_000)
    died_in: dict[str, int] = {}
    longest = 0.0
    began = time.monotonic()
    virtual = VirtualDrive(folder / unit, seed=seed, registry=folder / "registry")
    with virtual:
        for k in range(rounds):
            host = subprocess.Popen([sys.executable, "-c", HOST, virtual.port], stdout=subprocess.PIPE)
            try:
                assert host.stdout is not None
                findings.equal(f"first word of host {k}", host.stdout.readline(), b"arming\n")
                time.sleep(random.uniform(0.0, LONGEST))
                findings.expect(host.poll() is None, f"host {k} ended by itself")
            finally:
                host.send_signal(signal.SIGKILL)
                host.communicate()
            killed = time.monotonic()
            with Drive.connect(virtual.port) as drive:
                found = drive.state
                died_in[found] = died_in.get(found, 0) + 1
                try:
                    drive.wait_for("off", timeout=STOP_S)
                except Exception as error:
                    findings.expect(False, f"round {k}, killed while {found}: {error}")
                    break
                longest = max(longest, time.monotonic() - killed)
                events = drive.events()
                states = [event.text for event in events if event.kind == "state"]
                kinds = {event.kind for event in events}
                findings.expect("fault" not in kinds, f"round {k}, killed while {found}: {events}")
                if found in ARMED:
                    findings.expect("host lost" in kinds, f"round {k}: no word of the host that is lost")
                    findings.equal(f"states of round {k}", tuple(states[-3:]), ORDER)
                drive.sleep(0.05)  # until the kernel has the last letter of the state machine
                allowed = 0.02 * drive.get("i_f_max") + 0.1
                findings.expect(drive.read("i_f") < allowed, f"round {k}: i_f is {drive.read('i_f')} A")
                findings.equal(f"gates of round {k}", drive.read("gate_enable"), 0)
            tell(f"killed {k + 1} of {rounds}, this one while {found}")
    findings.equal("what the firmware complained of", complaints_of(virtual), "")
    findings.figures |= {
        "hosts killed": sum(died_in.values()),
        **{f"  found {state}": count for state, count in sorted(died_in.items())},
        "longest until off s": round(longest, 2),
        "minutes": round((time.monotonic() - began) / 60, 2),
    }
    return findings
