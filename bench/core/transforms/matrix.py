"""Transforms given by a 3×3 matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from imedbench.core.arrays import Matrix, Points
from imedbench.core.transforms.base import SingularTransformError, Transform, as_points


class Homography(Transform):
    """A projective map.

    Args:
        matrix: 3×3; scaled so that its last element is 1 or −1 where that is possible. The sign
            stays: it says which side of the horizon is in front.

    Example:
        >>> Homography([[2, 0, 1], [0, 2, 0], [0, 0, 1]]).apply([[3, 4]])
        array([[7., 8.]])
    """

    kind = "homography"

    def __init__(self, matrix: ArrayLike) -> None:
        self.matrix: Matrix = np.array(matrix, np.float64)
        if self.matrix.shape != (3, 3):
            raise ValueError(f"a homography is a 3×3 matrix, this one is {self.matrix.shape}")
        scale = abs(self.matrix[2, 2])
        if scale > np.finfo(float).eps:
            self.matrix = self.matrix / scale

    def apply(self, points: ArrayLike) -> Points:
        """Map N×2 points; those on or beyond the horizon come out as NaN."""
        mapped = as_points(points) @ self.matrix[:, :2].T + self.matrix[:, 2]
        depth = np.where(mapped[:, 2:] > np.finfo(float).eps, mapped[:, 2:], np.nan)
        return mapped[:, :2] / depth

    def inverse(self) -> Homography:
        """Return the matrix inverse."""
        # The condition number says whether an inverse means anything; coordinates of up to
        # 10⁴ px make numbers up to about 10⁸ ordinary.
        if not self.is_finite() or np.linalg.cond(self.matrix) > 1e13:
            raise SingularTransformError("the matrix has no usable inverse")
        return type(self)(np.linalg.inv(self.matrix))

    def merged(self, after: Transform) -> Transform | None:
        """Multiply with the next matrix; the product of two affine maps is affine."""
        if not isinstance(after, Homography):
            return None
        both_affine = isinstance(self, Affine) and isinstance(after, Affine)
        return (Affine if both_affine else Homography)(after.matrix @ self.matrix)

    def parameters(self) -> dict[str, Any]:
        """Return the matrix."""
        return {"matrix": self.matrix}


class Affine(Homography):
    """A linear map and a shift.

    Args:
        matrix: 2×3, or 3×3 with a last row of (0, 0, 1).

    Example:
        >>> Affine([[1, 0, 5], [0, 1, 0]]).inverse().apply([[5, 2]])
        array([[0., 2.]])
    """

    kind = "affine"

    def __init__(self, matrix: ArrayLike) -> None:
        full = np.array(matrix, np.float64)
        if full.shape == (2, 3):
            full = np.vstack([full, [0.0, 0.0, 1.0]])
        super().__init__(full)
        if not np.allclose(self.matrix[2], [0, 0, 1]):
            raise ValueError("the last row of an affine matrix is (0, 0, 1)")

    @classmethod
    def identity(cls) -> Affine:
        """Return the map that changes nothing."""
        return cls(np.eye(3))

    @classmethod
    def similarity(
        cls,
        *,
        scale: float = 1.0,
        rotation_deg: float = 0.0,
        shift: tuple[float, float] = (0.0, 0.0),
        centre: tuple[float, float] = (0.0, 0.0),
    ) -> Affine:
        """Rotate and scale about a centre, then shift.

        Args:
            scale: enlargement, > 0.
            rotation_deg: from the x axis towards the y axis, so clockwise as seen on a screen.
            shift: (x, y) px.
            centre: the point (x, y) px that only the shift moves.
        """
        angle = np.deg2rad(rotation_deg)
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        linear = np.array([[cos, -sin], [sin, cos]])
        offset = np.asarray(centre) - linear @ np.asarray(centre) + np.asarray(shift)
        return cls(np.column_stack([linear, offset]))
