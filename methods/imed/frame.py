"""The working frame: an image shrunk to a size the pipeline is fast and well at."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.polarity import field_of_view, normalise
from imedbench.core.types import Image

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class View:
    """An image in its working frame.

    Args:
        bright: float32 H×W in [0, 1], vessels bright on an even ground.
        fov: bool H×W, where it shows retina.
        work_from_native: 3×3, from the image's own pixels to those of this view.
    """

    bright: Plane
    fov: Mask
    work_from_native: NDArray[np.float64]


def working_view(image: Image, size: int) -> View:
    """Shrink so that the longer side is at most `size`, find the field of view, even out.

    Small images are not enlarged: that adds no detail.
    """
    width, height = image.size
    shrink = min(1.0, size / max(width, height))
    new_width, new_height = max(round(width * shrink), 8), max(round(height * shrink), 8)
    pixels = image.pixels
    if shrink < 1:
        pixels = cv2.resize(pixels, (new_width, new_height), interpolation=cv2.INTER_AREA)
    fov = field_of_view(pixels)
    x, y = new_width / width, new_height / height
    # Pixel centres are at integers, so the corner of an image is at -0.5 before and after.
    matrix = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    return View(normalise(Image(pixels).grey(), fov), fov, matrix)
