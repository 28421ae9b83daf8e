"""Measures the link to the firmware on real MicroPython, in real time: `python -m host_tools.bench_link`.

Writes build/bench/link.json:
    rows_per_s          most rows of 10 signals a second that arrived without loss, of the rates tried
    request_ms          median of a request and its answer, nothing else on the link: the baseline
    request_p99_ms
    streaming_ms        the same while 10 signals stream at 2 kHz
    streaming_p99_ms
    stop_ms             from the call to the drive's own word that it stops, while streaming; worst of some
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from eesm import wire
from host_tools.client import Drive
from host_tools.scenario import SIGNALS
from host_tools.virtual_drive import VirtualDrive

OUT = Path("build/bench/link.json")
NAMES = SIGNALS[:10]
RATES = (1000.0, 2000.0, 4000.0, 5000.0, 10000.0)
REQUESTS = 300
STOPS = 3


def measure_requests(drive: Drive) -> tuple[float, float]:
    """ms, median and 99 % of a status request."""
    took = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        drive.connection.request(wire.STATUS)
        took.append(1e3 * (time.perf_counter() - began))
    took.sort()
    return took[len(took) // 2], took[len(took) * 99 // 100]


def measure_rows(drive: Drive, rate: float, seconds: float = 2.0) -> float:
    """Rows a second at a rate; 0 when any was lost or dropped."""
    with drive.stream(NAMES, rate) as rows:
        began = time.perf_counter()
        count = 0
        while time.perf_counter() - began < seconds:
            count += len(rows.read(0.1))
        took = time.perf_counter() - began
        return 0.0 if rows.lost or rows.dropped else count / took


def measure_stop(drive: Drive) -> float:
    """ms from a stop's call to its event, with the field up and a stream running."""
    drive.arm()
    with drive.stream(NAMES, 2000.0) as rows:
        drive.sleep(0.3)
        drive.events()
        began = time.perf_counter()
        drive.stop(wait=False)
        while not any(event.text == "stopping" for event in drive.events()):
            time.sleep(0.0005)
        took = 1e3 * (time.perf_counter() - began)
        rows.read(0)
    drive.wait_for("off")
    return took


def main() -> int:
    """Measure, print, write."""
    print("bench: the link, in real time", flush=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        VirtualDrive("a", registry=Path(folder)) as virtual,
        Drive.connect(virtual.port) as drive,
    ):
        idle, idle_worst = measure_requests(drive)
        with drive.stream(NAMES, 2000.0):
            busy, busy_worst = measure_requests(drive)
        reached = [measure_rows(drive, rate) for rate in RATES]
        result = {
            "interpreter": drive.identity.interpreter,
            "rows_per_s": round(max(reached)),
            "request_ms": round(idle, 2),
            "request_p99_ms": round(idle_worst, 2),
            "streaming_ms": round(busy, 2),
            "streaming_p99_ms": round(busy_worst, 2),
            "stop_ms": round(max(measure_stop(drive) for _ in range(STOPS)), 1),
        }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=2) + "\n")
    for name, value in result.items():
        print(f"  {name:17} {value}")
    print(f"bench: written to {OUT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
