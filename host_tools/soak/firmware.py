"""An hour of the whole firmware on MicroPython, with link and telemetry; its heap looked at each minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from eesm.cyclic import MASK, TURN
from host_tools.client import Drive
from host_tools.soak.findings import Findings, memory_figures
from host_tools.soak.watched import complaints_of, heap_of, make_folder
from host_tools.virtual_drive import VirtualDrive

NAMES = ("w_e", "i_q", "i_d", "i_f", "u_dc", "torque")
RATE = 500.0  # rows a second
TICKS_A_SECOND = 1000
STEP_S = 0.5  # s between two commands
REST_S = 600.0  # s between two ordered stops, after each of which the drive is armed anew
GROWTH = 2048  # bytes of heap: the collector may find an old word on the stack
# What has to stay zero while nobody misbehaves.
CLEAN = (
    "bad_crc",
    "bad_version",
    "too_long",
    "malformed",
    "lost",
    "repeated",
    "refused",
    "stream_dropped",
    "events_dropped",
    "deferred",
    "overrun",
)


def soak(
    seconds: float,
    folder: Path,
    seed: int = 1,
    unit: str = "a",
    look_s: float = 60.0,
    tell: Callable[[str], None] = lambda text: None,
) -> Findings:
    """Drive for so many seconds of virtual time in lock step; the count of periods wraps in the middle."""
    findings = Findings(f"firmware, {seconds / 3600:g} h, unit {unit}")
    random = Random(seed)
    begin_at = TURN - round(seconds * TICKS_A_SECOND * 20 / 2)
    make_folder(folder / unit, unit, every=round(look_s * TICKS_A_SECOND), period=max(0, begin_at))
    began = time.monotonic()
    virtual = VirtualDrive(folder / unit, fast=True, seed=seed, registry=folder / "registry")
    with virtual, Drive.connect(virtual.port) as drive:
        first = drive.now()
        begun = drive.connection._sequence
        greeted = drive.status().counters["frames"]
        w_m_max, torque = drive.get("w_m_max"), drive.get("torque_limit")
        fetched, received, passed = 0, 0, 0.0
        bad: list[str] = []

        def take(rows) -> None:
            nonlocal fetched, last
            for row in rows.read(0):
                if last is not None:
                    findings.equal("periods between two rows", row.period - last, rows.divider)
                last = row.period
                fetched += 1
            bad.extend(
                f"{event.kind}: {event.text}"
                for event in drive.events()
                if event.kind not in ("state", "found")
            )

        restarts = 0
        while passed < seconds and not bad:
            drive.arm()
            drive.set_speed(0.3 * w_m_max)
            until = min(seconds, passed + REST_S)
            last: int | None = None
            start, written = drive.now(), drive.read_raw(["stream_rows"])["stream_rows"]
            with drive.stream(NAMES, RATE) as rows:
                while passed < until and not bad:
                    if random.random() < 0.5:
                        at = (drive.now() + random.randrange(100, 5000)) & MASK
                        drive.set_speed(random.uniform(-0.6, 0.6) * w_m_max, at)
                    else:
                        drive.load(random.uniform(-0.3, 0.3) * torque)
                    drive.advance(round(STEP_S / drive.t_pwm))
                    passed += STEP_S
                    take(rows)
                    if round(passed / STEP_S) % 600 == 0:
                        speed = passed / (time.monotonic() - began)
                        tell(f"firmware {passed / 60:.0f} min, {speed:.1f} times real time")
                written = (drive.read_raw(["stream_rows"])["stream_rows"] - written) & MASK
                span = (drive.now() - start) & MASK
                take(rows)
            findings.equal(
                "rows received and dropped of those written", rows.received + rows.dropped, written
            )
            findings.equal("rows lost and dropped", rows.lost + rows.dropped, 0)
            # A set-up takes some periods.
            findings.expect(0 <= span // rows.divider - written <= 4, f"{written} rows in {span} periods")
            received += rows.received
            drive.load(0.0)
            drive.stop()
            restarts += 1
            take(rows)
        findings.equal("reports of trouble", bad, [])
        findings.equal("rows fetched of those received", fetched, received)
        counters = drive.status().counters
        for name in CLEAN:
            findings.equal(name, counters[name], 0)
        sent = (drive.connection._sequence - begun) & 0xFFFF
        # A heartbeat may have been sent since, by the client's own thread.
        gap = (counters["frames"] - (greeted - 1) - sent) & 0xFFFF
        findings.expect(gap in (0, 0xFFFF, 0xFFFE), f"{counters['frames']} frames counted, {sent} sent")
        findings.equal("damaged frames of the board", drive.connection.decoder.bad_crc, 0)
        findings.equal("lost frames of the board", drive.connection.decoder.lost, 0)
        heaps = heap_of(virtual)
        last_period = drive.now()
        ran = drive.status().period
        findings.figures |= {
            "interpreter": drive.identity.interpreter,
            "virtual minutes": round(passed / 60, 2),
            "periods": (last_period - first) & MASK,
            "wrapped": ran < first,
            "ordered stops": restarts,
            "rows": fetched,
            "requests": counters["frames"],
            "garbage bytes a look": max((heap.before - heap.used for heap in heaps), default=0),
        }
    findings.equal("what the firmware complained of", complaints_of(virtual), "")
    findings.figures["minutes"] = round((time.monotonic() - began) / 60, 2)
    findings.figures["times real time"] = round(passed / (time.monotonic() - began), 1)
    findings.expect(bool(findings.figures["wrapped"]), "the count of periods did not wrap")
    memory_figures(findings, "heap bytes", [heap.used for heap in heaps], GROWTH)
    return findings
