"""Vessel centre lines as sparse oriented points, and tables that find the nearest to any place."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Mask, Plane, Points
from imedbench.methods.vessel_maps import VesselMap

Index = NDArray[np.intp]
Numbers = NDArray[np.uint16]

_LOW = 0.25  # strength, below which nothing counts as a vessel
_MIN_LENGTH = 14  # px; shorter pieces are mostly noise
_FULL_LENGTH = 50  # px; pieces this long are trusted fully
_ROW, _SQUARE = np.ones((1, 3), np.uint8), np.ones((3, 3), np.uint8)
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
_DIRECTIONS = 6
PIXELS_PER_CELL = 2
_UNSEEN = np.uint16(0xFFFF)
_NEAR_CELLS = 2  # enough for radii of 3 px, at which alignments end
MATCH_RADIUS = 3.0  # px; a vessel this near counts as found

# Rows of `Targets.table`; of a moving vessel that is met only the first five are asked, of a fixed
# one the first seven.
POINTS, TWICE, WEIGHT, NORMALS, ANGLE = slice(0, 2), slice(2, 4), 4, slice(5, 7), 7


@dataclass(frozen=True, eq=False)
class Lines:
    """Points on vessel centre lines.

    Args:
        points: float32 N×2 px, sub-pixel.
        angle: float32 N, direction of the vessel, rad, from x towards y; modulo π.
        weight: float32 N in (0, 1], how surely the point is on a vessel.
        fov: bool H×W, where the image they come from shows retina.
    """

    points: Plane
    angle: Plane
    weight: Plane
    fov: Mask

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.fov.shape[0], self.fov.shape[1]

    @property
    def centre(self) -> Points:
        """Middle of the image, (x, y) px."""
        height, width = self.shape
        return np.array([(width - 1) / 2, (height - 1) / 2])

    def __len__(self) -> int:
        return len(self.points)


def trace_lines(vessels: VesselMap, max_points: int) -> Lines:
    """Sub-pixel ridge points, joined to pieces, short pieces dropped.

    Args:
        vessels: the map.
        max_points: keep at most this many, the surest first.
    """
    found, strength, pixel = _ridge_points(vessels)
    length = _piece_lengths(pixel, found.shape)
    trust = strength * np.minimum(length / _FULL_LENGTH, 1)
    kept = np.flatnonzero(length >= _MIN_LENGTH)
    if len(kept) > max_points:
        kept = np.sort(kept[np.argpartition(-trust[kept], max_points)[:max_points]])
    weight = np.minimum(trust, 1).astype(np.float32)
    return Lines(found.points[kept], found.angle[kept], weight[kept], found.fov)


def _ridge_points(vessels: VesselMap) -> tuple[Lines, Plane, tuple[Index, Index]]:
    """Maxima across the vessel's direction, by a parabola through three samples (Steger 1998)."""
    v = vessels.strength
    # A maximum across a line is also one along a row or along a column: that spares most pixels.
    along = cv2.min(cv2.dilate(v, _ROW), cv2.dilate(v, _ROW.T))
    top = cv2.bitwise_and(cv2.compare(v, along, cv2.CMP_GE), cv2.compare(v, _LOW, cv2.CMP_GT))
    inner = np.zeros(v.shape, bool)
    inner[2:-2, 2:-2] = top[2:-2, 2:-2]
    at = np.flatnonzero(inner)
    ys, xs = np.divmod(at, v.shape[1])
    cos, sin = vessels.double_angle.reshape(2, -1).take(at, 1)
    angle = 0.5 * np.arctan2(sin, cos)
    nx, ny = -np.sin(angle), np.cos(angle)
    centre, before, after = v.take(at), _sample(v, xs - nx, ys - ny), _sample(v, xs + nx, ys + ny)
    curvature = 2 * centre - before - after
    offset = 0.5 * (after - before) / np.maximum(curvature, 1e-6)
    peak = (centre >= before) & (centre >= after) & (np.abs(offset) <= 0.6) & (curvature > 0)
    xs, ys, angle, offset = xs[peak], ys[peak], angle[peak], offset[peak]
    points = np.column_stack([xs + offset * nx[peak], ys + offset * ny[peak]]).astype(np.float32)
    return Lines(points, angle, centre[peak], vessels.fov), centre[peak], (ys, xs)


def _piece_lengths(pixel: tuple[Index, Index], shape: tuple[int, int]) -> NDArray[np.intp]:
    """How many points the connected piece of each point has."""
    drawn = np.zeros(shape, np.uint8)
    drawn[pixel] = 1
    count, labels = cv2.connectedComponents(drawn, connectivity=8)
    piece = labels[pixel]
    return np.asarray(np.bincount(piece, minlength=count)[piece], np.intp)


def _sample(plane: Plane, x: Plane, y: Plane) -> Plane:
    """Bilinear reading at places at least one pixel inside the plane."""
    left, top = x.astype(np.intp), y.astype(np.intp)
    right_share, low_share = (x - left).astype(np.float32), (y - top).astype(np.float32)
    flat, width = plane.ravel(), plane.shape[1]
    at = top * width + left
    upper = flat[at] * (1 - right_share) + flat[at + 1] * right_share
    lower = flat[at + width] * (1 - right_share) + flat[at + width + 1] * right_share
    return np.asarray(upper * (1 - low_share) + lower * low_share, np.float32)


