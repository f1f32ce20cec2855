"""The page about a sweep: one curve a method."""

from __future__ import annotations

from pathlib import Path

from imedbench.analysis.sweep import GOOD_PX, Sweep
from imedbench.reports.charts import colours
from imedbench.reports.figures import draw_chart
from imedbench.reports.formats import render
from imedbench.reports.plotly import Chart, Series

UNITS = {
    "rotation": "rotation, degrees",
    "scale": "scale of the moving image",
    "overlap": "share of the fixed image covered",
    "blur": "blur, px of 512",
    "noise": "noise, grey levels of 255",
    "lesions": "lesion load",
}


def write_sweep(sweep: Sweep, folder: Path) -> Path:
    """Write ``sweep.md`` and the curve beside it.

    Args:
        sweep: its points.
        folder: exists.

    Returns:
        The page's path.
    """
    chart = stress_chart(sweep)
    draw_chart(chart, folder / "sweep.png")
    path = folder / "sweep.md"
    path.write_text(render("sweep.md.j2", sweep=sweep, chart=chart), encoding="utf-8")
    return path


def stress_chart(sweep: Sweep) -> Chart:
    """Draw up how many pairs each method registers as a difficulty grows."""
    methods = list(dict.fromkeys(point.method for point in sweep.points))
    colour = colours(methods)
    series = []
    for method in methods:
        points = [point for point in sweep.points if point.method == method]
        values = [point.value for point in points]
        estimate = [_percent(point.success.estimate) for point in points]
        low = [_percent(point.success.low) for point in points]
        high = [_percent(point.success.high) for point in points]
        series.append(Series(method, values, estimate, colour[method], low, high))
    return Chart(
        sweep.kind,
        f"How much {sweep.kind} does it bear?",
        f"Share of {sweep.points[0].n} synthetic pairs registered to {GOOD_PX:g} px or better, as"
        f" {sweep.kind} changes step by step, with 95 % intervals (Wilson). Higher is better.",
        "lines",
        UNITS.get(sweep.kind, sweep.kind),
        f"within {GOOD_PX:g} px, %",
        series,
        y_range=(-3, 103),
    )


def _percent(share: float) -> float:
    return round(100 * share, 2)
