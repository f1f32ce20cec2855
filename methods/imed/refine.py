"""Truncated symmetric chamfer alignment by Gauss–Newton, many poses at once.

Each vessel point of one image looks for the nearest vessel of fitting direction in the other, both
ways. The distance across the vessel is the residual; pairs further apart than a radius that shrinks
from step to step are left out. The model grows from similarity to affine to homography; a prior
keeps shear and perspective small unless the vessels ask for them. `shortlist_poses` does so
for many candidates with few points, and goes on with those that agree most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Floats, Matrix
from imedbench.methods.imed.lines import Targets
from imedbench.methods.imed.pairing import (
    Pairs,
    find_pairs,
    measure_agreement,
    project,
    scales_of,
)

SIMILARITY, AFFINE, HOMOGRAPHY = 4, 6, 8
Array = NDArray[Any]

_EXPECTED_STRAIN = 0.02  # of stretch, shear and perspective, over half an image
_NOISE = 1.0  # px, usual distance of vessels that are truly the same
_CORRELATED = 30.0  # neighbouring points of a line that err alike: they count as one
_MAX_STEP = 0.2

_MAX_DRIFT = 1.4  # a pose whose scale changes more than this fell onto other vessels


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


def shortlist_poses(
    fixed: Targets, moving: Targets, poses: Matrix, rounds: tuple[Round, ...]
) -> Matrix:
    """Align every pose a little, keep those that agree most, align these better, and so on.

    Args:
        fixed: vessels of the fixed image.
        moving: vessels of the moving image.
        poses: K×3×3 fixed_from_moving.
        rounds: what to do in which order.

    Returns:
        Similarities, best first.
    """
    for each in rounds:
        radii = np.geomspace(*each.radii, each.steps)
        moved = refine_poses(fixed, moving, poses, radii, SIMILARITY, each.n_points)
        found = measure_agreement(find_pairs(fixed, moving, moved, each.n_points), each.reach)
        drift = np.abs(np.log(scales_of(moved) / scales_of(poses)))
        z_score = np.where(drift < np.log(_MAX_DRIFT), found.z_score, 0)
        poses = moved[np.argsort(-z_score, kind="stable")[: each.keep]]
    return poses


def refine_poses(
    fixed: Targets,
    moving: Targets,
    poses: Matrix,
    radii: Floats,
    freedom: int,
    n_points: int,
) -> Matrix:
    """Gauss–Newton from each pose.

    Args:
        fixed: vessels of the fixed image.
        moving: vessels of the moving image.
        poses: K×3×3 fixed_from_moving to start from.
        radii: truncation radius of each step, px of the coarser image.
        freedom: 4 similarity, 6 affine, 8 homography.
        n_points: how many of each image look for a partner.

    Returns:
        K×3×3.
    """
    unit_from_fixed = _unit_from_fixed(fixed.lines.shape)
    fixed_from_unit = np.linalg.inv(unit_from_fixed)
    start = unit_from_fixed @ poses
    parameters = np.zeros((len(poses), 8))
    for radius in radii:
        pairs = find_pairs(fixed, moving, poses, n_points)
        base = project(start.astype(np.float32), pairs.moving)
        wanted = project(unit_from_fixed.astype(np.float32)[None], pairs.fixed)
        strain = _NOISE * unit_from_fixed[0, 0] / _EXPECTED_STRAIN
        parameters += _step(parameters, base, wanted, pairs, radius, freedom, strain)
        poses = fixed_from_unit @ deformation(parameters) @ start
    return poses


def _unit_from_fixed(shape: tuple[int, int]) -> Floats:
    """From pixels to coordinates of about ±1, from the middle of the image."""
    half = max(shape) / 2
    x, y = shape[1] / 2 / half, shape[0] / 2 / half
    return np.array([[1 / half, 0, -x], [0, 1 / half, -y], [0, 0, 1]])


def deformation(parameters: Floats) -> Matrix:
    """K×8 (shift x, shift y, growth, turn, stretch, shear, tilt x, tilt y) to K×3×3."""
    tx, ty, grow, turn, stretch, shear, gx, gy = parameters.T
    one = np.ones_like(tx)
    rows = [1 + grow + stretch, shear - turn, tx, shear + turn, 1 + grow - stretch, ty, gx, gy, one]
    return np.stack(rows, 1).reshape(-1, 3, 3)


def slopes(parameters: Floats, base: Array, normals: Array, freedom: int) -> tuple[Array, Array]:
    """Tell where `deformation` takes points, and how their places across the vessels change.

    Args:
        parameters: K×8.
        base: K×N×2.
        normals: K×N×2 unit vectors.
        freedom: the first so many parameters are free.

    Returns:
        K×N×2, and the derivative of its product with the normals, K×N×freedom.
    """
    matrix = deformation(parameters).astype(base.dtype)
    mapped = project(matrix, base)
    u, v = base[..., 0], base[..., 1]
    nx, ny = normals[..., 0], normals[..., 1]
    if matrix[:, 2, :2].any():
        depth = u * matrix[:, None, 2, 0] + v * matrix[:, None, 2, 1] + 1
        nx, ny = nx / np.maximum(depth, 1e-6), ny / np.maximum(depth, 1e-6)
    rows = np.empty((*u.shape, freedom), base.dtype)
    ux, vy, vx, uy = u * nx, v * ny, v * nx, u * ny
    columns = [nx, ny, ux + vy, uy - vx, ux - vy, uy + vx]
    if freedom == HOMOGRAPHY:
        far = mapped[..., 0] * nx + mapped[..., 1] * ny
        columns += [-u * far, -v * far]
    for k in range(freedom):
        rows[..., k] = columns[k]
    return mapped, rows


def _step(
    parameters: Floats,
    base: Array,
    wanted: Array,
    pairs: Pairs,
    radius: float,
    freedom: int,
    strain: float,
) -> Floats:
    """Change of the parameters, K×8, by one weighted least-squares solution with the prior."""
    mapped, rows = slopes(parameters, base, pairs.normals, freedom)
    residual = ((mapped - wanted) * pairs.normals).sum(-1)
    near = np.maximum(1 - (pairs.distance / (radius * np.maximum(pairs.scale, 1))) ** 2, 0)
    weight = pairs.weight * near**2 * pairs.in_view * np.maximum(pairs.fits, 0)
    weighted = (rows * weight[..., None]).transpose(0, 2, 1)
    normal = (weighted @ rows).astype(np.float64)
    right = -(weighted @ residual[..., None])[..., 0].astype(np.float64)
    prior = np.where(np.arange(freedom) < SIMILARITY, 0, _CORRELATED * strain**2)
    diagonal = np.arange(freedom)
    normal[:, diagonal, diagonal] += prior + 1e-4 * weight.sum(1)[:, None] + 1e-6
    right -= prior * parameters[:, :freedom]
    step = np.zeros_like(parameters)
    step[:, :freedom] = np.linalg.solve(normal, right[..., None])[..., 0]
    return np.clip(step, -_MAX_STEP, _MAX_STEP)
