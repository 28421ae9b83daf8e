"""A day of driving in one process, under load that changes, with nothing wrong."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from boards.virtual import plant
from eesm.cyclic import MASK
from host_tools import units
from host_tools.simulate import Simulation
from host_tools.soak.findings import Findings, memory_figures

ROW_S = 1.0  # s between the rows of the stream, which are all to arrive
NAMES = ("w_e", "i_q", "i_d", "i_f", "u_dc", "torque", "drive_state")
REST_S = 3600.0  # s of driving between two ordered stops, after each of which the drive is armed anew
LOOK_S = 600.0  # s between two looks at this process's memory
GROWTH_KIB = 4096  # of resident memory that is noise: numba and the collector keep some


def resident_kib() -> int:
    """KiB of memory that this process has in use."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def soak(
    hours: float,
    seed: int = 1,
    unit: str = "a",
    tell: Callable[[str], None] = lambda text: None,
    period: int = 0,
) -> Findings:
    """Drive for so many hours of virtual time; `period` is where the board's count of periods begins."""
    findings = Findings(f"simulated, {hours:g} h, unit {unit}")
    random = Random(seed)
    simulation = Simulation(units.load(unit), seed, period=period)
    loop, settings = simulation.loop, simulation.drive.settings
    began_at = simulation.now()
    emf = float(loop.c[plant.EMF])
    simulation.arm()
    simulation.set_speed(0.3 * settings["w_m_max"])
    stream = simulation.stream(NAMES, 1 / ROW_S)
    began, until = time.monotonic(), hours * 3600.0
    passed, rows, steps, restarts = 0.0, 0, 0, 0
    looked, rested = 0.0, 0.0
    resident: list[float] = []
    blocks: list[float] = []
    told: list[str] = []
    last: int | None = None
    fastest = 0.0
    first_row: int | None = None

    def take() -> None:
        nonlocal rows, last, first_row, fastest
        for row in stream.read():
            if first_row is None:
                first_row = row.period
            if last is not None:
                findings.equal("periods between two rows", (row.period - last) & MASK, stream.divider)
            last = row.period
            rows += 1
            fastest = max(fastest, abs(row["w_e"]))
        for event in simulation.events():
            if event.kind not in ("state", "found"):
                told.append(f"{event.kind}: {event.text}")

    while passed < until:
        # What a vehicle does to its drive: another speed, another load, a battery that is not stiff.
        way = random.randrange(5)
        if way == 0:
            simulation.set_speed(random.uniform(-0.6, 0.6) * settings["w_m_max"])
        elif way == 1:
            simulation.load(random.uniform(-0.3, 0.3) * settings["torque_limit"])
        elif way == 2:
            loop.c[plant.EMF] = emf * random.uniform(0.95, 1.05)
        elif way == 3:
            # By torque for a moment, then by speed again.
            simulation.set_torque(random.uniform(-1.0, 1.0) * settings["torque_limit"])
            kicked = round(random.uniform(0.002, 0.1) / simulation.t_pwm)
            simulation.advance(kicked)
            passed += kicked * simulation.t_pwm
            simulation.set_speed(random.uniform(-0.6, 0.6) * settings["w_m_max"])
        else:
            # For later, as a scenario's are: letters that wait in the mailbox, over the wrap as well.
            at = (simulation.now() + random.randrange(100, 20_000)) & MASK
            simulation.set_speed(random.uniform(-0.6, 0.6) * settings["w_m_max"], at)
        seconds = random.uniform(0.2, 3.0)
        simulation.advance(round(seconds / simulation.t_pwm))
        passed += round(seconds / simulation.t_pwm) * simulation.t_pwm
        steps += 1
        take()
        if told:
            findings.expect(False, f"after {passed:.0f} s of {until:.0f} s: {'; '.join(told[:5])}")
            break
        if passed - rested >= REST_S:
            rested = passed
            simulation.load(0.0)
            before = simulation._periods
            simulation.stop()
            # A turning shaft keeps its angle; the drive may be armed at once.
            simulation.arm()
            take()
            if told:
                findings.expect(False, f"armed anew after {passed:.0f} s: {'; '.join(told[:5])}")
                break
            simulation.set_speed(0.3 * settings["w_m_max"])
            passed += (simulation._periods - before) * simulation.t_pwm
            restarts += 1
            take()
        if passed - looked >= LOOK_S or not resident:
            looked = passed
            gc.collect()
            resident.append(resident_kib())
            blocks.append(sys.getallocatedblocks())
            if len(resident) % 6 == 1:
                speed = passed / (time.monotonic() - began)
                tell(f"simulated {passed / 3600:5.1f} h, {speed:.0f} times real time")
    simulation.stop()
    take()
    findings.equal("state at the end", simulation.state, "off")
    kernel = loop.kernel
    findings.equal(
        "periods of the kernel", (kernel.read("period") - began_at) & MASK, simulation._periods & MASK
    )
    assert last is not None and first_row is not None
    # Rows once a second: their count and their span of time tell of each other.
    due = rows * stream.divider
    findings.equal("span of the rows in periods", (last - first_row) & MASK, (due - stream.divider) & MASK)
    findings.equal("rows received and those the kernel has written", rows, kernel.read("stream_rows"))
    findings.equal("letters that came late", simulation.mailbox.late, 0)
    findings.equal("events lost", simulation.drive.events_lost, 0)
    findings.equal("faults", kernel.read("faults"), 0)
    took = time.monotonic() - began
    findings.figures |= {
        "virtual hours": round(passed / 3600, 3),
        "periods": simulation._periods,
        "wraps of the period": (began_at + simulation._periods) >> 30,
        "disturbances": steps,
        "ordered stops": restarts + 1,
        "rows": rows,
        "highest speed rad/s el.": round(fastest),
        "minutes": round(took / 60, 2),
        "times real time": round(passed / took),
    }
    memory_figures(findings, "resident KiB", resident[1:], GROWTH_KIB)
    memory_figures(findings, "pieces of memory", blocks[1:], 2000)
    return findings
