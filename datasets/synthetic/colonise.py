"""Grow a branching tree towards points that want supply (space colonisation).

Runions et al., "Modeling and visualization of leaf venation patterns", ACM SIGGRAPH 2005: every
unsupplied point pulls the nearest node of the tree, each pulled node grows one step, and points
that the tree has reached stop pulling. The trees fill their region evenly and never cross
themselves, as retinal arteries and veins do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from imedbench.core.arrays import Points

Indices = NDArray[np.int64]

MAX_CHILDREN = 2
"""Retinal vessels fork in two."""

COURSE_RATE = 0.06
"""How much each step turns a branch's course."""


@dataclass(eq=False)
class Skeleton:
    """A growing tree: node 0 … n-1, each with a parent of lower index (-1 for a root).

    Args:
        xy: positions, N×2 mm.
        parent: index of each node's parent, N.
        heading: unit direction in which each node was grown, N×2.
        course: running mean of the headings along each branch, unit, N×2; keeps branches from
            curling up.
        supply: area that each node feeds by itself, N mm².
        children: number of children of each node, N.
    """

    xy: Points = field(default_factory=lambda: np.zeros((0, 2)))
    parent: Indices = field(default_factory=lambda: np.zeros(0, np.int64))
    heading: Points = field(default_factory=lambda: np.zeros((0, 2)))
    course: Points = field(default_factory=lambda: np.zeros((0, 2)))
    supply: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    children: Indices = field(default_factory=lambda: np.zeros(0, np.int64))

    def add_path(self, path: Points) -> None:
        """Append an unbranched vessel that starts at a new root."""
        first = len(self.xy)
        parent = np.arange(first - 1, first - 1 + len(path))
        parent[0] = -1
        heading = np.gradient(path, axis=0)
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        self._append(path, parent, heading, heading, np.zeros(len(path)))

    def grow_nodes(self, parent: Indices, xy: Points, supply: float) -> None:
        """Append one child to each of the given nodes."""
        heading = xy - self.xy[parent]
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        onward = self.children[parent, None] == 0
        course = np.where(onward, self.course[parent] + COURSE_RATE * heading, heading)
        course /= np.linalg.norm(course, axis=1, keepdims=True)
        self._append(xy, parent, heading, course, np.full(len(xy), supply))

    def _append(
        self,
        xy: Points,
        parent: Indices,
        heading: Points,
        course: Points,
        supply: NDArray[np.float64],
    ) -> None:
        self.xy = np.concatenate([self.xy, xy])
        self.parent = np.concatenate([self.parent, parent])
        self.heading = np.concatenate([self.heading, heading])
        self.course = np.concatenate([self.course, course])
        self.supply = np.concatenate([self.supply, supply])
        self.children = np.concatenate([self.children, np.zeros(len(xy), np.int64)])
        np.add.at(self.children, parent[parent >= 0], 1)


def scatter(
    spacing: float, radius: float, centre: tuple[float, float], rng: np.random.Generator
) -> Points:
    """Evenly but irregularly placed points in a disc.

    Args:
        spacing: mean distance of neighbours, mm.
        radius: of the disc, mm.
        centre: of the disc, mm.
        rng: where the irregularity comes from.

    Returns:
        N×2 positions in mm.
    """
    n = int(np.ceil(radius / spacing)) + 1
    grid = np.stack(np.meshgrid(np.arange(-n, n + 1), np.arange(-n, n + 1)), -1).reshape(-1, 2)
    points = (grid + rng.uniform(-0.5, 0.5, grid.shape)) * spacing
    return points[np.hypot(*points.T) < radius] + np.asarray(centre)


