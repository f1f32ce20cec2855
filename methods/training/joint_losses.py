"""The losses of the coarse-to-fine joint network on pairs of which the motion is known."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from imedbench.methods.networks import polynomial_fit as poly
from imedbench.methods.networks.coarse_to_fine import Step
from imedbench.methods.networks.joint_encoder import Features
from imedbench.methods.networks.losses.registration import (
    chamfer_distance,
    distance_map,
    reverse_hinge,
)
from imedbench.methods.networks.losses.segmentation import dice_loss
from imedbench.methods.networks.losses.stages import end_point_error, soft_match_loss
from imedbench.methods.networks.unit_frame import grid_points

QUERIES = 32  # a side; the global stage asks for every second of them
PX_512 = 256.0  # px of a 512 px wide image in one unit
_MAP = 128  # px, side of the vessel maps that are warped
_TRUNCATION = 10.0  # px of those maps, beyond which a vessel has no partner


def inside(true: Tensor) -> Tensor:
    """Points of the fixed view that the moving view shows, bool B×N."""
    return (true.abs() < 1).all(dim=-1)


def global_losses(step: Step, true: Tensor) -> dict[str, Tensor]:
    """Cross-entropy of the global matches, and how far the affine map is off, px at 512."""
    asked = true.view(-1, QUERIES, QUERIES, 2)[:, ::2, ::2].flatten(1, 2)
    side = round(step.log_match.shape[2] ** 0.5)
    place = (asked + 1) * side / 2 - 0.5
    points = grid_points((QUERIES,) * 2, true.device)[0]
    error = end_point_error(poly.evaluate(step.map, points), true, inside(true))
    return {
        "global_match": soft_match_loss(step.log_match, place, side, inside(asked)),
        "global_px": error.mean() * PX_512,
    }


def local_losses(step: Step, before: Tensor, true: Tensor, radius: int) -> dict[str, Tensor]:
    """Take what is left in the warped image back through the map's derivative."""
    points = grid_points((QUERIES,) * 2, true.device)[0]
    left = true - poly.evaluate(before, points)
    back = torch.linalg.solve(poly.jacobian(before, points), left[..., None])[..., 0]
    place = back * QUERIES + radius  # the cells are half as wide as a query's
    side = 2 * radius + 1
    reached = ((place > 0) & (place < side - 1)).all(dim=-1)
    valid = inside(true)
    error = end_point_error(poly.evaluate(step.map, points), true, valid)
    return {
        "local_match": soft_match_loss(step.log_match, place, side, valid & reached),
        "local_px": error.mean() * PX_512,
    }


def vessel_losses(both: Features, step: Step, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Compute the report's four (Eq. 2 to 5), the last two on reference vessels, warped."""
    fixed, moving = batch["fixed_vessels"], batch["moving_vessels"]
    reference = torch.cat([fixed, moving])
    fixed, moving = (F.adaptive_avg_pool2d(vessels, _MAP) for vessels in (fixed, moving))
    points = grid_points((_MAP, _MAP), fixed.device)[0]
    grid = poly.evaluate(step.map, points).view(len(fixed), _MAP, _MAP, 2)
    warped = F.grid_sample(moving, grid, align_corners=False)
    return {
        "dice": dice_loss(both.vessels.sigmoid(), reference),
        "cross_entropy": F.binary_cross_entropy_with_logits(both.vessels, reference),
        "reverse_hinge": reverse_hinge(fixed, warped),
        "chamfer": chamfer_distance(
            warped, distance_map(fixed), count=moving.sum(dim=(1, 2, 3)), truncation=_TRUNCATION
        ),
    }