@dataclass(frozen=True, eq=False)
class Targets:
    """The vessels of one image, ready to be asked for the nearest.

    Args:
        lines: the vessel points.
        table: float32 8×N: place, cosine and sine of twice the vessel's angle, weight, unit vector
            across the vessel and its angle, of each point.
        nearest: D×(h+2)×(w+2), index of the nearest point whose direction fits, on cells of 2 px
            with a rim of one; beyond two cells told for four at once, which is enough to begin an
            alignment; `_UNSEEN` outside the field of view.
        fov: bool h×w, on the same cells without the rim.
        chance: float32 D, share of the field of view within `MATCH_RADIUS` of a fitting vessel.
    """

    lines: Lines
    table: Plane
    nearest: Numbers
    fov: Mask
    chance: Plane


def build_targets(lines: Lines) -> Targets:
    """Build the tables of an image's vessel points, one a direction."""
    small_fov = np.ascontiguousarray(lines.fov[::PIXELS_PER_CELL, ::PIXELS_PER_CELL])
    height, width = small_fov.shape
    area = max(int(np.count_nonzero(small_fov)), 1)
    column, row = np.rint(lines.points / PIXELS_PER_CELL).astype(np.intp).T
    row, column = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)
    unseen = np.full((height + 2, width + 2), _UNSEEN)
    unseen[1:-1, 1:-1][small_fov] = 0
    nearest = np.repeat(unseen[None], _DIRECTIONS, 0)
    chance = np.zeros(_DIRECTIONS, np.float32)
    for k in range(_DIRECTIONS):
        nearness = np.cos(2 * (lines.angle - k * np.pi / _DIRECTIONS))
        members = np.flatnonzero(nearness > np.cos(2 * np.pi / _DIRECTIONS))
        if members.size:
            drawn = np.zeros((height, width), np.uint16)
            drawn[row[members], column[members]] = members + 1
            found = (cv2.dilate(drawn, _SQUARE) > 0) & small_fov  # of radius `MATCH_RADIUS`
            chance[k] = np.count_nonzero(found) / area
            far = _nearest_member(members + 1, row[members] // 2, column[members] // 2, drawn.shape)
            nearest[k, 1:-1, 1:-1] |= _over(_grown(drawn), far) - 1
    return Targets(lines, _table(lines), nearest, small_fov, chance)


def _grown(numbers: Numbers) -> Numbers:
    """Give the cells round those that have a number that of the nearest."""
    for _ in range(_NEAR_CELLS):
        beside, aslant = cv2.dilate(numbers, _CROSS), cv2.dilate(numbers, _SQUARE)
        numbers = _over(numbers, _over(beside, aslant))
    return numbers


def _nearest_member(members: Index, row: Index, column: Index, shape: tuple[int, int]) -> Numbers:
    """Give every cell of a shape the nearest of some members, told on cells twice as large."""
    height, width = shape
    empty = np.ones(((height + 1) // 2, (width + 1) // 2), np.uint8)
    empty[row, column] = 0
    _, label = cv2.distanceTransformWithLabels(
        empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    member_of = np.zeros(int(label.max()) + 1, np.uint16)
    member_of[label[row, column]] = members
    large = cv2.resize(member_of.take(label), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(large[:height, :width])


def _over(numbers: Numbers, others: Numbers) -> Numbers:
    """Return the numbers, and where they are 0 the others, which are overwritten."""
    cv2.copyTo(numbers, (numbers > 0).view(np.uint8), others)
    return others


def _table(lines: Lines) -> Plane:
    angle = lines.angle
    across = [-np.sin(angle), np.cos(angle)]
    twice = [np.cos(2 * angle), np.sin(2 * angle)]
    return np.stack([*lines.points.T, *twice, lines.weight, *across, angle]).astype(np.float32)


def find_nearest(table: Targets, places: Plane, angle: Plane) -> tuple[Numbers, Mask, Plane]:
    """Look up the nearest fitting vessel point of each place.

    Args:
        table: the image's vessels.
        places: 2×K×N (x, y) px.
        angle: direction of a vessel at each place, K×N rad.

    Returns:
        Index of the nearest point, whether the place is in the field of view, and how likely a
        random place has a fitting vessel within `MATCH_RADIUS`; each K×N.
    """
    height, width = (side + 2 for side in table.fov.shape)
    cells = np.rint(places * np.float32(1 / PIXELS_PER_CELL))
    np.clip(cells, -1, np.array([width - 2, height - 2], np.float32)[:, None, None], out=cells)
    column, row = cells.astype(np.int32)
    which = np.rint(angle * np.float32(_DIRECTIONS / np.pi)).astype(np.int32)
    first = np.arange(_DIRECTIONS, dtype=np.int32) * (height * width) + width + 1
    flat = first.take(which, mode="wrap") + row * np.int32(width) + column
    nearest = table.nearest.ravel().take(flat)
    seen = nearest != _UNSEEN
    last = np.uint16(max(len(table.lines), 1) - 1)
    return np.minimum(nearest, last), seen, table.chance.take(which, mode="wrap")
