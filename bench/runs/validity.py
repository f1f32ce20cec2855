"""Whether a transform is fit to be judged at all, and in a form that can be kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imedbench.core.errors import ContractError
from imedbench.core.transforms import (
    Affine,
    DenseField,
    Homography,
    SingularTransformError,
    Transform,
    jacobian_determinant,
    pixel_grid,
)
from imedbench.core.types import Outcome

MAX_SCALE = 5.0
"""Largest enlargement of a moving pixel, or of the whole image, whichever is the larger; and the
inverse. A 304 px OCTA scan of 6 mm lies on a 3072 px photograph of 45° at about ten; a method that
collapses usually ends beyond a hundred, or below a hundredth."""
MAX_FOLDING = 0.05
MIN_OVERLAP = 0.10
_GRID = 64  # points a side: enough to see folding of 5 %, cheap enough to run on every pair


def scale_limits(
    fixed_shape: tuple[int, int], moving_shape: tuple[int, int]
) -> tuple[float, float]:
    """Smallest and largest believable scale of a transform between images of these sizes.

    The two images may show the same field, when scale is the ratio of their sizes, or the same
    detail, when it is 1; `MAX_SCALE` is allowed beyond either.

    Args:
        fixed_shape: height and width of the fixed image, px.
        moving_shape: height and width of the moving image, px.

    Example:
        >>> scale_limits((3072, 3072), (307, 307))[1] > 20
        True
        >>> scale_limits((304, 304), (304, 304))
        (0.2, 5.0)
    """
    same_field = float(np.sqrt(np.prod(fixed_shape) / np.prod(moving_shape)))
    return min(1.0, same_field) / MAX_SCALE, max(1.0, same_field) * MAX_SCALE


def own_kind(transform: Transform, moving_shape: tuple[int, int]) -> Transform:
    """Turn a transform of a plugin's own kind into one of imedbench's that does the same.

    A matrix stays a matrix; anything else becomes the dense field that it makes on the moving
    image. A projective map that has the whole image behind its horizon gets the other sign: its
    matrix and the negative of it are the same map, and here the sign says which side is in front.

    Args:
        transform: of any kind.
        moving_shape: height and width of the moving image, px.

    Raises:
        ContractError: when its ``apply`` does not give points; else whatever it raises.
    """
    if isinstance(transform, Homography) and type(transform).apply is Homography.apply:
        if isinstance(transform, Affine):
            return transform if _is_own(transform) else Affine(transform.matrix)
        right, bottom = moving_shape[1] - 1, moving_shape[0] - 1
        corners = np.array([[0, 0, 1], [right, 0, 1], [right, bottom, 1], [0, bottom, 1]])
        behind = bool((corners @ transform.matrix[2] < 0).all())
        return Homography(-transform.matrix if behind else transform.matrix)
    if _is_own(transform):
        return transform
    grid = pixel_grid(moving_shape)
    moved = np.asarray(transform.apply(grid), np.float64)
    if moved.shape != grid.shape:
        raise ContractError(f"apply must give N×2 points, it gives {moved.shape}")
    return DenseField((moved - grid).reshape(*moving_shape, 2))


def _is_own(transform: Transform) -> bool:
    ours = type(transform).__module__.startswith("imedbench.core.transforms.")
    values = transform.parameters().values() if ours else ()
    parts = [part for value in values for part in (value if isinstance(value, list) else [value])]
    return ours and all(_is_own(part) for part in parts if isinstance(part, Transform))


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
        finite, folding or mirroring, a scale outside `scale_limits`, or an overlap of less than
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
    least, most = scale_limits(fixed_shape, moving_shape)
    if not least <= scale <= most:
        return Outcome.DEGENERATE, (
            f"its scale is {scale:.3g}, for images of these sizes {least:.3g} to {most:.3g} can be"
        )
    fixed_area, moving_area = np.prod(fixed_shape), np.prod(moving_shape) / moving_per_fixed
    overlap = float(visible.mean() * fixed_area / min(fixed_area, moving_area))
    if overlap < MIN_OVERLAP:
        return Outcome.DEGENERATE, f"only {overlap:.0%} of the smaller image overlaps"
    return Outcome.OK, ""
