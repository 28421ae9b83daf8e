"""What the control law does on the virtual Pico, CPython repeats: every word of every period of a scenario.

The board runs the flashed firmware through arming, spin, load, braking and stop. The emulator writes down
what the law was given at each interrupt (converter counts, encoder, mailbox) and its whole state
afterwards. The stages as they are written, the linked law as plain Python and numba's are given the same;
not one integer may differ. So it is with each of the forms in which a board holds the law.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from host_tools import build, scenario, units
from host_tools.devices import Device
from host_tools.flash import flash_folder
from host_tools.flash.reach import Port, reach_prompt, wait_for_drive
from host_tools.linker import Program
from host_tools.linker.schedule import Schedule
from host_tools.linker.trace import Trace, TraceMismatch, compare_traces, run_engine
from host_tools.runner import Runner
from host_tools.virtual_pico.loaded_drive import LoadedDrive
from host_tools.virtual_pico.pico import VirtualPico
from host_tools.virtual_pico.recording import BlockRecording

BOARD = "rpi_pico"
PATIENCE = 300.0  # s for a board on a busy computer
SOURCE = 0x40058010  # a scratch register of the watchdog: which form was loaded
# What repeats a recording of each form; they are the same among themselves (tests/test_kernel_identity.py).
ENGINES = {"viper": ("plain", "python", "numba"), "mpy": ("python",), "native": ("numba",)}
FORMS = tuple(ENGINES)
# Takes the form of the law that is named, whatever the firmware would.
BOOT = """
from machine import mem32
import eesm.routines as routines
load = routines.load_routines
def load_one(folder="."):
    found = load(folder, "%s")
    mem32[0x40058010] = ("viper", "mpy", "native").index(found.source) + 1
    return found
routines.load_routines = load_one
"""
SPIN = """
name = "identity"
rate_hz = 100
signals = ["w_e", "i_q", "i_f"]

[[phase]]
name = "arm"
arm = true
until = "ready"
timeout = 10

[[phase]]
name = "spin up"
duration = 0.5
speed_rpm = 1500

[[phase]]
name = "load"
duration = 0.4
load = 2.0

[[phase]]
name = "brake"
duration = 0.6
speed_rpm = -500
settings = { acceleration = 1200 }

[[phase]]
name = "let go"
duration = 0.3
load = 0.0
ramp = 0.2

[[phase]]
name = "stop"
stop = true
until = "off"
timeout = 6
"""
pytestmark = pytest.mark.timeout(900)


class NoRecord:
    """Takes what the runner logs."""

    def begin(self, rows: object) -> None:
        pass

    def rows(self, rows: object) -> None:
        pass

    def note(self, kind: str, **content: object) -> None:
        pass


@pytest.fixture(scope="module")
def program() -> Program:
    return build.link_unit(units.load("a", board=BOARD)).program


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board folder of unit a with the law in all its forms."""
    made = tmp_path_factory.mktemp("built")
    unit = units.load("a", board=BOARD)
    build.build(unit, made / "native", "native")
    build.build(unit, made / "a")
    shutil.copy(made / "native" / "linked_native.mpy", made / "a")
    return made / "a"


@pytest.fixture(scope="module")
def image(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flash that holds the folder."""
    flash = tmp_path_factory.mktemp("flash") / "flash.bin"
    with VirtualPico("a", flash=flash, registry=flash.parent) as pico:
        device = Device(pico.port, "virtual", "virtual Pico", "a", pico.pid, board=BOARD)
        flash_folder(folder, device, restart=False)
    return flash


@pytest.fixture(params=FORMS)
def recorded(
    request: pytest.FixtureRequest, folder: Path, image: Path, program: Program, tmp_path: Path
) -> Iterator[tuple[str, Schedule, Trace]]:
    """The scenario on the board with a form of its law, what that was given and what it made of it."""
    flash = tmp_path / "flash.bin"
    rows = tmp_path / "rows.bin"
    shutil.copy(image, flash)
    with VirtualPico("a", flash=flash, registry=tmp_path) as pico:
        port = Port(pico.port, pico.pid)
        with reach_prompt(port, PATIENCE, 6.0) as prompt:
            prompt.write("boot.py", (BOOT % request.param).encode())
            prompt.reset()
        wait_for_drive(port, PATIENCE)
        with LoadedDrive(pico, folder) as drive:
            assert drive.identity.kernel_hash == program.identity
            source = int.from_bytes(
                bytes.fromhex(pico.control("read_memory", address=SOURCE, size=4)), "little"
            )
            assert FORMS[source - 1] == request.param
            recording = BlockRecording(pico, program, rows)
            recording.start()
            outcome = Runner(scenario.parse(SPIN), drive, NoRecord()).run()
            assert outcome.completed, (outcome.trouble, outcome.error)
            assert outcome.missed == 0
            drive.capture(["i_q"])  # takes the place of the one that waits for a fault, and ends
            found = recording.stop()
    yield request.param, *found
    # Tens of megabytes; pytest keeps the folders of its last runs.
    rows.unlink()
    flash.unlink()


def test_cpython_repeats_every_word_of_every_period(
    recorded: tuple[str, Schedule, Trace], program: Program
) -> None:
    form, schedule, board = recorded
    at = program.layout.offset
    period = board.scalars[:, at["period"]]
    assert schedule.steps > 50_000
    assert (np.diff(period) == 1).all(), "a period is missing in the recording"
    # It did what it is said to have done.
    assert np.mean((board.scalars[:, at["gate_enable"]] & 1) != 0) > 0.5
    assert len(np.unique(schedule.values[:, list(schedule.words).index(at["mailbox_sequence"])])) > 30
    assert board.scalars[:, at["load_torque"]].max() > 0
    assert board.scalars[:, at["w_e"]].max() > 0 > board.scalars[:, at["w_e"]].min()
    for engine in ENGINES[form]:
        compare_traces(program, board, run_engine(program, schedule, engine), "the virtual Pico", engine)
    assert_differences_are_found(program, schedule, board)


def assert_differences_are_found(program: Program, schedule: Schedule, board: Trace) -> None:
    """One word changed by one, of the state or of what was given, anywhere: the comparison says where."""
    at = program.layout.offset
    step = schedule.steps // 2
    scalars = board.scalars.copy()
    scalars[step, at["w_e"]] += 1
    with pytest.raises(TraceMismatch, match=f"step {step}: w_e is"):
        compare_traces(program, board, Trace(scalars, board.final), "one", "other")
    values = schedule.values.copy()
    values[step, list(schedule.words).index(at["i_a_raw"])] ^= 1
    changed = Schedule(schedule.words, values, schedule.initial)
    with pytest.raises(TraceMismatch, match=f"step {step}: i_a_raw is"):
        compare_traces(program, board, run_engine(program, changed, "numba"), "the virtual Pico", "numba")
