"""What every transform can do, and several of them one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from imedbench.core.arrays import Points
from imedbench.core.errors import ImedbenchError


class SingularTransformError(ImedbenchError):
    """A transform that squeezes the plane onto a line or a point has no inverse."""


class Transform(ABC):
    """A map of the plane, from the pixels of one image to those of another.

    Variables holding one are named by direction: ``fixed_from_moving`` takes points of the moving
    image to the fixed image. Points where the map is undefined come out as NaN.
    """

    kind: ClassVar[str]
    kinds: ClassVar[dict[str, type[Transform]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # What is read back under a name is what first had it: no plugin takes the place of it.
        if "kind" in vars(cls):
            Transform.kinds.setdefault(cls.kind, cls)

    @abstractmethod
    def apply(self, points: ArrayLike) -> Points:
        """Map points.

        Args:
            points: N×2 px, rows (x, y).

        Returns:
            N×2 px in the other image.
        """

    @abstractmethod
    def inverse(self) -> Transform:
        """Return the map the other way.

        Raises:
            SingularTransformError: when there is none.
        """

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """Return the constructor's arguments: arrays, numbers, transforms or lists of them."""

    def then(self, after: Transform) -> Transform:
        """Compose: this transform followed by another."""
        return compose(self, after)

    def merged(self, after: Transform) -> Transform | None:
        """Return one transform of the same kind that does what this and the next do, or None."""
        return None

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in self.parameters().items())
        return f"{type(self).__name__}({shown})"

    def is_finite(self) -> bool:
        """Tell whether every parameter is a finite number."""
        return _all_finite(self.parameters())


def _shown(value: Any) -> str:
    """A parameter on one line: a few numbers, or the size of many."""
    if isinstance(value, np.ndarray) and value.size > 12:
        return f"<{'×'.join(map(str, value.shape))} numbers>"
    if isinstance(value, np.ndarray):
        text = np.array2string(
            value, separator=", ", formatter={"float_kind": lambda number: f"{number:.6g}"}
        )
        return " ".join(text.split())
    return repr(value)


def _all_finite(value: Any) -> bool:
    if isinstance(value, Transform):
        return value.is_finite()
    if isinstance(value, dict):
        return all(_all_finite(v) for v in value.values())
    if isinstance(value, list):
        return all(_all_finite(v) for v in value)
    return bool(np.isfinite(value).all())


def as_points(points: ArrayLike) -> Points:
    """Points as a float64 N×2 array.

    Raises:
        ValueError: when the shape is another.
    """
    array = np.asarray(points, np.float64)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"points must be an N×2 array, this one is {array.shape}")
    return array


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
        """Return the inverses in reverse order."""
        return Composition([step.inverse() for step in reversed(self.steps)])

    def parameters(self) -> dict[str, Any]:
        """Return the steps."""
        return {"steps": list(self.steps)}


def compose(first: Transform, *rest: Transform) -> Transform:
    """Return one transform that applies the given ones in order.

    Neighbouring matrices are multiplied, nested compositions flattened.

    Example:
        >>> from imedbench.core.transforms import Affine
        >>> compose(Affine([[1, 0, 2], [0, 1, 0]]), Affine([[3, 0, 0], [0, 3, 0]])).apply([[1, 1]])
        array([[9., 3.]])
    """
    steps: list[Transform] = []
    for transform in (first, *rest):
        for step in transform.steps if isinstance(transform, Composition) else (transform,):
            merged = steps[-1].merged(step) if steps else None
            if merged is None:
                steps.append(step)
            else:
                steps[-1] = merged
    return steps[0] if len(steps) == 1 else Composition(steps)
