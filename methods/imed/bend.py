"""The smooth bend that a homography leaves over, fitted to the vessels and kept where it is large.

Two views of a curved eye differ by more than a homography. The fixed image's vessels are moved onto
those of the moving image, as the pose places them, by a quadratic and a lattice of Gaussian bumps.
Weights of known spread make the sum the mean of a Gaussian process, given how far the vessels are
apart across their direction: noise bends it little, and between vessels it stays smooth.

No annotation tells small bends from none: two annotators of one pair differ by nearly half a
per cent of the field, and place a homography. Bends below a third of a per cent are left out, and
those that bring the vessels hardly closer together, as noise does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imedbench.core.arrays import Floats, Matrix, Plane
from imedbench.core.transforms import (
    Affine,
    DenseField,
    Homography,
    Transform,
    jacobian_determinant,
    pixel_grid,
)
from imedbench.methods.imed.lines import NORMALS, POINTS, Targets
from imedbench.methods.imed.overlap import Overlap, find_overlap
from imedbench.methods.imed.pairing import Moves, Pairs, find_pairs, project
from imedbench.methods.imed.refine import CORRELATED, HOMOGRAPHY, slopes

# All numbers below were chosen on synthetic eyes (seed 7), the least size also on `cf_octa`, whose
# eyes bend by 0.22 to 0.31 % and whose truth, one homography, says that they do not.
# Radius in px at which pairs are cut off, and how many points of each image look for a partner: at
# the end all do, so that a point more or less hardly moves the answer.
_ALL = 1 << 30
_FIRST, _LAST = ((8.0, 500), (5.0, 500)), ((3.0, _ALL), (3.0, _ALL))
_FIRST_NOISE, _LEAST_NOISE = 0.8, 0.3  # px, usual distance of vessels that are truly the same
_BUMPS = 5  # along either side of the square
_WIDTH = 0.42  # of a bump, its standard deviation, in halves of the square's side
_EXPECTED = np.array([0.06] * 3 + [0.03] * 3 + [0.008] * _BUMPS**2)  # usual weights, in halves
_LARGE = 0.003, 0.0035  # of the overlap's side: smaller bends are left out, larger ones kept
_TINY = 0.002  # after the first steps: of 105 pairs none grew from there to what is kept
_CLOSER = 0.68, 0.73  # of their distance left to the vessels: noise leaves them more

_SAMPLES = 33  # of the displacement, along a side
_MIN_GROWTH = 0.2  # of any small area: less is nearly a fold


@dataclass(frozen=True, eq=False)
class Bend:
    """A displacement of places in the fixed image's working frame; outside its square, the rim's.

    Args:
        middle: (x, y) px of the square over the overlap.
        half: half the square's side, px.
        weights: F×2 of `functions`, in halves.
        size: root mean square of what it adds to a homography over the overlap, px.
        left: how far apart it leaves the vessels, as a share of how far they were.
    """

    middle: Floats
    half: float
    weights: Floats
    size: float = 0.0
    left: float = 1.0

    def __call__(self, places: Any) -> Any:
        """Displacements (dx, dy) px of 2×N places (x, y) px."""
        return self.at(self.functions(places))

    def at(self, functions: Any) -> Any:
        """Displacements (dx, dy) px, 2×N, given the functions' values there, F×N."""
        return (self.half * self.weights.T).astype(functions.dtype) @ functions

    def functions(self, places: Any) -> Any:
        """F×N: the terms of a quadratic and the bumps at 2×N places."""
        middle = self.middle[:, None].astype(places.dtype)
        x, y = np.clip((places - middle) / places.dtype.type(self.half), -1, 1)
        at = np.linspace(-1, 1, _BUMPS, dtype=places.dtype)[:, None]
        along_x, along_y = (np.exp(-0.5 * ((side - at) / _WIDTH) ** 2) for side in (x, y))
        out = np.empty((len(_EXPECTED), len(x)), places.dtype)
        out[: -(_BUMPS**2)] = np.ones_like(x), x, y, x * x, x * y, y * y
        np.multiply(along_x[:, None], along_y, out=out[-(_BUMPS**2) :].reshape(_BUMPS, _BUMPS, -1))
        return out

    def scaled(self, share: float) -> Bend:
        """Return so much of it."""
        return replace(self, weights=share * self.weights, size=share * self.size)

    def transform(self) -> Transform:
        """Return the map of places to where they are moved."""
        return self._to_px.inverse().then(DenseField(self._moves())).then(self._to_px)

    def folds(self) -> bool:
        """Tell whether it turns some part of the square over, or nearly so."""
        where = pixel_grid((_SAMPLES, _SAMPLES)).reshape(_SAMPLES, _SAMPLES, 2) + self._moves()
        return bool(jacobian_determinant(where.astype(np.float32)).min() < _MIN_GROWTH)

    @property
    def _to_px(self) -> Affine:
        """From a lattice over the square to its places."""
        step = 2 * self.half / (_SAMPLES - 1)
        left, top = self.middle - self.half
        return Affine([[step, 0, left], [0, step, top]])

    def _moves(self) -> Floats:
        """The displacements on that lattice, in its steps."""
        places = self._to_px.apply(pixel_grid((_SAMPLES, _SAMPLES)))
        moves = self(places.T).T * (_SAMPLES - 1) / (2 * self.half)
        return np.asarray(moves.reshape(_SAMPLES, _SAMPLES, 2))


