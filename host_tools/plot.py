"""Plots of a log: stacked panes over device time, with phases, drive states and faults.

Colours are those of Okabe and Ito, told apart with any colour vision; a measured quantity is a
full line, its reference a darker dashed one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from host_tools.errors import MissingExtra, UsageError
from host_tools.files import replacing, require_writable
from host_tools.log import UNITS, Array, Run, derive

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, INK, GREY = "#CC79A7", "#56B4E9", "#1F2933", "#7B8794"
DARKER = {BLUE: "#00415F", GREEN: "#004D38", VERMILION: "#7A3500", PURPLE: "#7A3D60", ORANGE: "#8A5F00"}
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, INK)
STATE_COLOURS = {
    "off": "#E4E7EB",
    "offsets": "#F7E3B5",
    "wiring": "#F4D58A",
    "angle": "#F0C661",
    "field up": "#BFE3F7",
    "direction": "#F0C661",
    "ready": "#8FCDEE",
    "running": "#8BD0B6",
    "stopping": "#E9BBD2",
    "field down": "#F0D3E1",
    "fault": "#D55E00",
}
BAND, EDGE = "#F4F6F8", "#D9DEE4"
POINTS = 1000  # drawn points of a line: means, with lowest and highest around them as a band
WIDTH, PANE, HEAD, ABOVE, STATES = 12.0, 1.9, 0.24, 0.85, 0.26  # inches


@dataclass(frozen=True)
class Line:
    """One curve of a pane."""

    name: str
    label: str
    colour: str
    reference: bool = False


@dataclass(frozen=True)
class Pane:
    """One pair of axes."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    energy: bool = False  # fill where power comes back, and say how much


PICTURES = (".png", ".svg", ".pdf")

PANES = (
    Pane(
        "Speed",
        "rpm",
        (Line("speed_rpm", "speed", BLUE), Line("speed_ref_rpm", "reference", DARKER[BLUE], True)),
    ),
    Pane(
        "Torque",
        "Nm",
        (
            Line("load", "load", ORANGE),
            Line("torque", "torque", GREEN),
            Line("torque_ref", "reference", DARKER[GREEN], True),
        ),
    ),
    Pane(
        "Stator current",
        "A",
        (
            Line("i_d", "$i_d$", BLUE),
            Line("i_d_ref", "$i_d^*$", DARKER[BLUE], True),
            Line("i_q", "$i_q$", VERMILION),
            Line("i_q_ref", "$i_q^*$", DARKER[VERMILION], True),
        ),
    ),
    Pane(
        "Field current",
        "A",
        (Line("i_f", "$i_f$", PURPLE), Line("i_f_ref", "$i_f^*$", DARKER[PURPLE], True)),
    ),
    Pane(
        "Voltage",
        "V",
        (
            Line("u_f", "$u_f$", PURPLE),
            Line("u_dc", "$u_{dc}$", INK),
            Line("u_s", "$|u_s|$", BLUE),
        ),
    ),
    Pane(
        "Power",
        "W",
        (Line("power_shaft", "at the shaft", ORANGE), Line("power", "electric", GREEN)),
        energy=True,
    ),
)


def figure(run: Run, names: Sequence[str] = ()) -> Any:
    """A matplotlib figure of a run: the standard panes, or one pane a unit for chosen signals."""
    pyplot = matplotlib_pyplot()
    if not len(run):
        raise UsageError("The log has no rows: there is nothing to draw.")
    panes = _panes_of(run, names) if names else [pane for pane in PANES if _has(run, pane)]
    if not panes:
        panes = _panes_of(run, tuple(run.columns))
    # Room for what the run has: names of phases above the band of states, the band.
    above = ABOVE if run.phases else 0.6 * ABOVE
    band = STATES if run.states or run.phases else 0.01
    height = HEAD + above + band + PANE * len(panes)
    with pyplot.rc_context(style()):
        drawn = pyplot.figure(figsize=(WIDTH, height))
        ratios = [band] + [PANE] * len(panes)
        grid = drawn.add_gridspec(
            len(ratios),
            1,
            height_ratios=ratios,
            hspace=0.13,
            left=0.075,
            right=0.87,
            top=1 - above / height,
            bottom=0.55 / height,
        )
        axes = [drawn.add_subplot(grid[0])]
        for n in range(1, len(ratios)):
            axes.append(drawn.add_subplot(grid[n], sharex=axes[0]))
        _draw_states(axes[0], run)
        for axis, pane in zip(axes[1:], panes, strict=True):
            _draw_pane(axis, pane, run)
        _draw_phases(axes, run)
        _draw_faults(axes, run)
        for note in run.notes_of("trigger"):
            for axis in axes[1:]:
                axis.axvline(run.time_of(note["period"]), color=VERMILION, lw=1.0, ls=":", zorder=5)
        axes[0].set_xlim(run.t[0], run.t[-1])
        for axis in axes[:-1]:
            axis.tick_params(labelbottom=False)
        _draw_time(axes[-1], run)
        drawn.align_ylabels(axes[1:])
        _draw_title(drawn, run, height)
    return drawn


