"""One picture a family and unit: a pane for each group of curves."""

from __future__ import annotations

from pathlib import Path

from host_tools.accept.suite import FAMILIES, Outcome
from host_tools.plot import CYCLE, GREY, INK


def draw(outcome: Outcome, path: Path) -> None:
    """Draw an outcome's curves to a file; needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    panes = list(dict.fromkeys(curve.pane for curve in outcome.curves))
    figure = Figure(figsize=(9, 1 + 2.4 * len(panes)), layout="constrained")
    axes = figure.subplots(len(panes), 1, squeeze=False)[:, 0]
    for pane, ax in zip(panes, axes, strict=True):
        curves = [curve for curve in outcome.curves if curve.pane == pane]
        for n, curve in enumerate(curves):
            colour = CYCLE[n % len(CYCLE)]
            style = "--" if curve.dashed else "-"
            marker = "o" if len(curve.x) < 12 else None
            ax.plot(curve.x, curve.y, style, color=colour, label=curve.label, marker=marker, lw=1.3, ms=3)
        ax.set_ylabel(pane, color=INK)
        ax.grid(color=GREY, alpha=0.25, lw=0.6)
        if len(curves) < 10 and any(curve.label for curve in curves):
            ax.legend(frameon=False, fontsize=8, ncols=2)
    axes[-1].set_xlabel(outcome.x_label)
    missed = sum(not result.ok for result in outcome.results)
    verdict = f"{missed} of {len(outcome.results)} missed" if missed else f"{len(outcome.results)} hold"
    figure.suptitle(f"{outcome.unit}: {FAMILIES[outcome.family]} - {verdict}", fontsize=11)
    figure.savefig(path, dpi=110)