def find_bend(fixed: Targets, moving: Targets, pose: Matrix) -> Bend | None:
    """Fit the bend that a pose leaves over.

    Args:
        fixed: vessels of the fixed image.
        moving: vessels of the moving image.
        pose: 3×3 fixed_from_moving, converged.

    Returns:
        What moves places of the fixed image to where the pose puts the moving one's; None where
        it is small, brings them hardly closer, or folds.
    """
    shared = find_overlap(fixed, moving, pose)
    if not shared.side:
        return None
    bend = fit_bend(fixed, moving, pose, shared)
    large = float(np.interp(bend.size / shared.side, _LARGE, (0, 1)))
    kept = large * float(np.interp(bend.left, _CLOSER, (1, 0)))
    return bend.scaled(kept) if kept and not bend.folds() else None


@dataclass(frozen=True, eq=False)
class _Vessels:
    """The vessels of two images under a pose, and what bends do to them.

    Args:
        fixed: of the fixed image.
        moving: of the moving image.
        pose: 1×3×3 fixed_from_moving.
        fixed_values: a bend's functions at the fixed vessels, F×N.
        placed_values: the same where the pose places the moving ones.
        across: by how much each weight moves each fixed vessel across itself, 2F×N.
    """

    fixed: Targets
    moving: Targets
    pose: Matrix
    fixed_values: Plane
    placed_values: Plane
    across: Plane

    @classmethod
    def of(cls, fixed: Targets, moving: Targets, pose: Matrix, bend: Bend) -> _Vessels:
        """Evaluate the functions, which all bends of a square share."""
        values = bend.functions(fixed.table[POINTS])
        placed = project(pose[None].astype(np.float32), moving.table[POINTS])[:, 0]
        across = (fixed.table[NORMALS][:, None] * values).reshape(-1, len(fixed.lines))
        return cls(fixed, moving, pose[None], values, bend.functions(placed), across)

    def pairs(self, n_points: int, bend: Bend | None = None) -> Pairs:
        """The nearest vessels of so many of each image."""
        moves = Moves(bend.at(self.fixed_values), bend.at(self.placed_values)) if bend else None
        return find_pairs(self.fixed, self.moving, self.pose, n_points, moves)


