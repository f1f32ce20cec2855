"""Grow the arteries or the veins of one eye: main vessels first, then ever finer branches.

Everything is for a right eye; positions are in mm from the fovea, x to the right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from imedbench.core.arrays import Points
from imedbench.datasets.synthetic.colonise import Skeleton, colonise, scatter

REACH_MM = 10.5
"""Vessels are grown as far as this from a point between disc and fovea."""


@dataclass(frozen=True)
class Level:
    """One order of branches.

    Args:
        spacing: of the points to supply, mm.
        radius: of the disc they fill, mm.
        towards_disc: where that disc's centre lies between fovea (0) and optic disc (1).
        from_fovea: no vessel of this order comes nearer to the fovea, mm.
        forks: nodes that may fork per spacing.
        guided: how strongly its vessels keep to the usual directions.
    """

    spacing: float
    radius: float
    towards_disc: float
    from_fovea: float
    forks: float
    guided: float


LEVELS = (
    Level(1.9, REACH_MM, 0.35, 2.5, 1.1, 0.3),
    Level(0.95, REACH_MM, 0.35, 1.6, 1.2, 0.6),
    Level(0.42, 8.5, 0.35, 0.5, 0.9, 0.8),
    Level(0.27, 4.8, 0.0, 0.0, 0.8, 0.4),
    Level(0.17, 4.4, 0.0, 0.0, 1.1, 0.2),
)

KEEPING_OFF = 0.8
"""How strongly veins turn from arteries beside them, against a target's pull of 1."""


@dataclass(frozen=True, eq=False)
class _Region:
    """Where vessels of one level may run and where to; ``others`` finds the tree to keep off."""

    disc: Points
    faz: NDArray[np.float64]
    level: Level
    other: Skeleton | None
    others: cKDTree | None

    def allows(self, xy: Points) -> NDArray[np.bool_]:
        """Tell whether a vessel may be at each of N×2 positions."""
        least = np.maximum(radius_towards(self.faz, xy), self.level.from_fovea)
        far: NDArray[np.bool_] = np.hypot(xy[:, 0], xy[:, 1]) > least
        return far

    def guides(self, xy: Points) -> Points:
        """Towards the fovea within the arcades, away from the optic disc outside them."""
        within = 1 / (1 + np.exp(8 * (np.hypot(xy[:, 0] / 4.2, xy[:, 1] / 3.1) - 1)))[:, None]
        inward = -xy / (np.linalg.norm(xy, axis=1, keepdims=True) + 1e-9)
        outward = xy - self.disc
        outward /= np.linalg.norm(outward, axis=1, keepdims=True) + 1e-9
        guide: Points = self.level.guided * (within * inward + (1 - within) * outward)
        return guide + self._keeping_off(xy)

    def _keeping_off(self, xy: Points) -> Points:
        """Away from the other tree where it is near."""
        if self.other is None or self.others is None:
            return np.zeros_like(xy)
        distance, index = self.others.query(xy)
        away: Points = xy - self.other.xy[index]
        away /= np.linalg.norm(away, axis=1, keepdims=True) + 1e-9
        near = np.clip(1 - np.asarray(distance) / (0.6 * self.level.spacing), 0, 1)
        return KEEPING_OFF * near[:, None] * away


def grow(
    disc: Points, faz: NDArray[np.float64], other: Skeleton | None, rng: np.random.Generator
) -> Skeleton:
    """Grow one tree: four main vessels first, then ever finer branches.

    Args:
        disc: centre of the optic disc.
        faz: outline of the avascular zone.
        other: the tree that is already there; the new one grows between its branches.
        rng: for everything random.
    """
    tree = Skeleton()
    for up in (-1.0, 1.0):
        tree.add_path(_arcade(disc, up, rng.normal(3.2, 0.3), True, rng))
        tree.add_path(_arcade(disc, up, 0.0, False, rng))

    others = None if other is None else cKDTree(other.xy)
    for level in LEVELS:
        region = _Region(disc, faz, level, other, others)
        centre = (float(disc[0]) * level.towards_disc, 0.0)
        targets = scatter(level.spacing, level.radius, centre, rng)
        targets = targets[region.allows(targets * 0.93)]
        if others is not None:
            targets = targets[others.query(targets)[0] >= 0.45 * level.spacing]
        colonise(
            tree,
            targets,
            level.spacing,
            allowed=region.allows,
            guide=region.guides,
            forks=level.forks,
            rng=rng,
        )
    return tree


def _arcade(
    disc: Points, up: float, height: float, temporal: bool, rng: np.random.Generator
) -> Points:
    """A main vessel from the disc, above (up = -1) or below (+1) the macula or to the nose."""
    if temporal:
        x = disc[0] - np.array([0.1, 0.15, 1.05, 2.7, 4.5, 6.6, 8.6, 11.0])
        y = height * np.array([-0.02, 0.30, 0.70, 0.98, 1.0, 0.86, 0.66, 0.5])
        spread = np.array([0.02, 0.08, 0.14, 0.2, 0.25, 0.4, 0.6, 0.8])
    else:
        slope = rng.uniform(0.7, 1.9)
        x = disc[0] + np.array([0.1, 0.25, 0.9, 1.8, 3.2, 4.8])
        y = np.array([-0.05, 0.6, 1.4, 2.2, 3.2, 4.2]) * slope
        spread = np.array([0.02, 0.08, 0.15, 0.2, 0.35, 0.5])
    knots = np.stack([x, disc[1] * np.linspace(1, 0, len(x)) + up * y], 1)
    knots += rng.normal(0, 1, knots.shape) * spread[:, None]
    curve = CubicSpline(np.arange(len(x)), knots)
    return _resample(np.asarray(curve(np.linspace(0, len(x) - 1, 200))))


def _resample(path: Points, step: float = 0.11) -> Points:
    along = np.append(0, np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1)))
    at = np.arange(0, along[-1], step)
    return np.stack([np.interp(at, along, path[:, i]) for i in (0, 1)], 1)


def radius_towards(outline: NDArray[np.float64], xy: NDArray[np.floating]) -> NDArray[np.float64]:
    """Radius of a closed outline in the direction of each position (last axis).

    Args:
        outline: radius at equally spaced angles from -π to π, mm.
        xy: …×2 positions, mm.
    """
    angle = np.arctan2(xy[..., 1], xy[..., 0])
    turn = np.linspace(-np.pi, np.pi, len(outline) + 1)
    radius: NDArray[np.float64] = np.interp(angle, turn, np.append(outline, outline[0]))
    return radius
