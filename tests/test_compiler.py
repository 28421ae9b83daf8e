"""The C compiler that is found lets clean programs pass and stops undefined behaviour."""

import subprocess
from pathlib import Path

import pytest

from host_tools.compiler import Compiler, CompilerError, find_compiler

SHIFT = """
#include <stdint.h>
#include <stdio.h>
int main(int count, char **words) {
    (void)words;
    volatile int32_t by = 30 + count;
    printf("%d\\n", (int)(1u << 3) + (by > 31 ? 1 << by : 0));
    return 0;
}
"""


def test_shift_beyond_the_word_is_stopped_and_a_clean_run_is_not(compiler: Compiler, tmp_path: Path) -> None:
    source, program = tmp_path / "shift.c", tmp_path / "shift"
    source.write_text(SHIFT)
    compiler.build(source, program)
    clean = subprocess.run([program], capture_output=True, text=True)
    assert (clean.returncode, clean.stdout) == (0, "8\n")
    assert subprocess.run([program, "beyond"], capture_output=True).returncode != 0


def test_error_in_the_source_is_told_in_the_compilers_words(compiler: Compiler, tmp_path: Path) -> None:
    source = tmp_path / "bad.c"
    source.write_text("int main(void) { return missing; }\n")
    with pytest.raises(CompilerError, match="missing"):
        compiler.build(source, tmp_path / "bad")


def test_compiler_that_overlooks_an_overflow_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = tmp_path / "cc"
    blind.write_text(
        '#!/bin/sh\nfor last; do :; done\nprintf "#!/bin/sh\\n" > "$last"\n/bin/chmod +x "$last"\n'
    )
    blind.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CompilerError, match="tried: cc"):
        find_compiler()
