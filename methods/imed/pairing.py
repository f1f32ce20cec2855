"""Which vessel points of two images belong together under a pose, and how well that fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imedbench.methods.imed.maps import Mask, Plane
from imedbench.methods.imed.targets import MATCH_RADIUS, Targets, ask

Matrices = NDArray[np.float64]

_FITTING = 0.7  # cosine of twice the angle between vessels that meet
_MOST_CHANCE = 0.9


@dataclass(frozen=True, eq=False)
class Pairs:
    """Vessel points of the moving image and the fixed vessel points they should lie on.

    Args:
        moving: K×N×2 px.
        fixed: K×N×2 px.
        normals: K×N×2, across the fixed vessel.
        weight: K×N, how surely both are on a vessel.
        own_weight: N, the same of the asking point alone.
        distance: K×N px in the fixed image.
        fits: K×N, cosine of twice the angle between the two vessels.
        scale: K×1, by how much a moving pixel is enlarged.
        forward: N, whether the asking point is of the moving image.
        seen: K×N, whether it falls into the other image's field of view.
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
    seen: Mask
    chance: Plane


@dataclass(frozen=True, eq=False)
class Agreement:
    """How far vessels meet beyond chance, for K poses.

    Args:
        share: K, share of the vessels in the overlap that meet, less what chance gives; geometric
            mean of both directions.
        surprise: K, the same in standard deviations of chance.
        seen: K, share of the vessels of both images that lie in the overlap.
    """

    share: Plane
    surprise: Plane
    seen: Plane


def find_pairs(fixed: Targets, moving: Targets, poses: Matrices, asking: int) -> Pairs:
    """Nearest vessels in both directions under each of K poses.

    Args:
        fixed: vessels of the fixed image.
        moving: vessels of the moving image.
        poses: K×3×3 fixed_from_moving.
        asking: how many points of each image, evenly chosen, look for a partner.
    """
    own_f, own_m = (_evenly(len(side.lines), asking) for side in (fixed, moving))
    lines_f, lines_m = fixed.lines, moving.lines
    turn = rotations(poses).astype(np.float32)[:, None]
    ahead, back = poses.astype(np.float32), np.linalg.inv(poses).astype(np.float32)
    places_f, places_m = (
        map_points(ahead, lines_m.points[own_m]),
        map_points(back, lines_f.points[own_f]),
    )
    to_f, seen_f, chance_f = ask(fixed, places_f, lines_m.angle[own_m] + turn)
    to_m, seen_m, chance_m = ask(moving, places_m, lines_f.angle[own_f] - turn)
    in_m = np.concatenate([np.broadcast_to(own_m, to_f.shape), to_m], 1)
    in_f = np.concatenate([to_f, np.broadcast_to(own_f, to_m.shape)], 1)
    gap = map_points(ahead, lines_m.points[in_m]) - lines_f.points[in_f]
    return Pairs(
        moving=lines_m.points[in_m],
        fixed=lines_f.points[in_f],
        normals=fixed.normals[in_f],
        weight=lines_m.weight[in_m] * lines_f.weight[in_f],
        own_weight=np.concatenate([lines_m.weight[own_m], lines_f.weight[own_f]]),
        distance=np.sqrt(gap[..., 0] ** 2 + gap[..., 1] ** 2),
        fits=np.cos(2 * (lines_m.angle[in_m] + turn - lines_f.angle[in_f])),
        scale=scales(poses).astype(np.float32)[:, None],
        forward=np.arange(in_m.shape[1]) < len(own_m),
        seen=np.concatenate([seen_f, seen_m], 1),
        chance=np.concatenate([chance_f, chance_m], 1),
    )


def agreement(pairs: Pairs, reach: float = MATCH_RADIUS) -> Agreement:
    """How many vessels meet beyond chance.

    Args:
        pairs: from `find_pairs`.
        reach: px of the coarser image within which two vessels meet.
    """
    grown = np.maximum(pairs.scale, 1)
    met = (pairs.distance < reach * grown) & (pairs.fits > _FITTING)
    chance = np.minimum(pairs.chance * (grown * (reach / MATCH_RADIUS)), _MOST_CHANCE)
    # Line length is counted in pixels of the coarser image, so that shrinking pays nothing.
    length = np.where(pairs.forward, np.minimum(pairs.scale, 1), 1 / grown)
    weight = pairs.own_weight * pairs.seen * length
    shares, surprises, seen = [], [], []
    for way in (pairs.forward, ~pairs.forward):
        w, c = weight[:, way], chance[:, way]
        excess = np.maximum((w * (met[:, way] - c)).sum(1), 0)
        shares.append(excess / np.maximum(w.sum(1), 1e-6))
        surprises.append(excess / (np.sqrt((w**2 * c * (1 - c)).sum(1)) + 1e-6))
        own = pairs.own_weight[way]
        seen.append((own * pairs.seen[:, way]).sum(1) / own.sum())
    return Agreement(
        np.sqrt(shares[0] * shares[1]),
        np.sqrt(surprises[0] * surprises[1]),
        np.maximum(seen[0], seen[1]),
    )


def map_points(poses: Any, points: Any) -> Any:
    """Map N×2 or K×N×2 points by K poses to K×N×2."""
    mapped = points @ poses[:, :2, :2].transpose(0, 2, 1) + poses[:, None, :2, 2]
    if not poses[:, 2, :2].any():
        return mapped
    depth = points @ poses[:, 2, :2, None] + poses[:, None, 2, 2, None]
    return mapped / np.maximum(depth, 1e-6)


def rotations(poses: Matrices) -> NDArray[np.float64]:
    """Rotation of each pose, rad."""
    sin, cos = poses[:, 1, 0] - poses[:, 0, 1], poses[:, 0, 0] + poses[:, 1, 1]
    return np.asarray(np.arctan2(sin, cos))


def scales(poses: Matrices) -> NDArray[np.float64]:
    """Enlargement of each pose."""
    return np.asarray(np.sqrt(np.abs(np.linalg.det(poses[:, :2, :2]))))


def _evenly(count: int, wanted: int) -> NDArray[np.intp]:
    return np.linspace(0, count - 1, min(count, wanted)).astype(np.intp)
