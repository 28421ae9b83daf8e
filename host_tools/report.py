"""A run as one HTML page that needs nothing else: picture, figures, identity, parameters, faults."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from host_tools import plot
from host_tools.log import Run

STYLE = """
:root { color-scheme: light dark; --ink: #1f2933; --soft: #616e7c; --page: #fff; --card: #f4f6f8;
  --edge: #d9dee4; --good: #00695a; --bad: #b34700; --bar: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --soft: #9aa5b1; --page: #14191f;
  --card: #1f262e; --edge: #323f4b; --good: #2fc9a8; --bad: #ff9a5c; --bar: #56b4e9; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 2rem 1.2rem 4rem; background: var(--page);
  color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; }
.lead { color: var(--soft); margin: .3rem 0 0; }
.badge { display: inline-block; font-weight: 700; padding: .1rem .7rem; border-radius: 1rem;
  border: 2px solid currentColor; font-size: 1rem; vertical-align: .25rem; margin-left: .6rem; }
.good { color: var(--good); } .bad { color: var(--bad); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: .7rem;
  margin: 1.4rem 0; padding: 0; }
.cards div { background: var(--card); border-radius: .5rem; padding: .7rem .9rem; }
.cards dt { color: var(--soft); font-size: .8rem; } .cards dd { margin: 0; font-size: 1.35rem;
  font-weight: 600; font-variant-numeric: tabular-nums; }
.cards small { font-size: .8rem; font-weight: 400; color: var(--soft); }
figure { margin: 1rem 0; background: #fff; border: 1px solid var(--edge); border-radius: .5rem;
  padding: .6rem; overflow-x: auto; }
figure svg { width: 100%; min-width: 640px; height: auto; display: block; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .7rem .32rem 0; border-bottom: 1px solid var(--edge); text-align: left;
  vertical-align: top; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; } td.n, th.n { text-align: right; }
td code { font-size: .85em; word-break: break-all; }
details { margin: .8rem 0; } summary { cursor: pointer; font-weight: 600; }
pre { background: var(--card); padding: 1rem; border-radius: .5rem; overflow-x: auto; font-size: .82rem; }
ul { padding-left: 1.2rem; }
"""


def page(run: Run, summary: Mapping[str, Any]) -> str:
    """The whole page."""
    title = run.header.get("scenario", {}).get("title") or "Log"
    ok = bool(summary["ok"])
    parts = [
        f"<h1>{escape(title)}<span class='badge {'good' if ok else 'bad'}'>"
        f"{'&#10003; passed' if ok else '&#10007; failed'}</span></h1>",
        f"<p class='lead'>unit {escape(str(summary['unit']))} on board {escape(str(summary['board']))}, "
        f"{escape(run.header.get('created', ''))}, {escape(str(summary['interpreter']))}</p>",
        _reasons(summary["reasons"]),
        _cards(run, summary),
        f"<figure aria-label='Curves of the run over device time'>{plot.svg(run)}</figure>",
        "<h2>Phases</h2>",
        _phases(summary["phases"]),
        "<h2>Expectations</h2>",
        _expectations(summary["expectations"]),
        "<h2>Faults</h2>",
        _faults(run),
        "<h2>What the drive reported</h2>",
        _events(run),
        "<h2>Identity</h2>",
        _pairs({**run.header["identity"], "tools": run.header.get("tools", "")}),
        "<h2>Parameters</h2>",
        _settings(run.header["settings"]),
        _details("Commands as they were sent", _commands(run)),
        _details("Scenario", _pre(run.header.get("scenario", {}).get("text", ""))),
        _details("Summary as JSON", _pre(json.dumps(summary, indent=1, ensure_ascii=False))),
    ]
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)} &middot; unit {escape(str(summary['unit']))}</title>"
        f"<style>{STYLE}</style></head><body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def write(run: Run, summary: Mapping[str, Any], path: str | Path) -> Path:
    """Write the page."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(run, summary), encoding="utf-8")
    return path


# --- parts -------------------------------------------------------------------------------------------


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
    cards = [
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
    body = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)} <small>{escape(note)}</small></dd></div>"
        for name, value, note in cards
    )
    return f"<dl class='cards'>{body}</dl>"


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
    body = [
        [escape(row["phase"]), *(_number(row.get(key), form) for key, _, form in COLUMNS)] for row in rows
    ]
    return (
        _table(head, body, numbers=range(1, len(head)))
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
            _number(row["measured"], "{:.5g}"),
            "<span class='good'>&#10003; holds</span>"
            if row["ok"]
            else "<span class='bad'>&#10007; fails</span>",
        ]
        for row in rows
    ]
    return _table(["phase", "expected", "measured", ""], body, numbers=(2,)) if body else "<p>None.</p>"


def _faults(run: Run) -> str:
    if not run.faults:
        return "<p class='good'>&#10003; None.</p>"
    from eesm.faults import FAULTS

    known = {name: (cause, remedy) for _, name, cause, remedy in FAULTS}
    body = []
    for period, text in run.faults:
        name, _, measured = text.partition(": ")
        cause, remedy = known.get(name, ("", ""))
        body.append(
            [f"{period * run.t_pwm:.4f}", *(escape(each) for each in (name, measured, cause, remedy))]
        )
    return _table(["t, s", "fault", "measured", "meaning", "what to do"], body, numbers=(0,))


def _events(run: Run) -> str:
    body = [
        [f"{run.time_of(note['period']):.4f}", escape(note["what"]), escape(note["text"])]
        for note in run.notes_of("event")
    ]
    return _table(["t, s", "kind", ""], body, numbers=(0,)) if body else "<p>Nothing.</p>"


def _commands(run: Run) -> str:
    body = [
        [f"{run.time_of(note['period']):.4f}", f"{run.time_of(note['due']):.4f}", escape(note["text"])]
        for note in run.notes_of("command")
    ]
    return _table(["sent at, s", "acts at, s", "command"], body, numbers=(0, 1))


def _settings(settings: Mapping[str, float]) -> str:
    from eesm.parameters import SETTINGS

    body = []
    for name, value in settings.items():
        unit, _, _, meaning = SETTINGS.get(name, ("", 0, 0, ""))
        body.append([f"<code>{escape(name)}</code>", f"{value:.6g}", escape(unit), escape(meaning)])
    return _table(["parameter", "value", "unit", "meaning"], body, numbers=(1,))


def _pairs(pairs: Mapping[str, Any]) -> str:
    body = [[escape(name), f"<code>{escape(str(value))}</code>"] for name, value in pairs.items() if value]
    return _table(["", ""], body)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _table(head: Sequence[str], body: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    right = set(numbers)

    def row(cells: Sequence[str], tag: str) -> str:
        marks = [" class='n'" if n in right else "" for n in range(len(cells))]
        return "".join(f"<{tag}{mark}>{cell}</{tag}>" for mark, cell in zip(marks, cells, strict=True))

    lines = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in body)
    top = f"<thead><tr>{row([escape(name) for name in head], 'th')}</tr></thead>" if any(head) else ""
    return f"<div class='scroll'><table>{top}<tbody>{lines}</tbody></table></div>"


def _details(title: str, body: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{body}</details>" if body else ""


def _pre(text: str) -> str:
    return f"<pre>{escape(text)}</pre>" if text else ""
