"""Measures the flashed firmware on the virtual Pico: `make bench-pico`; writes build/bench/pico.json.

Unit a is built, flashed, armed and turned under load in both bounds of the timing model; then its main loop
collects garbage again and again, answers requests, takes set points and streams ten signals.  Cycles of
clk_sys are those between marks of the emulator (`marks.mjs`):

    kernel         entry of the interrupt to the first level written: the fast step and, before it, the
                   acknowledgement and the words that the driver takes in
    rest           the first level written to the return
    interrupt      entry to return; in the cache bound the entry's own cycles are added
    wrap_to_write  the carrier's zero, where samples are taken, to the last level written

Arming and start-up count for every worst case: `from_arming` holds them.  A run that fails is told in its
case's entry, and the bench goes on; the file is written after each case.  What is added to the board is a
boot.py that names the form of the kernel and collects garbage in the main loop while a scratch register of
the watchdog says so.

    python -m host_tools.virtual_pico.bench [--quick] [--out FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from host_tools import build, units
from host_tools.client import Drive
from host_tools.connection import Connection
from host_tools.devices import Device
from host_tools.errors import ToolError
from host_tools.flash import flash_folder
from host_tools.flash.reach import Port, reach_prompt
from host_tools.virtual_pico import bench_report as report
from host_tools.virtual_pico.bench_report import BOUNDS, NATIVE, VIPER, Case
from host_tools.virtual_pico.pico import VirtualPico

OUT = Path("build/bench/pico.json")
BOARD = "rpi_pico"
RPM, LOAD = 600.0, 0.5  # N.m
SECONDS = 1.0  # of device time under the whole load, in each bound
STREAMED = ("w_e", "torque", "i_d", "i_q", "i_f", "i_d_ref", "i_q_ref", "i_f_ref", "u_d", "u_q")
STREAM_HZ = 1000.0
ROW_RATES = (1000.0, 2000.0, 4000.0)
ROW_SECONDS = 1.0
ANSWER = 120.0  # s of this computer: many times what the emulator takes when others keep it busy
ARMING = 10.0  # s of device time: many times what arming takes
HOST_TIMEOUT = 10.0  # s: a busy computer is no host that is gone
CASES = (
    report.FIRST,
    Case(20e3, 125e6, NATIVE),
    Case(20e3, 125e6, "mpy"),
    Case(40e3, 200e6, VIPER),
    Case(40e3, 200e6, NATIVE),
    Case(40e3, 125e6, NATIVE),
    Case(20e3, 200e6, VIPER),
    Case(10e3, 125e6, VIPER),
    Case(10e3, 200e6, VIPER),
)
AT_ONCE = 2  # boards; each is a process for the chip and one for the machine
# Below this rate the delay of 1.5 periods refuses unit a's bandwidths, which then shrink with the rate.
FULL_BANDWIDTH_HZ = 20e3
COLLECT, HEAP, COLLECTED = 0x4005800C, 0x40058010, 0x40058014  # SCRATCH0 .. 2 of the watchdog
EVERY = 8  # turns of the main loop between two collections
FIRST_LEVEL = 0x4005000C  # CC of slice 0, phase a
LAST_LEVEL = 0x40050048  # CC of slice 3, the exciter
ENTRY = 15  # cycles, before the mark: timing.mjs
BOOT = """
import gc
from machine import mem32
import eesm.routines as routines
load = routines.load_routines
turns = 0
def load_named(folder="."):
    mem32[{HEAP}] = gc.mem_free() + gc.mem_alloc()
    made = load(folder, {kernel!r})
    from eesm.mailbox import Mailbox
    before = Mailbox.pump
    def pump(self):
        global turns
        if mem32[{COLLECT}] & 255:
            turns += 1
            if turns >= {EVERY}:
                turns = 0
                gc.collect()
                mem32[{COLLECTED}] += 1
        before(self)
    Mailbox.pump = pump
    return made