def fit_bend(fixed: Targets, moving: Targets, pose: Matrix, shared: Overlap) -> Bend:
    """Fit a bend, however small, the smallest only roughly; for arguments see `find_bend`."""
    low, high = shared.places.min(1), shared.places.max(1)
    bend = Bend((low + high) / 2, float((high - low).max()) / 2, np.zeros((len(_EXPECTED), 2)))
    vessels = _Vessels.of(fixed, moving, pose, bend)
    noise = _FIRST_NOISE
    for steps in (_FIRST, _LAST):
        for radius, n_points in steps:
            bend, apart = _step(vessels, bend, radius, n_points, noise)
            noise = max(apart, _LEAST_NOISE)
        bend = replace(bend, size=left_by_homography(bend(shared.places), shared.places))
        if bend.size < _TINY * shared.side:
            return bend
    flat = vessels.pairs(n_points)
    before = _mean(flat.pull(radius)[0], flat.across[0]) / _coarser_pixel(flat)
    return replace(bend, left=apart / max(before, 1e-6))


def _step(
    vessels: _Vessels, bend: Bend, radius: float, n_points: int, noise: float
) -> tuple[Bend, float]:
    """The Gaussian process given the nearest vessels; how far apart it leaves them, coarser px."""
    pairs = vessels.pairs(n_points, bend)
    weight, index = pairs.pull(radius)[0], pairs.fixed_index[0]
    wanted = pairs.across[0] / np.float32(bend.half)
    looked = len(index) / (len(vessels.fixed.lines) + len(vessels.moving.lines))
    pixel = _coarser_pixel(pairs) / bend.half
    scale = min(1.0, 1 / (looked * CORRELATED)) / (noise * pixel) ** 2
    count = len(vessels.fixed.lines)
    total, pulled = (np.bincount(index, each, count) for each in (weight, weight * wanted))
    met = np.flatnonzero(total)
    rows = vessels.across.take(met, 1)
    normal = (rows * (scale * total[met]).astype(np.float32)) @ rows.T
    right = rows @ (scale * pulled[met]).astype(np.float32)
    prior = np.diag(np.tile(_EXPECTED, 2) ** -2.0)
    weights = np.linalg.solve(normal.astype(np.float64) + prior, right.astype(np.float64))
    moved = (weights.astype(np.float32) @ vessels.across).take(index)
    apart = _mean(weight, moved - wanted) / pixel
    return replace(bend, weights=np.asarray(weights.reshape(2, -1).T, np.float64)), apart


def _coarser_pixel(pairs: Pairs) -> float:
    return max(float(pairs.scale[0, 0]), 1.0)


def _mean(weight: Plane, apart: Plane) -> float:
    """Root of the weighted mean square."""
    return float(np.sqrt((weight * apart**2).sum() / max(float(weight.sum()), 1e-6)))


def left_by_homography(moves: Floats, places: Floats) -> float:
    """Measure displacements beyond the nearest homography.

    Args:
        moves: 2×N px.
        places: 2×N px, where they are.

    Returns:
        Root of the mean square, px.
    """
    middle = places.mean(1, keepdims=True)
    unit = np.tile((places - middle) / np.abs(places - middle).max(), 2)[:, None]
    axes = np.repeat(np.eye(2), places.shape[1], 1)[:, None]
    rows = slopes(np.zeros((1, HOMOGRAPHY)), unit, axes, HOMOGRAPHY)[0]
    explained = rows.T @ np.linalg.lstsq(rows.T, moves.ravel(), rcond=None)[0]
    return float(np.sqrt(2 * ((moves.ravel() - explained) ** 2).mean()))


def bent(pose: Matrix, work_from_fixed: Matrix, bend: Bend) -> Transform:
    """Return ``fixed_from_moving`` between the images' own pixels.

    Args:
        pose: 3×3, between the images' own pixels.
        work_from_fixed: 3×3, from the fixed image's own pixels to those of its working frame.
        bend: in that frame.
    """
    work = Homography(work_from_fixed)
    back = work.inverse().then(Homography(pose).inverse())
    return work.then(bend.transform()).then(back).inverse()
