"""Mutual nearest neighbours of descriptors."""

from __future__ import annotations

import torch
from torch import Tensor


def mutual_nearest(
    first: Tensor,
    second: Tensor,
    valid_first: Tensor | None = None,
    valid_second: Tensor | None = None,
) -> Tensor:
    """Pairs of unit vectors that are each other's nearest.

    Args:
        first: B×M×D.
        second: B×N×D.
        valid_first: bool B×M, false for padding; all by default.
        valid_second: bool B×N.

    Returns:
        B×M, the partner of each of the M; -1 for none.
    """
    similarity = first @ second.transpose(1, 2)
    if valid_first is not None:
        similarity = similarity.masked_fill(~valid_first[:, :, None], -2.0)
    if valid_second is not None:
        similarity = similarity.masked_fill(~valid_second[:, None, :], -2.0)
    if 0 in similarity.shape:
        return torch.full(similarity.shape[:2], -1, device=similarity.device)
    best, forward = similarity.max(dim=2)
    backward = similarity.argmax(dim=1)
    here = torch.arange(similarity.shape[1], device=similarity.device)
    kept = (backward.gather(1, forward) == here) & (best >= -1.0)
    return torch.where(kept, forward, -1)
