"""Losses between a vessel map and its reference."""

from __future__ import annotations

from torch import Tensor


def dice_loss(probability: Tensor, target: Tensor, *, smooth: float = 1.0) -> Tensor:
    """One minus the overlap of two maps, 1 - 2·|X∩Y| / (|X| + |Y|), report Eq. 2.

    Args:
        probability: B×1×H×W in [0, 1].
        target: B×1×H×W in [0, 1].
        smooth: added to numerator and denominator, so that two empty maps agree; in pixels.

    Returns:
        Mean over the batch, scalar in [0, 1].
    """
    overlap = (probability * target).sum(dim=(1, 2, 3))
    total = probability.sum(dim=(1, 2, 3)) + target.sum(dim=(1, 2, 3))
    return (1 - (2 * overlap + smooth) / (total + smooth)).mean()
