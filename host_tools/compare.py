"""Two runs over each other: curves, figures side by side, parameters and identity that differ.

Both begin at 0 s.  With a signal to align by, the second run is shifted so that this signal fits best,
by the peak of the two curves' correlation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from eesm.parameters import SETTINGS
from host_tools import plot
from host_tools.errors import UsageError
from host_tools.files import named, replacing
from host_tools.log import UNITS, Array, Run, derive
from host_tools.page import cards, figure, number, page, table
from host_tools.parameter_file import differences
from host_tools.report import summary_of

USUAL = ("speed_rpm", "torque", "i_d", "i_q", "i_f", "u_dc", "power")
PHASE_FIGURES = (
    ("speed_rpm", "speed, rpm", "{:.1f}"),
    ("speed_error_percent", "error, %", "{:.3f}"),
    ("torque", "torque, Nm", "{:.3f}"),
    ("i_q_rms_error", "i_q rms error, A", "{:.3f}"),
    ("energy_in", "in, J", "{:.1f}"),
)
GRID = 1 << 16  # points of the common grid that runs are aligned on, at most


@dataclass(frozen=True)
class Comparison:
    """Two runs on one time axis."""

    a: Run
    b: Run
    name_a: str
    name_b: str
    shift: float  # s by which b is moved later, beside a common start
    names: tuple[str, ...]

    def curve(self, which: str, name: str) -> tuple[Array, Array]:
        """(time in s, value) of run "a" or "b"."""
        run = self.a if which == "a" else self.b
        return run.t - run.t[0] + (self.shift if which == "b" else 0.0), derive(run, name)

    def unit(self, name: str) -> str:
        return UNITS.get(name) or self.a.units[name]


def compare(
    a: Run, b: Run, names: Sequence[str] = (), align: str = "", labels: tuple[str, str] = ("A", "B")
) -> Comparison:
    """Put two runs beside each other; UsageError when they have nothing in common or a name is unknown."""
    for run, label in ((a, labels[0]), (b, labels[1])):
        if not len(run):
            raise UsageError(f"{label} has no rows: there is nothing to compare.")
    for name in (*names, *([align] if align else [])):
        for run, label in ((a, labels[0]), (b, labels[1])):
            if not _has(run, name):
                raise UsageError(f"{name} is not in {label}, which has {', '.join(run.columns)}.")
    common = tuple(name for name in (*USUAL, *a.columns) if _has(a, name) and _has(b, name))
    chosen = tuple(names) or tuple(dict.fromkeys(name for name in USUAL if name in common)) or common[:6]
    if not chosen:
        raise UsageError("The two logs have no signal in common.")
    return Comparison(a, b, *labels, find_shift(a, b, align) if align else 0.0, chosen)


def find_shift(a: Run, b: Run, name: str) -> float:
    """Seconds by which b must come later, both begun at 0, so that its `name` lies over a's."""
    import numpy as np

    (t_a, y_a), (t_b, y_b) = ((run.t - run.t[0], derive(run, name)) for run in (a, b))
    step = max(min(np.median(np.diff(t)) for t in (t_a, t_b) if len(t) > 1), max(t_a[-1], t_b[-1]) / GRID)
    grids = [np.interp(np.arange(0, t[-1] + step / 2, step), t, y) for t, y in ((t_a, y_a), (t_b, y_b))]
    # Against the first value: what lies beyond a run's end then counts as rest.
    first, second = (grid - grid[0] for grid in grids)
    size = 1 << (len(first) + len(second) - 1).bit_length()
    product = np.fft.rfft(first, size) * np.conj(np.fft.rfft(second, size))
    correlation = np.fft.irfft(product, size)
    if not np.any(first) or not np.any(second):
        raise UsageError(f"{name} does not move in both logs: it cannot align them.")
    at = int(np.argmax(correlation))
    return float((at if at < len(first) else at - size) * step)


def _has(run: Run, name: str) -> bool:
    try:
        derive(run, name)
    except KeyError:
        return False
    return True


# --- what is shown ---------------------------------------------------------------------------------


def draw(found: Comparison) -> Any:
    """A matplotlib figure: a pane for each quantity, with both runs."""
    pyplot = plot.matplotlib_pyplot()
    height = plot.HEAD + plot.PANE * len(found.names)
    with pyplot.rc_context(plot.style()):
        drawn, axes = pyplot.subplots(
            len(found.names), 1, sharex=True, squeeze=False, figsize=(plot.WIDTH, height)
        )
        drawn.subplots_adjust(
            left=0.075, right=0.97, top=1 - 0.75 / height, bottom=0.55 / height, hspace=0.13
        )
        for axis, name in zip(axes[:, 0], found.names, strict=True):
            # The first is broad, so that it shows beneath a second that is the same.
            for which, label, colour, width in (
                ("a", found.name_a, plot.SKY, 2.6),
                ("b", found.name_b, plot.VERMILION, 1.0),
            ):
                seconds, values = found.curve(which, name)
                if len(values) > 2 * plot.POINTS:
                    seconds, values, low, high = plot.envelope(seconds, values)
                    axis.fill_between(seconds, low, high, color=colour, alpha=0.25, lw=0)
                axis.plot(seconds, values, color=colour, lw=width, label=label)
            axis.axhline(0, color=plot.GREY, lw=0.6, zorder=1)
            axis.set_ylabel(f"{name} in {found.unit(name)}")
            axis.margins(x=0, y=0.1)
        axes[-1, 0].set_xlabel("device time since the start in s")
        drawn.align_ylabels(axes[:, 0])
        handles, labels = axes[0, 0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="upper left", bbox_to_anchor=(0.065, 1 - 0.1 / height), ncols=2)
    return drawn


