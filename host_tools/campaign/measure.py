"""Runs one case at one point and measures what the fault table and the reference claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import hypot, log
from typing import Any

import numpy as np

from eesm.drive import FAULT, OFF, TICK_PERIODS
from eesm.faults import names_of
from host_tools.campaign.cases import Case
from host_tools.campaign.rig import NotReached, Point, Record, Rig, Rows

AFTER = 0.6  # s that are recorded after the fault was seen: a field that falls by itself takes long
FIELD_DOWN = 0.05  # of i_f_max
TORQUE_GONE = 0.05  # of torque_max
LINK_HIGHEST = 1.25  # of u_dc_nominal
GATE = 1  # of gate_enable: the inverter's
KICK = 20  # periods in which the stator's current ends


@dataclass(frozen=True)
class Row:
    """A fault, injected once: what was claimed, what was measured."""

    fault: str
    how: str
    unit: str
    point: str
    named: tuple[str, ...]
    claimed_periods: int | None = None
    measured_periods: int | None = None
    field_ms: float | None = None  # from the last edge until i_f < 5 % of i_f_max
    field_claimed_ms: float | None = None
    torque_ms: float | None = None  # from the last edge until torque stays below 5 % of torque_max
    torque_claimed_ms: float | None = None
    u_dc: float | None = None  # highest, over nominal
    shorted: bool = False
    ok: bool = False
    why: str = ""

    def as_row(self) -> dict[str, Any]:
        return asdict(self)


def fall_time(settings: Mapping[str, Any], i_f: float, u_dc: float) -> float:
    """Claimed s in which the reversed exciter brings the field below 5 % of i_f_max (reference: safety).

    1.15 * tau_f * ln((U_f/R_f + i_f) / (U_f/R_f + 0.05*i_f_max)), with U_f = 0 for a unipolar exciter, which
    cannot reverse; a link that has sagged has less than its nominal voltage to reverse with.
    """
    r_f, l_f, i_end = float(settings["R_f"]), float(settings["L_f"]), FIELD_DOWN * float(settings["i_f_max"])
    supply = float(settings["u_f_nominal"])
    if settings["exciter_from_link"]:
        supply = min(u_dc, float(settings["u_dc_nominal"]))
    forced = 0.0 if settings["exciter_kind"] == "unipolar" else supply / r_f
    return 1.15 * l_f / r_f * log((forced + max(i_f, i_end)) / (forced + i_end))


def end_time(rig: Rig, at: Mapping[str, float], down: float) -> float:
    """Claimed s until open switches have ended the torque: 1 ms, or what physics needs.

    The diodes put the link against the current, and the EMF of the flux that is left helps it on:
    1.5 * L_q * i / (2/3*u_dc - w_e*psi), with psi = M*(i_f + 1.5*M/L_f*i_d), the field's current when the
    stator's has gone (flux conservation).  Where the EMF is above the link, torque lasts as long as the
    field, `down` s.
    """
    settings = rig.settings
    m, l_f = float(settings["M"]), float(settings["L_f"])
    i_f = max(at["i_f"], at["i_f"] + 1.5 * m / l_f * at["i_d"])
    pull = 2 / 3 * at["u_dc"] - abs(at["w_m"]) * float(settings["pole_pairs"]) * m * i_f
    if pull < 0.05 * at["u_dc"]:
        return max(1e-3, down)
    return max(1e-3, 1.5 * float(settings["L_q"]) * hypot(at["i_d"], at["i_q"]) / pull)


def first(condition: np.ndarray) -> int | None:
    """The first row where it holds."""
    found = np.nonzero(condition)[0]
    return int(found[0]) if len(found) else None


def measure(rig: Rig, case: Case, point: Point) -> Row:
    """Inject the case; the rig is used up."""
    if case.prepare is not None:
        case.prepare(rig)
        if rig.drive.state == FAULT:
            raise NotReached(f"{rig.unit.name} at {point.name}: {rig.story()}")
    rig.record = Record()
    case.act(rig)
    left = round(case.seconds / rig.loop.t_pwm / TICK_PERIODS)
    after = round(AFTER / rig.loop.t_pwm / TICK_PERIODS)
    while left > 0 and after > 0:
        if case.act_on is not None and not rig.kernel.read("faults"):
            case.act_on(rig)
        rig.tick()
        left -= 1
        if rig.kernel.read("faults") or rig.drive.state in (FAULT, OFF):
            left, after = 1, after - 1
    return judge(rig, case, point, rig.record.rows())


def judge(rig: Rig, case: Case, point: Point, rows: Rows) -> Row:
    """What was measured, and whether it is what was claimed."""
    settings, t_pwm = rig.settings, rig.loop.t_pwm
    # Levels of a period act in the next one; low sides that all are on switch no more.
    ended = first(((rows["gate_enable"] & GATE) == 0) | (rows["shorted"] == 1))
    latched = first(rows["faults"] != 0)
    # A limit may trip by the converter's noise alone; then the cause began when it was latched.
    begun = 0 if case.begins is None else first(case.begins(rig, rows))
    begun = latched if begun is None else begun
    why = []
    measured = field_ms = field_claimed = torque_ms = torque_claimed = None
    names = rig.names() if rig.alive else names_of(int(rows["faults"][-1]))
    if case.fault == "HOST_LOST":
        names = ["HOST_LOST"] if rig.drive.state == OFF else names
    held = case.may_hold and latched is None
    if held and not rows["limited"].any():
        why.append("nothing gave way, and nothing tripped")
    if not held and not {case.fault, *case.siblings} & set(names[:1]):
        why.append(f"named {names or 'nothing'}")
    if not held and (ended is None or begun is None):
        why.append("the bridge stayed on" if ended is None else "no limit was broken")
    elif ended is not None and begun is not None:
        measured = max(0, ended + 1 - begun)
        if measured > case.claimed:
            why.append(f"{measured} periods")
    if latched is not None:
        at = {name: float(rows[name][latched]) for name in ("i_d", "i_q", "i_f", "w_m", "u_dc")}
        # --- field: from where the end of the stator's current leaves it.  While the link is full it falls by
        # itself only, which is not what the formula is about.
        kicked = float(rows["i_f"][latched : latched + KICK].max())
        down = first(rows["i_f"][latched:] < FIELD_DOWN * float(settings["i_f_max"]))
        field_claimed = 1e3 * fall_time(settings, kicked, at["u_dc"])
        if down is not None:
            waited = int((rows["link_full"][latched : latched + down] == 1).sum())
            field_ms = 1e3 * t_pwm * max(0, down - 1 - waited)  # reversed from the next period on
        if case.field_falls and (field_ms is None or field_ms > field_claimed):
            why.append(f"field {'still up' if field_ms is None else f'{field_ms:.1f} ms'}")
        # --- torque, unless the machine is shorted
        if ended is not None and case.torque_ends and not rows["shorted"].any():
            torque_claimed = 1e3 * end_time(rig, at, t_pwm * (down or 0))
            pushing = np.nonzero(abs(rows["torque"][ended + 1 :]) > TORQUE_GONE * rig.unit.limits.torque_max)[
                0
            ]
            torque_ms = 1e3 * t_pwm * (int(pushing[-1]) + 1 if len(pushing) else 0)
            if torque_ms > torque_claimed:
                why.append(f"torque for {torque_ms:.1f} ms")
    u_dc = float(rows["u_dc"].max()) / float(settings["u_dc_nominal"])
    if case.link_counts and u_dc > LINK_HIGHEST:
        why.append(f"u_dc {u_dc:.2f}")
    return Row(
        case.fault,
        case.how,
        rig.unit.name,
        point.name,
        tuple(names),
        case.claimed,
        measured,
        field_ms,
        field_claimed,
        torque_ms,
        torque_claimed,
        u_dc,
        bool(rows["shorted"].any()),
        not why,
        "; ".join(why),
    )
