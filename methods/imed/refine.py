"""Truncated symmetric chamfer alignment by Gauss–Newton, many poses at once.

Each vessel point of one image looks for the nearest vessel of fitting direction in the other, both
ways. The distance across the vessel is the residual; pairs further apart than a radius that shrinks
from step to step are left out. The model grows from similarity to affine to homography; a prior
keeps shear and perspective small unless the vessels ask for them. `shortlist_poses` does so
for many candidates with few points, and goes on with those that agree most; `converge` takes one
to where all points together hold it, so that small changes of the images change it little.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Floats, Matrix
from imedbench.methods.imed.agreement import measure_agreement
from imedbench.methods.imed.lines import Targets
from imedbench.methods.imed.pairing import Pairs, find_pairs, project, scales_of

SIMILARITY, AFFINE, HOMOGRAPHY = 4, 6, 8
Array = NDArray[Any]

# Usual size of each parameter over half an image; those of a similarity are free.
_EXPECTED = np.array([np.inf] * 4 + [0.02] * 2 + [0.01] * 2)
_NOISE = 1.0  # px, usual distance of vessels that are truly the same
CORRELATED = 30.0  # neighbouring points of a line that err alike: they count as one
_MAX_STEP = 0.2

_MAX_DRIFT = 1.4  # a pose whose scale changes more than this fell onto other vessels

_ALL_POINTS = 1 << 30
_LAST_RADIUS = 3.0  # px
_MAX_STEPS = 40
_STILL = 0.01  # px that a corner moves in a step that changes nothing


@dataclass(frozen=True)
class Round:
    """One round of the selection.

    Args:
        n_points: of each image that look for a partner.
        radii: first and last truncation radius of the alignment, px.
        steps: of Gauss–Newton.
        reach: px within which vessels meet.
        keep: how many poses go on.
    """

    n_points: int
    radii: tuple[float, float]
    steps: int
    reach: float
    keep: int


@dataclass(frozen=True)
class Step:
    """One step of Gauss–Newton.

    Args:
        radius: at which pairs are cut off, px of the coarser image.
        freedom: 4 similarity, 6 affine, 8 homography.
        n_points: how many of each image look for a partner.
    """

    radius: float
    freedom: int
    n_points: int


@dataclass(frozen=True, eq=False)
class Fit:
    """K similarities, each deformed a little.

    The prior holds the deformation against the similarity, however many steps have been taken.

    Args:
        start: K×3×3 similarities, fixed_from_moving.
        parameters: K×8 of `deformation`, in the unit frame.
        unit_from_fixed: 3×3.
    """

    start: Matrix
    parameters: Floats
    unit_from_fixed: Matrix

    @classmethod
    def of(cls, start: Matrix, shape: tuple[int, int]) -> Fit:
        """Leave similarities as they are; ``shape`` is that of the fixed image."""
        return cls(start, np.zeros((len(start), 8)), _unit_from_fixed(shape))

    @property
    def poses(self) -> Matrix:
        """K×3×3 fixed_from_moving."""
        back = np.linalg.inv(self.unit_from_fixed)
        return np.asarray(back @ deformation(self.parameters) @ self.unit_from_fixed @ self.start)

    def only(self, k: int) -> Fit:
        """Return the k-th alone."""
        return replace(self, start=self.start[[k]], parameters=self.parameters[[k]])


@dataclass(frozen=True, eq=False)
class Shortlist:
    """Poses that agree well, best first.

    Args:
        poses: K×3×3 similarities, fixed_from_moving.
        z_scores: K, how far their vessels meet beyond chance.
    """

    poses: Matrix
    z_scores: Floats


def shortlist_poses(fixed: Targets, moving: Targets, poses: Matrix, each: Round) -> Shortlist:
    """Align every pose a little and keep those that agree most.

    Args:
        fixed: vessels of the fixed image.
        moving: vessels of the moving image.
        poses: K×3×3 fixed_from_moving.
        each: how to align, and how many to keep.
    """
    radii = np.geomspace(*each.radii, each.steps)
    steps = [Step(radius, SIMILARITY, each.n_points) for radius in radii]
    moved = refine(fixed, moving, Fit.of(poses, fixed.lines.shape), steps).poses
    found = measure_agreement(find_pairs(fixed, moving, moved, each.n_points), each.reach)
    drift = np.abs(np.log(scales_of(moved) / scales_of(poses)))
    z_scores = np.where(drift < np.log(_MAX_DRIFT), found.z_score, 0)
    best = np.argsort(-z_scores, kind="stable")[: each.keep]
    return Shortlist(moved[best], z_scores[best])


def refine(fixed: Targets, moving: Targets, fit: Fit, steps: Iterable[Step]) -> Fit:
    """Take steps of Gauss–Newton with every pose.

    Args:
        fixed: vessels of the fixed image.
        moving: vessels of the moving image.
        fit: where to start.
        steps: what to take.
    """
    for step in steps:
        pairs = find_pairs(fixed, moving, fit.poses, step.n_points)
        change = _change(fit, pairs, step)
        fit = replace(fit, parameters=fit.parameters + change)
    return fit


def converge(fixed: Targets, moving: Targets, fit: Fit, freedom: int) -> Fit:
    """Take steps with all points until nothing moves; for arguments see `refine`."""
    still = _STILL * fit.unit_from_fixed[0, 0]
    for _ in range(_MAX_STEPS):
        before = fit
        fit = refine(fixed, moving, fit, [Step(_LAST_RADIUS, freedom, _ALL_POINTS)])
        if np.abs(fit.parameters - before.parameters).max() < still:
            break
    return fit


def _unit_from_fixed(shape: tuple[int, int]) -> Floats:
    """From pixels to coordinates of about ±1, from the middle of the image."""
    half = max(shape) / 2
    x, y = shape[1] / 2 / half, shape[0] / 2 / half
    return np.array([[1 / half, 0, -x], [0, 1 / half, -y], [0, 0, 1]])


def deformation(parameters: Floats) -> Matrix:
    """K×8 (shift x, shift y, growth, turn, stretch, shear, tilt x, tilt y) to K×3×3."""
    tx, ty, grow, turn, stretch, shear, gx, gy = parameters.T
    out = np.ones((len(parameters), 3, 3), parameters.dtype)
    out[:, 0, 0], out[:, 0, 1], out[:, 0, 2] = 1 + grow + stretch, shear - turn, tx
    out[:, 1, 0], out[:, 1, 1], out[:, 1, 2] = shear + turn, 1 + grow - stretch, ty
    out[:, 2, 0], out[:, 2, 1] = gx, gy
    return out


def slopes(parameters: Floats, base: Array, normals: Array, freedom: int) -> Array:
    """Tell how the places to which `deformation` takes points change across the vessels.

    Args:
        parameters: K×8.
        base: 2×K×N.
        normals: 2×K×N unit vectors.
        freedom: the first so many parameters are free.

    Returns:
        K×freedom×N, the derivative of the product of places and normals.
    """
    matrix = deformation(parameters).astype(base.dtype)
    (u, v), (nx, ny) = base, normals
    if matrix[:, 2, :2].any():
        depth = np.maximum(u * matrix[:, 2, 0, None] + v * matrix[:, 2, 1, None] + 1, 1e-6)
        nx, ny = nx / depth, ny / depth
    rows = np.empty((u.shape[0], freedom, u.shape[1]), base.dtype)
    ux, vy, vx, uy = u * nx, v * ny, v * nx, u * ny
    columns = [nx, ny, ux + vy, uy - vx, ux - vy, uy + vx]
    if freedom == HOMOGRAPHY:
        x, y = project(matrix, base)
        far = x * nx + y * ny
        columns += [-u * far, -v * far]
    for k in range(freedom):
        rows[:, k] = columns[k]
    return rows


def _change(fit: Fit, pairs: Pairs, step: Step) -> Floats:
    """Change of the parameters, K×8, by one weighted least-squares solution with the prior."""
    freedom, per_pixel = step.freedom, fit.unit_from_fixed[0, 0]
    base = project((fit.unit_from_fixed @ fit.start).astype(np.float32), pairs.moving)
    rows = slopes(fit.parameters, base, pairs.normals, freedom)
    residual = pairs.across * np.float32(per_pixel)
    weight = pairs.pull(step.radius)
    weighted = rows * weight[:, None]
    normal = (weighted @ rows.transpose(0, 2, 1)).astype(np.float64)
    right = -(weighted @ residual[..., None])[..., 0].astype(np.float64)
    prior = CORRELATED * (_NOISE * per_pixel / _EXPECTED[:freedom]) ** 2
    diagonal = np.arange(freedom)
    normal[:, diagonal, diagonal] += prior + 1e-4 * weight.sum(1)[:, None] + 1e-6
    right -= prior * fit.parameters[:, :freedom]
    change = np.zeros_like(fit.parameters)
    change[:, :freedom] = np.linalg.solve(normal, right[..., None])[..., 0]
    return np.clip(change, -_MAX_STEP, _MAX_STEP)
