"""A run as one HTML page that needs nothing else: picture, figures, identity, parameters, faults."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from host_tools import plot
from host_tools.files import replacing
from host_tools.log import UNITS, Run
from host_tools.page import cards, details, figure, number, pre, table
from host_tools.page import page as whole_page


def page(run: Run, summary: Mapping[str, Any] | None = None) -> str:
    """The whole page; with a `summary` of `host_tools.figures` also phases, expectations and verdict."""
    identity = run.header["identity"]
    title = run.header.get("scenario", {}).get("title") or run.header.get("title") or "Log"
    badge = "" if summary is None else _badge(bool(summary["ok"]))
    parts = [
        f"<h1>{escape(title)}{badge}</h1>",
        f"<p class='lead'>unit {escape(str(identity['unit']))} on board {escape(str(identity['board']))}, "
        f"{escape(run.header.get('created', ''))}, {escape(str(identity['interpreter']))}</p>",
        _damage(run),
    ]
    if summary is not None:
        parts += [_reasons(summary["reasons"]), _cards(run, summary)]
    else:
        parts.append(_few_cards(run))
    if len(run):
        parts.append(figure(plot.svg(run), "Curves of the run over device time"))
    if summary is not None:
        parts += [
            "<h2>Phases</h2>",
            _phases(summary["phases"]),
            "<h2>Expectations</h2>",
            _expectations(summary["expectations"]),
        ]
    parts += [
        "<h2>Signals</h2>",
        _signals(run),
        "<h2>Faults</h2>",
        _faults(run),
        "<h2>What the drive reported</h2>",
        _events(run),
        "<h2>Identity</h2>",
        _pairs({**identity, "tools": run.header.get("tools", "")}),
        "<h2>Parameters</h2>",
        _settings(run.header.get("settings", {})),
        details("Commands as they were sent", _commands(run)),
        details("Scenario", pre(run.header.get("scenario", {}).get("text", ""))),
    ]
    if summary is not None:
        parts.append(details("Summary as JSON", pre(json.dumps(summary, indent=1, ensure_ascii=False))))
    return whole_page(f"{title} · unit {identity['unit']}", parts)


def write(run: Run, summary: Mapping[str, Any] | None, path: str | Path) -> Path:
    """Write the page."""
    with replacing(path) as temporary:
        temporary.write_text(page(run, summary), encoding="utf-8")
    return Path(path)


def summary_of(run: Run) -> dict[str, Any] | None:
    """What `host_tools.figures` says of a log that holds a scenario; None when it holds none.

    A scenario in a language that these tools no longer speak counts as none.
    """
    from host_tools import figures, scenario
    from host_tools.errors import UsageError

    text = run.header.get("scenario", {}).get("text")
    if not text or not len(run):
        return None
    try:
        chosen = scenario.parse(text, run.header["scenario"]["file"])
    except UsageError:
        return None
    trouble = "; ".join(note["text"] for note in run.notes_of("trouble"))
    ended = {note["name"] for note in run.notes_of("end")}
    return figures.summarise(run, chosen, {phase.name for phase in chosen.phases} <= ended, trouble)


# --- parts -------------------------------------------------------------------------------------------


def _badge(ok: bool) -> str:
    mark = "&#10003; passed" if ok else "&#10007; failed"
    return f"<span class='badge {'good' if ok else 'bad'}'>{mark}</span>"


def _damage(run: Run) -> str:
    lost = sum(length for _, length in run.damage) + run.cut
    if not lost:
        return ""
    return f"<p class='bad'>{lost} bytes of the raw log are cut or damaged; what is whole is shown.</p>"


def _few_cards(run: Run) -> str:
    span = float(run.t[-1] - run.t[0]) if len(run) else 0.0
    rate = 1 / (run.header["divider"] * run.t_pwm)
    return cards(
        [
            ("Device time", f"{span:.3g} s", f"from {float(run.t[0]):.4f} s" if len(run) else ""),
            ("Records", f"{len(run)}", f"{run.records_lost} lost, {rate:g} Hz"),
            ("Signals", f"{len(run.columns)}", ""),
            ("Faults", f"{len(run.faults)}", ""),
        ]
    )


def _signals(run: Run) -> str:
    """Lowest, mean, highest and rms of each column over the whole record."""
    if not len(run):
        return "<p>No record.</p>"
    body = []
    for name, column in run.columns.items():
        values = (column.min(), column.mean(), column.max(), (column**2).mean() ** 0.5)
        unit = UNITS.get(name) or run.units[name]
        body.append([f"<code>{escape(name)}</code>", escape(unit), *(f"{float(v):.5g}" for v in values)])
    return table(["signal", "unit", "lowest", "mean", "highest", "rms"], body, numbers=range(2, 6))


def _reasons(reasons: Sequence[str]) -> str:
    if not reasons:
        return ""
    return "<ul class='bad'>" + "".join(f"<li>{escape(reason)}</li>" for reason in reasons) + "</ul>"


def _cards(run: Run, summary: Mapping[str, Any]) -> str:
    errors = [
        row["speed_error_percent"] for row in summary["phases"] if row.get("speed_error_percent") is not None
    ]
    given, back = summary["energy_in"], summary["energy_regenerated"]
    final = summary["final_field_share"]
    rows = [
        (
            "Device time",
            f"{summary['drive_s']:.2f} s",
            f"{summary['periods']} periods, {summary['missed_periods']} missed",
        ),
        ("Records", f"{summary['records']}", f"{summary['records_lost']} lost"),
        ("Energy in", f"{given:.0f} J", "electric, stator and field"),
        ("Energy back", f"{back:.0f} J", f"{100 * back / given:.0f} % of it" if given else ""),
        ("Largest speed error", f"{max(errors):.3f} %" if errors else "–", "settled, end of a phase"),
        ("Field at the end", f"{100 * final:.2f} %" if final is not None else "–", "of i_f_max"),
    ]
    return cards(rows)


COLUMNS = (
    ("start_s", "start, s", "{:.2f}"),
    ("duration_s", "length, s", "{:.2f}"),
    ("speed_rpm", "speed, rpm", "{:.1f}"),
    ("speed_target_rpm", "asked, rpm", "{:.0f}"),
    ("speed_error_percent", "error, %", "{:.3f}"),
    ("torque", "torque, Nm", "{:.3f}"),
    ("load", "load, Nm", "{:.3f}"),
    ("i_d_rms_error", "i_d rms error, A", "{:.3f}"),
    ("i_q_rms_error", "i_q rms error, A", "{:.3f}"),
    ("i_f_rms_error", "i_f rms error, A", "{:.3f}"),
    ("energy_in", "in, J", "{:.1f}"),
    ("energy_out", "out, J", "{:.1f}"),
    ("energy_regenerated", "back, J", "{:.1f}"),
)


def _phases(rows: Iterable[Mapping[str, Any]]) -> str:
    head = ["phase", *(title for _, title, _ in COLUMNS)]
    body = [[escape(row["phase"]), *(number(row.get(key), form) for key, _, form in COLUMNS)] for row in rows]
    return (
        table(head, body, numbers=range(1, len(head)))
        + "<p class='lead'>Speed, torque and load are means over the last 0.3 s of a phase; rms errors are "
        "of reference less measured, over the whole phase. in, back: electric power to and from the machine, "
        "1.5&middot;(u_d&middot;i_d + u_q&middot;i_q) + u_f&middot;i_f; "
        "out: torque&middot;w_m to the shaft.</p>"
    )


def _expectations(rows: Iterable[Mapping[str, Any]]) -> str:
    body = [
        [
            escape(row["phase"]),
            escape(f"{row['rule']} {row['unit']}"),
            number(row["measured"], "{:.5g}"),
            "<span class='good'>&#10003; holds</span>"
            if row["ok"]
            else "<span class='bad'>&#10007; fails</span>",
        ]
        for row in rows
    ]
    return table(["phase", "expected", "measured", ""], body, numbers=(2,)) if body else "<p>None.</p>"


def _faults(run: Run) -> str:
    if not run.faults:
        return "<p class='good'>&#10003; None.</p>"
    from eesm.fault_table import FAULTS

    known = {row.name: (row.cause, row.remedy) for row in FAULTS}
    body = []
    for period, text in run.faults:
        name, _, measured = text.partition(": ")
        cause, remedy = known.get(name, ("", ""))
        body.append(
            [f"{period * run.t_pwm:.4f}", *(escape(each) for each in (name, measured, cause, remedy))]
        )
    return table(["t, s", "fault", "measured", "meaning", "what to do"], body, numbers=(0,))


def _events(run: Run) -> str:
    body = [
        [f"{run.time_of(note['period']):.4f}", escape(note["what"]), escape(note["text"])]
        for note in run.notes_of("event")
    ]
    return table(["t, s", "kind", ""], body, numbers=(0,)) if body else "<p>Nothing.</p>"


def _commands(run: Run) -> str:
    body = [
        [f"{run.time_of(note['period']):.4f}", f"{run.time_of(note['due']):.4f}", escape(note["text"])]
        for note in run.notes_of("command")
    ]
    return table(["sent at, s", "acts at, s", "command"], body, numbers=(0, 1))


def _settings(settings: Mapping[str, float]) -> str:
    from eesm.parameters import SETTINGS

    body = []
    for name, value in settings.items():
        unit, _, _, meaning = SETTINGS.get(name, ("", 0, 0, ""))
        body.append([f"<code>{escape(name)}</code>", f"{value:.6g}", escape(unit), escape(meaning)])
    return table(["parameter", "value", "unit", "meaning"], body, numbers=(1,))


def _pairs(pairs: Mapping[str, Any]) -> str:
    body = [[escape(name), f"<code>{escape(str(value))}</code>"] for name, value in pairs.items() if value]
    return table(["", ""], body)
