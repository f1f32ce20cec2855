"""Losses of keypoint networks."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from imedbench.methods.networks.keypoints import CELL

_TOO_NEAR_PX = 8.0  # a descriptor sees this far, so closer points look alike and are no negatives


def cell_labels(points: NDArray[np.floating], size: int) -> Tensor:
    """Tell where in its cell the keypoint lies.

    Args:
        points: N×2 px, inside the square.
        size: side of the image, px.

    Returns:
        int64 (size / 8)×(size / 8): 0…63 row by row inside the cell, 64 for none; the first of
        several points of a cell counts.
    """
    cells = size // CELL
    labels = torch.full((cells, cells), CELL * CELL)
    place = torch.from_numpy(np.round(points[::-1]).astype(np.int64))
    place = place[((place >= 0) & (place < cells * CELL)).all(dim=1)]
    x, y = place.unbind(dim=1)
    labels[y // CELL, x // CELL] = (y % CELL) * CELL + x % CELL
    return labels


def contrastive_loss(
    first: Tensor, second: Tensor, first_points: Tensor, second_points: Tensor, temperature: float
) -> Tensor:
    """Each descriptor must be nearer to its partner than to the others (van den Oord et al. 2018).

    Args:
        first: B×N×D unit descriptors in one view.
        second: B×N×D of the same places in the other view.
        first_points: B×N×2 px, NaN for padding.
        second_points: B×N×2 px.
        temperature: by which similarities are divided.

    Returns:
        Mean cross-entropy in both directions; zero when nothing corresponds.
    """
    known = first_points.isfinite().all(dim=2)
    similarity = first @ second.transpose(1, 2) / temperature
    own = torch.eye(similarity.shape[1], dtype=torch.bool, device=first.device)
    near = _close(first_points) | _close(second_points)
    unfair = (near & ~own) | ~known[:, None, :]
    target = torch.arange(similarity.shape[1], device=first.device).expand(known.shape)
    if not known.any():
        return similarity.sum() * 0
    forward = similarity.masked_fill(unfair, -torch.inf)[known]
    backward = similarity.transpose(1, 2).masked_fill(unfair, -torch.inf)[known]
    return (F.cross_entropy(forward, target[known]) + F.cross_entropy(backward, target[known])) / 2


def _close(points: Tensor) -> Tensor:
    return torch.cdist(points, points) < _TOO_NEAR_PX


def assignment_loss(log_probabilities: Tensor, target: Tensor) -> Tensor:
    """Negative log likelihood of the true matches (SuperGlue, equation 9).

    Matches and dustbins weigh alike, however few of either there are.

    Args:
        log_probabilities: B×(M+1)×(N+1).
        target: bool B×(M+1)×(N+1), the entries that should hold the mass of their row or column;
            points whose fate is unclear have none.

    Returns:
        Mean over matched pairs plus mean over unmatched points.
    """
    matched = target[:, :-1, :-1]
    lonely = target.clone()
    lonely[:, :-1, :-1] = False
    pairs = -log_probabilities[:, :-1, :-1][matched]
    dustbins = -log_probabilities[lonely]
    parts = [part.mean() for part in (pairs, dustbins) if part.numel()]
    return torch.stack(parts).sum() if parts else log_probabilities.sum() * 0


def true_assignment(first_in_second: Tensor, second: Tensor, near: float, far: float) -> Tensor:
    """Tell which keypoints of two views are the same place.

    Args:
        first_in_second: B×M×2 px, true places in the second view of the first view's keypoints.
        second: B×N×2 px, keypoints of the second view.
        near: mutually nearest points this close are a match, px.
        far: a point with no partner this close has none, px; between the two it is left open.

    Returns:
        bool B×(M+1)×(N+1); the last column and row mark points without a partner.
    """
    distance = torch.cdist(first_in_second, second)
    rows, columns = distance.min(dim=2), distance.min(dim=1)
    here = torch.arange(distance.shape[1], device=distance.device)
    mutual = columns.indices.gather(1, rows.indices) == here
    match = torch.zeros_like(distance, dtype=torch.bool)
    match.scatter_(2, rows.indices[:, :, None], (mutual & (rows.values < near))[:, :, None])
    target = F.pad(match, (0, 1, 0, 1))
    target[:, :-1, -1] = rows.values > far
    target[:, -1, :-1] = columns.values > far
    return target
