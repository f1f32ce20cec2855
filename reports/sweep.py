"""The page about a sweep: one curve a method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imedbench.analysis.sweep import GOOD_PX, SweepPoint
from imedbench.reports.figures import new_figure
from imedbench.reports.formats import render

UNITS = {
    "rotation": "rotation, degrees",
    "scale": "scale of the moving image",
    "overlap": "share of the fixed image covered",
    "blur": "blur, px of 512",
    "noise": "noise, grey levels of 255",
    "lesions": "lesion load",
}


def write_sweep(kind: str, points: Sequence[SweepPoint], folder: Path) -> Path:
    """Write ``sweep.md`` and the curve beside it.

    Args:
        kind: the factor.
        points: of `imedbench.analysis.sweep.sweep`.
        folder: exists.

    Returns:
        The page's path.
    """
    _draw(kind, points, folder / "sweep.png")
    path = folder / "sweep.md"
    page = render("sweep.md.j2", kind=kind, unit=UNITS[kind], good=GOOD_PX, points=points)
    path.write_text(page, encoding="utf-8")
    return path


def _draw(kind: str, points: Sequence[SweepPoint], path: Path) -> None:
    figure = new_figure(7.0, 3.6)
    axes = figure.subplots()
    for method in dict.fromkeys(point.method for point in points):
        of_method = [point for point in points if point.method == method]
        values = [point.value for point in of_method]
        shares = [100 * point.success.estimate for point in of_method]
        (line,) = axes.plot(values, shares, marker="o", label=method)
        low = [100 * point.success.low for point in of_method]
        high = [100 * point.success.high for point in of_method]
        axes.fill_between(values, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
    axes.set(xlabel=UNITS[kind], ylabel=f"registered to {GOOD_PX:g} px, %", ylim=(-3, 103))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    figure.savefig(path)
