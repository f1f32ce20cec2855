"""The inverse of a transform that has none in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from imedbench.core.arrays import Points
from imedbench.core.transforms.base import Transform, as_points

_ITERATIONS = 50
_ARRIVED_PX = 1e-6
_ACCEPTED_PX = 1e-3
_STEP_PX = 1e-2  # of the central differences: small against a pixel, large against rounding


class NumericalInverse(Transform):
    """Solves ``forward(q) = p`` for q by Newton's method, point by point.

    Args:
        forward: a smooth transform. Points where the iteration finds no solution to 10⁻³ px come
            out as NaN: the forward map folds there or never reaches the point.
    """

    kind = "inverse"

    def __init__(self, forward: Transform) -> None:
        self.forward = forward

    def apply(self, points: ArrayLike) -> Points:
        """Map N×2 points."""
        target = as_points(points)
        guess, best = target.copy(), target.copy()
        best_error = np.full(len(target), np.inf)
        # Points that have arrived leave the loop: most do after three or four steps.
        active = np.flatnonzero(np.isfinite(target).all(1))
        for _ in range(_ITERATIONS):
            residual = self.forward.apply(guess[active]) - target[active]
            error = np.linalg.norm(residual, axis=1)
            better = active[error < best_error[active]]
            best[better], best_error[better] = guess[better], error[error < best_error[active]]
            going_on = np.isfinite(error) & (error > _ARRIVED_PX)
            active, residual = active[going_on], residual[going_on]
            if active.size == 0:
                break
            guess[active] -= _newton_step(self.forward, guess[active], residual)
        best[best_error > _ACCEPTED_PX] = np.nan
        return best

    def inverse(self) -> Transform:
        """Return the forward transform, exactly."""
        return self.forward

    def parameters(self) -> dict[str, Any]:
        """Return the forward transform."""
        return {"forward": self.forward}


def _newton_step(forward: Transform, at: Points, residual: Points) -> Points:
    """J⁻¹ residual, with J by central differences; no step where J is singular."""
    shift_x, shift_y = np.array([_STEP_PX, 0.0]), np.array([0.0, _STEP_PX])
    dx = (forward.apply(at + shift_x) - forward.apply(at - shift_x)) / (2 * _STEP_PX)
    dy = (forward.apply(at + shift_y) - forward.apply(at - shift_y)) / (2 * _STEP_PX)
    determinant = dx[:, 0] * dy[:, 1] - dy[:, 0] * dx[:, 1]
    safe = np.where(np.abs(determinant) > 1e-9, determinant, np.inf)
    return np.column_stack(
        [
            (dy[:, 1] * residual[:, 0] - dy[:, 0] * residual[:, 1]) / safe,
            (dx[:, 0] * residual[:, 1] - dx[:, 1] * residual[:, 0]) / safe,
        ]
    )
