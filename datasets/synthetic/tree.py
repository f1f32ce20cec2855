"""One eye: optic disc, fovea and the two vessel trees, in millimetres.

The frame is that of a fundus photograph with its origin at the fovea, x to the right and y down.
The optic disc lies at positive x in a right eye and at negative x in a left eye.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from imedbench.datasets.synthetic.colonise import Points, Skeleton, colonise, scatter
from imedbench.datasets.synthetic.randomness import stream

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

MURRAY = 3.5
"""Exponent of flow against calibre at forks: 3 by Murray's reasoning, more is often measured."""


@dataclass(frozen=True, eq=False)
class Vessels:
    """Vessel centre lines as short straight segments.

    Args:
        start: upstream ends, M×2 mm.
        end: downstream ends, M×2 mm.
        radius: M, mm.
        artery: True for arteries, False for veins, M.
    """

    start: Points
    end: Points
    radius: NDArray[np.float64]
    artery: NDArray[np.bool_]

    def where(self, keep: NDArray[np.bool_]) -> Vessels:
        """The chosen segments only."""
        return Vessels(self.start[keep], self.end[keep], self.radius[keep], self.artery[keep])


@dataclass(frozen=True, eq=False)
class Eye:
    """The anatomy that all images of an eye share.

    Args:
        seed: what it was made from.
        disc: centre of the optic disc, mm.
        disc_radius: mm.
        faz: radius of the foveal avascular zone at equally spaced angles from 0 to 2π, mm.
        vessels: arteries and veins down to precapillaries.
        bifurcations: where vessels fork, N×2 mm.
        bifurcation_radius: radius of the thinner branch there, N mm.
    """

    seed: int
    disc: Points
    disc_radius: float
    faz: NDArray[np.float64]
    vessels: Vessels
    bifurcations: Points
    bifurcation_radius: NDArray[np.float64]

    def faz_radius(self, xy: NDArray[np.floating]) -> NDArray[np.float64]:
        """Radius of the avascular zone in the direction of each position (last axis), mm."""
        return _radius_towards(self.faz, xy)


def _radius_towards(outline: NDArray[np.float64], xy: NDArray[np.floating]) -> NDArray[np.float64]:
    angle = np.arctan2(xy[..., 1], xy[..., 0])
    turn = np.linspace(-np.pi, np.pi, len(outline) + 1)
    radius: NDArray[np.float64] = np.interp(angle, turn, np.append(outline, outline[0]))
    return radius


@lru_cache(maxsize=8)
def make_eye(seed: int) -> Eye:
    """Grow an eye.

    Args:
        seed: any non-negative integer; the same seed gives the same eye everywhere.

    Returns:
        The eye, shared between calls with the same seed; do not write into its arrays.
    """
    rng = stream(seed, "anatomy")
    side = 1.0 if rng.random() < 0.5 else -1.0
    disc = np.array([rng.normal(4.45, 0.2), rng.normal(-0.4, 0.25)])
    faz = _faz_outline(rng)
    calibre = rng.uniform(0.9, 1.12)
    wander = _wander(rng, tortuosity=float(rng.gamma(6.0, 0.14)))
    arteries = _grow(disc, faz, None, stream(seed, "arteries"))
    veins = _grow(disc, faz, arteries, stream(seed, "veins"))
    parts = [
        _to_vessels(arteries, rng.uniform(0.046, 0.053) * calibre, True),
        _to_vessels(veins, rng.uniform(0.057, 0.066) * calibre, False),
    ]
    mirror = np.array([side, 1.0])
    vessels = Vessels(
        np.concatenate([_bend(v.start, wander) for v, _, _ in parts]) * mirror,
        np.concatenate([_bend(v.end, wander) for v, _, _ in parts]) * mirror,
        np.concatenate([v.radius for v, _, _ in parts]),
        np.concatenate([v.artery for v, _, _ in parts]),
    )
    return Eye(
        seed=seed,
        disc=disc * mirror,
        disc_radius=float(rng.normal(0.88, 0.06)),
        faz=faz if side > 0 else _mirrored(faz),
        vessels=vessels,
        bifurcations=np.concatenate([_bend(b, wander) for _, b, _ in parts]) * mirror,
        bifurcation_radius=np.concatenate([r for _, _, r in parts]),
    )


