"""One picture of many pairs."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from imedbench.core.arrays import Pixels, Points
from imedbench.core.datasets import Dataset
from imedbench.core.types import ImagePair, Split

_COLOURS = np.array(
    [(230, 60, 60), (60, 200, 80), (70, 120, 255), (240, 180, 40), (200, 80, 220), (60, 210, 220)]
)


def contact_sheet(
    dataset: Dataset, split: Split, *, count: int = 12, columns: int = 3, tile: int = 256
) -> Pixels:
    """Return the first pairs of a data set, fixed beside moving, with landmarks of one colour each.

    Args:
        dataset: an opened data set.
        split: which of its splits.
        count: at most so many pairs.
        columns: pairs in a row.
        tile: width and height that each image gets, px.

    Returns:
        uint8 H×W×3 RGB.
    """
    refs = list(dataset.refs(split))[:count]
    cells = [_cell(dataset.load(ref), tile) for ref in refs]
    columns = max(1, min(columns, len(cells)))
    blank = np.full((tile, 2 * tile, 3), 255, np.uint8)
    cells += [blank] * (-len(cells) % columns)
    rows = [_joined(cells[i : i + columns], 1) for i in range(0, len(cells), columns)]
    return _joined(rows, 0)


def _joined(parts: Sequence[Pixels], axis: int, gap: int = 8) -> Pixels:
    """Pictures side by side (axis 1) or below one another (0) with a white gap."""
    if not parts:
        return np.full((gap, gap, 3), 255, np.uint8)
    shape = list(parts[0].shape)
    shape[axis] = gap
    space = np.full(shape, 255, np.uint8)
    spaced = [piece for part in parts for piece in (part, space)][:-1]
    return np.concatenate(spaced, axis)


def _cell(pair: ImagePair, tile: int) -> Pixels:
    truth = pair.truth
    fixed = _tile(pair.fixed.pixels, truth.fixed_points, tile)
    moving = _tile(pair.moving.pixels, truth.moving_points, tile)
    return np.concatenate([fixed, moving], 1)


def _tile(pixels: Pixels, points: Points | None, tile: int) -> Pixels:
    """An image shrunk into a square, its landmarks on it."""
    height, width = pixels.shape[:2]
    scale = tile / max(height, width)
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(pixels, size, interpolation=shrink)
    colour = np.repeat(small[..., None], 3, 2) if small.ndim == 2 else small
    canvas = np.zeros((tile, tile, 3), np.uint8)
    canvas[: colour.shape[0], : colour.shape[1]] = colour
    for n, (x, y) in enumerate(np.zeros((0, 2)) if points is None else points):
        ink = tuple(int(v) for v in _COLOURS[n % len(_COLOURS)])
        centre = (round(16 * ((x + 0.5) * scale - 0.5)), round(16 * ((y + 0.5) * scale - 0.5)))
        cv2.circle(canvas, centre, 16 * 3, ink, 1, cv2.LINE_AA, 4)
    return canvas
