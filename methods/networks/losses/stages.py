"""Losses of a network that matches cells and solves for a map, stage by stage."""

from __future__ import annotations

import torch
from torch import Tensor


def soft_match_loss(log_match: Tensor, place: Tensor, side: int, valid: Tensor) -> Tensor:
    """Cross-entropy of each query's match, the truth shared among the four nearest candidates.

    Args:
        log_match: log probability of the candidates, B×N×side², row by row.
        place: where the truth lies among them, B×N×2 as fractional column and row.
        side: candidates a side.
        valid: queries that count, bool B×N.

    Returns:
        Mean over the valid queries, scalar, nats.
    """
    corner = place.floor()
    part = place - corner
    total = torch.zeros_like(log_match[..., 0])
    for right in (0, 1):
        for down in (0, 1):
            column, row = (corner[..., i].long() + step for i, step in ((0, right), (1, down)))
            exists = (column >= 0) & (column < side) & (row >= 0) & (row < side)
            index = row.clamp(0, side - 1) * side + column.clamp(0, side - 1)
            share = (part[..., 0] if right else 1 - part[..., 0]) * (
                part[..., 1] if down else 1 - part[..., 1]
            )
            total = total - share * exists * log_match.gather(2, index[..., None])[..., 0]
    return (total * valid).sum() / valid.sum().clamp(min=1)


def end_point_error(found: Tensor, true: Tensor, valid: Tensor) -> Tensor:
    """Mean distance of the points that count, B×N×2 twice and bool B×N → B, in their unit."""
    distance = (found - true).norm(dim=-1)
    return (distance * valid).sum(dim=1) / valid.sum(dim=1).clamp(min=1)
