"""The figures of a report: rows of pairs, columns of views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
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
_TITLE_LENGTH = 130  # characters that fit over four pictures


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
