"""C for the board: forms that are exact at the ends, a pointer that slides, a driver's lines as C."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drivers.rp2040_handler import handler_of
from host_tools.build import link_unit
from host_tools.linker import LinkError, link
from host_tools.linker.driver_c import DriverText
from host_tools.linker.layout import Layout
from host_tools.linker.schedule import Schedule, walk_schedule
from host_tools.linker.trace import compare_engines
from host_tools.native_module import NativeError, find_gcc, run
from host_tools.units import load

from .small_table import Small, make_module

LAYOUT = Layout({"period": 1, "compare_a": 7}, {"period": 0, "compare_a": 0}, 8, 8)
ENDS = [0, 1, 32766, 32767, 32768, 16383, 16384, 65535, 65536, (1 << 29) - 1, 1 << 29, (1 << 30) - 1]


def c_of(*lines: str) -> list[str]:
    return DriverText(LAYOUT).lines(lines)


def test_saturation_and_wrapping_are_exact_at_their_ends(tmp_path: Any) -> None:
    text = "\n    ".join(
        [
            "def stage(s):",
            "y = s.x",
            "if y > 32767:",
            "    y = 32767",
            "elif y < -32767:",
            "    y = -32767",
            "s.kept = y",
            "s.result = ((s.x + 0x8000) & 0xFFFF) - 0x8000",
            "z = s.x",
            "if z > 1000:",
            "    z = 1000",
            "elif z < -500:",
            "    z = -500",
            "s.other = z",
        ]
    )
    program = link([make_module(tmp_path, text + "\n").stage], Small)
    values = sorted({sign * (end + step) for end in ENDS for step in (-1, 0, 1) for sign in (-1, 1)})
    place = program.layout.offset["x"]
    schedule = Schedule(
        np.array([place], dtype=np.int32),
        np.array([[value] for value in values], dtype=np.int32),
        np.array(program.initial_block(), dtype=np.int32),
    )
    assert "NARROW" in program.native()
    compare_engines(program, schedule, ["plain", "c", "native"])


def test_the_pointer_slides_only_where_there_are_windows(tmp_path: Any) -> None:
    unit = load("a", board="rpi_pico")
    assert "    SLIDE(p, " in link_unit(unit).program.native()
    small = link([make_module(tmp_path, "def stage(s):\n    s.kept = s.x + s.y\n").stage], Small)
    assert "    SLIDE(p, " not in small.native()
    compare_engines(small, walk_schedule(small, 50, 1), ["plain", "native"])


def test_a_drivers_lines_wrap_and_reach_registers_by_volatile_pointers() -> None:
    assert c_of("r_a = 0x10014000", "r_w = ptr32(r_a << 2)", "r_w[3] = 5 - {compare_a} * 65537") == [
        "    r_a = 268517376;",
        "    r_w = (volatile int32_t *)WRAP(r_a, <<, 2);",
        "    r_w[3] = WRAP(5, -, WRAP(p[7], *, 65537));",
    ]
    assert c_of(
        "if {period} & 1:", "    p = ptr32(p[0])", "else:", "    r_x = ptr32(int(p) >> 2)[4] | 1"
    ) == [
        "    if ((p[1] & 1)) {",
        "        p = (int32_t *)((volatile int32_t *)p)[0];",
        "    } else {",
        "        r_x = (((volatile int32_t *)((int32_t)p >> 2))[4] | 1);",
        "    }",
    ]


@pytest.mark.parametrize(
    "line", ["r_x = {period} // 2", "while 1: r_x = 2", "r_x = print(3)", "r_x = r_y = 1"]
)
def test_what_has_no_form_in_c_is_refused(line: str) -> None:
    with pytest.raises(LinkError, match="has no form in C"):
        c_of(line)


def test_a_signal_without_a_word_is_refused() -> None:
    with pytest.raises(LinkError, match="`compare_z`, which has no word"):
        c_of("{compare_z} = 1")


def test_the_interrupt_is_one_function_around_the_routines() -> None:
    linked = link_unit(load("a", board="rpi_pico"))
    text = linked.program.native(handler_of(linked.unit["board"]))
    assert text.count("\nvoid on_samples(void)\n") == 1
    last = text.partition("void on_samples")[2]
    assert last.index("fast_step(p);") < last.index("outer_step(p);")
    assert "static void fast_step(int32_t *p)" in text


def test_a_compiler_that_is_not_there_is_named_with_the_way_out(monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.setenv("ARM_GCC", str(tmp_path / "gcc"))
    with pytest.raises(NativeError, match="cannot be run") as caught:
        run([find_gcc(), "-c", "k.c"], tmp_path)
    assert "KERNEL=viper" in caught.value.hint


def test_an_offline_machine_is_told_so(monkeypatch: Any) -> None:
    from host_tools.virtual_pico import firmware_build

    def fail() -> str:
        raise firmware_build.BuildError("no mirror answers.")

    monkeypatch.delenv("ARM_GCC", raising=False)
    monkeypatch.setattr(firmware_build, "toolchain", fail)
    with pytest.raises(NativeError, match="The compiler for KERNEL=native is missing: no mirror answers"):
        find_gcc()
