"""A chart as plain data, and as Plotly draws it in a browser, in the page's own colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Series:
    """One line, row of points or set of bars.

    Args:
        name: in the legend.
        x: positions; names where the axis is of names.
        y: as many.
        colour: hexadecimal.
        low: lower end of each interval, along the axis of numbers; empty for none.
        high: upper end.
        labels: said of each point when it is pointed at.
        marker: shape of the points; empty for none.
    """

    name: str
    x: Sequence[Any]
    y: Sequence[Any]
    colour: str
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    labels: Sequence[str] = ()
    marker: str = "circle"


@dataclass(frozen=True)
class Chart:
    """One chart.

    Args:
        name: for files and links.
        title: what it answers.
        caption: how to read it; it also serves who cannot see it.
        kind: lines rise in steps where the data do; bars lie and are stacked.
        x: title of the horizontal axis.
        y: title of the vertical axis.
        series: what is drawn.
        log_x: whether x is logarithmic.
        x_range: ends of the horizontal axis; None leaves it to the data.
        y_range: ends of the vertical one.
    """

    name: str
    title: str
    caption: str
    kind: Literal["steps", "lines", "points", "bars"]
    x: str
    y: str
    series: list[Series] = field(default_factory=list)
    log_x: bool = False
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None


def figure(chart: Chart) -> dict[str, Any]:
    """Translate a chart into Plotly's traces and layout.

    Names are escaped where Plotly would read markup in them.
    """
    named = [_plain(str(v)) for s in chart.series for v in s.y] if not chart.y else []
    layout: dict[str, Any] = {
        "xaxis": _axis(chart.x, log=chart.log_x, ends=chart.x_range),
        "yaxis": _axis(chart.y, ends=chart.y_range),
        "showlegend": not named or chart.kind == "bars",
    }
    if chart.kind == "bars":
        layout |= {"barmode": "stack"}
    if named:
        order = list(dict.fromkeys(named))
        # The first method is at the top, as in the tables; ranks come sorted the other way.
        upwards = order if chart.name == "ranks" else order[::-1]
        layout["yaxis"] |= {"type": "category", "categoryorder": "array", "categoryarray": upwards}
    traces = [_trace(chart, series) for series in chart.series]
    bands = [_band(series) for series in chart.series if chart.kind == "lines" and series.low]
    return {"data": [*bands, *traces], "layout": layout}


def _band(series: Series) -> dict[str, Any]:
    """The intervals of a line as a band behind it."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [*series.x, *reversed(series.x)],
        "y": [*series.high, *reversed(series.low)],
        "fill": "toself",
        "fillcolor": f"{series.colour}1f",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
        "name": "",
    }


def _axis(title: str, *, log: bool = False, ends: Any = None) -> dict[str, Any]:
    axis: dict[str, Any] = {"title": {"text": title}, "automargin": True}
    if log:
        axis |= {"type": "log", "dtick": 1}
    if title.startswith("rank"):
        axis["dtick"] = 1
    if ends is not None:
        axis["range"] = list(ends)
    return axis


def _trace(chart: Chart, series: Series) -> dict[str, Any]:
    names = not chart.y
    trace: dict[str, Any] = {
        "name": _plain(series.name),
        "x": list(series.x),
        "y": [_plain(v) for v in series.y] if names else list(series.y),
    }
    if chart.kind == "bars":
        return trace | {"type": "bar", "orientation": "h", "marker": {"color": series.colour}}
    trace["type"] = "scatter"
    lines = chart.kind in ("steps", "lines")
    trace["mode"] = (
        "lines" if lines and not series.marker else "lines+markers" if lines else "markers"
    )
    trace["line"] = {"color": series.colour, "width": 2.5}
    if chart.kind == "steps":
        trace["line"]["shape"] = "hv"
    small = len(series.x) > 3
    trace["marker"] = {
        "color": series.colour,
        "size": 8 if small else 12,
        "opacity": 0.6 if small and not lines else 1,
        "symbol": series.marker or "circle",
    }
    if series.low and not lines:
        at = series.x if names else series.y
        trace["error_x" if names else "error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [h - v for h, v in zip(series.high, at, strict=True)],
            "arrayminus": [v - w for w, v in zip(series.low, at, strict=True)],
            "color": series.colour,
            "thickness": 2,
        }
    if series.labels:
        trace["text"] = [_plain(text) for text in series.labels]
        trace["hovertemplate"] = "%{text}: %{x}<extra></extra>"
    return trace


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
