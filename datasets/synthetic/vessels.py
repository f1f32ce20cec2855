"""From a grown skeleton to vessels: calibres, smooth centre lines, tortuosity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Points
from imedbench.datasets.synthetic.colonise import Skeleton

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
        """Return the chosen segments only."""
        return Vessels(self.start[keep], self.end[keep], self.radius[keep], self.artery[keep])


def to_vessels(
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
    flow = flow_through(tree)
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


def flow_through(tree: Skeleton) -> NDArray[np.float64]:
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


def wander(rng: np.random.Generator, tortuosity: float) -> NDArray[np.float64]:
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


def bend(xy: Points, waves: NDArray[np.float64]) -> Points:
    """Displace N×2 positions by waves from `wander`."""
    wave = np.sin(xy @ waves[:2] + waves[2])
    return xy + wave @ waves[3:].T
