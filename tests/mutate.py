"""`make mutate`: removes each protection in turn and sees that something notices.

In a copy of the tree, what raises a fault is taken out: `raise Failed("NAME", ...)`, `fail("NAME", ...)` or
the kernel's bit.  Then the fault campaign injects that fault into unit a; where another fault takes its
place there, the tests of that fault run.  One of them must fail.  Writes build/mutations.json; the exit
status tells whether every removal was noticed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from eesm.faults import NAMES
from host_tools.campaign.cases import ELSEWHERE

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("firmware", "host_tools", "boards", "tests", "pyproject.toml")
# Tests of faults whose place another one takes in the campaign.
TESTS = {
    **ELSEWHERE,
    **dict.fromkeys(("HEAP_LOW", "STACK_LOW"), "tests/test_watch_board.py"),
    **dict.fromkeys(("KERNEL_FAILED", "MEMORY_SHORT"), "tests/test_board_folder.py"),
    "PARAMETERS_BAD": "tests/test_keeper.py",
    **dict.fromkeys(("LOAD_DUMP", "SENSOR_RANGE", "ENCODER_LOST"), "tests/stages/test_guard.py"),
    **dict.fromkeys(
        ("FIELD_OPEN", "FIELD_SHORTED", "EXCITER_STUCK", "OVER_EXCITATION"), "tests/test_field_faults.py"
    ),
    **dict.fromkeys(("ROTOR_HOT", "STATOR_HOT", "BOARD_HOT", "STATOR_OVERLOAD"), "tests/test_heat.py"),
    **dict.fromkeys(("TEMPERATURE_LOST",), "tests/test_heat.py"),
    **dict.fromkeys(("ENCODER_JUMPED", "ANGLE_SLIPPED", "TORQUE_REVERSED"), "tests/test_watches.py"),
    **dict.fromkeys(("SPIN_OUT", "STALLED", "PHASE_SUM", "PHASE_UNBALANCE"), "tests/test_watches.py"),
    **dict.fromkeys(("SENSOR_STUCK", "TORQUE_IMPLAUSIBLE"), "tests/test_watches.py tests/test_drive.py"),
    "FIELD_NOT_DOWN": "tests/test_drive.py",
}
# Protections that are no fault of their own: name, file, what is replaced, by what, the tests that notice.
OTHERS = (
    (
        "hysteresis of the link while the field is forced down",
        "firmware/eesm/stages/field.py",
        "elif s.u_dc < s.u_dc_again:",
        "else:",
        "tests/stages/test_control.py",
    ),
    (
        "field forced down after a fault",
        "firmware/eesm/stages/field.py",
        "u_f = -s.u_f_max",
        "u_f = 0",
        "tests/stages/test_control.py",
    ),
    (
        "field not forced down into a full link",
        "firmware/eesm/stages/field.py",
        "and s.link_full == 0",
        "",
        "tests/stages/test_control.py",
    ),
    (
        "a generating machine on a full link is shorted",
        "firmware/eesm/stages/modulate.py",
        "            s.shorted = 1\n",
        "            s.shorted = 0\n",
        "tests/stages/test_modulate.py",
    ),
    (
        "a latched fault opens the bridge",
        "firmware/eesm/stages/modulate.py",
        "if s.bridge_mode > BRIDGE_SHORT and s.faults == 0:",
        "if s.bridge_mode > BRIDGE_SHORT:",
        "tests/stages/test_modulate.py",
    ),
    (
        "faults stay until they are cleared",
        "firmware/eesm/stages/guard.py",
        "    if s.fault_clear != s.fault_cleared:",
        "    if True:",
        "tests/stages/test_guard.py",
    ),
    (
        "clearing is refused while a cause holds",
        "firmware/eesm/drive.py",
        "        if cause:\n",
        "        if False:\n",
        "tests/test_drive.py",
    ),
    (
        "off only when the field is down",
        "firmware/eesm/drive.py",
        "        if self.safe:\n            self._enter(OFF)",
        "        if self._good:\n            self._enter(OFF)",
        "tests/test_drive_search.py",
    ),
    (
        "a clear only when the drive is safe",
        "firmware/eesm/drive.py",
        "        if not self.safe:\n",
        "        if False:\n",
        "tests/test_drive_search.py",
    ),
    (
        "a test voltage ends with its measurement",
        "firmware/eesm/stages/current.py",
        " and (s.measure_start ^ s.measure_started | s.measure_left) != 0",
        "",
        "tests/test_late_startup.py",
    ),
    (
        "a replayed command is not obeyed",
        "firmware/eesm/link.py",
        "fresh = 0 < ahead <= AHEAD",
        "fresh = True",
        "tests/test_link.py",
    ),
    (
        "only the session that armed commands",
        "firmware/eesm/link.py",
        "if kind in GUARDED and self._driven() and token != self.owner:",
        "if False:",
        "tests/test_link.py",
    ),
    (
        "a frame's CRC is looked at",
        "firmware/eesm/wire.py",
        'if crc32(content[:end]) != struct.unpack_from("<I", content, end)[0]:',
        "if False:",
        "tests/test_wire.py",
    ),
)

WIRING = 'raise Failed(name, "%s, as with'
HEAT = 'found.append(Failed(place.upper() + "_HOT"'
# Faults whose name is not written where they are raised, or that are raised otherwise: file, old, new.
BY_HAND = {
    **{
        name: (("firmware/eesm/startup.py", WIRING, f'if name != "{name}": {WIRING}'),)
        for name in ("PHASES_SWAPPED", "SHUNT_INVERTED_A", "SHUNT_INVERTED_B", "WIRING_UNCLEAR")
    },
    **{
        f"{place.upper()}_HOT": (("firmware/eesm/watch_heat.py", HEAT, f'if place != "{place}": {HEAT}'),)
        for place in ("board", "stator", "rotor")
    },
    **{
        name: (("firmware/eesm/watch_heat.py", f'found.append(Failed("{name}"', f'_ = (("{name}"'),)
        for name in ("STATOR_OVERLOAD", "TEMPERATURE_LOST")
    },
    "KERNEL_FAILED": (
        ("firmware/eesm/kernel.py", 'if routines.identity != unit["identity"]["kernel_hash"]:', "if False:"),
    ),
    "MEMORY_SHORT": (
        ("firmware/main.py", 'sys.stderr.write("MEMORY_SHORT', '_ = ("MEMORY_SHORT'),
        ("firmware/eesm/kernel.py", 'raise KernelError("MEMORY_SHORT', '_ = ("MEMORY_SHORT'),
    ),
    "PARAMETERS_BAD": (("firmware/eesm/kept.py", "drive.fail(BAD, self._fault)", "_ = BAD"),),
    "HOST_LOST": (
        (
            "firmware/eesm/drive.py",
            'if self.since(self.host_period) > timeout * self.settings["f_pwm"]:',
            "if False:",
        ),
    ),
}


def removals(name: str) -> list[tuple[str, str]]:
    """(file, new text) for each file of the firmware that raises a fault, without it."""
    if name in BY_HAND:
        return [(file, replaced(file, old, new)) for file, old, new in BY_HAND[name]]
    found = []
    for path in sorted((ROOT / "firmware").rglob("*.py")):
        if path.name in ("faults.py", "fault_table.py", "signals.py"):
            continue
        text = path.read_text(encoding="utf-8")
        new, places = re.subn(rf'raise Failed\((\s*"{name}")', r"_ = (\1", text)
        new, more = re.subn(rf'(?<!def )\b(?:\w+\.)*fail\((\s*"{name}")', r"_ = (\1", new)
        bit = "FAULT_" + name.removeprefix("FAULT_")
        new, bits = re.subn(rf"now \| {bit}\b", "now", new)
        if name in ("PERIOD_MISSED", "FAULT_INPUT") and path.name == "guard.py":
            new, bits = re.subn(r"s\.board_faults \| ", "", new)
        if places + more + bits:
            found.append((str(path.relative_to(ROOT)), new))
    assert found, f"nothing raises {name}"
    return found


def replaced(file: str, old: str, new: str) -> str:
    """The text of a file with every `old` taken out."""
    text = (ROOT / file).read_text(encoding="utf-8")
    assert old in text, f"{file} has no {old!r}"
    return text.replace(old, new)


class Copies:
    """Copies of the tree, one a worker."""

    def __init__(self, count: int, folder: Path) -> None:
        self.free: Queue[Path] = Queue()
        for n in range(count):
            tree = folder / str(n)
            tree.mkdir(parents=True)
            for each in COPIED:
                source = ROOT / each
                if source.is_dir():
                    shutil.copytree(source, tree / each, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(source, tree / each)
            self.free.put(tree)


def notices(tree: Path, command: list[str]) -> tuple[bool, str]:
    """Whether the command fails in the tree, and its last words."""
    path = os.pathsep.join([str(tree / "firmware"), str(tree)])
    environment = {**os.environ, "PYTHONPATH": path, "CI": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=900)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return done.returncode != 0, next(
        (line for line in lines if line.startswith("not as claimed")), lines[-1] if lines else ""
    )


def pytest_of(tests: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider", *tests.split()]


def try_one(
    copies: Copies, name: str, changes: list[tuple[str, str]], commands: list[list[str]]
) -> dict[str, object]:
    """Make the changes in a copy, run the commands until one notices, take the changes back."""
    tree = copies.free.get()
    before = {file: (tree / file).read_text(encoding="utf-8") for file, _ in changes}
    noticed, words = False, ""
    try:
        for file, text in changes:
            (tree / file).write_text(text, encoding="utf-8")
        for command in commands:
            noticed, words = notices(tree, command)
            if noticed:
                break
    finally:
        for file, text in before.items():
            (tree / file).write_text(text, encoding="utf-8")
        copies.free.put(tree)
    print(f"  {'noticed' if noticed else 'NOT NOTICED'}  {name}: {words[:150]}", flush=True)
    return {"removed": name, "files": [file for file, _ in changes], "noticed": noticed, "by": words}


def main() -> int:
    begun = time.perf_counter()
    only = sys.argv[1:]
    workers = os.cpu_count() or 1
    tasks = []
    for name in NAMES:
        if only and name not in only:
            continue
        command = [sys.executable, "-m", "host_tools.campaign", "--unit", "a", "--only", name, "--jobs", "1"]
        commands = [] if name in ELSEWHERE else [command]
        if name in TESTS:
            commands.append(pytest_of(TESTS[name]))
        tasks.append((name, removals(name), commands))
    for name, file, old, new, tests in OTHERS:
        if only and name not in only:
            continue
        tasks.append((name, [(file, replaced(file, old, new))], [pytest_of(tests)]))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        copies = Copies(workers, Path(folder))
        rows = [*pool.map(lambda task: try_one(copies, *task), tasks)]
    out = ROOT / "build" / "mutations.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    missed = [row["removed"] for row in rows if not row["noticed"]]
    seconds = time.perf_counter() - begun
    print(f"{len(rows) - len(missed)} of {len(rows)} removals noticed; {seconds:.0f} s; {out}")
    if missed:
        print("not noticed:", ", ".join(map(str, missed)))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
