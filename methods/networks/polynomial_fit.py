"""Polynomial maps of the plane, fitted to weighted matches in closed form.

A map is a tensor of coefficients, B×`TERMS`×2, of moving points from fixed points in their unit
frames; the monomials are shifted so that they are nearly orthogonal on the square.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

TERMS = 6  # 1, x, y, x², xy, y²
_ORDERS = (0, 1, 1, 2, 2, 2)  # of the terms
_SHIFT_PRIOR = -9.0  # log strength of the ridge on shifts: next to none


def basis(points: Tensor) -> Tensor:
    """Return the terms at some points, …×2 → …×`TERMS`."""
    x, y = points[..., 0], points[..., 1]
    terms = [torch.ones_like(x), x, y, x.square() - 1 / 3, x * y, y.square() - 1 / 3]
    return torch.stack(terms, dim=-1)


def identity(batch: int, like: Tensor) -> Tensor:
    """Make the map that moves nothing, batch×`TERMS`×2, of the device and type of ``like``."""
    coefficients = like.new_zeros(batch, TERMS, 2)
    coefficients[:, 1, 0] = coefficients[:, 2, 1] = 1
    return coefficients


def from_affine(matrix: Tensor) -> Tensor:
    """Return the map of an affine transform, B×2×3 → B×`TERMS`×2."""
    terms = torch.cat([matrix[:, :, 2:], matrix[:, :, :2]], dim=2).transpose(1, 2)
    return F.pad(terms, (0, 0, 0, TERMS - 3))


def after_affine(matrix: Tensor, coefficients: Tensor) -> Tensor:
    """First the map, then an affine transform: B×2×3 and B×`TERMS`×2 → B×`TERMS`×2."""
    moved = coefficients @ matrix[:, :, :2].transpose(1, 2)
    return moved + F.pad(matrix[:, None, :, 2], (0, 0, 0, TERMS - 1))


def evaluate(coefficients: Tensor, points: Tensor) -> Tensor:
    """Tell where the map sends points, B×`TERMS`×2 and (B×)N×2 → B×N×2."""
    return basis(points) @ coefficients


def ridge_fit(
    before: Tensor, fixed: Tensor, moving: Tensor, weight: Tensor, log_ridge: Tensor, order: int
) -> Tensor:
    """Return the weighted least-squares map, pulled towards the map before it.

    Weights are not normalised: the surer the matches are together, the less the ridge holds.

    Args:
        before: B×`TERMS`×2.
        fixed: N×2 or B×N×2.
        moving: where the fixed points were found, B×N×2.
        weight: of each match, B×N, ≥ 0.
        log_ridge: logarithm of the ridge on linear and on quadratic terms, 2.
        order: 1 changes the affine part alone, 2 the quadratic as well.

    Returns:
        B×`TERMS`×2.
    """
    count = 3 if order == 1 else TERMS
    rows = basis(fixed)[..., :count].expand(len(weight), -1, -1)
    weighted = rows * weight[..., None] / weight.shape[1]
    strengths = torch.cat([log_ridge.new_full((1,), _SHIFT_PRIOR), log_ridge])
    ridge = strengths[list(_ORDERS[:count])].exp().diag()
    left = moving - evaluate(before, fixed)
    change = torch.linalg.solve(
        weighted.transpose(1, 2) @ rows + ridge, weighted.transpose(1, 2) @ left
    )
    return before + F.pad(change, (0, 0, 0, TERMS - count))


def jacobian(coefficients: Tensor, points: Tensor) -> Tensor:
    """Derivatives of the map, B×`TERMS`×2 and (B×)N×2 → B×N×2×2, rows by output."""
    x, y = points[..., 0], points[..., 1]
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    by_x = torch.stack([zero, one, zero, 2 * x, y, zero], dim=-1) @ coefficients
    by_y = torch.stack([zero, zero, one, zero, x, 2 * y], dim=-1) @ coefficients
    return torch.stack([by_x, by_y], dim=-1)
