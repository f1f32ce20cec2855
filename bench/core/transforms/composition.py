"""Several transforms, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from imedbench.core.transforms.base import Points, Transform, as_points
from imedbench.core.transforms.matrix import Affine, Homography


class Composition(Transform):
    """Applies its steps in order.

    Args:
        steps: at least one transform; the first is applied first.
    """

    kind = "composition"

    def __init__(self, steps: Sequence[Transform]) -> None:
        if not steps:
            raise ValueError("a composition needs at least one step")
        self.steps = tuple(steps)

    def apply(self, points: ArrayLike) -> Points:
        """Map N×2 points through every step."""
        result = as_points(points)
        for step in self.steps:
            result = step.apply(result)
        return result

    def inverse(self) -> Transform:
        """The inverses in reverse order."""
        return Composition([step.inverse() for step in reversed(self.steps)])

    def parameters(self) -> dict[str, Any]:
        """The steps."""
        return {"steps": list(self.steps)}


def compose(first: Transform, *rest: Transform) -> Transform:
    """One transform that applies the given ones in order.

    Neighbouring matrices are multiplied, nested compositions flattened.

    Example:
        >>> compose(Affine([[1, 0, 2], [0, 1, 0]]), Affine([[3, 0, 0], [0, 3, 0]])).apply([[1, 1]])
        array([[9., 3.]])
    """
    steps: list[Transform] = []
    for transform in (first, *rest):
        for step in transform.steps if isinstance(transform, Composition) else (transform,):
            if steps and isinstance(steps[-1], Homography) and isinstance(step, Homography):
                steps[-1] = _product(steps[-1], step)
            else:
                steps.append(step)
    return steps[0] if len(steps) == 1 else Composition(steps)


def _product(first: Homography, second: Homography) -> Homography:
    both_affine = isinstance(first, Affine) and isinstance(second, Affine)
    return (Affine if both_affine else Homography)(second.matrix @ first.matrix)