def write(run: Run, path: str | Path, names: Sequence[str] = ()) -> Path:
    """Write .png, .svg or .pdf."""
    path = Path(path)
    require_picture(path)
    drawn = figure(run, names)
    with replacing(path) as temporary:
        save(drawn, temporary, path.suffix[1:])
    return path


def require_picture(path: Path) -> None:
    """UsageError when no picture can be written there."""
    if path.suffix not in PICTURES:
        raise UsageError(
            f"Cannot write {path}: its name has to end in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}.",
            f"give {path}.png",
        )
    require_writable(path)


def svg(run: Run, names: Sequence[str] = ()) -> str:
    """The picture as an <svg> element for a page."""
    return to_svg(figure(run, names))


def to_svg(drawn: Any) -> str:
    """A figure as an <svg> element for a page; the figure is closed."""
    text = StringIO()
    save(drawn, text, "svg")
    return text.getvalue()[text.getvalue().index("<svg") :]


def save(drawn: Any, out: Any, form: str) -> None:
    """Write a figure as png, svg or pdf to a path or a file, and close it."""
    pyplot = matplotlib_pyplot()
    with pyplot.rc_context(style()):
        extra: dict[str, Any] = {} if form == "png" else {"metadata": _nameless(form)}
        drawn.savefig(out, format=form, dpi=150, **extra)
    pyplot.close(drawn)


def _nameless(form: str) -> dict[str, None]:
    """No date: the same log gives the same bytes."""
    return {"Date": None} if form == "svg" else {"CreationDate": None}


# --- parts of the picture --------------------------------------------------------------------------


def _has(run: Run, pane: Pane) -> bool:
    try:
        for line in pane.lines:
            derive(run, line.name)
    except KeyError:
        return False
    return True


def _panes_of(run: Run, names: Sequence[str]) -> list[Pane]:
    """Chosen quantities, those of one unit together."""
    groups: dict[str, list[Line]] = {}
    for name in names:
        try:
            derive(run, name)
        except KeyError as error:
            raise UsageError(f"{error.args[0]}.", "choose from these") from error
        groups.setdefault(UNITS.get(name) or run.units[name], []).append(Line(name, name, ""))
    return [Pane("", unit, _coloured(lines)) for unit, lines in groups.items()]


def _coloured(lines: Sequence[Line]) -> tuple[Line, ...]:
    """A colour each; a reference has that of its quantity, darker."""
    given: dict[str, str] = {}
    for line in lines:
        base = line.name.removesuffix("_ref")
        given.setdefault(base, CYCLE[len(given) % len(CYCLE)])
    out = []
    for line in lines:
        base = line.name.removesuffix("_ref")
        reference = base != line.name
        colour = DARKER.get(given[base], INK) if reference else given[base]
        out.append(Line(line.name, line.label, colour, reference))
    return tuple(out)


def _draw_pane(axis: Any, pane: Pane, run: Run) -> None:
    for line in pane.lines:
        seconds, values = run.t, derive(run, line.name)
        if len(values) > 2 * POINTS:
            seconds, values, low, high = envelope(seconds, values)
            if not line.reference:
                axis.fill_between(seconds, low, high, color=line.colour, alpha=0.28, lw=0, zorder=2.5)
        if line.reference:
            axis.plot(seconds, values, color=line.colour, lw=1.0, dashes=(4, 2), label=line.label, zorder=4)
        else:
            axis.plot(seconds, values, color=line.colour, lw=1.3, label=line.label, zorder=3)
    axis.axhline(0, color=GREY, lw=0.6, zorder=1)
    axis.set_ylabel(f"{pane.title} in {pane.unit}" if pane.title else f"in {pane.unit}")
    axis.margins(y=0.1)
    axis.legend(loc="center left", bbox_to_anchor=(1.005, 0.5), handlelength=1.9, borderaxespad=0.3)
    if pane.energy:
        _draw_energy(axis, run)


def _draw_energy(axis: Any, run: Run) -> None:
    """Shade what comes back, and write each phase's energies at its foot."""
    from host_tools.figures import energies

    seconds, power = run.t, derive(run, "power")
    if len(power) > 2 * POINTS:
        seconds, power = envelope(seconds, power)[:2]
    axis.fill_between(seconds, power, 0, where=power < 0, color=GREEN, alpha=0.25, lw=0, zorder=2)
    low, high = axis.get_ylim()
    axis.set_ylim(low - 0.22 * (high - low), high)
    for _, _, start, stop in run.phases:
        moved = energies(run, start, stop)
        parts = []
        if moved["energy_in"] >= 0.5:
            parts.append(f"{moved['energy_in']:.0f} J in")
        if moved["energy_regenerated"] >= 0.5:
            parts.append(f"{moved['energy_regenerated']:.0f} J back")
        if parts and (stop - start) * run.t_pwm > 0.06 * (run.t[-1] - run.t[0]):
            axis.text(
                (start + stop) / 2 * run.t_pwm,
                0.05,
                "\n".join(parts),
                transform=axis.get_xaxis_transform(),
                ha="center",
                va="bottom",
                fontsize=7.5,
                linespacing=1.25,
                color=DARKER[GREEN] if moved["energy_regenerated"] > moved["energy_in"] else INK,
                zorder=6,
            )


