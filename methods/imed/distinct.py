"""Which of many poses are different answers."""

from __future__ import annotations

import numpy as np

from imedbench.methods.imed.pairing import Matrices, map_points

_APART = 0.06  # of the moved image's size: poses closer than that are the same


def distinct(poses: Matrices, shape: tuple[int, int], keep: int) -> list[int]:
    """Take poses in their order, but none that puts the image where an earlier one does.

    Args:
        poses: K×3×3, best first.
        shape: height and width of the image they move.
        keep: how many to take at most.

    Returns:
        Their indices.
    """
    height, width = shape
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
    placed = map_points(poses, corners)
    size = np.abs(placed[:, 3] - placed[:, 0]).max(1)
    chosen: list[int] = []
    for k in range(len(poses)):
        gaps = np.abs(placed[chosen] - placed[k]).max(axis=(1, 2))
        if (gaps > _APART * size[k]).all():
            chosen.append(k)
        if len(chosen) == keep:
            break
    return chosen
