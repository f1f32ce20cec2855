"""Losses of registration: on vessel maps, on a grid of points, on correlations."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional as F


def distance_map(vessels: Tensor) -> Tensor:
    """Distance of every pixel to the nearest vessel of the target, d_I of report Eq. 4.

    Args:
        vessels: B×1×H×W; above 0.5 is vessel.

    Returns:
        float32 B×1×H×W in px; the diagonal of the image where there is no vessel at all.
    """
    height, width = vessels.shape[-2:]
    masks = (vessels.detach() > 0.5).cpu().numpy()
    maps = np.full(masks.shape, np.hypot(height, width), np.float32)
    for index in np.ndindex(masks.shape[:2]):
        if masks[index].any():
            maps[index] = distance_transform_edt(~masks[index])
    return torch.from_numpy(maps).to(vessels.device)


def chamfer_distance(
    warped: Tensor,
    distance: Tensor,
    *,
    count: Tensor | None = None,
    truncation: float | None = None,
) -> Tensor:
    """Mean distance of the source's vessels to the target's, 1/|T| Σ d_I(t), report Eq. 4.

    Args:
        warped: soft vessel map of the source in the target's frame, B×1×H×W in [0, 1]; a hard mask
            would let no gradient through.
        distance: `distance_map` of the target's vessels, B×1×H×W px.
        count: |T|, B; by default what of the vessels is left after the warp. With the count before
            the warp, vessels that leave the window lower the loss: see `reverse_hinge`.
        truncation: px at which the distance stops growing, so that vessels only one image shows
            do not pull.

    Returns:
        Mean over the batch, scalar, px.
    """
    if truncation is not None:
        distance = distance.clamp(max=truncation)
    if count is None:
        count = warped.sum(dim=(1, 2, 3))
    return ((warped * distance).sum(dim=(1, 2, 3)) / count.clamp(min=1.0)).mean()


def reverse_hinge(target: Tensor, warped: Tensor) -> Tensor:
    """Target vessels that no source vessel covers, max(0, target - source), report Eq. 5.

    It keeps the source's vessels in the window and at their size.

    Args:
        target: vessel map of the target, B×1×H×W in [0, 1].
        warped: vessel map of the source in the target's frame, B×1×H×W in [0, 1].

    Returns:
        Share of the target's vessels, mean over the batch, scalar in [0, 1].
    """
    uncovered = (target - warped).clamp(min=0).sum(dim=(1, 2, 3))
    return (uncovered / target.sum(dim=(1, 2, 3)).clamp(min=1.0)).mean()


def grid_loss(predicted: Tensor, true: Tensor) -> Tensor:
    """Mean squared distance between where points go and where they should (Rocco et al. 2017).

    Args:
        predicted: B×N×2.
        true: B×N×2, in the same unit.

    Returns:
        Scalar, in the unit squared.
    """
    return (predicted - true).square().sum(dim=-1).mean()


def soft_inlier_score(correlation: Tensor, points: Tensor, *, radius: float = 0.15) -> Tensor:
    """Correlation that a transform gathers near where it sends each cell (Rocco et al. 2018).

    Args:
        correlation: B×h×w×H×W, similarity of source cell (h, w) to target cell (H, W), ≥ 0.
        points: where the transform sends the centres of the source cells, B×(h·w)×2 as (x, y) in
            [-1, 1] of the target.
        radius: of the inlier mask, in the same unit; its edge is soft so that gradients pass.

    Returns:
        Mean over source cells, B; training maximises it.
    """
    height, width = correlation.shape[-2:]
    rows = (torch.arange(height, device=points.device) + 0.5) * 2 / height - 1
    columns = (torch.arange(width, device=points.device) + 0.5) * 2 / width - 1
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    cells = torch.stack([x, y], dim=-1).reshape(1, 1, -1, 2)
    squared = (points[:, :, None] - cells).square().sum(dim=-1)
    mask = torch.exp(-squared / (2 * radius**2))
    return (mask * correlation.flatten(3).flatten(1, 2)).sum(dim=-1).mean(dim=-1)


def matching_loss(correlation: Tensor, true: Tensor, *, temperature: float = 0.07) -> Tensor:
    """Cross-entropy of each target cell's match among all source cells.

    It teaches the features directly to tell places apart, where the grid loss reaches them only
    through the regression. The form is that of contrastive learning (van den Oord et al. 2018).

    Args:
        correlation: B×h×w×H×W in [-1, 1], source cells first.
        true: where the centres of the target cells lie in the source, B×(H·W)×2 in its unit frame;
            those outside do not count.
        temperature: that the correlation is divided by before the softmax.

    Returns:
        Mean over target cells inside the source, scalar, nats.
    """
    batch, height, width = correlation.shape[:3]
    likely = torch.log_softmax(correlation.flatten(3).flatten(1, 2) / temperature, dim=1)
    maps = likely.transpose(1, 2).reshape(-1, 1, height, width)
    places = true.reshape(-1, 1, 1, 2)
    there = F.grid_sample(maps, places, align_corners=False, padding_mode="border")
    inside = (true.abs() <= 1).all(dim=-1)
    return -(there.reshape(batch, -1) * inside).sum() / inside.sum().clamp(min=1)
