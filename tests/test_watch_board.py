"""The board watches its memory: on the real interpreter each damage trips, and nothing else does."""

# pyright: reportOptionalMemberAccess=false

import shutil
import subprocess

import pytest

from eesm.faults import Failed
from eesm.watch_board import NAMES, sum_words
from host_tools.build import build
from host_tools.units import load
from tests.drive_bench import Bench

# A drive on MicroPython whose periods pass by counting; `damage` does what a test wants, then time passes.
SCRIPT = """
import gc
import sys
sys.path.insert(0, ".")
from eesm.routines import load_routines
routines = load_routines()
from eesm import watch_board
from eesm.drive import Drive
from eesm.kernel import load
from eesm.mailbox import Mailbox
from eesm.watch_board import code_of, micropython

kernel = load(".", routines)
drive = Drive(kernel, Mailbox(kernel))
board = drive.board
block, offset = kernel.block, kernel.offset

@micropython.viper
def put(place: ptr8, at: int, value: int):
    place[at] = value

def live(seconds):
    "Ticks of a drive whose periods pass without a law."
    for _ in range(seconds * 1000):
        block[offset["period"]] = (block[offset["period"]] + 20) & 0x3FFFFFFF
        drive.tick()
        if drive.latched:
            break

def turn_over(place, at):
    put(place, at, watch_board.byte_at(place, at) ^ 1)

live(3)
assert not drive.latched, drive.fault_list()
DAMAGE
live(3)
print("after", drive.fault_list())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(load("a"), tmp_path_factory.mktemp("board") / "a")


@pytest.fixture
def run(folder, tmp_path, micropython):
    """run(damage) -> what a drive latches before and after it."""

    def call(damage):
        home = tmp_path / "board"
        shutil.copytree(folder, home, dirs_exist_ok=True)
        (home / "test.py").write_text(SCRIPT.replace("DAMAGE", damage))
        done = subprocess.run(
            [*micropython, "test.py"], cwd=home, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        after = done.stdout.splitlines()[-1]
        assert after.startswith("after "), after
        return after.removeprefix("after ")

    return call


@pytest.mark.micropython
def test_nothing_trips_without_damage(run):
    assert run("") == "[]"


TABLES = ("sine", "root", "table_i_d", "table_i_f", "torque_inverse", "flux_ratio_q")
FLIP_TABLES = """
for name in %r:
    for at in (offset[name], offset[name] + kernel.length[name] - 1):
        drive = Drive(kernel, Mailbox(kernel))
        block[at] ^= 1
        live(3)
        text = drive.fault_texts.get("KERNEL_CORRUPTED", "")
        assert text.startswith(name + " of the"), (name, drive.fault_list())
        block[at] ^= 1
drive = Drive(kernel, Mailbox(kernel))
"""
FLIP_CODE = """
for name in ("fast_step", "outer_step"):
    address, size = code_of(getattr(kernel, name))
    assert size > 8000, size
    for at in (0, 1000, size // 2, size // 4 * 4 - 1):
        drive = Drive(kernel, Mailbox(kernel))
        turn_over(address, at)
        live(3)
        text = drive.fault_texts.get("KERNEL_CORRUPTED", "")
        assert text.startswith("the code of " + name), (name, at, drive.fault_list())
        turn_over(address, at)
drive = Drive(kernel, Mailbox(kernel))
"""


@pytest.mark.micropython
def test_one_bit_of_any_table_is_seen(run):
    assert run(FLIP_TABLES % (TABLES,)) == "[]"


@pytest.mark.micropython
def test_one_bit_of_the_code_is_seen(run):
    assert run(FLIP_CODE) == "[]"


@pytest.mark.micropython
def test_a_parameter_that_nobody_posted_is_seen(run):
    after = run("block[offset['i_trip']] += 1")
    assert "KERNEL_CORRUPTED', 'parameter i_trip (" in after
    # One that is on its way is none, however long it takes.
    assert run("drive.words['i_trip'] += 1; drive.post({'i_trip': drive.words['i_trip']})") == "[]"


@pytest.mark.micropython
def test_what_was_corrupted_stays_a_fault_until_a_restart(run):
    after = run(
        "block[offset['sine']] ^= 1\nlive(3)\nblock[offset['sine']] ^= 1\nrefused = ''\n"
        "try:\n    drive.clear()\nexcept Exception as refusal:\n    refused = refusal.text\n"
        "assert 'restart the board' in refused, refused"
    )
    assert "KERNEL_CORRUPTED" in after


@pytest.mark.micropython
def test_a_heap_that_stays_full_is_seen_and_garbage_is_not(run):
    keep = (
        "kept = [None] * 5000\n"
        "try:\n"
        "    for k in range(len(kept)):\n"
        "        if gc.mem_free() < 5000:\n"
        "            gc.collect()\n"
        "            if gc.mem_free() < 5000:\n"
        "                break\n"
        "        kept[k] = bytearray(200)\n"
        "except MemoryError:\n"
        "    pass"
    )
    assert "HEAP_LOW" in run(keep)
    assert run(keep + "\nkept = None") == "[]"


@pytest.mark.micropython
def test_a_stack_that_is_nearly_full_is_seen(run):
    deep = "def deep(most):\n    deep(most) if micropython.stack_use() < most else live(3)\n"
    assert "STACK_LOW" in run(deep + "deep(31000)")
    assert run(deep + "deep(20000)") == "[]"


def test_a_change_of_any_one_word_changes_the_sum():
    words = bytearray(4 * 64)
    view = memoryview(words).cast("i")
    found = sum_words(view, 0, 64)
    for at in range(64):
        for bit in range(32):
            words[4 * at + bit // 8] ^= 1 << bit % 8
            assert sum_words(view, 0, 64) != found
            words[4 * at + bit // 8] ^= 1 << bit % 8


@pytest.mark.parametrize("unit", ["a", "b", "c", "c_saturated"])
def test_a_drive_that_runs_is_not_corrupted_and_one_word_makes_it_so(unit):
    bench = Bench(unit).ready()
    bench.drive.set_speed(50.0)
    bench.run(1.0)
    bench.drive.set_setting("i_trip", 0.95 * bench.drive.settings["i_trip"])
    bench.drive.set_setting("bandwidth_current", 0.9 * bench.drive.settings["bandwidth_current"])
    bench.run(2.0)
    assert bench.names() == []
    bench.kernel.block[bench.kernel.offset["root"] + 7] += 1
    bench.run(2.0)
    assert bench.names() == ["KERNEL_CORRUPTED"]


def test_every_parameter_is_looked_at_in_turn():
    bench = Bench("a")
    drive = bench.drive
    assert len(drive.words) > 2 * NAMES
    for name in (min(drive.words), max(drive.words), list(drive.words)[-1], "theta_offset"):
        fresh = Bench("a")
        fresh.kernel.block[fresh.kernel.offset[name]] ^= 1
        fresh.run(2.0)
        assert fresh.names() == ["KERNEL_CORRUPTED"], name
        assert name in fresh.drive.fault_texts["KERNEL_CORRUPTED"]


def test_corruption_raises_the_fault_it_names():
    bench = Bench("a")
    bench.kernel.block[bench.kernel.offset["sine"]] += 1
    board = bench.drive.board
    with pytest.raises(Failed) as failure:
        for _ in range(4 * len(board._pieces)):
            bench.drive.now += 400
            board.look()
    assert failure.value.name == "KERNEL_CORRUPTED"
