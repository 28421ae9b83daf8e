"""`python -m host_tools.scope.measure`: what the scope does with time and memory, in a real browser.

Writes build/bench/scope.json: rows a second from the virtual drive to the page, time from the space
bar to the drive's answer, and the page's memory over an hour of ten signals at 2 kHz, fed as fast as
the page takes it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from host_tools.devices import ROOT
from host_tools.errors import ToolError
from host_tools.scope import look

SIGNALS = ("i_d", "i_q", "i_f", "u_d", "u_q", "u_f", "w_e", "torque", "u_dc", "i_q_ref")
RATE = 2000  # Hz
OUT = ROOT / "build" / "bench" / "scope.json"
# Feeds rows by the same way as the websocket; a batch of 60 rows is 30 ms.
FEED = """async ({ names, seconds, rate }) => {
  const { drive_epoch, t_pwm, from } = window.__feed ??= { drive_epoch: eesm.timeline.epochs.at(-1).epoch,
    t_pwm: eesm.t_pwm(), from: Math.ceil(eesm.timeline.device(eesm.history.latest) / eesm.t_pwm()) };
  const divider = Math.round(1 / (rate * t_pwm));
  eesm.hear({ layout: { number: 999, epoch: drive_epoch, names, rate, divider } });
  const rows = 60;
  const batches = Math.round((seconds * rate) / rows);
  let period = window.__feed.next ?? from + divider;
  for (let n = 0; n < batches; n++) {
    const buffer = new ArrayBuffer(32 + 4 * rows * (1 + names.length));
    const head = new DataView(buffer);
    [1, 999, rows, names.length].forEach((value, k) => head.setUint32(4 * k, value, true));
    head.setFloat64(16, period, true);
    head.setUint32(28, divider, true);
    const after = new Uint32Array(buffer, 32, rows);
    const values = new Float32Array(buffer, 32 + 4 * rows);
    for (let k = 0; k < rows; k++) after[k] = k * divider;
    for (let k = 0; k < values.length; k++) values[k] = Math.sin(0.001 * (period + k));
    eesm.take(buffer);
    period += rows * divider;
    // The page draws meanwhile, as it does when rows come by themselves.
    if (n % 200 === 0) await new Promise((done) => setTimeout(done));
  }
  window.__feed.next = period;
  return eesm.history.count;
}"""


def count_rows(page: Any, seconds: float) -> dict[str, float]:
    """Rows that reach the page in real time."""
    page.evaluate("names => eesm.link.ask('want', { names })", list(SIGNALS))
    look.until(page, f"eesm.history.levels[0].low.size === {len(SIGNALS)}")
    first, began = page.evaluate("[eesm.history.count, eesm.timeline.device(eesm.history.latest)]")
    page.wait_for_timeout(seconds * 1000)
    last, ended = page.evaluate("[eesm.history.count, eesm.timeline.device(eesm.history.latest)]")
    return {
        "rows": last - first,
        "rows_a_device_second": (last - first) / (ended - began),
        "rows_a_second": (last - first) / seconds,
        "lost": page.evaluate("parseInt(document.querySelector('#lost').textContent)"),
        "picture_ms": page.evaluate("eesm.cost()"),
    }


def time_stops(page: Any, count: int) -> dict[str, float]:
    """Milliseconds from the space bar going down to the drive's answer."""
    took = []
    for _ in range(count):
        page.keyboard.press("Space")
        took.append(look.until(page, "eesm.stop.took"))
        page.wait_for_timeout(50)
    return {
        "presses": count,
        "median_ms": statistics.median(took),
        "most_ms": max(took),
        "within_100_ms": sum(each <= 100 for each in took),
    }


def fill_hours(opened: Any, page: Any, hours: float = 1.0, parts: int = 4) -> dict[str, Any]:
    """Bytes that the page's process holds after each part of the time, from when its buffers are full on."""
    page.evaluate("eesm.link.ask('want', { names: [] })")
    page.wait_for_timeout(500)
    began = time.monotonic()
    resident, buffers = [], []
    for _ in range(parts):
        rows = page.evaluate(FEED, {"names": list(SIGNALS), "seconds": 3600 * hours / parts, "rate": RATE})
        opened_session = page.context.new_cdp_session(page)
        opened_session.send("HeapProfiler.collectGarbage")
        opened_session.detach()
        resident.append(resident_bytes(opened))
        buffers.append(page.evaluate("eesm.history.bytes"))
    return {
        "rows": rows,
        "took_s": time.monotonic() - began,
        "buffer_bytes": buffers,
        "resident_bytes": resident,
        "held_s": page.evaluate("eesm.history.latest - eesm.history.levels.at(-1).x[0]"),
    }


def resident_bytes(opened: Any) -> int:
    """Resident memory of the browser's pages."""
    session = opened.new_browser_cdp_session()
    found = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    page = os.sysconf("SC_PAGE_SIZE")
    pids = [each["id"] for each in found if each["type"] == "renderer"]
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for pid in pids)


def measure(unit: str, seconds: float, presses: int, hours: float) -> dict[str, Any]:
    """All of it, on a virtual drive of `unit`."""
    with (
        tempfile.TemporaryDirectory(prefix="eesm-scope-") as folder,
        look.scope(unit, Path(folder)) as server,
        look.browser() as opened,
    ):
        page = look.open_page(opened, server, viewport={"width": 1440, "height": 900})
        return {
            "load": os.getloadavg()[0],
            "stream": count_rows(page, seconds),
            "stop": time_stops(page, presses),
            "hour": fill_hours(opened, page, hours),
        }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.scope.measure")
    parser.add_argument("--unit", default="a")
    parser.add_argument("--seconds", type=float, default=10.0, help="of streaming in real time")
    parser.add_argument("--presses", type=int, default=40, help="of the space bar")
    parser.add_argument("--hours", type=float, default=1.0, help="fed to the page as fast as it takes them")
    arguments = parser.parse_args()
    try:
        found = measure(arguments.unit, arguments.seconds, arguments.presses, arguments.hours)
    except ToolError as error:
        print(f"eesm: {error.message}\n{error.hint}", file=sys.stderr)
        return error.code
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1) + "\n")
    stream, stop, hour = found["stream"], found["stop"], found["hour"]
    print(
        f"rows to the page   {stream['rows_a_second']:.0f} a second of {len(SIGNALS)} signals, "
        f"{stream['lost']} lost; a picture takes {stream['picture_ms']:.1f} ms"
    )
    print(
        f"stop by space bar  median {stop['median_ms']:.0f} ms, most {stop['most_ms']:.0f} ms, "
        f"{stop['within_100_ms']} of {stop['presses']} within 100 ms (load {found['load']:.1f})"
    )
    sizes = ", ".join(f"{size / 1e6:.0f}" for size in hour["resident_bytes"])
    print(
        f"an hour of rows    {hour['rows']} in {hour['took_s']:.0f} s; buffers "
        f"{hour['buffer_bytes'][-1] / 1e6:.0f} MB, the page's process after each quarter: {sizes} MB"
    )
    print(OUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
