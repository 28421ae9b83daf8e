"""Faults of the firmware itself, injected where it runs: a board folder on genuine MicroPython.

A board that finds one while it starts must not be armable; one that finds it while driving must open the
bridge within what is claimed and bring the field down.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eesm.fault_table import BY_NAME
from eesm.store import SLOTS
from host_tools.build import build
from host_tools.campaign.measure import FIELD_DOWN, GATE, LINK_HIGHEST, Row, fall_time
from host_tools.client import Drive
from host_tools.errors import ToolError
from host_tools.interpreter import find_interpreter
from host_tools.link_errors import PortClosed, Refused
from host_tools.units import Unit
from host_tools.virtual_drive import VirtualDrive, VirtualDriveError

STARTING = "MicroPython, starting"
DRIVING = "MicroPython, 30 % speed, 20 % torque"
HEAP = "150k"  # too little for a drive
TICK = 20  # periods between two looks of the harmed folder
TOLD = ("harmed", "open", "down", "peak", "named")
STEP = 4000  # periods granted at once
STEPS = 20  # of them for the fault to be seen


@dataclass(frozen=True)
class Harm:
    """How a drive that runs is harmed: a word of harmed_main.py."""

    fault: str
    how: str
    word: str
    ends: bool = False  # the main loop ends with it, and so does the virtual machine


HARMS = (
    Harm("HEAP_LOW", "all but 5 kB of heap taken", "memory"),
    Harm("STACK_LOW", "31 of 40 kB of stack used", "stack"),
    Harm("MAIN_LOOP_FAILED", "an exception in a tick", "error", ends=True),
)


def harm(unit: Unit, case: Harm, folder: Path) -> Row:
    """Drive the unit in a folder of its own and harm it."""
    settings = unit.as_settings()
    down = FIELD_DOWN * float(settings["i_f_max"])
    build(unit, folder)
    (folder / "main.py").rename(folder / "entry.py")
    shutil.copy(Path(__file__).with_name("harmed_main.py"), folder / "main.py")
    (folder / "harm.txt").write_text(f"{case.word} {down}\n")
    virtual = VirtualDrive(folder, fast=True, registry=folder / "registry")
    try:
        with virtual, Drive.connect(virtual.port) as drive:
            drive.arm()
            drive.set_speed(0.3 * float(settings["w_m_max"]))
            drive.load(0.2 * unit.limits.torque_max)
            for _ in range(STEPS):
                drive.advance(STEP)
                if drive.state == "fault":
                    break
            drive.advance(STEP)  # for the field to fall
            with contextlib.suppress(PortClosed):
                drive.quit()
    except ToolError as error:
        if not case.ends:
            raise VirtualDriveError(f"{case.fault}: {error}; the drive said: {virtual.said()}") from error
    told = {}
    for line in virtual.said().splitlines():
        word, *values = line.split() or [""]
        if word in TOLD:
            told[word] = values
    return judge(unit, case, told.pop("named", []), {word: [*map(float, told[word])] for word in told})


def judge(unit: Unit, case: Harm, names: list[str], told: dict[str, list[float]]) -> Row:
    """What the harmed folder told, against what is claimed."""
    settings = unit.as_settings()
    t_pwm = 1 / float(settings["f_pwm"])
    claimed = BY_NAME[case.fault].periods
    measured = field_ms = field_claimed = u_dc = None
    why = []
    if names[:1] != [case.fault]:
        why.append(f"named {names or 'nothing'}")
    if "harmed" in told and "open" in told:
        opened, i_f, u_open = told["open"]
        measured = int(opened - told["harmed"][0]) + TICK
        if claimed is not None and measured > claimed:
            why.append(f"{measured} periods")
        u_dc = told["peak"][1] / float(settings["u_dc_nominal"])
        if u_dc > LINK_HIGHEST:
            why.append(f"u_dc {u_dc:.2f}")
        if not case.ends:
            field_claimed = 1e3 * (fall_time(settings, i_f, u_open) + TICK * t_pwm)
            if "down" in told:
                field_ms = 1e3 * t_pwm * (told["down"][0] - opened)
            if field_ms is None or field_ms > field_claimed:
                why.append(f"field {'still up' if field_ms is None else f'{field_ms:.1f} ms'}")
    else:
        why.append("the bridge stayed on" if "harmed" in told else "the drive was not harmed")
    return Row(
        case.fault,
        case.how,
        unit.name,
        DRIVING,
        tuple(names),
        claimed,
        measured,
        field_ms,
        field_claimed,
        u_dc=u_dc,
        ok=not why,
        why="; ".join(why),
    )


def start(unit: Unit, fault: str, how: str, break_it: Callable[[Path], None], folder: Path) -> Row:
    """Break the board folder or its store, start it, try to arm."""
    build(unit, folder)
    store = folder / "store"
    store.mkdir()
    break_it(folder)
    virtual = VirtualDrive(folder, fast=True, registry=folder / "registry", store=store)
    why, said = [], ""
    with virtual, Drive.connect(virtual.port) as drive:
        with contextlib.suppress(Refused):  # without a law no period runs
            drive.advance(400)
        try:
            drive.arm()
            why.append("the drive was armed")
        except ToolError as error:
            said = str(error)
        if drive.read_raw(["gate_enable"])["gate_enable"] & GATE:
            why.append("outputs on")
    named = fault in said or fault in virtual.said()
    if not named:
        why.append(f"said {said or 'nothing'}")
    return at_start(unit, fault, how, named, why)


def starve(unit: Unit, folder: Path) -> Row:
    """Start with too little heap: the process ends, saying why."""
    build(unit, folder)
    done = subprocess.run(
        [*find_interpreter(), "-X", f"heapsize={HEAP}", "main.py"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    named = done.stderr.startswith("MEMORY_SHORT")
    why = [] if named and done.returncode == 1 else [f"exit {done.returncode}, said {done.stderr[:80]}"]
    return at_start(unit, "MEMORY_SHORT", f"{HEAP} of heap", named, why)


def at_start(unit: Unit, fault: str, how: str, named: bool, why: list[str]) -> Row:
    """A row of a board that never drove."""
    names = (fault,) if named else ()
    return Row(fault, how, unit.name, STARTING, names, ok=not why, why="; ".join(why))


def cut_kernel(folder: Path) -> None:
    """The law's file as a copy that was cut short leaves it."""
    law = folder / "linked.py"
    law.write_bytes(law.read_bytes()[: law.stat().st_size // 2])


def spoil_store(folder: Path) -> None:
    """Both slots with a good beginning and nothing behind."""
    for name in SLOTS:
        (folder / "store" / name).write_bytes(b"EESM\1\0 rotten")


STARTS = (
    ("KERNEL_FAILED", "half of the law's file", cut_kernel),
    ("PARAMETERS_BAD", "both slots damaged", spoil_store),
)


def run_firmware(unit: Unit, wanted: Callable[[str], bool]) -> list[Row]:
    """Every fault of the firmware that is wanted, on one unit."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for case in HARMS:
            if wanted(case.fault):
                rows.append(harm(unit, case, Path(place) / case.fault))
        for fault, how, break_it in STARTS:
            if wanted(fault):
                rows.append(start(unit, fault, how, break_it, Path(place) / fault))
        if wanted("MEMORY_SHORT"):
            rows.append(starve(unit, Path(place) / "MEMORY_SHORT"))
    return rows
