"""How sane a transform is in itself, without a reference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Floats
from imedbench.core.errors import ContractError

MIN_DETERMINANT = 1e-9


def folding(determinants: Floats, where: NDArray[np.bool_] | None = None) -> float:
    """Share of pixels at which the mapping folds: determinant ≤ 0.

    Args:
        determinants: result of `jacobian_determinant`, of any shape; NaN for unknown.
        where: bool of that shape, the pixels that count; all by default.

    Returns:
        0 to 1, over the pixels with a known determinant; NaN if there are none.

    Example:
        >>> folding(np.array([1.0, 0.5, -0.1, np.nan]))
        0.3333333333333333
    """
    known = _known(determinants, where)
    return float((known <= 0).mean()) if known.size else np.nan


def sd_log_j(determinants: Floats, where: NDArray[np.bool_] | None = None) -> float:
    """Measure the spread of the logarithm of the Jacobian determinant (Hering et al. 2022).

    Determinants below 1e-9 count as 1e-9: a mapping does not look smoother for folding.

    Args:
        determinants: result of `jacobian_determinant`, of any shape; NaN for unknown.
        where: bool of that shape, the pixels that count; all by default.

    Returns:
        0 for a uniform change of area, upwards; NaN if no determinant is known.
    """
    known = _known(determinants, where)
    return float(np.log(np.maximum(known, MIN_DETERMINANT)).std()) if known.size else np.nan


def inverse_consistency(points: Floats, round_trip: Floats) -> float:
    """Compute the mean distance of points from where they are after going there and back.

    Args:
        points: N×2 px in the moving image.
        round_trip: N×2 px, the same points mapped to the fixed image and back.

    Returns:
        Distance in px of the moving image; infinite if a point was lost on the way, NaN without
        points.

    Raises:
        ContractError: when the arrays are not two N×2 of equal length.
    """
    if points.shape != round_trip.shape or points.ndim != 2 or points.shape[1] != 2:
        raise ContractError(
            f"points must be two N×2 arrays of equal length, got {points.shape}, {round_trip.shape}"
        )
    if not points.size:
        return np.nan
    if not np.isfinite(round_trip).all():
        return np.inf
    return float(np.linalg.norm(round_trip - points, axis=1).mean())


def _known(determinants: Floats, where: NDArray[np.bool_] | None) -> Floats:
    chosen = np.isfinite(determinants) if where is None else np.isfinite(determinants) & where
    return determinants[chosen]