def colonise(
    tree: Skeleton,
    targets: Points,
    spacing: float,
    *,
    allowed: Callable[[Points], NDArray[np.bool_]],
    guide: Callable[[Points], Points],
    forks: float,
    rng: np.random.Generator,
    max_steps: int = 60,
) -> None:
    """Extend a tree until it passes near every target.

    Args:
        tree: grown in place.
        targets: points that want supply, N×2 mm.
        spacing: mean distance of the targets, mm; sets step, reach and the distance of supply.
        allowed: tells of N×2 positions which may hold a vessel.
        guide: direction in which a vessel would rather run, for N×2 positions; its length is its
            weight against the targets' pull of 1.
        forks: nodes that may fork per spacing; few make long vessels, many a comb.
        rng: for where vessels may fork and how they wander.
        max_steps: growth stops after so many steps whatever is left.
    """
    step, reached, reach = 0.4 * spacing, 0.75 * spacing, 6.0 * spacing
    may_fork = _fork_sites(tree, spacing / forks, rng)
    sites = np.flatnonzero(may_fork | (tree.children == 0))
    distance, nearest = _closest(tree.xy[sites], targets)
    nearest = sites[nearest]
    for _ in range(max_steps):
        waiting = (distance > reached) & (distance < reach)
        targets, distance, nearest = targets[waiting], distance[waiting], nearest[waiting]
        limit = np.where(may_fork, MAX_CHILDREN, 1)
        free = tree.children[nearest] < limit[nearest]
        free &= _is_ahead(tree, targets, nearest)
        if not free.any():
            return
        parent, xy = _pull(tree, targets[free], nearest[free], step, guide, rng)
        keep = allowed(xy)
        if not keep.any():
            return
        first = len(tree.xy)
        tree.grow_nodes(parent[keep], xy[keep], step * min(spacing, 0.48))
        new = rng.random(len(tree.xy) - first) < forks * step / spacing
        may_fork = np.append(may_fork, new & ~may_fork[tree.parent[first:]])
        gap, closest = _closest(tree.xy[first:], targets)
        closer = gap < distance
        distance = np.where(closer, gap, distance)
        nearest = np.where(closer, closest + first, nearest)


def _closest(nodes: Points, targets: Points) -> tuple[NDArray[np.float64], Indices]:
    """Distance to the nearest node, and its index, for each target."""
    distance, index = cKDTree(nodes).query(targets)
    return np.asarray(distance, np.float64), np.asarray(index, np.int64)


def _fork_sites(tree: Skeleton, distance: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Nodes that may fork, so many that they are about a distance (mm) apart."""
    length = np.linalg.norm(tree.xy - tree.xy[tree.parent], axis=1)
    sites: NDArray[np.bool_] = rng.random(len(tree.xy)) < length / distance
    return sites & ~sites[tree.parent]


def _is_ahead(tree: Skeleton, targets: Points, nearest: Indices) -> NDArray[np.bool_]:
    """Whether a vessel can go from the nearest node to the target without turning back."""
    way = targets - tree.xy[nearest]
    way /= np.linalg.norm(way, axis=1, keepdims=True) + 1e-9
    by_heading = (way * tree.heading[nearest]).sum(1)
    by_course = (way * tree.course[nearest]).sum(1)
    return (by_heading > -0.1) & (by_course > 0.15)


def _pull(
    tree: Skeleton,
    targets: Points,
    nearest: Indices,
    step: float,
    guide: Callable[[Points], Points],
    rng: np.random.Generator,
) -> tuple[Indices, Points]:
    """The nodes that are pulled, and where each would grow its child."""
    parent, which = np.unique(nearest, return_inverse=True)
    pull = targets - tree.xy[nearest]
    pull /= np.linalg.norm(pull, axis=1, keepdims=True)
    total: Points = np.stack(
        [np.bincount(which, pull[:, i], minlength=len(parent)) for i in (0, 1)], axis=1
    ).astype(np.float64)
    total /= np.linalg.norm(total, axis=1, keepdims=True) + 1e-9
    onward = np.where(tree.children[parent, None] == 0, 1.0, 0.5) * tree.heading[parent]
    direction = total + onward + guide(tree.xy[parent]) + rng.normal(0, 0.15, total.shape)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return parent, tree.xy[parent] + step * direction
