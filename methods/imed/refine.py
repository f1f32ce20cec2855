"""Truncated symmetric chamfer alignment by Gauss–Newton, many poses at once.

Each vessel point of one image looks for the nearest vessel of fitting direction in the other, both
ways. The distance across the vessel is the residual; pairs further apart than a radius that shrinks
from step to step are left out. The model grows from similarity to affine to homography; a prior
keeps shear and perspective small unless the vessels ask for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imedbench.methods.imed.pairing import Matrices, Pairs, find_pairs, map_points
from imedbench.methods.imed.targets import Targets

SIMILARITY, AFFINE, HOMOGRAPHY = 4, 6, 8
Array = NDArray[Any]

_EXPECTED_STRAIN = 0.02  # of stretch, shear and perspective, over half an image
_NOISE = 1.0  # px, usual distance of vessels that are truly the same
_CORRELATED = 30.0  # neighbouring points of a line that err alike: they count as one
_LARGEST_STEP = 0.2


def refine(
    fixed: Targets,
    moving: Targets,
    poses: Matrices,
    radii: NDArray[np.float64],
    freedom: int,
    asking: int,
) -> Matrices:
    """Gauss–Newton from each pose.

    Args:
        fixed: vessels of the fixed image.
        moving: vessels of the moving image.
        poses: K×3×3 fixed_from_moving to start from.
        radii: truncation radius of each step, px of the coarser image.
        freedom: 4 similarity, 6 affine, 8 homography.
        asking: how many points of each image look for a partner.

    Returns:
        K×3×3.
    """
    unit_from_fixed = _unit_from_fixed(fixed.lines.shape)
    fixed_from_unit = np.linalg.inv(unit_from_fixed)
    start = unit_from_fixed @ poses
    parameters = np.zeros((len(poses), 8))
    for radius in radii:
        pairs = find_pairs(fixed, moving, poses, asking)
        base = map_points(start.astype(np.float32), pairs.moving)
        wanted = map_points(unit_from_fixed.astype(np.float32)[None], pairs.fixed)
        strain = _NOISE * unit_from_fixed[0, 0] / _EXPECTED_STRAIN
        parameters += _step(parameters, base, wanted, pairs, radius, freedom, strain)
        poses = fixed_from_unit @ deformation(parameters) @ start
    return poses


def _unit_from_fixed(shape: tuple[int, int]) -> NDArray[np.float64]:
    """From pixels to coordinates of about ±1, from the middle of the image."""
    half = max(shape) / 2
    x, y = shape[1] / 2 / half, shape[0] / 2 / half
    return np.array([[1 / half, 0, -x], [0, 1 / half, -y], [0, 0, 1]])


def deformation(parameters: NDArray[np.float64]) -> Matrices:
    """K×8 (shift x, shift y, growth, turn, stretch, shear, tilt x, tilt y) to K×3×3."""
    tx, ty, grow, turn, stretch, shear, gx, gy = parameters.T
    one = np.ones_like(tx)
    rows = [1 + grow + stretch, shear - turn, tx, shear + turn, 1 + grow - stretch, ty, gx, gy, one]
    return np.stack(rows, 1).reshape(-1, 3, 3)


def slopes(
    parameters: NDArray[np.float64], base: Array, normals: Array, freedom: int
) -> tuple[Array, Array]:
    """Where `deformation` takes points, and how their places across the vessels change.

    Args:
        parameters: K×8.
        base: K×N×2.
        normals: K×N×2 unit vectors.
        freedom: the first so many parameters are free.

    Returns:
        K×N×2, and the derivative of its product with the normals, K×N×freedom.
    """
    matrix = deformation(parameters).astype(base.dtype)
    mapped = map_points(matrix, base)
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
    parameters: NDArray[np.float64],
    base: Array,
    wanted: Array,
    pairs: Pairs,
    radius: float,
    freedom: int,
    strain: float,
) -> NDArray[np.float64]:
    """Change of the parameters, K×8, by one weighted least-squares solution with the prior."""
    mapped, rows = slopes(parameters, base, pairs.normals, freedom)
    residual = ((mapped - wanted) * pairs.normals).sum(-1)
    near = np.maximum(1 - (pairs.distance / (radius * np.maximum(pairs.scale, 1))) ** 2, 0)
    weight = pairs.weight * near**2 * pairs.seen * np.maximum(pairs.fits, 0)
    weighted = (rows * weight[..., None]).transpose(0, 2, 1)
    normal = (weighted @ rows).astype(np.float64)
    right = -(weighted @ residual[..., None])[..., 0].astype(np.float64)
    prior = np.where(np.arange(freedom) < SIMILARITY, 0, _CORRELATED * strain**2)
    diagonal = np.arange(freedom)
    normal[:, diagonal, diagonal] += prior + 1e-4 * weight.sum(1)[:, None] + 1e-6
    right -= prior * parameters[:, :freedom]
    step = np.zeros_like(parameters)
    step[:, :freedom] = np.linalg.solve(normal, right[..., None])[..., 0]
    return np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
