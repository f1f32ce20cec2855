"""What registration networks are shown of an image."""

from __future__ import annotations

from typing import Literal

import numpy as np

from imedbench.core.arrays import Plane
from imedbench.core.types import Image

Polarity = Literal["bright", "as-is"]
_MAP_CONTRAST = 0.5  # of full vessels over their ground


def even_plane(image: Image, polarity: Polarity = "bright") -> Plane:
    """Show an image on an even ground.

    Args:
        image: of any modality; of a map of vessels nothing is evened out.
        polarity: ``bright`` turns dark vessels bright; ``as-is`` only evens out light and contrast.

    Returns:
        float32 H×W in [0, 1], the ground at 0.5.
    """
    from imedbench.core.field_of_view import field_of_view
    from imedbench.core.polarity import flatten, normalise
    from imedbench.methods.vessel import VESSEL_WEIGHTS

    if image.modality == VESSEL_WEIGHTS:
        return np.asarray(0.5 + np.float32(_MAP_CONTRAST / 255) * image.grey(), np.float32)
    even = flatten if polarity == "as-is" else normalise
    return even(image.grey(), field_of_view(image.pixels))
