"""The one robust estimator that every matching method uses, so that it is not what differs.

MAGSAC++ as OpenCV has it (Barath et al., CVPR 2020), with a fixed seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Points
from imedbench.core.transforms import Affine, Homography
from imedbench.core.types import Diagnostics, Matches, Registration

Model = Literal["homography", "affine"]

THRESHOLD_PX = 3.0
CONFIDENCE = 0.9999
ITERATIONS = 10_000
_POINTS_NEEDED = {"homography": 4, "affine": 3}
_ONE = {"homography": "a homography", "affine": "an affine map"}


@dataclass(frozen=True, eq=False)
class Estimate:
    """What the estimator made of a set of matches.

    Args:
        fixed_from_moving: the transform, None if there is none.
        inliers: bool N, the matches it rests on.
        reason: why there is none, empty otherwise.
    """

    fixed_from_moving: Homography | None
    inliers: NDArray[np.bool_]
    reason: str = ""


def estimator_name(model: Model) -> str:
    """Say how tables name the estimator."""
    return f"MAGSAC {model} {THRESHOLD_PX:g} px"


def estimate(moving_points: Points, fixed_points: Points, model: Model = "homography") -> Estimate:
    """Fit a transform to matches of which many may be wrong.

    Args:
        moving_points: N×2 px in the moving image.
        fixed_points: N×2 px in the fixed image, row by row their supposed partners.
        model: ``homography`` (8 parameters) or ``affine`` (6).

    Returns:
        The transform and its inliers, or the reason for none.

    Example:
        >>> square = np.array([[0, 0], [90, 0], [90, 90], [0, 90], [40, 30]], float)
        >>> estimate(square, square + 5, "affine").fixed_from_moving.apply([[1, 1]]).round(3)
        array([[6., 6.]])
    """
    n, needed = len(moving_points), _POINTS_NEEDED[model]
    nothing = np.zeros(n, bool)
    if n < needed:
        return Estimate(None, nothing, f"{_matches(n)}, {_ONE[model]} needs {needed}")
    matrix, found = _magsac(np.asarray(moving_points), np.asarray(fixed_points), model)
    if matrix is None or not np.isfinite(matrix).all():
        return Estimate(None, nothing, f"{_ONE[model]} fits too few of the {_matches(n)}")
    inliers = np.asarray(found).ravel().astype(bool)
    # As many inliers as the model has unknowns agree by construction: that is no evidence.
    if inliers.sum() <= needed:
        agreeing = f"only {inliers.sum()} of {_matches(n)} agree on {_ONE[model]}"
        return Estimate(None, inliers, agreeing)
    transform = Affine(matrix) if model == "affine" else Homography(matrix)
    return Estimate(transform, inliers)


def registration_from_matches(
    moving_points: Points,
    fixed_points: Points,
    model: Model = "homography",
    values: dict[str, float | int | str | bool] | None = None,
) -> Registration:
    """`estimate`, as the answer of a matching method with its matches for the reports.

    Args:
        moving_points: N×2 px in the moving image.
        fixed_points: N×2 px in the fixed image.
        model: kind of transform.
        values: further numbers to show, such as keypoint counts.
    """
    result = estimate(moving_points, fixed_points, model)
    counts = {"n_matches": len(moving_points), "n_inliers": int(result.inliers.sum())}
    diagnostics = Diagnostics(
        matches=Matches(moving_points, fixed_points, result.inliers),
        values={**(values or {}), **counts, "estimator": estimator_name(model)},
    )
    if result.fixed_from_moving is None:
        return Registration.failed(result.reason, diagnostics)
    return Registration(result.fixed_from_moving, diagnostics=diagnostics)


def _magsac(
    moving_points: Points, fixed_points: Points, model: Model
) -> tuple[NDArray[np.float64] | None, NDArray[np.uint8] | None]:
    import cv2

    fit = cv2.estimateAffine2D if model == "affine" else cv2.findHomography
    matrix, inliers = fit(
        moving_points,
        fixed_points,
        method=cv2.USAC_MAGSAC,
        ransacReprojThreshold=THRESHOLD_PX,
        maxIters=ITERATIONS,
        confidence=CONFIDENCE,
    )
    return matrix, inliers


def _matches(n: int) -> str:
    return f"{n} match" if n == 1 else f"{n} matches"
