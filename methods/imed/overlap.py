"""Where two images show the same retina."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imedbench.core.arrays import Floats, Matrix
from imedbench.methods.imed.lines import PIXELS_PER_CELL, Targets
from imedbench.methods.imed.pairing import project

_STRIDE = 8  # cells of the field of view between the places that stand for the overlap


@dataclass(frozen=True, eq=False)
class Overlap:
    """Where both images show retina.

    Args:
        places: 2×N px, evenly spread over it, in the fixed image.
        side: of a square as large as the overlap, px.
    """

    places: Floats
    side: float


def find_overlap(fixed: Targets, moving: Targets, pose: Matrix) -> Overlap:
    """Find where both images show retina under a pose, 3×3 fixed_from_moving."""
    cells = np.stack(np.nonzero(fixed.fov[_STRIDE // 2 :: _STRIDE, _STRIDE // 2 :: _STRIDE])[::-1])
    places = (cells * _STRIDE + _STRIDE // 2).astype(np.float64) * PIXELS_PER_CELL
    there = project(np.linalg.inv(pose)[None], places)[:, 0] / PIXELS_PER_CELL
    column, row = np.rint(there).astype(np.intp)
    height, width = moving.fov.shape
    seen = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    seen[seen] = moving.fov[row[seen], column[seen]]
    return Overlap(places[:, seen], float(np.sqrt(seen.sum())) * _STRIDE * PIXELS_PER_CELL)
