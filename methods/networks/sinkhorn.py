"""Entropic optimal transport with a dustbin (SuperGlue, section 3.2).

Potentials live in log space. Between two log-space updates the iteration runs on the already scaled
kernel, where it is a matrix–vector product: the same numbers for a tenth of the time (the
"absorption" of Schmitzer 2019, Stabilized sparse scaling algorithms).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_NEVER = -1e4  # log of a mass that is nil; finite, so that no infinity meets another
_BLOCK = 10  # iterations between two log-space updates


def log_assignment(
    scores: Tensor, bin_score: Tensor, valid_rows: Tensor, valid_columns: Tensor, iterations: int
) -> Tensor:
    """Soft partial assignment of rows to columns, each with a dustbin for the unmatched.

    Args:
        scores: B×M×N similarities.
        bin_score: scalar, the similarity of everything to a dustbin.
        valid_rows: bool B×M, false for padding.
        valid_columns: bool B×N, false for padding.
        iterations: Sinkhorn iterations.

    Returns:
        B×(M+1)×(N+1) log probabilities: each valid row but the dustbin sums to one.
    """
    cost = _with_dustbins(scores, bin_score, valid_rows, valid_columns)
    rows, columns = valid_rows.sum(1, keepdim=True), valid_columns.sum(1, keepdim=True)
    norm = (rows + columns).clamp_min(1).to(scores.dtype).log()
    log_mu = _marginal(valid_rows, columns, norm)
    log_nu = _marginal(valid_columns, rows, norm)
    u, v = sinkhorn_potentials(cost, log_mu, log_nu, iterations)
    return cost + u[:, :, None] + v[:, None, :] + norm[:, :, None]


def sinkhorn_potentials(
    cost: Tensor, log_mu: Tensor, log_nu: Tensor, iterations: int
) -> tuple[Tensor, Tensor]:
    """Row and column potentials that bring exp(cost + u + v) towards the marginals.

    Args:
        cost: B×M×N log kernel.
        log_mu: B×M log masses of the rows.
        log_nu: B×N log masses of the columns.
        iterations: row and column updates; the columns are exact after each.

    Returns:
        u B×M and v B×N.
    """
    mu, nu = log_mu.exp(), log_nu.exp()
    v = torch.zeros_like(log_nu)
    u = torch.zeros_like(log_mu)
    tiny = torch.finfo(cost.dtype).tiny
    for start in range(0, iterations, _BLOCK):
        u = log_mu - torch.logsumexp(cost + v[:, None, :], dim=2)
        v = log_nu - torch.logsumexp(cost + u[:, :, None], dim=1)
        kernel = (cost + u[:, :, None] + v[:, None, :]).exp()
        b = torch.ones_like(v)
        a = torch.ones_like(u)
        for _ in range(min(_BLOCK, iterations - start) - 1):
            a = mu / torch.einsum("bmn,bn->bm", kernel, b).clamp_min(tiny)
            b = nu / torch.einsum("bmn,bm->bn", kernel, a).clamp_min(tiny)
        u = u + a.clamp_min(tiny).log()
        v = v + b.clamp_min(tiny).log()
    return u, v


def _with_dustbins(scores: Tensor, bin_score: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Scores with one more row and column of ``bin_score``; padding is out of reach."""
    cost = F.pad(scores, (0, 1, 0, 1))
    dustbin = torch.ones_like(cost, dtype=torch.bool)
    dustbin[:, :-1, :-1] = False
    cost = torch.where(dustbin, bin_score.to(cost.dtype), cost)
    kept = _append_true(rows)[:, :, None] & _append_true(columns)[:, None, :]
    return cost.masked_fill(~kept, _NEVER)


def _marginal(valid: Tensor, others: Tensor, norm: Tensor) -> Tensor:
    """Log masses: one a valid point, and the dustbin could take all points of the other side."""
    points = torch.where(valid, -norm, torch.full_like(norm, _NEVER))
    return torch.cat((points, others.clamp_min(1).to(norm.dtype).log() - norm), dim=1)


def _append_true(mask: Tensor) -> Tensor:
    return F.pad(mask, (0, 1), value=True)