def _draw_states(axis: Any, run: Run) -> None:
    """The band of drive states on top."""
    span = run.t[-1] - run.t[0]
    if not run.states:
        axis.set_visible(False)
    for name, start, stop in run.states:
        left, right = start * run.t_pwm, stop * run.t_pwm
        axis.axvspan(left, right, color=STATE_COLOURS.get(name, GREY), lw=0)
        if right - left > 0.0088 * span * len(name) + 0.004 * span:
            axis.text((left + right) / 2, 0.48, name, ha="center", va="center", fontsize=8, color=INK)
    axis.set_ylim(0, 1)
    axis.set_yticks([])
    axis.tick_params(bottom=False)
    axis.set_ylabel("State", rotation=0, ha="right", va="center", labelpad=6)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _draw_phases(axes: Sequence[Any], run: Run) -> None:
    """Shade every other phase, write their names above the states."""
    span = run.t[-1] - run.t[0]
    last, level = -1.0, 0
    for n, (name, _, start, stop) in enumerate(run.phases):
        left, right = start * run.t_pwm, stop * run.t_pwm
        for axis in axes[1:]:
            if n % 2 == 0:
                axis.axvspan(left, right, color=BAND, lw=0, zorder=0)
            axis.axvline(left, color=EDGE, lw=0.7, zorder=0.5)
        # Narrow phases would overwrite their neighbours' names: those go one line up.
        middle, half = (left + right) / 2, 0.0042 * span * len(name)
        level = 1 - level if middle - half < last else 0
        last = middle + half
        axes[0].text(
            middle,
            1.25 + 0.85 * level,
            name,
            ha="center",
            va="bottom",
            fontsize=8.5,
            color=INK,
            clip_on=False,
        )


def _draw_faults(axes: Sequence[Any], run: Run) -> None:
    """A line through all panes where a fault came, with its name."""
    for n, (period, text) in enumerate(run.faults):
        seconds = period * run.t_pwm
        for axis in axes:
            axis.axvline(seconds, color=VERMILION, lw=1.4, zorder=7)
        axes[1].annotate(
            text.split(":")[0],
            (seconds, 0.96 - 0.14 * (n % 6)),
            xycoords=axes[1].get_xaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            va="top",
            fontsize=8.5,
            fontweight="bold",
            color=VERMILION,
            zorder=8,
        )


def _draw_time(axis: Any, run: Run) -> None:
    """Device time in s; of a capture, which has no states, ms around what it was made for."""
    moments = [note["period"] for note in run.notes_of("trigger")] or [period for period, _ in run.faults]
    if run.states or not moments:
        axis.set_xlabel("device time in s")
        return
    from matplotlib.ticker import MaxNLocator

    origin = run.time_of(moments[0])
    low, high = 1e3 * (run.t[0] - origin), 1e3 * (run.t[-1] - origin)
    ticks = [tick for tick in MaxNLocator(8).tick_values(low, high) if low <= tick <= high]
    axis.set_xticks(
        [origin + tick / 1e3 for tick in ticks], [f"{tick:g}".replace("-", "−") for tick in ticks]
    )
    axis.set_xlabel(f"ms around {origin:.4f} s of device time")


def _draw_title(drawn: Any, run: Run, height: float) -> None:
    header = run.header
    title = header.get("scenario", {}).get("title") or header.get("title") or "Log"
    identity = header["identity"]
    about = (
        f"unit {identity['unit']} on board {identity['board']}   ·   "
        f"kernel {identity['kernel_hash'][:12]}   ·   {len(run)} records, {run.records_lost} lost"
    )
    drawn.text(0.075, 1 - 0.12 / height, title, fontsize=15, fontweight="bold", color=INK, va="top")
    drawn.text(0.87, 1 - 0.2 / height, about, fontsize=8.5, color=GREY, va="top", ha="right")


def stretches(count: int) -> Array:
    """Where each of POINTS stretches of a long record begins."""
    import numpy as np

    return np.linspace(0, count, POINTS, endpoint=False).astype(int)


def envelope(seconds: Array, values: Array) -> tuple[Array, Array, Array, Array]:
    """(time, mean, lowest, highest) of each stretch of a long record: no spike is lost."""
    import numpy as np

    at = stretches(len(values))
    width = np.diff(np.append(at, len(values)))
    return (
        np.add.reduceat(seconds, at) / width,
        np.add.reduceat(values, at) / width,
        np.minimum.reduceat(values, at),
        np.maximum.reduceat(values, at),
    )


def style() -> dict[str, Any]:
    return {
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.edgecolor": EDGE,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.labelsize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": EDGE,
        "grid.linewidth": 0.5,
        "grid.alpha": 0.8,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "figure.facecolor": "white",
        "mathtext.fontset": "dejavusans",
        "svg.fonttype": "path",
        "svg.hashsalt": "eesm",
        "path.simplify_threshold": 0.3,
    }


def matplotlib_pyplot() -> Any:
    """matplotlib.pyplot without a display; MissingExtra when it is not installed."""
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtra("matplotlib", "plot", "Drawing") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
