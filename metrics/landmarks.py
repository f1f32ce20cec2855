"""Target registration error: how far landmarks end up from where they belong.

Retinal papers abbreviate the maximum as MAE and the median as MEE; here each has its plain name.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Points
from imedbench.core.errors import ContractError


def landmark_errors(mapped: Points, fixed: Points, spacing: float = 1.0) -> NDArray[np.float64]:
    """Euclidean distance of each mapped landmark from its place in the fixed image.

    Args:
        mapped: N×2 px, moving-image landmarks after ``fixed_from_moving``.
        fixed: N×2 px, the same landmarks in the fixed image.
        spacing: size of a fixed-image pixel, in µm for errors in µm; 1 leaves them in px.

    Returns:
        N distances; infinite where a landmark was mapped to no finite place.

    Raises:
        ContractError: when the arrays are not two N×2 of equal length or the spacing not positive.

    Example:
        >>> landmark_errors(np.array([[3.0, 4.0], [1.0, 1.0]]), np.array([[0.0, 0.0], [1.0, 1.0]]))
        array([5., 0.])
    """
    if mapped.shape != fixed.shape or mapped.ndim != 2 or mapped.shape[1] != 2:
        raise ContractError(
            f"landmarks must be two N×2 arrays of equal length, got {mapped.shape}, {fixed.shape}"
        )
    if not spacing > 0:
        raise ContractError(f"the spacing must be positive, got {spacing}")
    found = np.isfinite(mapped).all(axis=1, keepdims=True)
    offset = np.where(found, mapped, np.inf) - fixed
    return np.hypot(offset[:, 0], offset[:, 1]) * spacing


def tre_mean(mapped: Points, fixed: Points, spacing: float = 1.0) -> float:
    """Mean landmark error; NaN without landmarks. Arguments as :func:`landmark_errors`.

    This is the point-wise mean: a root mean square over the 2N coordinates is another figure.
    """
    errors = landmark_errors(mapped, fixed, spacing)
    return float(errors.mean()) if errors.size else np.nan


def tre_median(mapped: Points, fixed: Points, spacing: float = 1.0) -> float:
    """Median landmark error; NaN without landmarks. Arguments as :func:`landmark_errors`."""
    errors = np.sort(landmark_errors(mapped, fixed, spacing))
    if not errors.size:
        return np.nan
    lower, upper = errors[(errors.size - 1) // 2], errors[errors.size // 2]
    return float((lower + upper) / 2)  # not np.median, which warns about infinite errors


def tre_max(mapped: Points, fixed: Points, spacing: float = 1.0) -> float:
    """Largest landmark error; NaN without landmarks. Arguments as :func:`landmark_errors`."""
    errors = landmark_errors(mapped, fixed, spacing)
    return float(errors.max()) if errors.size else np.nan


def tre_rms(mapped: Points, fixed: Points, spacing: float = 1.0) -> float:
    """Root of the mean squared distance; NaN without landmarks. Arguments as `landmark_errors`.

    Over the 2N coordinates instead of the N points it would be smaller by √2.
    """
    errors = landmark_errors(mapped, fixed, spacing)
    return float(np.sqrt(np.square(errors).mean())) if errors.size else np.nan
