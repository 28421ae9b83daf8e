"""An mpy-cross that compiles viper as the board's own compiler does, to measure what the board will run.

Code that is saved in a file finds its names through a table, whose address takes one of the three registers
for locals; code that is compiled where it runs does not.  MicroPython decides that when it is built, by
MICROPY_PERSISTENT_CODE_SAVE, without which there is no mpy-cross; so these lines of its source are changed.
The file that comes out is good for nothing but its machine code: names would not be found.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from host_tools import cache, debian
from host_tools.errors import MISSING, ToolError
from host_tools.virtual_pico import firmware_build

CHANGED = "py/emitnative.c"
# Old text and new: three registers, no address of the table, and a mark of each line's code on stderr.
CHANGES = (
    ("#define MAX_REGS_FOR_LOCAL_VARS (2)", "#define MAX_REGS_FOR_LOCAL_VARS (3)"),
    ("= {REG_LOCAL_1, REG_LOCAL_2};", "= {REG_LOCAL_1, REG_LOCAL_2, REG_LOCAL_3};"),
    (
        "OFFSETOF_OBJ_FUN_BC_CONTEXT);\n        #if MICROPY_PERSISTENT_CODE_SAVE\n",
        "OFFSETOF_OBJ_FUN_BC_CONTEXT);\n        #if 0\n",
    ),
    (
        "(void)emit;\n    (void)source_line;\n",
        "if (emit->pass == MP_PASS_EMIT)\n"
        '        fprintf(stderr, "L %d %d\\n", (int)source_line,\n'
        "            (int)mp_asm_base_get_code_pos(&emit->as->base));\n",
    ),
)
UNWANTED = ("MAKE", "MFLAGS", "CFLAGS", "CPPFLAGS", "LDFLAGS", "MICROPY_")


class BoardCompilerError(ToolError):
    """The compiler could not be built."""

    code = MISSING


def find() -> Path:
    """Path of the changed mpy-cross; fetches MicroPython's sources and builds it, once.

    Raises BoardCompilerError.
    """
    key = cache.hash_files(Path(__file__))
    home = cache.cache_folder() / f"board-compiler-{firmware_build.SUITE}-{key}"
    try:
        return cache.ensure(home, _make, "builds the board's compiler") / "mpy-cross"
    except debian.DebianError as error:
        raise BoardCompilerError(f"MicroPython's sources cannot be had: {error}", "make pico") from error


def _make(home: Path) -> None:
    work = home.parent / "work"
    files = debian.fetch_source(("micropython",), work, report=cache.report, suite=firmware_build.SUITE)
    for file in files:
        if ".orig." in file.name:
            with tarfile.open(file) as archive:
                archive.extractall(work / "sources", filter="data")
    (tree,) = (work / "sources").glob("micropython-*")
    source = tree / CHANGED
    text = source.read_text()
    for old, new in CHANGES:
        if text.count(old) != 1:
            raise BoardCompilerError(f"{CHANGED} is another than expected: {text.count(old)} times {old!r}.")
        text = text.replace(old, new)
    source.write_text(text)
    cache.report("compiling the board's compiler")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(UNWANTED)}
    command = ["make", f"-j{os.cpu_count() or 1}", "-C", str(tree / "mpy-cross")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip()[-600:]
        raise BoardCompilerError(f"make ended with {done.returncode}: {said}", "install make and gcc")
    shutil.copy2(tree / "mpy-cross" / "build" / "mpy-cross", home / "mpy-cross")
