"""`python -m host_tools.soak`: all parts on two processors; a table, build/soak.json, 1 if one failed."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from host_tools.soak.findings import show, write
from host_tools.soak.parts import drive_all_day, live_through_it

OUT = Path("build/soak.json")


def main() -> int:
    """Soaks, prints the table, writes the file."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0, help="of the simulation")
    parser.add_argument("--minutes", type=float, default=60.0, help="of the firmware on MicroPython")
    parser.add_argument("--rounds", type=int, default=30, help="of killed hosts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unit", default="a")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    began = time.monotonic()
    with ProcessPoolExecutor(2) as pool:
        day, rest = pool.submit(drive_all_day, arguments), pool.submit(live_through_it, arguments)
        parts = [*day.result(), *rest.result()]
    print(show(parts))
    write(parts, arguments.out)
    ok = all(not part.violations for part in parts)
    print(f"soak: {'ok' if ok else 'VIOLATED'} in {(time.monotonic() - began) / 60:.1f} min; {arguments.out}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
