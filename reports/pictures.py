"""Two images on one grid, made visible: overlay, checkerboard, matches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imedbench.core.field_of_view import field_of_view
from imedbench.core.polarity import normalise
from imedbench.core.resize import resize
from imedbench.core.transforms import Transform, sampling_map, warp_image
from imedbench.core.transforms.warp import inside, resample
from imedbench.core.types import Image, Matches

Picture = NDArray[np.uint8]
TILES = 8  # a side
_FIXED_COLOUR = np.array([1.0, 0.25, 0.75], np.float32)  # what only the fixed image shows: magenta
_MOVING_COLOUR = np.array([0.0, 0.75, 0.25], np.float32)  # only the moving one: green; both: white
_INLIER, _OUTLIER = (60, 200, 90), (220, 80, 60)  # RGB


def colour(image: Image) -> Picture:
    """Return an image as H×W×3 RGB."""
    pixels = image.pixels
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def warped(fixed: Image, moving: Image, fixed_from_moving: Transform) -> Picture:
    """Return the moving image on the fixed grid, H×W×3 RGB."""
    return warp_image(colour(moving), fixed_from_moving.inverse(), fixed.shape, "cubic")


def overlay(fixed: Image, moving: Image, fixed_from_moving: Transform) -> Picture:
    """Vessels of both images in two colours: magenta fixed, green moving, white where they agree.

    Both are brought to bright vessels on an even ground first, so that modalities of opposite
    polarity can be laid over each other.

    Returns:
        H×W×3 RGB on the fixed grid.
    """
    where = sampling_map(fixed_from_moving.inverse(), fixed.shape)
    bright_moving = resample(_vessel_contrast(moving), where)
    bright_fixed = _vessel_contrast(fixed)
    drawn = np.empty((*fixed.shape, 3), np.uint8)
    for channel in range(3):
        mixed = bright_fixed * _FIXED_COLOUR[channel] + bright_moving * _MOVING_COLOUR[channel]
        drawn[..., channel] = 255 * np.clip(mixed, 0, 1)
    return drawn


def checkerboard(fixed: Image, moving: Image, fixed_from_moving: Transform) -> Picture:
    """Tiles of the fixed and of the warped moving image by turns, H×W×3 RGB.

    Where the moving image has nothing to show, the fixed one stays.
    """
    height, width = fixed.shape
    side = max(height, width) / TILES
    row, column = (np.arange(length) // side % 2 for length in (height, width))
    odd = row[:, None] != column
    where = sampling_map(fixed_from_moving.inverse(), fixed.shape)
    shown = odd & inside(where, moving.shape)
    return np.where(shown[..., None], resample(colour(moving), where), colour(fixed))


def draw_matches(fixed: Image, moving: Image, matches: Matches, most: int = 200) -> Picture:
    """Both images side by side with a line for each match: green if kept, red if rejected.

    Args:
        fixed: left.
        moving: right, at the fixed image's height.
        matches: those of a method.
        most: lines drawn at most, evenly picked, rejected ones first so that kept ones lie on top.
    """
    import cv2

    scale = fixed.shape[0] / moving.shape[0]
    right = resize(colour(moving), (max(1, round(moving.shape[1] * scale)), fixed.shape[0]))
    canvas = np.ascontiguousarray(np.hstack([colour(fixed), right]))
    order = np.argsort(matches.inliers, kind="stable")
    for i in order[:: max(1, len(order) // most)]:
        a = matches.fixed[i]
        b = matches.moving[i] * scale + [fixed.shape[1], 0]
        line = [tuple(int(v) for v in np.round(p)) for p in (a, b)]
        cv2.line(canvas, *line, _INLIER if matches.inliers[i] else _OUTLIER, 1, cv2.LINE_AA)
    return canvas


def _vessel_contrast(image: Image) -> NDArray[np.float32]:
    view = field_of_view(image.pixels)
    flat = normalise(image.grey(), view)
    # 0.5 is the ground: half of it is taken away so that vessels stand out against dark.
    brightened: NDArray[Any] = np.clip((flat - 0.35) / 0.5, 0, 1) * view
    return brightened.astype(np.float32)
