"""A unit's interrupt as a native module of MicroPython: C of the linked law, made an .mpy for the RP2040.

`make flash KERNEL=native`: the same stages as the viper text, by the C emitter and gcc, linked by
MicroPython's own mpy_ld.py.  The module holds two numbers and no function for Python: `on_samples`, the
address of the interrupt's machine code, and `IDENTITY`.  The file's code is loaded to the heap and runs
from RAM.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from host_tools.errors import MISSING, ToolError
from host_tools.linker import Program

ARCHITECTURE = "armv6m"
PROCESSOR = ("-mcpu=cortex-m0plus", "-mthumb")
# Code that runs wherever the heap has room for it, without libgcc: nothing divides, jump tables call it.
LAW = (*PROCESSOR, "-O2", "-std=c99", "-fpic", "-fno-common", "-fno-jump-tables", "-fno-tree-ter")
# What MicroPython asks of a native module.
MODULE = ("-Wall", "-Werror", "-DNO_QSTR", "-DMICROPY_ENABLE_DYNRUNTIME", "-DNDEBUG")
FLOAT = "-DMICROPY_FLOAT_IMPL=MICROPY_FLOAT_IMPL_NONE"
WITHOUT = "without it: the board compiles its kernel itself, KERNEL=viper (the default)"

# The last lines of the C file.
ENTRY = """
#include "py/dynruntime.h"

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args)
{
    MP_DYNRUNTIME_INIT_ENTRY
    mp_store_global(MP_QSTR_on_samples, mp_obj_new_int_from_uint((uintptr_t)&on_samples));
    mp_store_global(MP_QSTR_IDENTITY, mp_obj_new_str("%s", %d));
    MP_DYNRUNTIME_INIT_EXIT
}
"""


class NativeError(ToolError):
    """The native kernel cannot be made."""

    code = MISSING


def find_gcc() -> str:
    """Path of arm-none-eabi-gcc: ARM_GCC, else the one that the virtual Pico's firmware is built with.

    Fetches it if need be; raises NativeError.
    """
    named = os.environ.get("ARM_GCC")
    if named:
        return named
    from host_tools.virtual_pico.firmware_build import toolchain

    try:
        return toolchain() + "gcc"
    except ToolError as error:
        raise NativeError(
            f"The compiler for KERNEL=native is missing: {error.message}",
            f"ARM_GCC=<arm-none-eabi-gcc of your own>, or {WITHOUT}",
        ) from error


def find_sources() -> Path:
    """Folder with MicroPython's `py/` and `tools/`; makes it with the firmware (minutes) if need be."""
    from host_tools.virtual_pico.firmware_build import find_sources

    try:
        return find_sources()
    except ToolError as error:
        raise NativeError(
            f"MicroPython's sources for KERNEL=native are missing: {error.message}",
            f"make pico, or {WITHOUT}",
        ) from error


def build_module(program: Program, handler: Mapping[str, Any], identity: str) -> bytes:
    """The .mpy of a program's interrupt; `handler` as of `Program.viper`.  Raises NativeError."""
    if find_spec("elftools") is None:
        raise NativeError(
            "pyelftools is missing, which MicroPython's linker of native modules needs.",
            "pip install 'eesm[flash]'",
        )
    gcc, sources = find_gcc(), find_sources()
    linker = [sys.executable, str(sources / "tools" / "mpy_ld.py"), "--arch", ARCHITECTURE]
    with tempfile.TemporaryDirectory(prefix="eesm-native-") as name:
        folder = Path(name)
        source, names, unit, module = (folder / file for file in ("k.c", "names.h", "k.o", "k.mpy"))
        source.write_text(program.native(handler) + ENTRY % (identity, len(identity)))
        run([*linker, "--preprocess", "-o", str(names), str(source)], folder)
        flags = [*LAW, *MODULE, FLOAT, f'-DMP_CONFIGFILE="{names}"', f"-I{sources}"]
        run([gcc, *flags, "-c", str(source), "-o", str(unit)], folder)
        run([*linker, "--qstrs", str(names), "-o", str(module), str(unit)], folder)
        return module.read_bytes()


def run(command: Sequence[str], folder: Path) -> str:
    """What a program prints; NativeError with its last words when it fails."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except OSError as error:
        raise NativeError(f"{command[0]} cannot be run: {error.strerror}", WITHOUT) from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-600:]
        raise NativeError(f"{Path(command[0]).name} refuses the native kernel: {said}", WITHOUT)
    return done.stdout
