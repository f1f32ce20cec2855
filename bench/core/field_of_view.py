"""Where an image shows retina, and where the black round it."""

from __future__ import annotations

from functools import lru_cache, reduce

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Mask, Pixels, Plane
from imedbench.core.resize import fitted_size, resize_mask

_LEAST_HALVED = 400  # px, longer side from which a copy of half the size tells the field of view
_MOST_COPIED = 2048  # px: discs grow with the image, and soon take minutes
_DARK_LEVEL = 0.12  # of the 95th percentile: darker than this may be outside the field of view
_CORNER = 24  # of the shorter side, the part that is a corner: in retina it is nowhere even
_NOISE = 4  # deviations of the corners' noise by which what lies outside may be brighter
_CONVEX = 0.9  # of its hull that an aperture fills: ≥ 0.96 in faded photographs, < 0.82 in others
_RIM = 1 / 128  # of the shorter side, by which the mask shrinks: an aperture's edge is blurred


def field_of_view(image: Pixels) -> Mask:
    """Tell where an image shows retina.

    Outside is what is dark, reaches the border of the picture and is wider than a vessel gap, so a
    dark fovea or a dim lesion stays inside. Dark is what is nearly black, or else what is no
    brighter than four corners of one level: haze, noise and grey margins lift the black.

    Args:
        image: uint8, H×W or H×W×3.

    Returns:
        bool H×W; all True when less than a tenth would be left.
    """
    size = image.shape[1], image.shape[0]
    if max(size) < _LEAST_HALVED:
        return _find_field(image)
    half = min(max(size) // 2, _MOST_COPIED)
    copy = cv2.resize(image, fitted_size(size, half), interpolation=cv2.INTER_AREA)
    return resize_mask(_find_field(np.asarray(copy, np.uint8)), size)


def _find_field(image: Pixels) -> Mask:
    """`field_of_view` of an image as large as it is."""
    grey = image if image.ndim == 2 else reduce(cv2.max, cv2.split(image))
    smooth = cv2.medianBlur(grey, 5)
    bright = float(np.percentile(smooth[::2, ::2], 95))
    black = max(4.0, _DARK_LEVEL * bright)
    level = float(np.median(_corners(smooth)))
    aperture = _lifted_aperture(smooth, level, bright) if level > black else None
    mask = _without_dark(np.asarray(smooth <= black)) if aperture is None else aperture
    return mask if mask.mean() > 0.1 else np.ones_like(mask)


def _lifted_aperture(smooth: Pixels, level: float, bright: float) -> Mask | None:
    """The field of view where haze, noise or a grey margin lift the black to a level, if so."""
    width = 2 * _rim_of(smooth.shape) + 1
    even = cv2.blur(smooth.astype(np.float32), (width, width))
    spread = float(_corners(even).std())
    darkest = level + max(_DARK_LEVEL * (bright - level), _NOISE * spread)
    if darkest > (level + bright) / 2:
        return None
    mask = _without_dark(np.asarray(even <= darkest))
    hull = cv2.convexHull(cv2.findNonZero(mask.astype(np.uint8))) if mask.any() else None
    return mask if hull is not None and mask.sum() > _CONVEX * cv2.contourArea(hull) else None


def _without_dark(dark: Mask) -> Mask:
    """All but what is dark, reaches the border and is wider than a vessel gap, with its rim."""
    rim = radius = _rim_of(dark.shape)
    flags = dark.astype(np.uint8)
    framed = cv2.copyMakeBorder(flags, *(4 * radius,) * 4, cv2.BORDER_CONSTANT, value=1)
    opened = cv2.morphologyEx(framed, cv2.MORPH_OPEN, _disc(radius))
    _, labels = cv2.connectedComponents(opened)
    inside = (labels != labels[0, 0]).astype(np.uint8)
    kept = cv2.erode(inside, _disc(rim))[4 * radius : -4 * radius, 4 * radius : -4 * radius] > 0
    touched = ~kept & (cv2.dilate(flags, _disc(rim + 1)) == 0)  # eroded at the picture's border
    return np.asarray(kept | touched)


def _rim_of(shape: tuple[int, ...]) -> int:
    return max(2, round(_RIM * min(shape)))


def _corners(image: Pixels | Plane) -> Pixels | Plane:
    """The four corners of an image, 2×2×S×S."""
    side = max(min(image.shape) // _CORNER, 1)
    ends = slice(None, side), slice(-side, None)
    return np.array([[image[rows, columns] for columns in ends] for rows in ends])


@lru_cache(maxsize=32)
def _disc(radius: int) -> NDArray[np.uint8]:
    side = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
