"""Pair the vessel points of two images under candidate poses; tell which poses differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imedbench.core.arrays import Floats, Mask, Matrix, Plane
from imedbench.methods.imed.lines import (
    ANGLE,
    NORMALS,
    POINTS,
    TWICE,
    WEIGHT,
    Index,
    Targets,
    find_nearest,
)

_APART = 0.06  # of the moved image's size: poses closer than that are the same


@dataclass(frozen=True, eq=False)
class Moves:
    """A smooth displacement of the fixed image, where vessels are, (dx, dy) px.

    Args:
        fixed: 2×N, of the fixed vessels.
        placed: 2×N, where the pose puts the moving ones.
    """

    fixed: Plane
    placed: Plane


@dataclass(frozen=True, eq=False)
class Pairs:
    """Vessel points of the moving image and the fixed vessel points they should lie on.

    Args:
        moving: 2×K×N (x, y) px.
        mapped: 2×K×N, where the pose takes them, px of the fixed image.
        fixed: 2×K×N px, before any displacement.
        fixed_index: K×N, which of the fixed vessel points they are.
        normals: 2×K×N, across the fixed vessel.
        weight: K×N, how surely both are on a vessel.
        own_weight: N, the same of the point that looks alone.
        distance: K×N px in the fixed image, after any displacement.
        fits: K×N, cosine of twice the angle between the two vessels.
        scale: K×1, by how much a moving pixel is enlarged.
        forward: how many points that look are of the moving image; those of the fixed follow.
        in_view: K×N, whether it falls into the other image's field of view.
        chance: K×N, how likely a random place has a fitting vessel within `MATCH_RADIUS`.
    """

    moving: Plane
    mapped: Plane
    fixed: Plane
    fixed_index: Index
    normals: Plane
    weight: Plane
    own_weight: Plane
    distance: Plane
    fits: Plane
    scale: Plane
    forward: int
    in_view: Mask
    chance: Plane

    @property
    def across(self) -> Plane:
        """How far apart they are across the vessel, K×N px of the fixed image."""
        gap_x, gap_y = (self.mapped - self.fixed) * self.normals
        return np.asarray(gap_x + gap_y)

    def pull(self, radius: float) -> Plane:
        """Say how much each counts, K×N: nothing beyond a radius in px of the coarser image."""
        near = np.maximum(1 - (self.distance / (radius * np.maximum(self.scale, 1))) ** 2, 0)
        return np.asarray(self.weight * near**2 * self.in_view * np.maximum(self.fits, 0))


def find_pairs(
    fixed: Targets,
    moving: Targets,
    poses: Matrix,
    n_points: int,
    moves: Moves | None = None,
) -> Pairs:
    """Find the nearest vessels in both directions under each of K poses.

    Args:
        fixed: vessels of the fixed image.
        moving: vessels of the moving image.
        poses: K×3×3 fixed_from_moving.
        n_points: how many of each image, evenly chosen, look for a partner.
        moves: from the fixed vessels, smoothly, to where the poses take theirs.
    """
    look_f, look_m = (_evenly(len(side.lines), n_points) for side in (fixed, moving))
    own_f, own_m = fixed.table[:, look_f], moving.table[:, look_m]
    turn = rotations_of(poses).astype(np.float32)[:, None]
    ahead, back = poses.astype(np.float32), np.linalg.inv(poses).astype(np.float32)
    placed = unmoved = project(ahead, own_m[POINTS])
    bent = own_f[POINTS]
    if moves:  # smooth ones hardly differ between a place and where it comes from
        unmoved, bent = placed - moves.placed[:, None, look_m], bent + moves.fixed[:, look_f]
    to_f, seen_f, chance_f = find_nearest(fixed, unmoved, own_m[ANGLE] + turn)
    to_m, seen_m, chance_m = find_nearest(moving, project(back, bent), own_f[ANGLE] - turn)
    met_f, met_m = fixed.table[:7].take(to_f, 1), moving.table[:5].take(to_m, 1)
    in_f = np.concatenate([met_f, _for_each(own_f[:7], len(poses))], -1)
    in_m = np.concatenate([_for_each(own_m[:5], len(poses)), met_m], -1)
    mapped = np.concatenate([placed, project(ahead, met_m[POINTS])], -1)
    own = np.arange(len(fixed.lines))[look_f]
    index = np.concatenate([to_f, np.broadcast_to(own, (len(poses), len(own)))], 1)
    gap_x, gap_y = mapped - in_f[POINTS]
    if moves:
        gap_x, gap_y = (gap_x, gap_y) - moves.fixed.take(index, 1)
    return Pairs(
        moving=in_m[POINTS],
        mapped=mapped,
        fixed=in_f[POINTS],
        fixed_index=index,
        normals=in_f[NORMALS],
        weight=in_m[WEIGHT] * in_f[WEIGHT],
        own_weight=np.concatenate([own_m[WEIGHT], own_f[WEIGHT]]),
        distance=np.sqrt(gap_x**2 + gap_y**2),
        fits=_fits(in_m[TWICE], in_f[TWICE], turn),
        scale=scales_of(poses).astype(np.float32)[:, None],
        forward=own_m.shape[1],
        in_view=np.concatenate([seen_f, seen_m], 1),
        chance=np.concatenate([chance_f, chance_m], 1),
    )


def _for_each(table: Plane, count: int) -> Plane:
    """The same rows for each of so many poses, R×N to R×count×N."""
    return np.broadcast_to(table[:, None], (len(table), count, table.shape[1]))


def _fits(moving: Plane, fixed: Plane, turn: Plane) -> Plane:
    """Cosine of twice the angle between vessels, from those of either, the moving ones turned."""
    cos, sin = np.cos(2 * turn), np.sin(2 * turn)
    turned = moving[0] * cos - moving[1] * sin, moving[0] * sin + moving[1] * cos
    return np.asarray(turned[0] * fixed[0] + turned[1] * fixed[1])


def select_distinct(poses: Matrix, shape: tuple[int, int], keep: int) -> list[int]:
    """Take poses in their order, but none that puts the image where an earlier one does.

    Args:
        poses: K×3×3, best first.
        shape: height and width of the image they move.
        keep: how many to take at most.

    Returns:
        Their indices.
    """
    height, width = shape
    corners = np.array([[0, width, 0, width], [0, 0, height, height]], np.float64)
    placed = project(poses, corners)
    size = np.abs(placed[..., 3] - placed[..., 0]).max(0)
    chosen: list[int] = []
    for k in range(len(poses)):
        gaps = np.abs(placed[:, chosen] - placed[:, k, None]).max(axis=(0, 2))
        if (gaps > _APART * size[k]).all():
            chosen.append(k)
        if len(chosen) == keep:
            break
    return chosen


def project(poses: Any, points: Any) -> Any:
    """Map 2×N or 2×K×N points (x, y) by K poses to 2×K×N."""
    rows = poses.swapaxes(0, 1)
    mapped = _affine(rows[:2], points)
    if poses[:, 2, :2].any():
        mapped /= np.maximum(_affine(rows[2:], points), 1e-6)
    return mapped


def _affine(rows: Any, points: Any) -> Any:
    """Rows of 3×3 matrices, R×K×3, times homogeneous points, R×K×N."""
    if points.ndim == 2 or rows.shape[1] == 1:
        mapped = rows[..., :2] @ points.reshape(2, -1)
    else:
        mapped = rows[..., :1] * points[0]
        mapped += rows[..., 1:2] * points[1]
    mapped += rows[..., 2:]
    return mapped


def rotations_of(poses: Matrix) -> Floats:
    """Rotation of each pose, rad."""
    sin, cos = poses[:, 1, 0] - poses[:, 0, 1], poses[:, 0, 0] + poses[:, 1, 1]
    return np.asarray(np.arctan2(sin, cos))


def scales_of(poses: Matrix) -> Floats:
    """Enlargement of each pose."""
    return np.asarray(np.sqrt(np.abs(np.linalg.det(poses[:, :2, :2]))))


def _evenly(count: int, wanted: int) -> Index | slice:
    """So many of them at most, evenly chosen."""
    if wanted >= count:
        return slice(None)
    return np.linspace(0, count - 1, wanted).astype(np.intp)
