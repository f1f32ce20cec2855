"""The figures of a report: rows of pairs, columns of views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill, shorten
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Pixels
from imedbench.reports.plotly import Chart, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS, _TILE_INCHES = 3, 4.2  # of a comparison: 420 px a tile
_DPI = 100
_TITLE_LENGTH = 52  # characters that fit over a tile
_PANEL_INCHES = 3.0  # height of a panel, unless the row gets too wide
_ROW_INCHES = 12.0
_NARROWEST = 0.4  # width by height: a slimmer panel would have no room for its title
_CHARACTERS_PER_INCH, _LINE_INCHES = 12, 0.18  # of a panel's title
_GAP_INCHES = 0.08


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture of a comparison.

    Args:
        title: over it.
        picture: RGB or grey; None leaves the place empty under its title.
    """

    title: str
    picture: Pixels | None


def draw_comparison(tiles: Sequence[Tile], path: Path) -> None:
    """Draw pictures of one pair side by side, three in a row, wide enough to see vessels.

    Args:
        tiles: at least one.
        path: PNG to write.
    """
    n_rows = -(-len(tiles) // _COLUMNS)
    figure = new_figure(_TILE_INCHES * _COLUMNS, (_TILE_INCHES + 0.3) * n_rows)
    places = figure.subplots(n_rows, _COLUMNS, squeeze=False).ravel()
    for axes in places:
        axes.set(xticks=[], yticks=[], frame_on=False)
    for axes, tile in zip(places, tiles, strict=False):  # the last row may have places to spare
        axes.set_title(
            shorten(tile.title, _TITLE_LENGTH, placeholder=" …"), size=10, parse_math=False
        )
        if tile.picture is None:
            axes.text(0.5, 0.5, "no transform to show", ha="center", transform=axes.transAxes)
        else:
            axes.imshow(tile.picture, cmap="gray", vmin=0, vmax=255)
    figure.savefig(path)


def draw_panels(pictures: Mapping[str, NDArray[np.uint8]], path: Path) -> None:
    """Draw pictures in a row, all of one height, each under its name.

    Args:
        pictures: by name, with underscores for spaces; at least one, grey or RGB.
        path: PNG to write.
    """
    aspects = [max(p.shape[1] / p.shape[0], _NARROWEST) for p in pictures.values()]
    height = min(_PANEL_INCHES, _ROW_INCHES / sum(aspects))
    titles = [
        fill(name.replace("_", " "), max(1, int(_CHARACTERS_PER_INCH * height * aspect)))
        for name, aspect in zip(pictures, aspects, strict=True)
    ]
    lines = 1 + max(title.count("\n") for title in titles)
    full_width = height * sum(aspects) + _GAP_INCHES * (len(aspects) + 1)
    full_height = height + _GAP_INCHES * 2 + _LINE_INCHES * lines
    figure = new_figure(full_width, full_height)
    # Placed by hand: a layout engine would shrink the panels unequally to make room for titles.
    figure.set_layout_engine("none")
    left = _GAP_INCHES
    for picture, title, aspect in zip(pictures.values(), titles, aspects, strict=True):
        place = (left / full_width, _GAP_INCHES / full_height)
        size = (height * aspect / full_width, height / full_height)
        axes = figure.add_axes((*place, *size))
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, size=10, parse_math=False)
        axes.set(xticks=[], yticks=[], frame_on=False)
        left += height * aspect + _GAP_INCHES
    figure.savefig(path)


def draw_picture(picture: NDArray[np.uint8], path: Path) -> None:
    """Write one picture, at most 1,000 px wide."""
    from imedbench.core.images import write_image
    from imedbench.core.resize import resize

    height, width = picture.shape[:2]
    scale = min(1.0, 1000 / width)
    write_image(path, resize(picture, (round(width * scale), max(1, round(height * scale)))))


def draw_chart(chart: Chart, path: Path, dpi: int = _DPI) -> None:
    """Draw a chart as a figure of a paper or of the Markdown page.

    Args:
        chart: as data.
        path: its ending says the format: PNG, PDF or SVG.
        dpi: of a PNG.
    """
    metadata = {"Date": None} if path.suffix == ".svg" else None
    chart_figure(chart).savefig(path, dpi=dpi, metadata=metadata)


def chart_figure(chart: Chart) -> Figure:
    """Draw a chart and return the figure."""
    figure = new_figure(6.4, 3.9)
    axes = figure.subplots()
    if chart.log_x:
        axes.set_xscale("log")
    for series in chart.series:
        _SERIES[chart.kind](axes, chart, series)
    if chart.kind == "bars" or (not chart.y and chart.name != "ranks"):
        axes.invert_yaxis()
    axes.set(xlabel=chart.x, ylabel=chart.y, xlim=chart.x_range, ylim=chart.y_range)
    axes.set_title(chart.title, loc="left", size=11, weight="bold")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if chart.y or chart.kind == "bars":
        figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=8)
    return figure


def _draw_line(axes: Axes, chart: Chart, series: Series) -> None:
    style = "steps-post" if chart.kind == "steps" else "default"
    marker = "D" if series.marker else ""
    axes.plot(series.x, series.y, color=series.colour, label=series.name, ds=style, marker=marker)
    if series.low:
        axes.fill_between(series.x, series.low, series.high, color=series.colour, alpha=0.12, lw=0)


def _draw_points(axes: Axes, chart: Chart, series: Series) -> None:
    many = len(series.x) > 3
    axes.plot(
        series.x,
        series.y,
        "o",
        color=series.colour,
        label=series.name,
        alpha=0.6 if many else 1,
        markersize=4 if many else 7,
    )
    if series.low and chart.y:
        axes.vlines(series.x, series.low, series.high, color=series.colour)
    elif series.low:
        axes.hlines(series.y, series.low, series.high, color=series.colour)


def _draw_bars(axes: Axes, chart: Chart, series: Series) -> None:
    done = chart.series[: chart.series.index(series)]
    left = [sum(s.x[i] for s in done) for i in range(len(series.x))]
    axes.barh(series.y, series.x, left=left, color=series.colour, label=series.name, height=0.7)


_SERIES = {"steps": _draw_line, "lines": _draw_line, "points": _draw_points, "bars": _draw_bars}


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of the reports' look, sizes in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