routines.load_routines = load_named
"""


class Rig:
    """A flashed virtual Pico and its client, in the emulator's own time."""

    def __init__(self, pico: VirtualPico) -> None:
        self.pico = pico
        self.drive = Drive(Connection(pico.port, timeout=ANSWER))
        self.resets = self.count("resets")
        self.drive.set("host_timeout", HOST_TIMEOUT)

    def close(self) -> None:
        """Let go of the port; the board goes with its power, so there is nothing to stop in order."""
        self.drive._armed = False
        self.drive.close()

    def count(self, name: str) -> int:
        """One of the emulator's counters."""
        return self.pico.control("counters")[name]

    def seconds(self) -> float:
        """Device time since power-on in s."""
        return self.count("nanos") / 1e9

    def sleep(self, seconds: float) -> None:
        """Let device time pass; ToolError when the board resets meanwhile."""
        end = self.seconds() + seconds
        while self.seconds() < end:
            time.sleep(0.02)
            self.check()

    def check(self) -> None:
        """ToolError when the board has reset."""
        if self.count("resets") != self.resets:
            raise ToolError("the board reset")

    def arm(self) -> None:
        """Arm and wait in the board's time: who asks in this computer's floods a board that is slow here."""
        self.drive.arm(wait=False)
        end = self.seconds() + ARMING
        while self.drive.state not in ("ready", "fault") and self.seconds() < end:
            self.sleep(0.1)
        self.drive.wait_for("ready", timeout=1.0)

    def peek(self, address: int) -> int:
        """A word of the chip."""
        data = bytes.fromhex(self.pico.control("read_memory", address=address, size=4))
        return int.from_bytes(data, "little")

    def collect(self, on: bool) -> None:
        """Garbage all the time, or as the firmware itself does."""
        self.pico.control("write_memory", address=COLLECT, data=bytes([on]).hex())

    def mark(self) -> None:
        """Begin the measures anew."""
        for name, first, last in (
            ("kernel", "irq:12", f"write:{FIRST_LEVEL}"),
            ("rest", f"write:{FIRST_LEVEL}", "end:12"),
            ("interrupt", "irq:12", "end:12"),
            ("wrap_to_write", "note:pwm_zero", f"write:{LAST_LEVEL}"),
        ):
            self.pico.control("measure", name=name, **{"from": first, "to": last})

    def measures(self, bound: str) -> dict[str, dict[str, float]]:
        """Cycles since `mark`, by name."""
        measured = self.pico.control("measures")
        if bound == "cache":
            for key in ("best", "median", "p99", "worst", "mean"):
                measured["interrupt"][key] += ENTRY
        return measured


def unit_at(case: Case) -> units.Unit:
    """Unit a at a case's rate and clock; below 20 kHz with bandwidths that its delay allows."""
    unit = units.load("a", board=BOARD)
    share = case.f_pwm / FULL_BANDWIDTH_HZ
    if share < 1:
        names = ("bandwidth_current", "bandwidth_field", "bandwidth_speed", "bandwidth_pll")
        slower = {name: share * getattr(unit.control, name) for name in names}
        unit = replace(unit, control=replace(unit.control, **slower))
    if (case.f_pwm, case.clock) != (unit.board.f_pwm, unit.board.clock):
        unit = unit.with_pwm(case.f_pwm, case.clock)
    return unit


def flash_case(case: Case, folder: Path) -> Path:
    """The flash of a board with a case's unit and kernel, and the boot.py that names it."""
    kernel = NATIVE if case.kernel == NATIVE else VIPER
    built = build.build(unit_at(case), folder / "board", kernel)
    image = folder / "flash.bin"
    text = BOOT.format(kernel=case.kernel, HEAP=HEAP, COLLECT=COLLECT, COLLECTED=COLLECTED, EVERY=EVERY)
    with VirtualPico("a", flash=image, registry=folder, pace="free") as pico:
        device = Device(pico.port, "virtual", "virtual Pico", "a", pico.pid, board=BOARD)
        flash_folder(built, device, restart=False)
        with reach_prompt(Port(pico.port, pico.pid), 300.0, ANSWER) as prompt:
            prompt.write("boot.py", text.encode())
    return image


def measure_bound(rig: Rig, bound: str) -> dict[str, Any]:
    """Arm and turn, then the whole load; what was measured of both, and the drive's state at the end."""
    drive = rig.drive
    rig.pico.control("set_timing", timing=bound)
    before = drive.read("missed_periods")
    rig.mark()
    rig.arm()
    drive.speed = RPM
    rig.sleep(0.4)
    rig.pico.control("set_load", torque=LOAD)
    rig.sleep(0.2)
    from_arming = rig.measures(bound)
    collections, free, requests = rig.peek(COLLECTED), 0, 0
    rig.collect(True)
    with drive.stream(STREAMED, STREAM_HZ) as stream:
        rig.mark()
        first = rig.seconds()
        while rig.seconds() < first + SECONDS:
            rig.check()
            drive.read(("w_e", "i_q"))
            drive.speed = RPM  # a letter, whose period runs no outer slot
            # What could be collected counts as used while it runs, so the most that is seen is what is free.
            free = max(free, drive.status().counters["memory_free"])
            requests += 3
        spent = rig.seconds() - first
        measured = rig.measures(bound)
    rig.collect(False)
    return {
        **measured,
        "from_arming": from_arming,
        "state": drive.state,
        "missed_periods": int(drive.read("missed_periods") - before),
        "seconds": round(spent, 3),
        "collections": rig.peek(COLLECTED) - collections,
        "requests": requests,
        "rows": stream.received,
        "rows_lost": max(stream.lost, stream.dropped),
        "heap_free_steady": free,
    }


