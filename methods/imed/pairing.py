"""Pair the vessel points of two images under candidate poses; tell good poses from bad ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Floats, Mask, Matrix, Plane
from imedbench.methods.imed.lines import MATCH_RADIUS, Targets, find_nearest

_FITTING = 0.7  # cosine of twice the angle between vessels that meet
_MAX_CHANCE = 0.9
_APART = 0.06  # of the moved image's size: poses closer than that are the same


@dataclass(frozen=True, eq=False)
class Pairs:
    """Vessel points of the moving image and the fixed vessel points they should lie on.

    Args:
        moving: K×N×2 px.
        fixed: K×N×2 px.
        normals: K×N×2, across the fixed vessel.
        weight: K×N, how surely both are on a vessel.
        own_weight: N, the same of the point that looks alone.
        distance: K×N px in the fixed image.
        fits: K×N, cosine of twice the angle between the two vessels.
        scale: K×1, by how much a moving pixel is enlarged.
        forward: N, whether the point that looks is of the moving image.
        in_view: K×N, whether it falls into the other image's field of view.
        chance: K×N, how likely a random place has a fitting vessel within `MATCH_RADIUS`.
    """

    moving: Plane
    fixed: Plane
    normals: Plane
    weight: Plane
    own_weight: Plane
    distance: Plane
    fits: Plane
    scale: Plane
    forward: Mask
    in_view: Mask
    chance: Plane


@dataclass(frozen=True, eq=False)
class Agreement:
    """How far vessels meet beyond chance, for K poses.

    Args:
        excess_match_rate: K, share of the vessels in the overlap that meet, less what chance gives;
            geometric mean of both directions.
        z_score: K, the same in standard deviations of chance.
        overlap: K, share of an image's vessels that lie in the overlap, the larger of both.
    """

    excess_match_rate: Plane
    z_score: Plane
    overlap: Plane


def find_pairs(fixed: Targets, moving: Targets, poses: Matrix, n_points: int) -> Pairs:
    """Find the nearest vessels in both directions under each of K poses.

    Args:
        fixed: vessels of the fixed image.
        moving: vessels of the moving image.
        poses: K×3×3 fixed_from_moving.
        n_points: how many of each image, evenly chosen, look for a partner.
    """
    own_f, own_m = (_evenly(len(side.lines), n_points) for side in (fixed, moving))
    lines_f, lines_m = fixed.lines, moving.lines
    turn = rotations_of(poses).astype(np.float32)[:, None]
    ahead, back = poses.astype(np.float32), np.linalg.inv(poses).astype(np.float32)
    places_f, places_m = (
        project(ahead, lines_m.points[own_m]),
        project(back, lines_f.points[own_f]),
    )
    to_f, seen_f, chance_f = find_nearest(fixed, places_f, lines_m.angle[own_m] + turn)
    to_m, seen_m, chance_m = find_nearest(moving, places_m, lines_f.angle[own_f] - turn)
    in_m = np.concatenate([np.broadcast_to(own_m, to_f.shape), to_m], 1)
    in_f = np.concatenate([to_f, np.broadcast_to(own_f, to_m.shape)], 1)
    gap = project(ahead, lines_m.points[in_m]) - lines_f.points[in_f]
    return Pairs(
        moving=lines_m.points[in_m],
        fixed=lines_f.points[in_f],
        normals=fixed.normals[in_f],
        weight=lines_m.weight[in_m] * lines_f.weight[in_f],
        own_weight=np.concatenate([lines_m.weight[own_m], lines_f.weight[own_f]]),
        distance=np.sqrt(gap[..., 0] ** 2 + gap[..., 1] ** 2),
        fits=np.cos(2 * (lines_m.angle[in_m] + turn - lines_f.angle[in_f])),
        scale=scales_of(poses).astype(np.float32)[:, None],
        forward=np.arange(in_m.shape[1]) < len(own_m),
        in_view=np.concatenate([seen_f, seen_m], 1),
        chance=np.concatenate([chance_f, chance_m], 1),
    )


def measure_agreement(pairs: Pairs, reach: float = MATCH_RADIUS) -> Agreement:
    """Measure how many vessels meet beyond chance.

    Args:
        pairs: from `find_pairs`.
        reach: px of the coarser image within which two vessels meet.
    """
    grown = np.maximum(pairs.scale, 1)
    met = (pairs.distance < reach * grown) & (pairs.fits > _FITTING)
    chance = np.minimum(pairs.chance * (grown * (reach / MATCH_RADIUS)), _MAX_CHANCE)
    # Line length is counted in pixels of the coarser image, so that shrinking pays nothing.
    length = np.where(pairs.forward, np.minimum(pairs.scale, 1), 1 / grown)
    weight = pairs.own_weight * pairs.in_view * length
    rates, z_scores, overlaps = [], [], []
    for way in (pairs.forward, ~pairs.forward):
        w, c = weight[:, way], chance[:, way]
        excess = np.maximum((w * (met[:, way] - c)).sum(1), 0)
        rates.append(excess / np.maximum(w.sum(1), 1e-6))
        z_scores.append(excess / (np.sqrt((w**2 * c * (1 - c)).sum(1)) + 1e-6))
        own = pairs.own_weight[way]
        overlaps.append((own * pairs.in_view[:, way]).sum(1) / own.sum())
    return Agreement(
        np.sqrt(rates[0] * rates[1]),
        np.sqrt(z_scores[0] * z_scores[1]),
        np.maximum(overlaps[0], overlaps[1]),
    )


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
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
    placed = project(poses, corners)
    size = np.abs(placed[:, 3] - placed[:, 0]).max(1)
    chosen: list[int] = []
    for k in range(len(poses)):
        gaps = np.abs(placed[chosen] - placed[k]).max(axis=(1, 2))
        if (gaps > _APART * size[k]).all():
            chosen.append(k)
        if len(chosen) == keep:
            break
    return chosen


def project(poses: Any, points: Any) -> Any:
    """Map N×2 or K×N×2 points by K poses to K×N×2."""
    mapped = points @ poses[:, :2, :2].transpose(0, 2, 1) + poses[:, None, :2, 2]
    if not poses[:, 2, :2].any():
        return mapped
    depth = points @ poses[:, 2, :2, None] + poses[:, None, 2, 2, None]
    return mapped / np.maximum(depth, 1e-6)


def rotations_of(poses: Matrix) -> Floats:
    """Rotation of each pose, rad."""
    sin, cos = poses[:, 1, 0] - poses[:, 0, 1], poses[:, 0, 0] + poses[:, 1, 1]
    return np.asarray(np.arctan2(sin, cos))


def scales_of(poses: Matrix) -> Floats:
    """Enlargement of each pose."""
    return np.asarray(np.sqrt(np.abs(np.linalg.det(poses[:, :2, :2]))))


def _evenly(count: int, wanted: int) -> NDArray[np.intp]:
    return np.linspace(0, count - 1, min(count, wanted)).astype(np.intp)
