"""Transforms as ITK, 3D Slicer and elastix read them: text files ending in ``.tfm``."""

from __future__ import annotations

import numpy as np

from imedbench.core.arrays import Points
from imedbench.core.transforms.base import Transform
from imedbench.core.transforms.matrix import Affine

TOLERANCE_PX = 0.02  # largest error of a field that is read linearly between its nodes
_STEPS = (16, 8, 4, 2, 1)  # px between nodes, the first that is close enough
_HEAD = "#Insight Transform File V1.0\n#Transform 0\n"


def to_itk(moving_from_fixed: Transform, fixed_size: tuple[int, int]) -> str:
    """Write a transform as an ITK text file, in pixels of images without spacing and origin.

    ITK resamples the moving image with the map from the fixed image's points to the moving image's,
    so that is what the file holds: an ``AffineTransform`` where the map is affine, else a
    ``DisplacementFieldTransform`` over the fixed image.

    Args:
        moving_from_fixed: maps points of the fixed image to the moving image.
        fixed_size: width and height of the fixed image, px.

    Returns:
        The content of the file.
    """
    if isinstance(moving_from_fixed, Affine):
        matrix = moving_from_fixed.matrix
        numbers = [*matrix[:2, :2].ravel(), *matrix[:2, 2]]
        return (
            f"{_HEAD}Transform: AffineTransform_double_2_2\n"
            f"Parameters: {_numbers(numbers)}\nFixedParameters: 0 0\n"
        )
    for step in _STEPS:
        nodes, shape = _nodes(fixed_size, step)
        moved = moving_from_fixed.apply(nodes) - nodes
        # Where the map is undefined, look where there is no image.
        moved = np.where(np.isfinite(moved), moved, 1e6)
        if step == 1 or _error(moving_from_fixed, nodes, moved, shape, step) < TOLERANCE_PX:
            break
    fixed = [*shape, 0, 0, step, step, 1, 0, 0, 1]
    return (
        f"{_HEAD}Transform: DisplacementFieldTransform_double_2_2\n"
        f"Parameters: {_numbers(moved.ravel())}\nFixedParameters: {_numbers(fixed)}\n"
    )


def _nodes(size: tuple[int, int], step: int) -> tuple[Points, tuple[int, int]]:
    """Positions of the nodes, row by row, and how many there are across and down."""
    shape = (-(-(size[0] - 1) // step) + 1, -(-(size[1] - 1) // step) + 1)
    x, y = np.meshgrid(step * np.arange(shape[0]), step * np.arange(shape[1]))
    return np.stack([x.ravel(), y.ravel()], 1).astype(np.float64), shape


def _error(
    transform: Transform, nodes: Points, moved: Points, shape: tuple[int, int], step: int
) -> float:
    """Largest error in the middle of the cells, px; there a linear field errs most."""
    grid = moved.reshape(shape[1], shape[0], 2)
    if min(shape) < 2:
        return 0.0
    read = (grid[:-1, :-1] + grid[1:, :-1] + grid[:-1, 1:] + grid[1:, 1:]) / 4
    centres = nodes.reshape(shape[1], shape[0], 2)[:-1, :-1].reshape(-1, 2) + step / 2
    exact = transform.apply(centres) - centres
    error = np.linalg.norm(read.reshape(-1, 2) - exact, axis=1)
    known = error[np.isfinite(error) & (np.abs(exact) < 1e5).all(1)]
    return float(known.max()) if len(known) else 0.0


def _numbers(values: object) -> str:
    return " ".join(f"{value:.10g}" for value in np.asarray(values, np.float64))