def measure_rows(rig: Rig) -> dict[str, Any]:
    """Rows a second of ten signals at rising rates, to the first at which some are lost."""
    found: dict[str, Any] = {}
    for rate in ROW_RATES:
        with rig.drive.stream(STREAMED, rate) as stream:
            first = rig.seconds()
            rig.sleep(ROW_SECONDS)
            spent = rig.seconds() - first
            received = stream.received
            wanted = spent * stream.rate_hz
        lost = max(stream.lost, stream.dropped)
        # Behind by more than some frames on their way: not kept up with.
        keeps_up = not lost and received > 0.9 * wanted
        found[f"{rate:g}"] = {"rows_per_s": round(received / spent), "lost": lost, "keeps_up": keeps_up}
        if not keeps_up:
            break
    return found


def measure_case(case: Case, folder: Path, bounds: Sequence[str], rows: bool) -> dict[str, Any]:
    """One case in the bounds; what stops one of them is its `failure`."""
    found: dict[str, Any] = {"f_pwm": case.f_pwm, "clock": case.clock, "kernel": case.kernel}
    try:
        image = flash_case(case, folder)
    except (ToolError, ValueError) as error:
        return {**found, "failure": first_line(error)}
    for bound in bounds:
        work = folder / f"{bound}.bin"
        shutil.copy(image, work)
        with VirtualPico("a", flash=work, registry=folder, pace="free") as pico:
            rig = None
            try:
                pico.control("set_pwm", f_pwm=case.f_pwm, clock=case.clock)
                rig = Rig(pico)
                found["heap_size"] = rig.peek(HEAP)
                found["heap_free_boot"] = rig.drive.status().counters["memory_free"]
                found[bound] = measure_bound(rig, bound)
                if rows:
                    found[bound]["stream"] = measure_rows(rig)
            except (ToolError, ValueError) as error:
                resets = rig is not None and rig.count("resets") != rig.resets
                failure = ("the board reset: " if resets else "") + first_line(error)
                failure += faults_of(rig, failure)
                found[bound] = {**found.get(bound, {}), "failure": failure}
            finally:
                if rig is not None:
                    rig.close()
    return found


def faults_of(rig: Rig | None, said: str) -> str:
    """The faults that a drive has, to be set behind what it refuses, unless that names them."""
    with contextlib.suppress(ToolError):
        found = rig.drive.faults().faults if rig is not None else ()
        names = [fault.name for fault in found if fault.name not in said]
        return f" ({', '.join(names)})" if names else ""
    return ""


def first_line(error: Exception) -> str:
    """What an error says, without its hint."""
    return (str(error) or type(error).__name__).splitlines()[0]


def run_bench(cases: Sequence[Case], out: Path, bounds: Sequence[str] = BOUNDS) -> dict[str, Any]:
    """Measures the cases, two at a time; writes and returns the result, complete or not, after each."""
    started = time.monotonic()
    done: dict[Case, dict[str, Any]] = {}
    result: dict[str, Any] = {}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="eesm-bench-") as name, ThreadPoolExecutor(AT_ONCE) as pool:
        running = {}
        for number, case in enumerate(cases):
            folder = Path(name, str(number))
            folder.mkdir()
            running[pool.submit(measure_case, case, folder, bounds, case == report.FIRST)] = case
        for future in as_completed(running):
            case = running[future]
            done[case] = future.result()
            result = report.summarise([done[each] for each in cases if each in done])
            out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
            seconds = time.monotonic() - started
            print(
                f"bench: {len(done)} of {len(cases)}, {seconds:3.0f} s: {report.say(done[case])}", flush=True
            )
    return result


def count_model() -> dict[str, Any]:
    """What `linker.cycles` counts of the same machine code over its own drive: stages, whole interrupt."""
    from drivers.rp2040_handler import handler_of
    from host_tools.linker import board_compiler, cycles

    unit = units.load("a", board=BOARD)
    program, schedule, _ = cycles.record_drive(unit)
    machine = cycles.compile_viper(program, board_compiler.find(), handler_of(unit.as_board()))
    counted = cycles.count(machine, schedule)
    ordered = sorted(int(each) for each in counted.cycles[:, 0])
    stages = {name: round(each, 1) for name, each in cycles.stage_cycles(counted).items()}
    return {"interrupt_median": ordered[len(ordered) // 2], "interrupt_worst": ordered[-1], "stages": stages}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.virtual_pico.bench")
    parser.add_argument("--quick", action="store_true", help="20 kHz at 125 MHz with viper only")
    parser.add_argument("--out", type=Path, default=OUT, help=f"the result (default: {OUT})")
    options = parser.parse_args(arguments)
    print("bench: builds, flashes and runs the virtual Pico", flush=True)
    result = run_bench(CASES[:1] if options.quick else CASES, options.out)
    try:
        result["model"] = count_model()
        options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    except ToolError as error:
        print(f"bench: no cycles by stage: {first_line(error)}")
    print(report.markdown(result))
    print(f"bench: written to {options.out}")
    return 0 if report.all_kept(result) else 1


if __name__ == "__main__":
    sys.exit(main())
