"""Nearest vessel of the same direction, for any place in an image, by one table look-up."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.methods.imed.lines import Lines
from imedbench.methods.imed.maps import Mask, Plane

_DIRECTIONS = 6
_PIXELS_PER_CELL = 2
MATCH_RADIUS = 3.0  # px; a vessel this near counts as found


@dataclass(frozen=True, eq=False)
class Targets:
    """The vessels of one image, ready to be asked for the nearest.

    Args:
        lines: the vessel points.
        normals: float32 N×2, unit vectors across the vessels.
        nearest: int32 D×h×w, index of the nearest point whose direction fits; cells of 2 px.
        fov: bool h×w, on the same cells.
        chance: float32 D, share of the field of view within `MATCH_RADIUS` of a fitting vessel.
    """

    lines: Lines
    normals: Plane
    nearest: NDArray[np.int32]
    fov: Mask
    chance: Plane

    @property
    def centre(self) -> NDArray[np.float64]:
        """Middle of the image, (x, y) px."""
        height, width = self.lines.shape
        return np.array([(width - 1) / 2, (height - 1) / 2])


def build_targets(lines: Lines, fov: Mask) -> Targets:
    """Build the tables: one distance transform a direction.

    Args:
        lines: vessel points.
        fov: bool H×W of the same image.
    """
    small_fov = np.ascontiguousarray(fov[::_PIXELS_PER_CELL, ::_PIXELS_PER_CELL])
    height, width = small_fov.shape
    column, row = np.rint(lines.points / _PIXELS_PER_CELL).astype(np.intp).T
    cell = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)
    nearest = np.zeros((_DIRECTIONS, height, width), np.int32)
    chance = np.zeros(_DIRECTIONS, np.float32)
    for k in range(_DIRECTIONS):
        away = np.cos(2 * (lines.angle - k * np.pi / _DIRECTIONS))
        members = np.flatnonzero(away > np.cos(2 * np.pi / _DIRECTIONS))
        if members.size:
            nearest[k], distance = _nearest_member(members, cell, (height, width))
            chance[k] = (distance * _PIXELS_PER_CELL <= MATCH_RADIUS)[small_fov].mean()
    normals = np.column_stack([-np.sin(lines.angle), np.cos(lines.angle)]).astype(np.float32)
    return Targets(lines, normals, nearest, small_fov, chance)


def _nearest_member(
    members: NDArray[np.intp],
    cell: tuple[NDArray[np.intp], NDArray[np.intp]],
    shape: tuple[int, int],
) -> tuple[NDArray[np.int32], Plane]:
    """Index of the nearest of some points for every cell, and how far it is in cells."""
    row, column = cell[0][members], cell[1][members]
    empty = np.ones(shape, np.uint8)
    empty[row, column] = 0
    distance, label = cv2.distanceTransformWithLabels(
        empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    point_of = np.zeros(int(label.max()) + 1, np.int32)
    point_of[label[row, column]] = members
    return point_of[label], np.asarray(distance, np.float32)


def ask(table: Targets, places: Plane, angle: Plane) -> tuple[NDArray[np.int32], Mask, Plane]:
    """The nearest fitting vessel point of each place.

    Args:
        table: the image's vessels.
        places: K×N×2 px.
        angle: direction of a vessel at each place, K×N rad.

    Returns:
        Index of the nearest point, whether the place is in the field of view, and how likely a
        random place has a fitting vessel within `MATCH_RADIUS`; each K×N.
    """
    height, width = table.fov.shape
    cells = np.rint(places * np.float32(1 / _PIXELS_PER_CELL))
    column = np.clip(cells[..., 0], -1, width).astype(np.int32)
    row = np.clip(cells[..., 1], -1, height).astype(np.int32)
    seen = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    flat = np.where(seen, row * width + column, 0)
    seen &= table.fov.ravel()[flat]
    which = np.rint(angle * np.float32(_DIRECTIONS / np.pi)).astype(np.int32) % _DIRECTIONS
    nearest = table.nearest.ravel()[which * (height * width) + flat]
    return nearest, seen, table.chance[which]
