"""Finds a C compiler that catches undefined behaviour: emitted C is the witness that nothing overflows.

Tried in this order: CC, then cc, gcc and clang of the machine, then zig's clang from the `cc` extra
(`pip install -e '.[cc]'`). Each must show that it lets a clean program pass and stops an overflowing one.

Standard library only: `make` asks `python -m host_tools.compiler` whether the extra is needed.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

# With its runtime UBSan prints the line of a finding; trapping needs none and ends by SIGILL or SIGTRAP.
_PRINTING = ("-fsanitize=undefined", "-fno-sanitize-recover=all")
_TRAPPING = ("-fsanitize=undefined", "-fsanitize-trap=undefined")
_TRAPPING_GCC = ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")

_WITNESS = """
#include <stdint.h>
int main(int count, char **words) {
    (void)words;
    volatile int32_t n = INT32_MAX - 2;
    n = n + count;
    return 0;
}
"""


class CompilerError(RuntimeError):
    """No usable C compiler."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler and the flags that make it stop at undefined behaviour."""

    argv: tuple[str, ...]
    sanitize_flags: tuple[str, ...]

    @property
    def traps(self) -> bool:
        """True when a finding ends the program without a message."""
        return self.sanitize_flags != _PRINTING

    def build(self, source: Path, program: Path, *flags: str, sanitize: bool = True) -> None:
        """Compiles one C file to a program; raises CompilerError with the compiler's own words."""
        checks = self.sanitize_flags if sanitize else ()
        command = [*self.argv, "-std=c11", "-O1", *checks, *flags, str(source), "-o", str(program)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise CompilerError(f"{shlex.join(command)} failed:\n{done.stderr.strip()}")


def find_compiler() -> Compiler:
    """The first compiler that stops at a signed overflow; raises CompilerError when there is none."""
    tried = []
    for argv in _candidates():
        for flags in (_PRINTING, _TRAPPING, _TRAPPING_GCC):
            compiler = Compiler(argv, flags)
            if _stops_at_overflow(compiler):
                return compiler
        tried.append(shlex.join(argv))
    raise CompilerError(
        f"No C compiler that catches undefined behaviour (tried: {', '.join(tried) or 'none found'}). "
        "Install gcc or clang, set CC, or `pip install -e '.[cc]'` for zig's."
    )


def _candidates() -> list[tuple[str, ...]]:
    named = os.environ.get("CC")
    found = [tuple(shlex.split(named))] if named else []
    found += [(name,) for name in ("cc", "gcc", "clang") if shutil.which(name)]
    if importlib.util.find_spec("ziglang"):
        found.append((sys.executable, "-m", "ziglang", "cc"))
    return found


def _stops_at_overflow(compiler: Compiler) -> bool:
    with tempfile.TemporaryDirectory(prefix="eesm-cc-") as folder:
        source, program = Path(folder, "witness.c"), Path(folder, "witness")
        source.write_text(_WITNESS)
        try:
            compiler.build(source, program)
            clean, overflowing = ([str(program)], [str(program), "1", "2"])
            return _status(clean) == 0 and _status(overflowing) != 0
        except (CompilerError, OSError, subprocess.TimeoutExpired):
            return False


def _status(command: list[str]) -> int:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30).returncode


def main() -> int:
    """Prints the compiler's command line with its flags; ends with 1 when there is none."""
    try:
        compiler = find_compiler()
    except CompilerError as error:
        print(f"eesm: {error}", file=sys.stderr)
        return 1
    print(shlex.join([*compiler.argv, *compiler.sanitize_flags]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
