"""The emulator's own tests, which Node runs: each file of tests/pico/emulator is one test here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from host_tools.virtual_pico.firmware_build import find_firmware
from host_tools.virtual_pico.node import install_packages

FOLDER = Path(__file__).resolve().parent / "emulator"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.test.mjs")), ids=lambda file: file.name)
def test_emulator(file: Path) -> None:
    node = install_packages()
    done = subprocess.run(
        [node.program, "--test", "--test-reporter=spec", str(file)],
        env={**os.environ, "UF2": str(find_firmware())},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
