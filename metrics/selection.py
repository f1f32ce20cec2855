"""Choose the pixels that a metric compares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Floats, Mask
from imedbench.core.errors import ContractError

Map = NDArray[np.bool_] | NDArray[np.floating]


def comparable(fixed: Map, warped: Map, overlap: Mask | None = None) -> Mask:
    """Return the pixels that can be compared: inside the overlap and finite in both arrays.

    Args:
        fixed: H×W, bool or float in [0, 1].
        warped: H×W on the grid of ``fixed``, bool or float in [0, 1]; NaN where it has no data.
        overlap: bool H×W, where both fields of view are; everywhere by default.

    Returns:
        Bool H×W.

    Raises:
        ContractError: when shapes differ, an array is not H×W, or holds integers, whose range
            cannot be told.
    """
    for array in (fixed, warped):
        if array.dtype != np.bool_ and not np.issubdtype(array.dtype, np.floating):
            raise ContractError(f"maps must be bool or float in [0, 1], this one is {array.dtype}")
    if fixed.ndim != 2 or fixed.shape != warped.shape:
        raise ContractError(f"maps must share one H×W grid, got {fixed.shape} and {warped.shape}")
    finite = np.isfinite(fixed) & np.isfinite(warped)
    if overlap is None:
        return finite
    if overlap.dtype != np.bool_ or overlap.shape != fixed.shape:
        raise ContractError(
            f"the overlap must be bool {fixed.shape}, got {overlap.dtype} {overlap.shape}"
        )
    return finite & overlap


def compared_values(fixed: Map, warped: Map, overlap: Mask | None = None) -> tuple[Floats, Floats]:
    """Return the values of both arrays at the pixels that can be compared, as two float64 rows."""
    where = comparable(fixed, warped, overlap)
    return fixed[where].astype(np.float64), warped[where].astype(np.float64)
