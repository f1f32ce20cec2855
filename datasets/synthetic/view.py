"""A camera: where each millimetre of the retina lands in an image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Points
from imedbench.core.transforms import Affine, Transform

_GRID_STEP = 8  # px between the positions that are mapped exactly; smooth maps need no more


@dataclass(frozen=True, eq=False)
class View:
    """A square image of a part of the retina.

    Args:
        size: width and height, px.
        px_from_mm: maps positions on the retina (mm) to the image (px).
        mm_from_px: its inverse.
    """

    size: int
    px_from_mm: Transform
    mm_from_px: Transform

    @classmethod
    def square(cls, size: int, width_mm: float, centre: Points | None = None) -> View:
        """Return an undistorted view.

        Args:
            size: width and height, px.
            width_mm: what the width shows.
            centre: the position at its centre, mm; the fovea if left out.
        """
        scale = size / width_mm
        middle = np.full(2, (size - 1) / 2) - scale * (np.zeros(2) if centre is None else centre)
        px_from_mm = Affine(np.column_stack([scale * np.eye(2), middle]))
        return cls(size, px_from_mm, px_from_mm.inverse())

    def moved(self, fixed_from_moving: Transform, moving_from_fixed: Transform) -> View:
        """Return the view whose image this transform brings onto this view's image."""
        return View(
            self.size,
            self.px_from_mm.then(moving_from_fixed),
            fixed_from_moving.then(self.mm_from_px),
        )

    @cached_property
    def mm_per_px(self) -> float:
        """Size of a pixel at the image's centre, mm."""
        middle = (self.size - 1) / 2
        corners = self.mm_from_px.apply(
            [[middle, middle], [middle + 1, middle], [middle, middle + 1]]
        )
        (ax, ay), (bx, by) = corners[1] - corners[0], corners[2] - corners[0]
        return float(np.sqrt(abs(ax * by - ay * bx)))

    @cached_property
    def grid_mm(self) -> NDArray[np.float32]:
        """Position on the retina of every pixel, H×W×2 mm."""
        return dense_map(self.mm_from_px, (self.size, self.size))

    @cached_property
    def extent_mm(self) -> tuple[Points, Points]:
        """Least and greatest x and y that the image shows, mm."""
        flat = self.grid_mm[::_GRID_STEP, ::_GRID_STEP].reshape(-1, 2).astype(np.float64)
        return np.nanmin(flat, axis=0), np.nanmax(flat, axis=0)

    def shows(self, px: Points, margin: float = 0.0) -> NDArray[np.bool_]:
        """Tell which of N×2 pixel positions are inside the image, a margin (px) from its edge."""
        low, high = margin, self.size - 1 - margin
        inside: NDArray[np.bool_] = np.all((px >= low) & (px <= high), axis=1)
        return inside


def dense_map(transform: Transform, size: tuple[int, int]) -> NDArray[np.float32]:
    """Tell where a smooth transform takes every pixel of an image.

    It is computed every few pixels and filled in linearly.

    Args:
        transform: maps pixels of the image.
        size: width and height of the image, px.

    Returns:
        H×W×2, (x, y).
    """
    nx, ny = (-(-(side - 1) // _GRID_STEP) + 1 for side in size)
    x, y = np.meshgrid(np.linspace(0, size[0] - 1, nx), np.linspace(0, size[1] - 1, ny))
    exact = transform.apply(np.stack([x.ravel(), y.ravel()], 1)).reshape(ny, nx, 2)
    across, down = _linear_weights(size[0], nx), _linear_weights(size[1], ny)
    return np.stack([down @ exact[..., i] @ across.T for i in (0, 1)], -1).astype(np.float32)


def _linear_weights(size: int, n: int) -> NDArray[np.float64]:
    at = np.linspace(0, n - 1, size)
    left = np.minimum(at.astype(int), n - 2)
    weights = np.zeros((size, n))
    weights[np.arange(size), left] = 1 - (at - left)
    weights[np.arange(size), left + 1] = at - left
    return weights
