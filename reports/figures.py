"""The figures of a report: rows of pairs, columns of views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill, shorten
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imedbench.core.transforms import Affine, Transform
from imedbench.core.types import ImagePair
from imedbench.reports.pictures import checkerboard, colour, overlay
from imedbench.reports.plotly import Chart, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELL_INCHES = 2.4
_DPI = 100
_TITLE_LENGTH = 130  # characters that fit over four pictures
_PANEL_INCHES = 3.0  # height of a panel, unless the row gets too wide
_ROW_INCHES = 12.0
_NARROWEST = 0.4  # width by height: a slimmer panel would have no room for its title
_CHARACTERS_PER_INCH, _LINE_INCHES = 12, 0.18  # of a panel's title
_GAP_INCHES = 0.08


@dataclass(frozen=True, eq=False)
class Example:
    """A pair to be drawn.

    Args:
        label: what the row is, such as ``worst``.
        pair: the images.
        fixed_from_moving: the method's transform; None where it failed, and then the pair is drawn
            as it is.
        remark: the error, or the reason of the failure.
    """

    label: str
    pair: ImagePair
    fixed_from_moving: Transform | None
    remark: str


def draw_examples(examples: Sequence[Example], path: Path) -> None:
    """Draw each pair as fixed, moving, overlay and checkerboard.

    Args:
        examples: rows of the figure, at least one.
        path: PNG to write.
    """
    views: list[tuple[str, Callable[[Example], NDArray[np.uint8]]]] = [
        ("fixed", lambda e: colour(e.pair.fixed)),
        ("moving", lambda e: colour(e.pair.moving)),
        ("overlay", lambda e: overlay(e.pair.fixed, e.pair.moving, _transform(e))),
        ("checkerboard", lambda e: checkerboard(e.pair.fixed, e.pair.moving, _transform(e))),
    ]
    grid = [[view(example) for _, view in views] for example in examples]
    names = [name for name, _ in views]
    _draw_grid(grid, names, [_row_title(example) for example in examples], path)


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
        axes.set_title(title, size=10)
        axes.set(xticks=[], yticks=[], frame_on=False)
        left += height * aspect + _GAP_INCHES
    figure.savefig(path)


def draw_picture(picture: NDArray[np.uint8], path: Path) -> None:
    """Write one picture, at most 1,000 px wide."""
    import cv2

    from imedbench.core.images import write_image

    scale = min(1.0, 1000 / picture.shape[1])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    write_image(path, small)


def draw_chart(chart: Chart, path: Path, dpi: int = _DPI) -> None:
    """Draw a chart as a figure of a paper or of the Markdown page.

    Args:
        chart: as data.
        path: its ending says the format: PNG, PDF or SVG.
        dpi: of a PNG.
    """
    figure = new_figure(6.4, 3.9)
    axes = figure.subplots()
    for series in chart.series:
        _SERIES[chart.kind](axes, chart, series)
    if chart.kind == "bars" or (not chart.y and chart.name != "ranks"):
        axes.invert_yaxis()
    axes.set(xlabel=chart.x, ylabel=chart.y, xlim=chart.x_range, ylim=chart.y_range)
    if chart.log_x:
        axes.set_xscale("log")
    axes.set_title(chart.title, loc="left", size=11, weight="bold")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if chart.y or chart.kind == "bars":
        figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=8)
    figure.savefig(path, dpi=dpi, metadata={"Date": None} if path.suffix == ".svg" else None)


def _draw_line(axes: Axes, chart: Chart, series: Series) -> None:
    style = "steps-post" if chart.kind == "steps" else "default"
    marker = "D" if series.marker else ""
    axes.plot(series.x, series.y, color=series.colour, label=series.name, ds=style, marker=marker)


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
    """An empty figure of the reports' look, sizes in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def _draw_grid(
    grid: list[list[NDArray[np.uint8]]], columns: list[str], rows: list[str], path: Path
) -> None:
    figure = new_figure(_CELL_INCHES * len(columns), (_CELL_INCHES + 0.5) * len(rows))
    # A strip of its own for each row: then a long title takes no width from the first picture.
    strips = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for strip, pictures, title in zip(strips, grid, rows, strict=True):
        strip.suptitle(shorten(title, _TITLE_LENGTH, placeholder=" …"), x=0.005, ha="left", size=9)
        cells = strip.subplots(1, len(columns))
        for axes, picture, name in zip(cells, pictures, columns, strict=True):
            axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
            axes.set_xlabel(name, size=9)
            axes.set(xticks=[], yticks=[], frame_on=False)
    figure.savefig(path)


def _transform(example: Example) -> Transform:
    return example.fixed_from_moving or Affine.identity()


def _row_title(example: Example) -> str:
    return f"{example.label}: {example.pair.pair_id}, {example.remark}"
