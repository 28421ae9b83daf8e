"""Peripherals of the emulated chip, register by register: each test file of tests/pico/emulator under node.

Each shows what rp2040js does, where that is wrong, and what ours does instead.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "emulator"
EMULATOR = Path(__file__).resolve().parents[2] / "host_tools" / "virtual_pico" / "emulator"

pytestmark = pytest.mark.skipif(
    not (EMULATOR / "node_modules" / "rp2040js").is_dir() or shutil.which("node") is None,
    reason="node or rp2040js is missing: make pico",
)


@pytest.mark.parametrize("name", sorted(file.name for file in HERE.glob("*.test.mjs")))
def test_registers(name: str) -> None:
    done = subprocess.run(
        ["node", "--test", str(HERE / name)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
