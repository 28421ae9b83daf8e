"""The pictures of `eesm tune`: each loop's measured response over the model's, in time and in frequency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from host_tools.errors import MissingExtra
from host_tools.files import replacing
from host_tools.frequency import transform
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
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=130)


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


def draw_bode(results: Sequence[Result], path: Path) -> None:
    """Magnitude over phase, a column for each loop; to a file.  Raises MissingExtra without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "plot", "Drawing") from None
    figure = Figure(figsize=(0.6 + 4.6 * len(results), 6.2), layout="constrained")
    axes = figure.subplots(2, len(results), squeeze=False, sharex="col")
    for (magnitude, phase), result in zip(axes.T, results, strict=True):
        draw_loop(magnitude, phase, result)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=130)


def draw_loop(magnitude, phase, result: Result) -> None:
    """One loop's column."""
    expected, measured = transform(result.expected), transform(result.measured)
    for found, style in (
        (expected, {"color": VERMILION, "lw": 2.4, "alpha": 0.75, "label": "model"}),
        (measured, {"color": BLUE, "lw": 1.2, "label": "measured"}),
    ):
        magnitude.semilogx(found.f, found.magnitude, **style)
        phase.semilogx(found.f, found.phase, **style)
    bandwidth, model = measured.bandwidth(), expected.bandwidth()
    margin, model_margin = measured.margin()[0], expected.margin()[0]
    magnitude.axhline(-3, color=GREY, lw=0.8, ls=":")
    for ax in (magnitude, phase):
        if np.isfinite(bandwidth):
            ax.axvline(bandwidth, color=GREY, lw=0.8, ls=":")
        ax.grid(color=GREY, alpha=0.2, lw=0.6, which="both")
        ax.spines[["top", "right"]].set_visible(False)
    # Three times the corner: beyond it there is little but noise.
    low, high = expected.f[0], min(3 * model, expected.f[-1]) if np.isfinite(model) else expected.f[-1]
    magnitude.set_xlim(low, high)
    ticks = [digit * 10.0**power for power in range(6) for digit in (1, 2, 5)]
    phase.set_xticks([tick for tick in ticks if low <= tick <= high])
    phase.xaxis.set_major_formatter("{x:g}")
    phase.xaxis.set_minor_formatter("")
    magnitude.set_ylim(-24, 6)
    phase.set_ylim(-315, 15)
    phase.set_yticks(range(-315, 1, 45))
    magnitude.set_title(
        f"{result.loop.name}, {result.bandwidth:g} Hz", loc="left", color=INK, fontsize=11, fontweight="bold"
    )
    text = (
        f"-3 dB at {bandwidth:.0f} Hz (model {model:.0f})\n"
        f"phase margin {margin:.0f} degrees ({model_margin:.0f})"
    )
    magnitude.text(0.03, 0.06, text, transform=magnitude.transAxes, fontsize=9, color=INK)
    magnitude.set_ylabel("dB", color=INK)
    phase.set_ylabel("degrees", color=INK)
    phase.set_xlabel("Hz", color=GREY, fontsize=9)
    phase.legend(frameon=False, fontsize=9, loc="lower left")
