"""How well two vessel maps cover each other."""

from __future__ import annotations

import numpy as np

from imedbench.core.arrays import Mask
from imedbench.core.errors import ContractError
from imedbench.metrics.selection import Map, compared_values


def soft_dice(fixed: Map, warped: Map, overlap: Mask | None = None) -> float:
    """Dice coefficient of two graded maps, ``2 Σ min(a, b) / Σ (a + b)``.

    The minimum, unlike the product, gives 1 to two equal maps whatever their grades; on masks it
    is the Dice coefficient. It is one less the Bray–Curtis dissimilarity.

    Args:
        fixed: H×W vessel map of the fixed image, bool or in [0, 1].
        warped: H×W vessel map of the moving image on the fixed grid; NaN where it has no data.
        overlap: bool H×W, where both fields of view are; everywhere by default.

    Returns:
        0 for disjoint to 1 for equal; NaN if neither map has a vessel there.

    Raises:
        ContractError: when the arrays do not share one grid.

    Example:
        >>> soft_dice(np.array([[1.0, 0.5]]), np.array([[1.0, 0.0]]))
        0.8
    """
    a, b = compared_values(fixed, warped, overlap)
    total = a.sum() + b.sum()
    return float(2 * np.minimum(a, b).sum() / total) if total > 0 else np.nan


def dice(fixed: Mask, warped: Mask, overlap: Mask | None = None) -> float:
    """Dice coefficient of two masks, ``2 |A ∩ B| / (|A| + |B|)`` (Dice, Ecology 1945).

    Args:
        fixed: bool H×W, vessels of the fixed image.
        warped: bool H×W, vessels of the moving image on the fixed grid.
        overlap: bool H×W, where both fields of view are; everywhere by default.

    Returns:
        0 for disjoint to 1 for equal; NaN if neither mask has a vessel there.

    Raises:
        ContractError: when the arrays are not bool or do not share one grid.
    """
    if fixed.dtype != np.bool_ or warped.dtype != np.bool_:
        raise ContractError("dice compares bool masks; soft_dice compares graded maps")
    return soft_dice(fixed, warped, overlap)
