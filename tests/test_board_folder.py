"""The board folder: complete, the same every time, and it boots on the real interpreter."""

import ast
import json
import shutil
import subprocess
import sys
import tomllib
from array import array

import pytest

from eesm import parameters, signals
from eesm.kernel import Kernel
from eesm.table import CONSTANT, PARAMETER, TRANSIENT, signals_of
from host_tools.board_code import empty_meanings
from host_tools.build import FIRMWARE, FIRMWARE_VERSION, ROOT, build, link_unit
from host_tools.client import Drive
from host_tools.units import load, unit_names
from host_tools.virtual_drive import VirtualDrive


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry of virtual drives of this test's own."""
    folder = tmp_path / "drives"
    monkeypatch.setenv("EESM_VIRTUAL", str(folder))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(load("a"), tmp_path_factory.mktemp("board") / "a")


def test_firmware_and_tools_have_one_version():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == FIRMWARE_VERSION


def test_every_import_of_the_board_is_in_its_folder(folder):
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    builtin = {"sys", "json", "time", "math", "struct", "array", "os", "select", "binascii", "gc", "hashlib"}
    builtin |= {"micropython", "ffi", "deflate", "vfs"}
    # main.py names the driver of every chip; a board holds its own.
    elsewhere = {"drivers.rp2040", "drivers.rp2040.Rp2040Driver", "linked_compiled", "linked_native"}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None and node.level == 0
                names = [node.module]
                names += [f"{node.module}.{a.name}" for a in node.names if node.module in ("eesm", "drivers")]
                if node.module in ("boards.virtual",):
                    names += [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                place = name.replace(".", "/")
                known = {f"{place}.py", f"{place}/__init__.py"}
                fits = name.split(".")[0] in builtin or name in elsewhere or known & files
                assert fits, (path.name, name)


def test_nothing_of_the_host_reaches_the_board(folder):
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert not {"eesm/signals.py", "eesm/table.py", "eesm/steps.py"} & names
    assert not any(name.startswith(("eesm/stages", "host_tools", "tests")) for name in names)
    for path in folder.rglob("*"):
        if path.is_file():
            assert str(ROOT).encode() not in path.read_bytes(), path


def test_a_second_build_writes_nothing_and_removes_what_is_stale(folder):
    stale = folder / "eesm" / "old.mpy"
    stale.write_bytes(b"old")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path != stale}
    build(load("a"), folder)
    assert not stale.exists()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_a_build_in_another_process_gives_the_same_bytes(folder, tmp_path):
    code = (
        "import sys; from pathlib import Path; from host_tools.build import build;"
        "from host_tools.units import load; build(load('a'), Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "again")], check=True, cwd=ROOT)
    for path in folder.rglob("*"):
        if path.is_file():
            assert (tmp_path / "again" / path.relative_to(folder)).read_bytes() == path.read_bytes(), path


@pytest.mark.parametrize("name", unit_names())
def test_every_unit_links_and_describes_itself(name):
    linked = link_unit(load(name))
    data, schema = linked.unit, linked.schema
    rows = signals_of(signals.Signals)
    block = {key for key, row in rows.items() if row.role not in (CONSTANT, TRANSIENT, "memory")}
    kernel = Kernel(data)
    assert set(data["signals"]) == block == {row["name"] for row in schema["signals"]}
    for row in schema["signals"]:
        assert row["index"] == linked.program.layout.memory_index(row["name"])
        assert kernel.step[row["name"]] == pytest.approx(data["bases"][row["base"]] / 2 ** row["q"])
        assert kernel.index(row["name"]) == row["index"]
        if rows[row["name"]].role == PARAMETER:
            assert list(kernel.limits_of(row["name"])) == [row["low"], row["high"]]
        else:
            with pytest.raises(ValueError, match="not for the main loop"):
                kernel.limits_of(row["name"])
    for key in parameters.derive(linked.unit["settings"]):
        low, high = kernel.limits_of(key)
        assert rows[key].low == low
        assert rows[key].high == high
    assert len(linked.tables) == sum(data["length"][key] for key in data["tables"])
    assert json.loads(json.dumps(data)) == data


def test_words_that_settings_lead_to_are_within_their_signals():
    rows = signals_of(signals.Signals)
    for name in unit_names():
        for key, value in parameters.derive(load(name).as_settings()).items():
            assert rows[key].low <= value <= rows[key].high, (name, key, value)


def test_tables_are_filled_in_the_order_of_their_names(folder):
    data = json.loads((folder / "unit.json").read_text())
    kernel = Kernel(data, tables=array("h", (folder / "tables.bin").read_bytes()[4:]))

    def words(name):
        start = kernel.offset[name]
        return list(kernel.block[start : start + kernel.length[name]])

    assert set(data["tables"]) >= {"table_i_d", "table_i_f", "table_torque"}
    most, field = words("table_torque"), words("table_i_f")
    assert all(0 < word <= 32767 for word in most)
    assert most == sorted(most, reverse=True)
    assert min(field) >= 0
    assert field[0] < field[16] <= kernel.raw("i_f", kernel.settings["i_f_max"]) + 1


@pytest.mark.micropython
@pytest.mark.parametrize("unit", ["a", "b", "c"])
def test_a_built_folder_boots_arms_turns_and_stops(unit, registry):
    with VirtualDrive(unit, seed=11, fast=True) as virtual, Drive.connect(virtual.port) as drive:
        assert "micropython" in drive.identity.interpreter
        drive.arm()
        assert drive.state == "ready"
        drive.speed = 300
        drive.sleep(0.8)
        assert drive.read("w_m_ref") == pytest.approx(31.4, rel=0.01)
        drive.stop()
        assert drive.state == "off"
        assert drive.faults().faults == ()


@pytest.mark.micropython
def test_a_kernel_that_does_not_compile_is_a_named_fault_and_nothing_is_enabled(registry, folder, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    text = (broken / "linked.py").read_text()
    (broken / "linked.py").write_text(text.replace("def fast_step(", "def fast_step(x=1.5 not", 1))
    with VirtualDrive(broken) as virtual, Drive.connect(virtual.port) as drive:
        assert drive.state == "fault"
        (fault,) = drive.faults().faults
        assert fault.name == "KERNEL_FAILED"
        assert "SyntaxError" in fault.text
        with pytest.raises(Exception, match="KERNEL_FAILED"):
            drive.arm()
        assert "KERNEL_FAILED" in virtual.said()


@pytest.mark.micropython
def test_a_kernel_of_another_build_is_refused_by_the_board(registry, folder, tmp_path):
    mixed = tmp_path / "mixed"
    shutil.copytree(folder, mixed)
    data = json.loads((mixed / "unit.json").read_text())
    data["identity"]["kernel_hash"] = "0" * 64
    (mixed / "unit.json").write_text(json.dumps(data))
    with VirtualDrive(mixed) as virtual:
        # An answer means that the board has booted, however long that took.
        with Drive.connect(virtual.port) as drive:
            assert drive.state == "fault"
        assert "linked.py and unit.json are of different builds" in virtual.said()


HEAP = """
import sys
from eesm.kernel import load
from drivers import virtual
class Port:
    closed = False
    def wait(self, ms): pass
    def close(self): pass
kernel = load()
assert kernel.failure is None, kernel.failure
def greedy(block):
    return [1] * 100
if len(sys.argv) > 1:
    kernel.outer_step = greedy
driver = virtual.VirtualDriver(kernel.unit, ["--fast"], Port())
driver.start(kernel)
try:
    driver.run(200)
    print("ran", kernel.read("period"))
except MemoryError:
    print("allocated")
"""


@pytest.mark.micropython
def test_the_interrupt_path_runs_with_the_heap_locked(micropython, folder):
    script = folder / "heap.py"
    script.write_text(HEAP)
    for arguments, said in (((), "ran 199"), (("greedy",), "allocated")):
        done = subprocess.run(
            [*micropython, "heap.py", *arguments], cwd=folder, capture_output=True, text=True, timeout=60
        )
        assert done.stdout.strip() == said, done.stderr
    script.unlink()


@pytest.mark.micropython
@pytest.mark.parametrize("heap", ["60k", "150k"])
def test_too_little_memory_ends_with_its_name_and_nothing_enabled(micropython, folder, heap):
    done = subprocess.run(
        [*micropython, "-X", f"heapsize={heap}", "main.py"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("MEMORY_SHORT: ")
    assert done.stdout == ""


@pytest.mark.micropython
def test_a_folder_without_a_unit_and_wrong_arguments_end_with_a_sentence(micropython, folder, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare)

    def run(*arguments):
        return subprocess.run(
            [*micropython, "main.py", *arguments],
            cwd=bare,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    done = run("--fault", "smoke")
    assert done.returncode == 1
    assert done.stderr.startswith("no fault of the virtual board is called smoke")
    (bare / "unit.json").write_text("{")
    assert run().stderr.startswith("KERNEL_FAILED: the files of the board folder cannot be used")
    (bare / "unit.json").unlink()
    assert run().stderr.startswith("KERNEL_FAILED: the files of the board folder cannot be used")


def test_what_only_the_host_reads_takes_no_memory_of_a_board():
    text = (FIRMWARE / "eesm" / "parameters.py").read_text()
    lean = empty_meanings(text, "SETTINGS")
    kept: dict = {}
    exec(compile(lean, "parameters.py", "exec"), kept)
    assert kept["SETTINGS"] == {name: (*row[:3], "") for name, row in parameters.SETTINGS.items()}
    assert len(lean.splitlines()) == len(text.splitlines())