def _mirrored(outline: NDArray[np.float64]) -> NDArray[np.float64]:
    n = len(outline)
    return outline[(n // 2 - np.arange(n)) % n]


def _faz_outline(rng: np.random.Generator) -> NDArray[np.float64]:
    turn = np.linspace(-np.pi, np.pi, 65)[:-1]
    outline = np.full(64, float(np.clip(rng.normal(0.31, 0.06), 0.18, 0.45)))
    for k in range(2, 7):
        outline *= 1 + rng.normal(0, 0.11 / k**0.5) * np.cos(k * turn + rng.uniform(0, 6.3))
    return outline


def _arcade(
    disc: Points, up: float, height: float, temporal: bool, rng: np.random.Generator
) -> Points:
    """A main vessel from the disc, above (up = -1) or below (+1) the macula or to the nose."""
    from scipy.interpolate import CubicSpline

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


@dataclass(frozen=True, eq=False)
class _Region:
    """Where vessels of one level may run, and where to; ``other`` is the tree they keep from."""

    disc: Points
    faz: NDArray[np.float64]
    level: Level
    other: Points | None

    @cached_property
    def _others(self) -> cKDTree | None:
        return None if self.other is None else cKDTree(self.other)

    def allows(self, xy: Points) -> NDArray[np.bool_]:
        """Whether a vessel may be at each of N×2 positions."""
        least = np.maximum(_radius_towards(self.faz, xy), self.level.from_fovea)
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
        if self.other is None or self._others is None:
            return np.zeros_like(xy)
        distance, index = self._others.query(xy)
        away: Points = xy - self.other[index]
        away /= np.linalg.norm(away, axis=1, keepdims=True) + 1e-9
        near = np.clip(1 - np.asarray(distance) / (0.6 * self.level.spacing), 0, 1)
        return KEEPING_OFF * near[:, None] * away


def _grow(
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

    for level in LEVELS:
        region = _Region(disc, faz, level, None if other is None else other.xy)
        centre = (float(disc[0]) * level.towards_disc, 0.0)
        targets = scatter(level.spacing, level.radius, centre, rng)
        targets = targets[region.allows(targets * 0.93)]
        if other is not None:
            targets = _apart(targets, other.xy, 0.45 * level.spacing)
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


def _apart(points: Points, others: Points, distance: float) -> Points:
    return points[cKDTree(others).query(points, distance_upper_bound=distance)[0] >= distance]


def _to_vessels(
    tree: Skeleton, trunk_radius: float, artery: bool
) -> tuple[Vessels, Points, NDArray[np.float64]]:
    """Calibres by Murray's law, smooth centre lines, and the forks.

    Args:
        tree: a grown skeleton.
        trunk_radius: of the widest vessel, mm.
        artery: which of the two trees it is.

    Returns:
        The segments, the positions of the forks, and the radius of each fork's thinner branch.
    """
    flow = _flow(tree)
    radius = trunk_radius * (flow / flow.max()) ** (1 / MURRAY)
    main = _main_child(tree, flow)
    xy = _smooth(tree, main)
    child = np.flatnonzero(tree.parent >= 0)
    fork = np.flatnonzero(tree.children >= 2)
    thinner = np.full(len(xy), np.inf)
    np.minimum.at(thinner, tree.parent[child], radius[child])
    start, end = _curve(tree, xy, main, child)
    pieces = len(start) // len(child)
    vessels = Vessels(
        start, end, np.repeat(radius[child], pieces), np.full(len(start), artery, np.bool_)
    )
    return vessels, xy[fork], thinner[fork]


def _flow(tree: Skeleton) -> NDArray[np.float64]:
    """Blood through each node: the area that it and everything downstream feeds."""
    flow = (tree.supply + 1e-4).tolist()
    parent = tree.parent.tolist()
    for node in range(len(flow) - 1, -1, -1):
        if parent[node] >= 0:
            flow[parent[node]] += flow[node]
    return np.asarray(flow)


def _main_child(tree: Skeleton, flow: NDArray[np.float64]) -> NDArray[np.int64]:
    """The child that carries on each node's vessel; at an end, the node itself."""
    main = np.arange(len(flow))
    child = np.flatnonzero(tree.parent >= 0)
    child = child[np.argsort(flow[child], kind="stable")]
    main[tree.parent[child]] = child
    return main


def _smooth(tree: Skeleton, main: NDArray[np.int64], rounds: int = 3) -> Points:
    """Pull each inner node towards the middle of its vessel's neighbours; ends stay."""
    xy = tree.xy.copy()
    inner = np.flatnonzero((tree.parent >= 0) & (tree.children > 0))
    for _ in range(rounds):
        middle = 0.5 * (xy[main[inner]] + xy[tree.parent[inner]])
        xy[inner] += 0.6 * (middle - xy[inner])
    return xy


def _curve(
    tree: Skeleton, xy: Points, main: NDArray[np.int64], child: NDArray[np.int64], pieces: int = 3
) -> tuple[Points, Points]:
    """Split each edge into short pieces of a Catmull-Rom curve."""
    parent = tree.parent[child]
    before = np.where(
        (tree.parent[parent] >= 0) & (main[parent] == child), tree.parent[parent], parent
    )
    p0, p1, p2, p3 = xy[before], xy[parent], xy[child], xy[main[child]]
    t = np.linspace(0, 1, pieces + 1)[:, None, None]
    points = 0.5 * (
        2 * p1
        + (p2 - p0) * t
        + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
    points = points.transpose(1, 0, 2)
    return points[:, :-1].reshape(-1, 2), points[:, 1:].reshape(-1, 2)


def _wander(rng: np.random.Generator, tortuosity: float) -> NDArray[np.float64]:
    """Waves (kx, ky, phase, dx, dy) whose sum displaces the retina: tortuosity of the vessels."""
    n = 40
    wavelength = np.exp(rng.uniform(np.log(0.25), np.log(4.0), n))
    angle = rng.uniform(0, 2 * np.pi, n)
    size = 0.013 * tortuosity * rng.uniform(0.5, 1.5) * wavelength**0.7
    push = rng.uniform(0, 2 * np.pi, n)
    k = 2 * np.pi / wavelength
    return np.stack(
        [
            k * np.cos(angle),
            k * np.sin(angle),
            rng.uniform(0, 2 * np.pi, n),
            size * np.cos(push),
            size * np.sin(push),
        ]
    )


def _bend(xy: Points, waves: NDArray[np.float64]) -> Points:
    wave = np.sin(xy @ waves[:2] + waves[2])
    return xy + wave @ waves[3:].T
