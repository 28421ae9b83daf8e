"""`python -m host_tools.fuzz`: the long counts on CPython and MicroPython; 1 when a promise was not kept."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from host_tools.fuzz.bench import Violation
from host_tools.fuzz.parts import run_part

OUT = Path("build/fuzz.json")


def main() -> int:
    """Fuzzes, prints a table, writes the file."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.fuzz", description=__doc__)
    parser.add_argument("--bytes", type=int, default=10_000_000, help="on CPython")
    parser.add_argument("--messages", type=int, default=1_000_000, help="on CPython")
    parser.add_argument("--board-bytes", type=int, default=1_000_000, help="on MicroPython")
    parser.add_argument("--board-messages", type=int, default=100_000, help="on MicroPython")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    began = time.monotonic()
    # In pieces, so that two processors share them.
    tasks: list[tuple[str, int, int, int]] = [
        ("micropython", arguments.board_bytes, arguments.board_messages, arguments.seed)
    ]
    for k in range(4):
        seed = arguments.seed + k
        tasks += [
            ("inside", 0, arguments.messages // 20, seed),
            ("running", 0, arguments.messages // 10, seed),
            ("asleep", 0, arguments.messages // 10, seed),
            ("bytes", arguments.bytes // 4, 0, seed),
        ]
    results: dict[str, Counter[str]] = {}
    ok = True
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(2) as pool:
        futures = [(task, pool.submit(run_part, *task, Path(folder))) for task in tasks]
        for (name, count_bytes, messages, seed), future in futures:
            try:
                found = future.result()
            except Violation as violation:
                ok = False
                print(f"fuzz: {name}, seed {seed}: VIOLATED: {violation}", flush=True)
                continue
            print(f"fuzz: {name}, seed {seed}: {count_bytes + messages} done", flush=True)
            sent = Counter({"bytes sent": count_bytes, "messages sent": messages})
            results[name] = results.get(name, Counter()) + found + sent
    for name, found in results.items():
        print(name)
        for what, count in found.items():
            print(f"  {what:20} {count}")
    took = time.monotonic() - began
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "ok": ok,
        "minutes": round(took / 60, 2),
        "parts": {name: dict(found) for name, found in results.items()},
    }
    arguments.out.write_text(json.dumps(content, indent=1) + "\n")
    print(f"fuzz: {'ok' if ok else 'VIOLATED'} in {took / 60:.1f} min; {arguments.out}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
