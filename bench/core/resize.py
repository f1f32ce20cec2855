"""Resizing images, and where their pixels go: the one home of the half-pixel rule.

Pixel centres are at integers, so the corner of every image is at (-0.5, -0.5), before and after.
"""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Matrix, Points

Size = tuple[int, int]


def resize(
    pixels: NDArray[Any], size: Size, enlarge: Literal["linear", "cubic"] = "linear"
) -> NDArray[Any]:
    """Resize an image: averaged over areas where it shrinks, interpolated where it grows.

    Args:
        pixels: H×W or H×W×C, uint8 or float32.
        size: width and height of the result, px.
        enlarge: how to interpolate.

    Returns:
        The resized image, of the same type; the image itself where it has that size.
    """
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    shrinks = size[0] * size[1] < width * height
    growing = cv2.INTER_CUBIC if enlarge == "cubic" else cv2.INTER_LINEAR
    way = cv2.INTER_AREA if shrinks else growing
    return cv2.resize(pixels, size, interpolation=way)


def resize_mask(mask: NDArray[np.bool_], size: Size) -> NDArray[np.bool_]:
    """Resize a mask to the nearest pixel, H×W bool to a width and height."""
    return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0


def fitted_size(size: Size, longest: int) -> Size:
    """Width and height of an image whose longer side is to be so many px, at least 1.

    Example:
        >>> fitted_size((400, 200), 100)
        (100, 50)
    """
    scale = longest / max(size)
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def resizing_matrix(size: Size, new_size: Size) -> Matrix:
    """Tell where resizing takes pixels: the 3×3 map from an image to its resized copy.

    Args:
        size: width and height before, px.
        new_size: width and height after, px.

    Example:
        >>> resizing_matrix((10, 10), (5, 5)) @ [0.5, 0.5, 1]  # between the first two pixels
        array([0., 0., 1.])
    """
    x, y = new_size[0] / size[0], new_size[1] / size[1]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]], np.float64)


def resize_points(points: Points, size: Size, new_size: Size) -> Points:
    """Take points, N×2 px, from an image of one width and height to its resized copy."""
    ratio = np.array(new_size, np.float64) / np.array(size, np.float64)
    return (points + 0.5) * ratio - 0.5
