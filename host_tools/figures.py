"""Figures of a run, phase by phase, and whether its expectations hold.

Works on any record of a scenario, so that a live run, a simulation and an old log are judged by
the same rules.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from host_tools.log import UNITS, Array, Run, derive
from host_tools.scenario import Chirp, Expectation, Phase, Scenario
from host_tools.scenario_language import BANDWIDTH, ENERGIES

SETTLED = 0.3  # s at the end of a phase in which "reached" values are averaged


@dataclass(frozen=True)
class Verdict:
    """An expectation beside what was measured."""

    phase: str
    rule: str
    unit: str
    measured: float | None  # the value that counts, or the worst sample; None without data
    ok: bool


def judge(run: Run, scenario: Scenario) -> list[Verdict]:
    """Every expectation of a scenario against a record."""
    spans = {name: (start, stop) for name, _, start, stop in run.phases}
    verdicts = []
    for phase in scenario.phases:
        for each in phase.expect:
            span = spans.get(phase.name)
            measured, ok = (None, False) if span is None else _check(run, each, phase.chirp, *span)
            unit = _unit_of(run, each.quantity)
            verdicts.append(Verdict(phase.name, each.describe(), unit, measured, ok))
    return verdicts


def _unit_of(run: Run, quantity: str) -> str:
    if quantity == BANDWIDTH:
        return "Hz"
    return "J" if quantity in ENERGIES else UNITS.get(quantity) or run.units.get(quantity, "")


def _check(
    run: Run, rule: Expectation, chirp: Chirp | None, start: int, stop: int
) -> tuple[float | None, bool]:
    """The measured value and whether it is as expected."""
    scale = float(run.header["settings"].get(rule.of, "nan")) if rule.of else 1.0
    if rule.equals is not None:
        centre = rule.equals * scale
        width = (
            abs(centre) * rule.percent / 100 if rule.percent is not None else (rule.tolerance or 0.0) * scale
        )
        low, high = centre - width, centre + width
    else:
        low = -float("inf") if rule.above is None else rule.above * scale
        high = float("inf") if rule.below is None else rule.below * scale
    if rule.quantity in ENERGIES:
        values = [energies(run, start, stop)[rule.quantity]]
    elif rule.quantity == BANDWIDTH:
        found = bandwidth(run, rule, chirp, start, stop) if chirp is not None else None
        values = [] if found is None else [found]
    else:
        first = start if rule.last is None else stop - round(rule.last / run.t_pwm)
        values = _taken(derive(run, rule.quantity)[_within(run, first, stop)], rule.take)
    if not values:
        return None, False
    # Of many samples the one that is furthest out is shown.
    worst = max(values, key=lambda value: max(value - high, low - value))
    return worst, low <= worst <= high


def bandwidth(run: Run, rule: Expectation, chirp: Chirp, start: int, stop: int) -> float | None:
    """Frequency in Hz at which the gain from reference to response falls below -3 dB.

    The gain is the cross spectrum by the reference's own, both smoothed over a tenth of the frequency; when
    it stays above -3 dB, the sweep's highest frequency is returned, and the bandwidth is no less.
    """
    import numpy as np

    inside = _within(run, start, stop)
    if inside.sum() < 100 or rule.reference is None or rule.response is None:
        return None
    reference, response = (derive(run, name)[inside] for name in (rule.reference, rule.response))
    window = np.hanning(len(reference))
    x, y = (np.fft.rfft((each - each.mean()) * window) for each in (reference, response))
    frequencies = np.fft.rfftfreq(len(reference), run.header["divider"] * run.t_pwm)
    for centre in np.geomspace(1.2 * chirp.from_hz, 0.95 * chirp.to_hz, 60):
        near = abs(frequencies - centre) <= max(0.05 * centre, 1.5 * frequencies[1])
        power = (abs(x[near]) ** 2).sum()
        if power > 0 and abs((y[near] * x[near].conj()).sum()) < power / 2**0.5:
            return float(centre)
    return chirp.to_hz


def _taken(samples: Array, take: str) -> list[float]:
    if not len(samples):
        return []
    if take == "all":
        return [float(samples.min()), float(samples.max())]
    if take == "end":
        return [float(samples[-1])]
    if take == "rms":
        return [float((samples**2).mean() ** 0.5)]
    return [float({"mean": samples.mean, "min": samples.min, "max": samples.max}[take]())]


def _within(run: Run, start: int, stop: int) -> Array:
    return (run.period >= start) & (run.period < stop)


def energies(run: Run, start: int, stop: int) -> dict[str, float]:
    """Energies in J between two periods.

    in: electrical, to the machine (stator and field); regenerated: electrical, back from it;
    out: mechanical at the air gap, to the shaft; braked: mechanical, from the shaft.
    """
    inside = _within(run, start, stop)
    seconds = run.t[inside]
    power, shaft = derive(run, "power")[inside], derive(run, "power_shaft")[inside]
    return {
        "energy_in": _integral(power.clip(0, None), seconds),
        "energy_out": _integral(shaft.clip(0, None), seconds),
        "energy_regenerated": _integral((-power).clip(0, None), seconds),
        "energy_braked": _integral((-shaft).clip(0, None), seconds),
    }


def _integral(values: Array, seconds: Array) -> float:
    if len(values) < 2:
        return 0.0
    return float((0.5 * (values[1:] + values[:-1]) * (seconds[1:] - seconds[:-1])).sum())


def phase_figures(run: Run, scenario: Scenario) -> list[dict[str, Any]]:
    """What was reached in each phase that ran; numbers in SI unless the key says otherwise."""
    spans = {name: (start, stop) for name, _, start, stop in run.phases}
    rows: list[dict[str, Any]] = []
    target: float | None = None
    for phase in scenario.phases:
        target = _target(phase, target)
        if phase.name in spans:
            rows.append(_figures(run, phase, target, *spans[phase.name]))
    return rows


def _target(phase: Phase, before: float | None) -> float | None:
    """Speed in rpm that is asked for at the end of a phase; None in another mode."""
    if phase.speed_rpm is not None:
        return phase.speed_rpm
    if phase.arm or phase.stop or phase.torque is not None or phase.currents is not None:
        return None
    return before


def _figures(run: Run, phase: Phase, target: float | None, start: int, stop: int) -> dict[str, Any]:
    inside = _within(run, start, stop)
    late = _within(run, max(start, stop - round(SETTLED / run.t_pwm)), stop)
    row: dict[str, Any] = {
        "phase": phase.name,
        "say": phase.say,
        "start_s": start * run.t_pwm,
        "duration_s": (stop - start) * run.t_pwm,
        "rows": int(inside.sum()),
    }
    if not inside.any() or not late.any():
        return row
    speed = derive(run, "speed_rpm")
    row["speed_rpm"] = _mean(speed[late])
    row["speed_target_rpm"] = target
    row["speed_error_percent"] = 100 * abs(row["speed_rpm"] - target) / abs(target) if target else None
    row["speed_worst_rpm"] = float(abs(speed[late] - target).max()) if target is not None else None
    row["torque"] = _mean(run["torque"][late])
    row["torque_peak"] = float(abs(run["torque"][inside]).max())
    row["load"] = _mean(derive(run, "load")[late])
    for axis in ("i_d", "i_q", "i_f"):
        row[f"{axis}_rms_error"] = float(((run[f"{axis}_ref"] - run[axis])[inside] ** 2).mean() ** 0.5)
    row["i_f"] = _mean(run["i_f"][late])
    row |= energies(run, start, stop)
    return row


def _mean(values: Array) -> float:
    return float(values.mean())


def summarise(run: Run, scenario: Scenario, completed: bool = True, trouble: str = "") -> dict[str, Any]:
    """The content of summary.json; `ok` only when all expectations hold and nothing went wrong."""
    verdicts = judge(run, scenario)
    i_f_max = float(run.header["settings"].get("i_f_max", "nan"))
    tail = _within(run, run.end - round(0.05 / run.t_pwm), run.end)
    i_f_final = _mean(run["i_f"][tail]) if tail.any() else None
    whole = [int(run.period[0]), run.end] if len(run) else [0, 0]
    run_phases = {name for name, *_ in run.phases}
    failed = [
        f"{each.phase}: {each.rule}" if each.phase in run_phases else f"{each.phase}: did not run"
        for each in verdicts
        if not each.ok
    ]
    late = sum(note.get("late", 0) for note in run.notes_of("stream"))
    left_out = sum(note.get("left_out", 0) for note in run.notes_of("stream"))
    missed = sum(note.get("missed", 0) for note in run.notes_of("stream"))
    reasons = [trouble] if trouble else []
    reasons += [text for _, text in run.faults]
    reasons += failed
    if run.records_lost:
        reasons.append(f"{run.records_lost} records were lost")
    if missed:
        reasons.append(f"{missed} PWM periods were missed")
    field_down = i_f_final is not None and abs(i_f_final) < 0.02 * i_f_max
    if not field_down:
        reasons.append("the field is not below 2 % of i_f_max at the end")
    identity = run.header["identity"]
    return {
        "ok": completed and not reasons,
        "reasons": list(dict.fromkeys(reasons)),
        "scenario": scenario.name,
        "unit": identity["unit"],
        "board": identity["board"],
        "firmware": identity["firmware"],
        "interpreter": identity["interpreter"],
        "kernel_hash": identity["kernel_hash"],
        "schema_hash": identity["schema_hash"],
        "periods": whole[1] - whole[0],
        "drive_s": (whole[1] - whole[0]) * run.t_pwm,
        "records": len(run),
        "records_lost": run.records_lost,
        "late_commands": late,
        "setpoints_left_out": left_out,
        "missed_periods": missed,
        "faults": [{"t": period * run.t_pwm, "text": text} for period, text in run.faults],
        "final_field_current": i_f_final,
        "final_field_share": i_f_final / i_f_max if i_f_final is not None else None,
        **energies(run, *whole),
        "phases": phase_figures(run, scenario),
        "expectations": [asdict(each) for each in verdicts],
    }