def html(found: Comparison) -> str:
    """The whole page."""
    a, b = found.a, found.b
    changed = differences(a.header.get("settings", {}), b.header.get("settings", {}))
    parts = [
        f"<h1>{escape(found.name_a)} and {escape(found.name_b)}</h1>",
        f"<p class='lead'>{escape(_about(a))} &nbsp;·&nbsp; {escape(_about(b))}</p>",
        cards(
            [
                ("Records", f"{len(a)} | {len(b)}", f"{a.records_lost} | {b.records_lost} lost"),
                ("Length", f"{_length(a):.4g} | {_length(b):.4g} s", ""),
                ("Shift", f"{found.shift * 1e3:.4g} ms", "of the second run"),
                ("Parameters", f"{len(changed)}", "differ"),
                ("Faults", f"{len(a.faults)} | {len(b.faults)}", ""),
            ]
        ),
        figure(plot.to_svg(draw(found)), "Both runs over device time"),
        "<h2>Signals</h2>",
        _signals(found),
        "<p class='lead'>Over the time that both runs cover. Difference: second less first, "
        "interpolated to the first's instants.</p>",
        _phases(found),
        "<h2>Parameters that differ</h2>",
        _parameters(found, changed),
        "<h2>Identity</h2>",
        _identity(found),
    ]
    return page(f"{found.name_a} and {found.name_b}", parts)


def write(found: Comparison, path: str | Path) -> list[Path]:
    """Write `path` as .html and the picture as .png beside it."""
    path = Path(path)
    drawn, picture = draw(found), named(path, ".png")
    with replacing(path) as temporary:
        temporary.write_text(html(found), encoding="utf-8")
    with replacing(picture) as temporary:
        plot.save(drawn, temporary, "png")
    return [path, picture]


def figures(found: Comparison) -> list[dict[str, Any]]:
    """Of each quantity: unit, mean, lowest, highest of both, and rms of their difference."""
    import numpy as np

    rows = []
    for name in found.names:
        (t_a, y_a), (t_b, y_b) = found.curve("a", name), found.curve("b", name)
        start, stop = max(t_a[0], t_b[0]), min(t_a[-1], t_b[-1])
        inside_a, inside_b = ((t >= start) & (t <= stop) for t in (t_a, t_b))
        if not inside_a.any() or not inside_b.any():
            continue
        moved = np.interp(t_a[inside_a], t_b, y_b) - y_a[inside_a]
        row: dict[str, Any] = {"quantity": name, "unit": found.unit(name)}
        for which, values in (("a", y_a[inside_a]), ("b", y_b[inside_b])):
            for what in ("mean", "min", "max"):
                row[f"{what}_{which}"] = float(getattr(values, what)())
        row["rms_difference"] = float((moved**2).mean() ** 0.5)
        row["max_difference"] = float(abs(moved).max())
        rows.append(row)
    return rows


def _signals(found: Comparison) -> str:
    head = ["quantity", "unit", *_titles(found, ("mean", "lowest", "highest")), "rms difference", "largest"]
    body = [
        [
            f"<code>{escape(row['quantity'])}</code>",
            escape(row["unit"]),
            *(f"{row[f'{what}_{which}']:.5g}" for what in ("mean", "min", "max") for which in "ab"),
            f"{row['rms_difference']:.4g}",
            f"{row['max_difference']:.4g}",
        ]
        for row in figures(found)
    ]
    return table(head, body, numbers=range(2, 10))


def _titles(found: Comparison, texts: Sequence[str]) -> list[str]:
    """Of columns that come in twos: what, and of which run."""
    names = (found.name_a, found.name_b)
    if max(map(len, names)) > 16:
        names = ("first", "second")
    return [title for text in texts for title in (f"{text}, {names[0]}", names[1])]


def _phases(found: Comparison) -> str:
    """Figures of the phases when both runs are of scenarios with phases of the same names."""
    both = [summary_of(run) for run in (found.a, found.b)]
    if both[0] is None or both[1] is None:
        return ""
    rows: list[Mapping[str, Mapping[str, Any]]] = [
        {row["phase"]: row for row in summary["phases"]} for summary in both if summary is not None
    ]
    names = [name for name in rows[0] if name in rows[1]]
    if not names:
        return ""
    head = ["phase", *_titles(found, [text for _, text, _ in PHASE_FIGURES])]
    body = [
        [
            escape(name),
            *(number(each[name].get(key), form) for key, _, form in PHASE_FIGURES for each in rows),
        ]
        for name in names
    ]
    return "<h2>Phases</h2>" + table(head, body, numbers=range(1, len(head)))


def _parameters(found: Comparison, changed: Sequence[Any]) -> str:
    if not changed:
        return "<p class='good'>&#10003; None.</p>"
    body = [
        [
            f"<code>{escape(each.name)}</code>",
            number(each.before, "{:.6g}"),
            number(each.after, "{:.6g}"),
            escape(SETTINGS[each.name][0]),
            escape(SETTINGS[each.name][3]),
        ]
        for each in changed
    ]
    return table(["parameter", found.name_a, found.name_b, "unit", "meaning"], body, numbers=(1, 2))


def _identity(found: Comparison) -> str:
    one, other = found.a.header["identity"], found.b.header["identity"]
    body = []
    for name in dict.fromkeys((*one, *other)):
        values = [str(each.get(name, "")) for each in (one, other)]
        mark = "same" if values[0] == values[1] else ""
        body.append([escape(name), *(f"<code class='{mark}'>{escape(value)}</code>" for value in values)])
    return table(["", found.name_a, found.name_b], body)


def _about(run: Run) -> str:
    identity = run.header["identity"]
    return f"unit {identity['unit']} on {identity['board']}, {run.header.get('created', '')}"


def _length(run: Run) -> float:
    return float(run.t[-1] - run.t[0])
