"""The working frame: an image resized to where the pipeline is fast and well at."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.polarity import field_of_view, normalise
from imedbench.core.types import Image

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]

_MOST_GROWTH = 2.0


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


def working_scales(fixed: Image, moving: Image, size: int) -> tuple[float, float]:
    """By how much to resize either image of a pair.

    Each is shrunk so that its longer side is at most `size`. Where both are smaller they are
    enlarged alike, at most twofold: filters and networks know vessels of a certain width.

    Args:
        fixed: the one image.
        moving: the other.
        size: px.
    """
    longest = [max(image.size) for image in (fixed, moving)]
    growth = min(max(1.0, size / max(longest)), _MOST_GROWTH)
    return min(growth, size / longest[0]), min(growth, size / longest[1])


def working_view(image: Image, scale: float) -> View:
    """Resize, find the field of view, even out.

    Args:
        image: any modality.
        scale: of the view's pixels to the image's.
    """
    width, height = image.size
    new_width, new_height = max(round(width * scale), 8), max(round(height * scale), 8)
    pixels = image.pixels
    if (new_width, new_height) != (width, height):
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        pixels = cv2.resize(pixels, (new_width, new_height), interpolation=way)
    fov = field_of_view(pixels)
    x, y = new_width / width, new_height / height
    # Pixel centres are at integers, so the corner of an image is at -0.5 before and after.
    matrix = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    return View(normalise(Image(pixels).grey(), fov), fov, matrix)
