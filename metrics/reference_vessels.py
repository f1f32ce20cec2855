"""The frozen reader of vessels that stands in where a data set brings no vessel masks.

It has no weights: multi-scale ridge strength on an image brought to bright vessels and even
contrast. What matters is that it is the same for every method and never changes under a version.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from imedbench.core.field_of_view import field_of_view
from imedbench.core.polarity import normalise, ridge_strength
from imedbench.core.types import Image

VERSION = "ridge-2"  # 1 took the frame of a faded photograph for retina
_SIGMAS = (0.003, 0.005, 0.008)  # of the image's longer side: vessels of 3 to 10 px at 512
_VESSEL_SHARE = 0.12  # of the field of view, about what observers mark in fundus and OCTA images
_SOFTNESS = 0.5  # the map rises from 0 to 1 between 1 ± this times the threshold


def reference_vessels(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Soft vessel map of any retinal image.

    Args:
        pixels: uint8, H×W or H×W×3.

    Returns:
        float32 H×W in [0, 1]; 0 outside the field of view.

    Example:
        >>> image = np.full((128, 128), 90, np.uint8)
        >>> image[60:64] = 160
        >>> reference_vessels(image)[62, 64] > reference_vessels(image)[20, 64]
        np.True_
    """
    view = field_of_view(pixels)
    flat = normalise(Image(pixels).grey(), view)
    size = max(pixels.shape[:2])
    strength = reduce(np.maximum, (ridge_strength(flat, share * size) for share in _SIGMAS))
    threshold = float(np.quantile(strength[view], 1 - _VESSEL_SHARE))
    if threshold <= 0:
        return np.zeros(view.shape, np.float32)
    soft = (strength / threshold - (1 - _SOFTNESS)) / (2 * _SOFTNESS)
    return np.where(view, np.clip(soft, 0, 1), 0).astype(np.float32)
