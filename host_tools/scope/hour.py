"""`python -m host_tools.scope.hour`: an hour of ten signals at 2 kHz, from the kernel to a page and to a log.

Everything on the way is the real thing: the firmware on MicroPython, the wire over a PTY, client, scope,
recorder, hub and websocket; only the browser is replaced by a page that checks each row. The virtual drive
runs in lock step, so that its hour takes as long as the computer needs. It is armed, turned and stopped
several times in it. Its PWM is slowed to 4 kHz, which changes neither rows nor bytes, since a period of the
simulated machine costs the same at any rate. Writes build/bench/hour.json, and fails when a row was lost.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import mmap
import os
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from eesm.link import COLLECTION_REST
from host_tools import build, units
from host_tools.client import Drive
from host_tools.devices import ROOT
from host_tools.errors import FAILED, OK, ToolError
from host_tools.log import raw
from host_tools.scope import batch
from host_tools.scope.measure import RATE, SIGNALS
from host_tools.scope.server import Server
from host_tools.virtual_drive import VirtualDrive

OUT = ROOT / "build" / "bench" / "hour.json"
F_PWM = 4000.0  # Hz
FULL_BANDWIDTH = 20e3  # Hz of PWM that the unit's bandwidths are for
SPEEDS = (500.0, -800.0, 300.0, -400.0)  # rpm, one a part
PATIENCE = 120.0  # s of this computer without which nothing has happened


def slow_unit(name: str, f_pwm: float) -> units.Unit:
    """A unit at a lower PWM frequency, with the bandwidths that its delay allows."""
    unit = units.load(name)
    if f_pwm == unit.board.f_pwm:
        return unit
    bandwidths = ("bandwidth_current", "bandwidth_field", "bandwidth_speed", "bandwidth_pll")
    share = min(1.0, f_pwm / FULL_BANDWIDTH)
    slower = {each: share * getattr(unit.control, each) for each in bandwidths}
    return replace(unit, control=replace(unit.control, **slower)).with_pwm(f_pwm)


class CheckingPage(threading.Thread):
    """A page's end of the websocket, which keeps no row and looks at each one's period."""

    def __init__(self, server: Server) -> None:
        super().__init__(name="page", daemon=True)
        from websockets.sync.client import connect

        self.rows = 0
        self.gaps = 0  # rows that are missing between those that came
        self.skipped = 0  # rows that the scope says it dropped for this page
        self.period = 0.0  # of the newest row
        self.state = ""
        self.answers: dict[int, dict[str, Any]] = {}
        self.failure: BaseException | None = None
        self._first: float | None = None
        self._layout = -1
        self._number = 0
        self._news = threading.Condition()
        address = f"ws://127.0.0.1:{server.port}/{server.token}/live?page=hour"
        self._open = connect(address, max_size=None, open_timeout=PATIENCE)
        self._socket = self._open.__enter__()

    def run(self) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            for message in self._socket:
                with self._news:
                    if isinstance(message, bytes):
                        self._take(message)
                    else:
                        self._hear(json.loads(message))
                    self._news.notify_all()
        except ConnectionClosed:
            pass
        except BaseException as error:
            self.failure = error

    def _take(self, message: bytes) -> None:
        _, layout, count, _, first, _, divider = batch.HEAD.unpack_from(message)
        after = np.frombuffer(message, "<u4", count, batch.HEAD.size)
        if layout == self._layout:
            self.gaps += round((first - self.period) / divider) - 1
        elif self._first is None:
            self._first = first
        self._layout = layout
        self.gaps += int(after[-1]) // divider - (count - 1)
        self.period = first + float(after[-1])
        self.rows += count

    def _hear(self, said: dict[str, Any]) -> None:
        if "id" in said:
            self.answers[said["id"]] = said
        elif "skipped" in said:
            self.skipped = said["skipped"]
        elif "status" in said:
            self.state = said["status"]["state"]

    def ask(self, what: str, **content: Any) -> dict[str, Any]:
        """The answer to a request.  Raises ToolError when it is refused."""
        self._number += 1
        number = self._number
        self._socket.send(json.dumps({"id": number, "do": what, **content}))
        self.wait(lambda: number in self.answers, f"an answer to {what}")
        answer = self.answers.pop(number)
        if not answer["ok"]:
            raise ToolError(f"{what}: {answer['text']}", answer["hint"], FAILED)
        return answer

    def wait(self, true: Any, what: str) -> None:
        """Wait until something holds.  Raises ToolError when nothing comes any more."""
        last, since = self.period, time.monotonic()
        with self._news:
            while not true():
                if self.period != last:
                    last, since = self.period, time.monotonic()
                if self.failure is not None or time.monotonic() - since > PATIENCE or not self.is_alive():
                    raise ToolError(
                        f"There was no {what}; the drive is {self.state}: {self.failure}.", "", FAILED
                    )
                self._news.wait(1.0)

    def close(self) -> None:
        """Close the websocket."""
        self._open.__exit__(None, None, None)
        self.join(PATIENCE)


@contextlib.contextmanager
def serve(unit: str, f_pwm: float, folder: Path) -> Iterator[tuple[VirtualDrive, Server]]:
    """A scope on a drive in lock step."""
    board = build.build(slow_unit(unit, f_pwm), folder / "board")
    registry = folder / "registry"
    with VirtualDrive(board, fast=True, registry=registry) as virtual:
        drive = Drive.connect(virtual.port, registry=registry)
        with Server(drive, registry=registry, logs=folder / "logs", library=folder, lock_step=True) as server:
            yield virtual, server


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def free_of(drive: Drive, page: CheckingPage) -> int:
    """Bytes of heap that a drive that is off has free after a collection of its garbage.

    It collects for a status no sooner than COLLECTION_REST after the last time, which may have been for the
    scope: the highest answer of twice that time is from just behind a collection.
    """
    end = page.period + 2 * COLLECTION_REST / drive.t_pwm
    free = 0
    while page.period < end:
        free = max(free, drive.status().counters["memory_free"])
    return free


def check_log(path: Path) -> dict[str, int]:
    """Rows of a raw log and those missing between them, each by its period, however long the log is."""
    rows = gaps = 0
    last = divider = None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for kind, payload, _, _ in raw.frames(data):  # type: ignore[arg-type]
            if kind == raw.HEADER and divider is None:
                divider = json.loads(payload)["divider"]
            elif kind == raw.ROW and divider:
                period = struct.unpack_from("<I", payload)[0]
                if last is not None:
                    gaps += ((period - last) & raw.MASK) // divider - 1
                last = period
                rows += 1
    return {"rows": rows, "gaps": gaps, "bytes": path.stat().st_size}


def measure(
    unit: str, hours: float, f_pwm: float, speeds: Sequence[float] = SPEEDS, tell: Any = lambda text: None
) -> dict[str, Any]:
    """Stream so many hours of the drive's time.  Raises ToolError when the drive or the scope gives up."""
    with (
        tempfile.TemporaryDirectory(prefix="eesm-hour-") as folder,
        serve(unit, f_pwm, Path(folder)) as (virtual, server),
        contextlib.closing(CheckingPage(server)) as page,
    ):
        page.start()
        drive = server.keeper.drive
        page.ask("want", names=list(SIGNALS))
        page.wait(lambda: page.rows, "row")
        log = Path(page.ask("record")["file"])
        first, began, skipped = page.period, time.monotonic(), page.rows
        parts = []
        for number, rpm in enumerate(speeds, 1):
            end = first + number * hours * 3600 / len(speeds) / drive.t_pwm
            page.ask("arm")
            page.wait(lambda: page.state == "ready", "readiness")
            page.ask("speed", value=rpm)
            page.wait(lambda end=end: page.period >= end, "row")
            page.ask("stop")
            page.wait(lambda: page.state == "off", "end of the motion")
            gc.collect()
            counters = drive.status().counters
            free = free_of(drive, page)
            parts.append(
                {
                    "device_s": (page.period - first) * drive.t_pwm,
                    "took_s": time.monotonic() - began,
                    "host_bytes": resident(os.getpid()),
                    "host_blocks": sys.getallocatedblocks(),
                    "drive_bytes": resident(virtual.pid),
                    "drive_free": free,
                    "log_bytes": log.stat().st_size,
                }
            )
            tell(line_of(number, parts[-1]))
        stream = server.keeper._stream
        found = {
            "unit": unit,
            "f_pwm": f_pwm,
            "signals": len(SIGNALS),
            "rate_hz": RATE,
            "parts": parts,
            "rows": page.rows - skipped,
            "page": {"gaps": page.gaps, "skipped": page.skipped},
            "link": {"lost": stream.lost, "dropped": stream.dropped} if stream else {},
            "counters": dict(counters),
        }
        server.keeper.recorder.stop()
        found["log"] = check_log(log)
    return found


