"""The figures of a report: rows of pairs, columns of views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imedbench.core.transforms import Affine, Transform
from imedbench.core.types import ImagePair
from imedbench.reports.pictures import checkerboard, colour, overlay

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELL_INCHES = 2.4
_DPI = 100


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


def draw_picture(picture: NDArray[np.uint8], path: Path) -> None:
    """Write one picture, at most 1,000 px wide."""
    import cv2

    from imedbench.core.images import write_image

    scale = min(1.0, 1000 / picture.shape[1])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    write_image(path, small)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of the reports' look, sizes in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def _draw_grid(
    grid: list[list[NDArray[np.uint8]]], columns: list[str], rows: list[str], path: Path
) -> None:
    shape = (len(grid), len(columns))
    size = (_CELL_INCHES * shape[1], (_CELL_INCHES + 0.3) * shape[0] + 0.2)
    figure = new_figure(*size)
    cells = figure.subplots(*shape, squeeze=False)
    for axes_row, pictures, title in zip(cells, grid, rows, strict=True):
        for axes, picture in zip(axes_row, pictures, strict=True):
            axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
            axes.set_axis_off()
        axes_row[0].set_title(title, loc="left", fontsize=9)
    for axes, name in zip(cells[-1], columns, strict=True):
        axes.text(0.5, -0.03, name, transform=axes.transAxes, ha="center", va="top", fontsize=9)
    figure.savefig(path)


def _transform(example: Example) -> Transform:
    return example.fixed_from_moving or Affine.identity()


def _row_title(example: Example) -> str:
    return f"{example.label}: {example.pair.pair_id}, {example.remark}"
