"""Vessel centre lines as sparse oriented points: what the search and the refinement work on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.methods.imed.maps import Plane, VesselMap

Index = NDArray[np.intp]

_LOW = 0.25  # strength, below which nothing counts as a vessel
_MIN_LENGTH = 14  # px; shorter pieces are mostly noise
_FULL_LENGTH = 50  # px; pieces this long are trusted fully


@dataclass(frozen=True, eq=False)
class Lines:
    """Points on vessel centre lines.

    Args:
        points: float32 N×2 px, sub-pixel.
        angle: float32 N, direction of the vessel, rad, from x towards y; modulo π.
        weight: float32 N in (0, 1], how surely the point is on a vessel.
        shape: height and width of the map they come from.
    """

    points: Plane
    angle: Plane
    weight: Plane
    shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.points)


def centre_lines(vessels: VesselMap, most: int) -> Lines:
    """Sub-pixel ridge points, joined to pieces, short pieces dropped.

    Args:
        vessels: the map.
        most: keep at most this many points, the surest first.
    """
    found, strength, pixel = _ridge_points(vessels)
    length = _piece_lengths(pixel, found.shape)
    trust = strength * np.minimum(length / _FULL_LENGTH, 1)
    kept = np.flatnonzero(length >= _MIN_LENGTH)
    if len(kept) > most:
        kept = np.sort(kept[np.argsort(-trust[kept], kind="stable")[:most]])
    weight = np.minimum(trust, 1).astype(np.float32)
    return Lines(found.points[kept], found.angle[kept], weight[kept], found.shape)


def _ridge_points(vessels: VesselMap) -> tuple[Lines, Plane, tuple[Index, Index]]:
    """Maxima across the vessel's direction, by a parabola through three samples (Steger 1998)."""
    v = vessels.strength
    # A maximum across a line is also one along a row or along a column: that spares most pixels.
    inner = v[2:-2, 2:-2]
    in_row = (inner >= v[2:-2, 1:-3]) & (inner >= v[2:-2, 3:-1])
    in_column = (inner >= v[1:-3, 2:-2]) & (inner >= v[3:-1, 2:-2])
    ys, xs = np.nonzero((in_row | in_column) & (inner > _LOW))
    ys, xs = ys + 2, xs + 2
    cos, sin = vessels.double_angle[:, ys, xs]
    angle = 0.5 * np.arctan2(sin, cos)
    nx, ny = -np.sin(angle), np.cos(angle)
    centre, before, after = v[ys, xs], _sample(v, xs - nx, ys - ny), _sample(v, xs + nx, ys + ny)
    curvature = 2 * centre - before - after
    offset = 0.5 * (after - before) / np.maximum(curvature, 1e-6)
    peak = (centre >= before) & (centre >= after) & (np.abs(offset) <= 0.6) & (curvature > 0)
    xs, ys, angle, offset = xs[peak], ys[peak], angle[peak], offset[peak]
    points = np.column_stack([xs + offset * nx[peak], ys + offset * ny[peak]]).astype(np.float32)
    shape = (v.shape[0], v.shape[1])
    return Lines(points, angle, centre[peak], shape), centre[peak], (ys, xs)


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
