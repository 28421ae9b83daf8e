"""One piece of a fuzzing run, in a process of its own."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from host_tools.fuzz.bench import linked_unit
from host_tools.fuzz.campaign import fuzz_asleep, fuzz_bytes, fuzz_inside, fuzz_running
from host_tools.fuzz.micropython import fuzz_micropython

MESSAGES = {"asleep": fuzz_asleep, "running": fuzz_running, "inside": fuzz_inside}


def run_part(name: str, count: int, messages: int, seed: int, folder: Path) -> Counter[str]:
    """`count` bytes, or `messages`; raises Violation."""
    if name == "micropython":
        return fuzz_micropython(count, messages, seed, folder / "board")
    schema = write_schema(folder / f"{name}-{seed}.json")
    if name == "bytes":
        return fuzz_bytes(count, seed, schema)
    return MESSAGES[name](messages, seed, schema)


def write_schema(path: Path) -> Path:
    """The schema.json that a board of unit a has in its folder."""
    path.write_text(json.dumps(linked_unit("a")[1].schema, separators=(",", ":")))
    return path
