"""The kinds of array that pass between parts, by what they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # an image or picture, H×W grey or H×W×3 RGB
Mask = NDArray[np.bool_]  # H×W
Plane = NDArray[np.float32]  # H×W, one value a pixel, mostly in [0, 1]
Points = NDArray[np.float64]  # N×2 px, rows (x, y)
Matrix = NDArray[np.float64]  # 3×3 of a map of the plane, or N of them, N×3×3
Floats = NDArray[np.float64]  # numbers of any shape


def plain(value: Any) -> Any:
    """Turn a value into what JSON knows: numbers of NumPy become Python's, NaN and ∞ become None.

    Example:
        >>> plain({"a": np.float32(0.5), "b": (float("nan"), 1)})
        {'a': 0.5, 'b': [None, 1]}
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
