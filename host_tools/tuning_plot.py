"""The picture of `eesm tune`: each loop's measured response over the model's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from host_tools.errors import MissingExtra
from host_tools.plot import BLUE, GREY, INK, VERMILION
from host_tools.tuning import Result


def draw(results: Sequence[Result], path: Path) -> None:
    """Draws to a file; the kind by its suffix.  Raises MissingExtra without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "plot", "Drawing") from None
    columns = min(2, len(results))
    rows = -(-len(results) // columns)
    figure = Figure(figsize=(5.4 * columns, 0.5 + 3.3 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, result in zip(axes, results, strict=False):
        draw_one(ax, result)
    for ax in axes[len(results) :]:
        ax.set_visible(False)
    figure.savefig(path, dpi=130)


def draw_one(ax, result: Result) -> None:
    """One pane: band of 2 %, model, measurement, figures."""
    loop, measured, expected = result.loop, result.measured, result.expected
    found, model = measured.judge(), expected.judge()
    goal, step = measured.goal, abs(measured.goal - measured.start)
    ax.axhspan(goal - 0.02 * step, goal + 0.02 * step, color=GREY, alpha=0.15, lw=0)
    ax.plot(1e3 * expected.t, expected.y, color=VERMILION, lw=2.4, alpha=0.75, label="model")
    ax.plot(1e3 * measured.t, measured.y, color=BLUE, lw=1.2, label="measured")
    length = min(measured.t[-1], 12 * model.rise)
    ax.set_xlim(-0.05e3 * length, 1e3 * length)
    ax.axvline(0, color=GREY, lw=0.8, ls=":")
    ax.set_title(
        f"{loop.name}, {result.bandwidth:g} Hz", loc="left", color=INK, fontsize=11, fontweight="bold"
    )
    ax.set_ylabel(loop.unit, color=INK)
    ax.set_xlabel("ms after the set point's change", color=GREY, fontsize=9)
    text = (
        f"rise {1e3 * found.rise:.2f} ms (model {1e3 * model.rise:.2f})\n"
        f"overshoot {100 * found.overshoot:.1f} % ({100 * model.overshoot:.1f})"
    )
    down = measured.goal < measured.start
    ax.text(
        0.97,
        0.9 if down else 0.1,
        text,
        transform=ax.transAxes,
        ha="right",
        va="top" if down else "bottom",
        fontsize=9,
        color=INK,
    )
    ax.legend(frameon=False, fontsize=9, loc="center right")
    ax.grid(color=GREY, alpha=0.2, lw=0.6)
    ax.spines[["top", "right"]].set_visible(False)
