"""A displacement for every pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imedbench.core.arrays import Points
from imedbench.core.transforms.base import Transform, as_points
from imedbench.core.transforms.inverse import NumericalInverse
from imedbench.core.transforms.warp import pixel_grid

_NOWHERE = 1e4  # px; where a transform is undefined, other libraries look far outside the image


class DenseField(Transform):
    """Adds to each point the displacement stored for its place.

    Between pixels the displacement is bilinear; outside the grid it is that of the nearest edge.

    Args:
        displacement: H×W×2 px, float, H and W at least 2; ``[y, x]`` holds (dx, dy) of the pixel
            (x, y).
    """

    kind = "dense"

    def __init__(self, displacement: ArrayLike) -> None:
        self.displacement: NDArray[np.float32] = np.array(displacement, np.float32)
        shape = self.displacement.shape
        if len(shape) != 3 or shape[2] != 2 or min(shape[:2]) < 2:
            raise ValueError(f"a dense field is H×W×2, this one is {shape}")

    def apply(self, points: ArrayLike) -> Points:
        """Map N×2 points; NaN stays NaN."""
        xy = as_points(points)
        height, width = self.displacement.shape[:2]
        known = np.isfinite(xy).all(1, keepdims=True)
        place = np.clip(np.where(known, xy, 0.0), 0.0, [width - 1.0, height - 1.0])
        # The last pixel belongs to the cell before it, at weight 1.
        corner = np.minimum(place.astype(np.intp), [width - 2, height - 2])
        (x, y), (u, v) = corner.T, (place - corner).T[:, :, None]
        d = self.displacement
        top = (1 - u) * d[y, x] + u * d[y, x + 1]
        bottom = (1 - u) * d[y + 1, x] + u * d[y + 1, x + 1]
        moved: Points = np.where(known, xy + (1 - v) * top + v * bottom, np.nan)
        return moved

    def inverse(self) -> Transform:
        """Return the numerical inverse."""
        return NumericalInverse(self)

    def parameters(self) -> dict[str, Any]:
        """Return the displacements."""
        return {"displacement": self.displacement}


def sampled(fixed_from_moving: Transform, fixed_shape: tuple[int, int]) -> Points:
    """Tell where each fixed pixel looks in the moving image, H×W×2 px, finite everywhere."""
    moving_from_fixed = fixed_from_moving.inverse()
    where = moving_from_fixed.apply(pixel_grid(fixed_shape)).reshape(*fixed_shape, 2)
    return np.where(np.isfinite(where), where, -_NOWHERE)


def from_sampled(where: NDArray[Any]) -> Transform:
    """Return the ``fixed_from_moving`` whose fixed pixels look at these places, H×W×2 px."""
    grid = pixel_grid((where.shape[0], where.shape[1])).reshape(where.shape)
    return DenseField(where - grid).inverse()
