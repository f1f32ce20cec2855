"""Images seen through a transform."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Points
from imedbench.core.transforms.base import Transform

Interpolation = Literal["nearest", "linear", "cubic"]
_POINTS_AT_ONCE = 1 << 18  # an image of 512×512 px; takes some 20 MiB


def pixel_grid(shape: tuple[int, int]) -> Points:
    """Return the pixel centres of an H×W image, row by row, as (H·W)×2 points."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)


def sampling_map(moving_from_fixed: Transform, fixed_shape: tuple[int, int]) -> NDArray[np.float32]:
    """Tell where each fixed pixel looks in the moving image.

    Args:
        moving_from_fixed: maps points of the fixed image to the moving image.
        fixed_shape: height and width of the fixed image.

    Returns:
        H×W×2 px (x, y); NaN where the transform is undefined.
    """
    where = np.empty((*fixed_shape, 2), np.float32)
    for rows in _row_blocks(fixed_shape):
        part = where[rows]
        grid = pixel_grid((part.shape[0], part.shape[1]))
        grid[:, 1] += rows.start
        part[...] = moving_from_fixed.apply(grid).reshape(part.shape)
    return where


def _row_blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Some rows of an image after the other: what each takes in memory does not grow with it."""
    rows = max(1, _POINTS_AT_ONCE // max(1, shape[1]))
    return (slice(top, top + rows) for top in range(0, shape[0], rows))


def resample(
    moving: NDArray[Any], where: NDArray[np.float32], interpolation: Interpolation = "linear"
) -> NDArray[Any]:
    """Read the moving image at the places of a sampling map; black outside it.

    Args:
        moving: H×W or H×W×C, uint8 or float32.
        where: result of `sampling_map`.
        interpolation: how to read between pixels.

    Returns:
        The image on the fixed grid, of the moving image's type.
    """
    import cv2

    flags = {"nearest": cv2.INTER_NEAREST, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
    drawn = []
    for rows in _row_blocks(where.shape):
        # remap has no notion of NaN or of places beyond 16 bits: such pixels look far outside.
        near = np.isfinite(where[rows]) & (np.abs(where[rows]) < 3e4)
        safe = np.where(near, where[rows], np.float32(-3e4))
        drawn.append(cv2.remap(moving, safe[..., 0], safe[..., 1], flags[interpolation]))
    return np.concatenate(drawn)


def warp_image(
    moving: NDArray[Any],
    moving_from_fixed: Transform,
    fixed_shape: tuple[int, int],
    interpolation: Interpolation = "linear",
) -> NDArray[Any]:
    """Return the moving image drawn on the fixed image's grid; see `resample`."""
    return resample(moving, sampling_map(moving_from_fixed, fixed_shape), interpolation)


def inside(where: NDArray[np.float32], moving_shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell which fixed pixels look at a place within the moving image.

    Args:
        where: result of `sampling_map`.
        moving_shape: height and width of the moving image.
    """
    x, y = where[..., 0], where[..., 1]
    return (x >= 0) & (y >= 0) & (x <= moving_shape[1] - 1) & (y <= moving_shape[0] - 1)


def jacobian_determinant(where: NDArray[np.float32]) -> NDArray[np.float64]:
    """Local change of area of a sampling map, by central differences; ≤ 0 where it folds.

    Args:
        where: H×W×2 result of `sampling_map`, H and W at least 2.
    """
    dy, dx = (np.gradient(where.astype(np.float64), axis=axis) for axis in (0, 1))
    return np.asarray(dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0])
