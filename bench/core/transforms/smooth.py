"""Smooth non-linear transforms with few parameters: quadratic and thin-plate spline."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imedbench.core.arrays import Points
from imedbench.core.transforms.base import Transform, as_points
from imedbench.core.transforms.inverse import NumericalInverse


class Quadratic(Transform):
    """Second-order polynomial: the usual model of the eye's curvature between two views.

    Args:
        coefficients: 2×6; the rows give x and y of the result as the factors of
            (1, x, y, x², xy, y²).

    Source: Can et al., IEEE TPAMI 24(3), 2002: the 12-parameter model of the curved retina.
    """

    kind = "quadratic"

    def __init__(self, coefficients: ArrayLike) -> None:
        self.coefficients: NDArray[np.float64] = np.array(coefficients, np.float64)
        if self.coefficients.shape != (2, 6):
            raise ValueError(f"coefficients are 2×6, these are {self.coefficients.shape}")

    @classmethod
    def fit(cls, source: ArrayLike, target: ArrayLike) -> Quadratic:
        """Return the least-squares quadratic through N ≥ 6 point pairs, N×2 px each.

        Raises:
            ValueError: with fewer than 6 points.
        """
        source, target = as_points(source), as_points(target)
        if len(source) < 6:
            raise ValueError(f"a quadratic needs 6 point pairs, there are {len(source)}")
        # Solved about the centre and at unit size, where x² and x are of one magnitude.
        centre, size = source.mean(0), max(float(np.ptp(source, axis=0).max()), 1.0)
        solution, *_ = np.linalg.lstsq(_monomials((source - centre) / size), target, rcond=None)
        return cls(solution.T @ _recentring(centre, size))

    def apply(self, points: ArrayLike) -> Points:
        """Map N×2 points."""
        return _monomials(as_points(points)) @ self.coefficients.T

    def inverse(self) -> Transform:
        """Return the numerical inverse."""
        return NumericalInverse(self)

    def parameters(self) -> dict[str, Any]:
        """Return the coefficients."""
        return {"coefficients": self.coefficients}


def _monomials(xy: Points) -> NDArray[np.float64]:
    x, y = xy[:, 0], xy[:, 1]
    return np.column_stack([np.ones_like(x), x, y, x * x, x * y, y * y])


def _recentring(centre: NDArray[np.float64], size: float) -> NDArray[np.float64]:
    """6×6 R with monomials((p - centre) / size) = R @ monomials(p), for one p as a column."""
    a, b, s = centre[0], centre[1], size
    return np.array(
        [
            [1, 0, 0, 0, 0, 0],
            [-a / s, 1 / s, 0, 0, 0, 0],
            [-b / s, 0, 1 / s, 0, 0, 0],
            [a * a / s**2, -2 * a / s**2, 0, 1 / s**2, 0, 0],
            [a * b / s**2, -b / s**2, -a / s**2, 0, 1 / s**2, 0],
            [b * b / s**2, 0, -2 * b / s**2, 0, 0, 1 / s**2],
        ]
    )


class ThinPlateSpline(Transform):
    """The smoothest interpolation of control-point pairs.

    Args:
        source: N×2 control points px, N ≥ 3 and not on one line.
        target: N×2 px, where they go.
        smoothing: 0 passes through every target; larger bends less.

    Raises:
        ValueError: when the control points do not span the plane.

    Source: Bookstein, Principal warps, IEEE TPAMI 11(6), 1989; solved by
    ``scipy.interpolate.RBFInterpolator``.
    """

    kind = "thin-plate-spline"

    def __init__(self, source: ArrayLike, target: ArrayLike, smoothing: float = 0.0) -> None:
        from scipy.interpolate import RBFInterpolator

        self.source, self.target = as_points(source), as_points(target)
        self.smoothing = float(smoothing)
        # SciPy notices most of these, but not all: rounding hides some.
        if np.linalg.matrix_rank(self.source - self.source[:1]) < 2:
            raise ValueError("the control points of a spline must not lie on one line")
        self._spline = RBFInterpolator(
            self.source,
            self.target,
            kernel="thin_plate_spline",
            degree=1,
            smoothing=self.smoothing,
        )

    def apply(self, points: ArrayLike) -> Points:
        """Map N×2 points; NaN stays NaN."""
        xy = as_points(points)
        known = np.isfinite(xy).all(1)
        result = np.full_like(xy, np.nan)
        if known.any():
            result[known] = self._spline(xy[known])
        return result

    def inverse(self) -> Transform:
        """Return the numerical inverse (the spline through swapped points is another map)."""
        return NumericalInverse(self)

    def parameters(self) -> dict[str, Any]:
        """Both point sets and the smoothing."""
        return {"source": self.source, "target": self.target, "smoothing": self.smoothing}
