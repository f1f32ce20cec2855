"""How alike two images or vessel maps are, pixel by pixel, on their overlap.

``mse`` and ``rmse`` are given vessel maps or image intensities; which of the two is a matter of the
caller and of the metric's name (``mse``, ``mse_image``).
"""

from __future__ import annotations

import numpy as np

from imedbench.core.arrays import Floats, Mask
from imedbench.metrics.selection import Map, comparable, compared_values

NMI_BINS = 64
SSIM_SIGMA, SSIM_RADIUS = 1.5, 5  # px: the 11×11 Gaussian window of the paper
SSIM_K1, SSIM_K2 = 0.01, 0.03


def mse(fixed: Map, warped: Map, overlap: Mask | None = None) -> float:
    """Mean squared difference over the overlap.

    Args:
        fixed: H×W, bool or in [0, 1].
        warped: H×W on the grid of ``fixed``, bool or in [0, 1]; NaN where it has no data.
        overlap: bool H×W, where both fields of view are; everywhere by default.

    Returns:
        0 for equal to 1; NaN for an empty overlap.

    Raises:
        ContractError: when the arrays do not share one grid.

    Example:
        >>> mse(np.array([[0.0, 0.5]]), np.array([[0.0, 1.0]]))
        0.125
    """
    a, b = compared_values(fixed, warped, overlap)
    return float(np.square(a - b).mean()) if a.size else np.nan


def rmse(fixed: Map, warped: Map, overlap: Mask | None = None) -> float:
    """Root of :func:`mse`. The mean of the roots over pairs is not the root of the mean."""
    return float(np.sqrt(mse(fixed, warped, overlap)))


def ncc(fixed: Map, warped: Map, overlap: Mask | None = None) -> float:
    """Normalised cross-correlation (Pearson's r) over the overlap.

    Args:
        fixed: H×W, bool or in [0, 1].
        warped: H×W on the grid of ``fixed``; NaN where it has no data.
        overlap: bool H×W, where both fields of view are; everywhere by default.

    Returns:
        −1 to 1; NaN if the overlap is empty or either image is constant there.

    Raises:
        ContractError: when the arrays do not share one grid.
    """
    a, b = compared_values(fixed, warped, overlap)
    if not a.size or np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))


def nmi(fixed: Map, warped: Map, overlap: Mask | None = None, bins: int = NMI_BINS) -> float:
    """Normalised mutual information, ``(H(A) + H(B)) / H(A, B)`` (Studholme et al. 1999, eq. 9).

    Args:
        fixed: H×W, bool or in [0, 1].
        warped: H×W on the grid of ``fixed``; NaN where it has no data.
        overlap: bool H×W, where both fields of view are; everywhere by default.
        bins: equal bins over [0, 1] for each image; values outside fall into the end bins.

    Returns:
        1 for independent to 2 for one determining the other; NaN if the overlap is empty or both
        images are constant there.

    Raises:
        ContractError: when the arrays do not share one grid.
    """
    a, b = (_bin(values, bins) for values in compared_values(fixed, warped, overlap))
    if not a.size:
        return np.nan
    joint = np.bincount(a * bins + b, minlength=bins * bins).reshape(bins, bins)
    joint_entropy = _entropy(joint)
    if joint_entropy == 0:
        return np.nan
    return (_entropy(joint.sum(axis=1)) + _entropy(joint.sum(axis=0))) / joint_entropy


def _bin(values: Floats, bins: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return np.clip((values * bins).astype(np.intp), 0, bins - 1)


def _entropy(counts: np.ndarray[tuple[int, ...], np.dtype[np.intp]]) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def ssim(fixed: Map, warped: Map, overlap: Mask | None = None) -> float:
    """Structural similarity (Wang et al. 2004, eq. 13) over the overlap.

    A pixel counts if its whole 11×11 window can be compared, so that neither the image's border nor
    what lies outside the overlap enters.

    Args:
        fixed: H×W, bool or in [0, 1].
        warped: H×W on the grid of ``fixed``; NaN where it has no data.
        overlap: bool H×W, where both fields of view are; everywhere by default.

    Returns:
        −1 to 1 for equal; NaN if no window fits.

    Raises:
        ContractError: when the arrays do not share one grid.
    """
    where = comparable(fixed, warped, overlap)
    whole_windows = _whole_windows(where)
    if not whole_windows.any():
        return np.nan
    a, b = np.where(where, fixed, 0.0), np.where(where, warped, 0.0)
    return float(_ssim_map(a, b)[whole_windows].mean())


def _whole_windows(where: Mask) -> Mask:
    """Pixels whose window lies inside the mask and the image."""
    import cv2

    window = np.ones((2 * SSIM_RADIUS + 1, 2 * SSIM_RADIUS + 1), np.uint8)
    inner = cv2.erode(where.astype(np.uint8), window, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(inner, np.bool_)


def _ssim_map(a: Floats, b: Floats) -> Floats:
    import cv2

    def blur(image: Floats) -> Floats:
        size = 2 * SSIM_RADIUS + 1
        return np.asarray(cv2.GaussianBlur(image, (size, size), SSIM_SIGMA), np.float64)

    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = SSIM_K1**2, SSIM_K2**2  # the data range is 1
    likeness = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return likeness / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))
