"""What a method shows of its work, for reports to draw: matches, pictures, numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Mask, Points
from imedbench.core.errors import ContractError


def are_point_rows(first: Points, second: Points) -> bool:
    """Tell whether two arrays are N×2 of one length."""
    return first.shape == second.shape and first.ndim == 2 and first.shape[1] == 2


@dataclass(frozen=True, eq=False)
class Matches:
    """Point correspondences found on the way, for drawings.

    Args:
        moving: N×2 px in the moving image.
        fixed: N×2 px in the fixed image.
        inliers: bool N, those the robust estimator kept.

    Raises:
        ContractError: when the arrays do not match.
    """

    moving: Points
    fixed: Points
    inliers: Mask

    def __post_init__(self) -> None:
        if not are_point_rows(self.moving, self.fixed):
            raise ContractError("matches must be two N×2 arrays of equal length")
        if self.inliers.shape != (len(self.moving),) or self.inliers.dtype != np.bool_:
            raise ContractError("the inliers of N matches are a bool array of length N")


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """What a method wants to show of its work; reports draw it.

    Args:
        matches: point correspondences, if it works with any.
        images: pictures by name (``fixed_vessels``, ``fake_octa``, …), uint8 or bool arrays.
        values: numbers by name (``n_matches``, ``n_keypoints_fixed``, ``estimator`` …); NumPy's
            own become Python's.

    Raises:
        ContractError: when a picture cannot be drawn or a value cannot be stored.
    """

    matches: Matches | None = None
    images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    values: Mapping[str, float | int | str | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, image in self.images.items():
            _check_picture(name, image)
        plain = {name: _plain(name, value) for name, value in self.values.items()}
        object.__setattr__(self, "values", plain)


def _check_picture(name: str, image: NDArray[Any]) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ContractError(f"a picture's name is letters, digits, _ and -, this one is {name!r}")
    drawable = image.dtype in (np.uint8, np.bool_) and image.size > 0
    if not drawable or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise ContractError(
            f"picture {name!r} must be uint8 or bool, H×W or H×W×3, it is {image.dtype}"
            f" {image.shape}"
        )


def _plain(name: str, value: Any) -> float | int | str | bool:
    plain = value.item() if isinstance(value, np.generic) else value
    if not isinstance(plain, float | int | str):
        kind = type(value).__name__
        raise ContractError(f"diagnostic value {name!r} must be a number or text, it is a {kind}")
    return plain
