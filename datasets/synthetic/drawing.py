"""Draw vessels as lines of sub-pixel width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Points
from imedbench.datasets.synthetic.vessels import Vessels
from imedbench.datasets.synthetic.view import View

Plane = NDArray[np.float32]

_SHIFT = 4  # bits after the point in the coordinates handed to OpenCV
_THICKEST = 120
_CANVAS_PX = 1024  # lines are drawn about this large and shrunk: that makes them smooth


@dataclass(frozen=True, eq=False)
class Strokes:
    """The vessels of an eye as a camera sees them; those outside the image are left out.

    Args:
        size: of the image, px.
        ends: upstream and downstream ends, M×2×2 px.
        radius: M, px.
        radius_mm: M, mm.
        artery: True for arteries, M.
    """

    size: int
    ends: NDArray[np.float64]
    radius: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    artery: NDArray[np.bool_]

    def where(self, keep: NDArray[np.bool_]) -> Strokes:
        """Return the chosen strokes only."""
        return Strokes(
            self.size, self.ends[keep], self.radius[keep], self.radius_mm[keep], self.artery[keep]
        )


def project(view: View, vessels: Vessels) -> Strokes:
    """Put vessels into an image."""
    low, high = view.extent_mm
    near: NDArray[np.bool_] = np.all(
        (vessels.start > low - 0.3) & (vessels.start < high + 0.3), axis=1
    )
    vessels = vessels.where(near)
    start, end = view.px_from_mm.apply(vessels.start), view.px_from_mm.apply(vessels.end)
    radius = vessels.radius / view.mm_per_px
    strokes = Strokes(view.size, np.stack([start, end], 1), radius, vessels.radius, vessels.artery)
    margin = -3.0 * float(radius.max(initial=1.0)) - 2
    return strokes.where(view.shows(start, margin) & np.isfinite(end).all(1))


def draw(strokes: Strokes, ink: NDArray[np.float64], *, widen: float = 1.0) -> Plane:
    """Vessel intensity in an image; the strongest vessel wins where several cross.

    Args:
        strokes: what to draw.
        ink: intensity in [0, 1] of each stroke at full width, M. Vessels thinner than the
            drawing's finest line come out fainter instead of thinner.
        widen: factor on all widths.

    Returns:
        float32 H×W in [0, 1].
    """
    size = strokes.size
    zoom = _zoom(size)
    wanted = 2 * widen * strokes.radius * zoom
    drawn = _drawn_widths()
    # The widths on offer are two apart: fine lines are drawn wider and fainter, wide ones nearest.
    fine = wanted < 2.5 * zoom
    halfway = (drawn[1:] + drawn[:-1]) / 2
    chosen = np.where(fine, np.searchsorted(drawn, wanted), np.searchsorted(halfway, wanted))
    strength = np.where(fine, wanted / drawn[chosen], 1.0)
    level = np.rint(255 * ink * strength).astype(np.int64)
    canvas = np.zeros((size * zoom, size * zoom), np.uint8)
    _draw_sorted(canvas, _fixed_point(strokes.ends, zoom), level // 6 * 6 + 5, chosen + 1)
    return _shrunk(canvas, size)


@lru_cache
def _drawn_widths() -> NDArray[np.float64]:
    """How wide OpenCV's lines of thickness 1, 2, 3 … turn out, which depends on its version."""
    line = np.array([[0, 128], [255, 128]], np.int32) << _SHIFT
    widths = []
    for thickness in range(1, _THICKEST + 1):
        canvas = np.zeros((256, 256), np.uint8)
        cv2.polylines(canvas, [line], False, 1, thickness, cv2.LINE_8, _SHIFT)
        widths.append(canvas[:, 128].sum())
    return np.array(widths, np.float64)


def fill(view: View, outlines_mm: Sequence[Points]) -> Plane:
    """Filled closed curves (each N×2 mm), antialiased: float32 H×W, 1 inside."""
    zoom = _zoom(view.size)
    canvas = np.zeros((view.size * zoom, view.size * zoom), np.uint8)
    for outline in outlines_mm:
        px = view.px_from_mm.apply(outline)
        if np.isfinite(px).all() and view.shows(px).any():
            cv2.fillPoly(canvas, [_fixed_point(px, zoom)], 255, cv2.LINE_8, _SHIFT)
    return _shrunk(canvas, view.size)


def _zoom(size: int) -> int:
    """How much larger than the image the canvas is that lines are drawn on."""
    return min(max(3, round(_CANVAS_PX / size)), 6)


def _shrunk(canvas: NDArray[np.uint8], size: int) -> Plane:
    small = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255


def _fixed_point(px: NDArray[np.float64], zoom: int) -> NDArray[np.int32]:
    # The centre of pixel 0 is at (zoom - 1) / 2 of the enlarged canvas.
    enlarged = zoom * px + (zoom - 1) / 2
    return np.rint(enlarged * 2**_SHIFT).astype(np.int32)


def _draw_sorted(
    canvas: NDArray[np.uint8],
    lines: NDArray[np.int32],
    level: NDArray[np.int64],
    thickness: NDArray[np.int64],
) -> None:
    """Draw faint lines first, so that strong ones lie on top."""
    key = level * 4096 + thickness
    order = np.argsort(key, kind="stable")
    bounds = np.flatnonzero(np.diff(key[order])) + 1
    for group in np.split(order, bounds):
        if len(group):
            first = group[0]
            cv2.polylines(
                canvas,
                list(lines[group]),
                False,
                int(level[first]),
                int(thickness[first]),
                cv2.LINE_8,
                _SHIFT,
            )
