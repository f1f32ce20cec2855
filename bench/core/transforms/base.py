"""What every transform can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imedbench.core.errors import ImedbenchError

Points = NDArray[np.float64]


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
        Transform.kinds[cls.kind] = cls

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
        """The map the other way.

        Raises:
            SingularTransformError: when there is none.
        """

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments: arrays, numbers, transforms or lists of transforms."""

    def then(self, after: Transform) -> Transform:
        """This transform followed by another."""
        from imedbench.core.transforms.composition import compose

        return compose(self, after)

    def is_finite(self) -> bool:
        """Whether every parameter is a finite number."""
        return _all_finite(self.parameters())


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
