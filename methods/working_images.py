"""Bring images to the frames in which vessels are sought: a common size, look and polarity."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from imedbench.core.arrays import Mask, Matrix, Pixels, Plane
from imedbench.core.field_of_view import field_of_view
from imedbench.core.polarity import normalise
from imedbench.core.resize import resize, resizing_matrix
from imedbench.core.types import Image
from imedbench.methods.noise import suppress_noise

_MAX_GROWTH = 2.0
_SMALL_FIELD = 0.72  # of an image's longer side: on training pairs larger ones gain nothing
_MARGIN = 8  # px round a small field of view, where its edge is told


@dataclass(frozen=True, eq=False)
class WorkingImage:
    """An image in its working frame.

    Args:
        bright: float32 H×W in [0, 1], vessels bright on an even ground.
        fov: bool H×W, where it shows retina.
        work_from_native: 3×3, from the image's own pixels to those of this view.
    """

    bright: Plane
    fov: Mask
    work_from_native: Matrix


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
    growth = min(max(1.0, size / max(longest)), _MAX_GROWTH)
    return min(growth, size / longest[0]), min(growth, size / longest[1])


def working_image(image: Image, scale: float) -> WorkingImage:
    """Resize, find the field of view, suppress noise, even out.

    Args:
        image: any modality.
        scale: of the view's pixels to the image's.
    """
    pixels, work_from_native = _resized(image.pixels, scale)
    return _evened(pixels, field_of_view(pixels), work_from_native)


def closer_image(image: Image, scale: float) -> WorkingImage:
    """`working_image`, where the field of view is small that alone, as large as the whole would be.

    Vessels seen from afar run into one another.

    Args:
        image: any modality.
        scale: of the view's pixels to the image's, if all of it is to be seen.
    """
    pixels, work_from_native = _resized(image.pixels, scale)
    fov = field_of_view(pixels)
    x, y, width, height = cv2.boundingRect(fov.astype(np.uint8))
    share = max(width, height) / max(fov.shape)
    closer = min(scale / share, _MAX_GROWTH)
    if share > _SMALL_FIELD or closer <= scale:
        return _evened(pixels, fov, work_from_native)
    left, top = (max(int((start - _MARGIN) / scale), 0) for start in (x, y))
    right, bottom = (int((end + _MARGIN) / scale) + 1 for end in (x + width, y + height))
    pixels, work_from_native = _resized(image.pixels[top:bottom, left:right], closer)
    shift = np.array([[1.0, 0, -left], [0, 1, -top], [0, 0, 1]])
    return _evened(pixels, field_of_view(pixels), work_from_native @ shift)


def _resized(pixels: Pixels, scale: float) -> tuple[Pixels, Matrix]:
    """An image so many times as large, and the map from its pixels."""
    before = pixels.shape[1], pixels.shape[0]
    after = max(round(before[0] * scale), 8), max(round(before[1] * scale), 8)
    return resize(pixels, after, enlarge="cubic"), resizing_matrix(before, after)


def _evened(pixels: Pixels, fov: Mask, work_from_native: Matrix) -> WorkingImage:
    bright = normalise(suppress_noise(Image(pixels).grey(), fov), fov)
    return WorkingImage(bright, fov, work_from_native)