def line_of(number: int, part: dict[str, Any]) -> str:
    """One part of the time as a line."""
    return (
        f"  after {part['device_s']:7.1f} s of the drive in {part['took_s']:6.1f} s: "
        f"host {part['host_bytes'] / 1e6:.1f} MB, {part['host_blocks']} objects; MicroPython "
        f"{part['drive_bytes'] / 1e6:.2f} MB, {part['drive_free']} bytes of its heap free"
    )


def lost_of(found: dict[str, Any]) -> int:
    """Rows lost anywhere on the way, as each of those on it counts them."""
    return sum(found["link"].values()) + sum(found["page"].values()) + found["log"]["gaps"]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m host_tools.scope.hour", description=measure.__doc__)
    parser.add_argument("--unit", default="a")
    parser.add_argument("--hours", type=float, default=1.0, help="of the drive's time")
    parser.add_argument("--f-pwm", type=float, default=F_PWM, help="Hz")
    arguments = parser.parse_args()
    print(f"bench: {arguments.hours:g} h of {len(SIGNALS)} signals at {RATE} Hz, in lock step", flush=True)
    try:
        found = measure(
            arguments.unit, arguments.hours, arguments.f_pwm, tell=lambda text: print(text, flush=True)
        )
    except ToolError as error:
        print(f"eesm: {error.message}\n{error.hint}", file=sys.stderr)
        return error.code
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1) + "\n")
    took = found["parts"][-1]
    lost = lost_of(found)
    print(
        f"{found['rows']} rows to the page, {found['log']['rows']} in the log of "
        f"{found['log']['bytes'] / 1e6:.0f} MB, {lost} lost; "
        f"{took['device_s'] / took['took_s']:.1f} times real time"
    )
    print(OUT)
    return OK if lost == 0 else FAILED


if __name__ == "__main__":
    sys.exit(main())
