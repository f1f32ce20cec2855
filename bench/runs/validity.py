"""Whether a transform is fit to be judged at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imedbench.core.transforms import (
    Homography,
    SingularTransformError,
    Transform,
    jacobian_determinant,
)
from imedbench.core.types import Outcome

SCALE_RANGE = (0.2, 5.0)
MAX_FOLDING = 0.05
MIN_OVERLAP = 0.10
_GRID = 64  # points a side: enough to see folding of 5 %, cheap enough to run on every pair


def check_transform(
    fixed_from_moving: Transform, fixed_shape: tuple[int, int], moving_shape: tuple[int, int]
) -> tuple[Outcome, str]:
    """Tell a usable transform from a degenerate one, without any ground truth.

    Args:
        fixed_from_moving: the transform a method returned.
        fixed_shape: height and width of the fixed image, px.
        moving_shape: height and width of the moving image, px.

    Returns:
        ``ok`` and an empty text, or ``degenerate`` and what is wrong with it: numbers that are not
        finite, folding or mirroring, a scale outside `SCALE_RANGE`, or an overlap of less than
        `MIN_OVERLAP` of the smaller image.
    """
    if not fixed_from_moving.is_finite():
        return Outcome.DEGENERATE, "its parameters are not finite"
    if isinstance(fixed_from_moving, Homography):
        # The depth is linear: what holds at the corners holds all over the image.
        right, bottom = moving_shape[1] - 1, moving_shape[0] - 1
        corners = [[0, 0], [right, 0], [right, bottom], [0, bottom]]
        if not np.isfinite(fixed_from_moving.apply(corners)).all():
            return Outcome.DEGENERATE, "it sends part of the moving image beyond the horizon"
    try:
        moving_from_fixed = fixed_from_moving.inverse()
    except SingularTransformError:
        return Outcome.DEGENERATE, "it has no inverse"
    height, width = fixed_shape
    x, y = np.linspace(0, width - 1, _GRID), np.linspace(0, height - 1, _GRID)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    where = moving_from_fixed.apply(grid.reshape(-1, 2)).reshape(_GRID, _GRID, 2)
    defined = np.isfinite(where).all(-1)
    visible = defined & (where >= 0).all(-1) & (where < [moving_shape[1], moving_shape[0]]).all(-1)
    # Areas are counted in cells of the grid; what a map does far outside the images is no matter.
    cell = (width - 1) / (_GRID - 1) * (height - 1) / (_GRID - 1)
    area_ratio = jacobian_determinant(where.astype(np.float32)) / cell
    return _first_fault(np.asarray(visible), area_ratio, fixed_shape, moving_shape)


def _first_fault(
    visible: NDArray[np.bool_],
    area_ratio: NDArray[np.float64],
    fixed_shape: tuple[int, int],
    moving_shape: tuple[int, int],
) -> tuple[Outcome, str]:
    local = area_ratio[visible & np.isfinite(area_ratio)]
    if not local.size:
        return Outcome.DEGENERATE, "the images do not overlap"
    folded = float(np.mean(local <= 0))
    if folded > 0.5:
        return Outcome.DEGENERATE, "it mirrors the image"
    if folded > MAX_FOLDING:
        return Outcome.DEGENERATE, f"it folds {folded:.0%} of the overlap"
    moving_per_fixed = float(np.median(local))
    scale = 1 / np.sqrt(moving_per_fixed) if moving_per_fixed > 0 else np.inf
    if not SCALE_RANGE[0] <= scale <= SCALE_RANGE[1]:
        return Outcome.DEGENERATE, f"its scale is {scale:.3g}"
    fixed_area, moving_area = np.prod(fixed_shape), np.prod(moving_shape) / moving_per_fixed
    overlap = float(visible.mean() * fixed_area / min(fixed_area, moving_area))
    if overlap < MIN_OVERLAP:
        return Outcome.DEGENERATE, f"only {overlap:.0%} of the smaller image overlaps"
    return Outcome.OK, ""
