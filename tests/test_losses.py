"""Losses against cases worked by hand, and what the reverse hinge is for."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from imedbench.methods.networks.losses.registration import (
    chamfer_distance,
    distance_map,
    grid_loss,
    matching_loss,
    reverse_hinge,
    soft_inlier_score,
)
from imedbench.methods.networks.losses.segmentation import (
    dice_loss,
)


def plane(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows)[None, None]


def test_dice_loss_of_half_overlapping_masks() -> None:
    # |X| = 2, |Y| = 2, |X∩Y| = 1: 1 - 2·1/4
    loss = dice_loss(plane([[1, 1, 0, 0]]), plane([[0, 1, 1, 0]]), smooth=0)
    assert loss.item() == pytest.approx(0.5)


def test_dice_loss_agrees_on_two_empty_masks() -> None:
    empty = torch.zeros(1, 1, 3, 3)
    assert dice_loss(empty, empty).item() == pytest.approx(0.0)


def test_dice_loss_is_a_mean_over_images_and_not_over_pixels() -> None:
    large, none = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    predicted, true = torch.cat([large, none]), torch.cat([large, plane([[1.0] * 4] * 4)])
    assert dice_loss(predicted, true, smooth=0).item() == pytest.approx(0.5)


def test_distance_map_of_one_vessel_pixel() -> None:
    vessels = torch.zeros(1, 1, 4, 5)
    vessels[0, 0, 1, 2] = 1
    distance = distance_map(vessels)[0, 0]
    assert distance[1, 2] == 0
    assert distance[1, 0] == 2
    assert distance[3, 4].item() == pytest.approx(math.sqrt(8))


def test_distance_map_without_vessels_is_the_diagonal() -> None:
    assert (distance_map(torch.zeros(2, 1, 3, 4)) == 5).all()


def test_chamfer_distance_by_hand() -> None:
    # target vessel in column 0: distances 0 1 2 3; source of one and a half pixels
    distance = distance_map(plane([[1, 0, 0, 0]]))
    source = plane([[0, 1, 0, 0.5]])
    assert chamfer_distance(source, distance).item() == pytest.approx((1 + 0.5 * 3) / 1.5)


def test_chamfer_distance_by_the_count_before_the_warp() -> None:
    distance = distance_map(plane([[1, 0, 0, 0]]))
    loss = chamfer_distance(plane([[0, 0, 1, 0]]), distance, count=torch.tensor([4.0]))
    assert loss.item() == pytest.approx(2 / 4)


def test_truncation_caps_what_a_far_vessel_adds() -> None:
    distance = distance_map(plane([[1, 0, 0, 0, 0, 0]]))
    source = plane([[0, 1, 0, 0, 0, 1]])
    assert chamfer_distance(source, distance, truncation=2.0).item() == pytest.approx((1 + 2) / 2)


def test_reverse_hinge_follows_the_table_of_the_report() -> None:
    target, source = plane([[1, 1, 0, 0]]), plane([[0, 1, 0, 1]])
    losses = [reverse_hinge(target[..., i : i + 1], source[..., i : i + 1]) for i in range(4)]
    assert [loss.item() for loss in losses] == [1, 0, 0, 0]
    assert reverse_hinge(target, source).item() == pytest.approx(0.5)


def test_grid_loss_is_the_mean_squared_distance_of_points() -> None:
    true = torch.zeros(1, 2, 2)
    predicted = torch.tensor([[[3.0, 4.0], [0.0, 1.0]]])
    assert grid_loss(predicted, true).item() == pytest.approx((25 + 1) / 2)


def test_matching_loss_by_hand() -> None:
    """Two source cells side by side, one target cell: a softmax over two numbers."""
    correlation = torch.tensor([0.5, 0.1]).reshape(1, 1, 2, 1, 1)
    log_both = torch.log_softmax(torch.tensor([5.0, 1.0]), dim=0)

    def loss(x: float) -> float:
        return matching_loss(correlation, torch.tensor([[[x, 0.0]]]), temperature=0.1).item()

    assert loss(-0.5) == pytest.approx(-log_both[0].item())  # the centre of the left cell
    assert loss(0.5) == pytest.approx(-log_both[1].item())
    assert loss(0.0) == pytest.approx(-log_both.mean().item())  # half way between them


def test_matching_loss_leaves_out_what_lies_outside_the_source() -> None:
    torch.manual_seed(0)
    correlation = torch.rand(1, 2, 2, 1, 2)
    inside, outside = [0.5, -0.5], [1.2, 0.0]
    both = matching_loss(correlation, torch.tensor([[inside, outside]]))
    alone = matching_loss(correlation[..., :1], torch.tensor([[inside]]))
    torch.testing.assert_close(both, alone)
    assert matching_loss(correlation, torch.tensor([[outside, outside]])).item() == 0


def test_soft_inlier_score_prefers_the_transform_the_correlation_supports() -> None:
    # cell i of a 1×4 source matches cell i of the target and nothing else
    correlation = torch.eye(4).reshape(1, 1, 4, 1, 4)
    centres = torch.tensor([[[-0.75, 0.0], [-0.25, 0.0], [0.25, 0.0], [0.75, 0.0]]])
    right = soft_inlier_score(correlation, centres)
    wrong = soft_inlier_score(correlation, centres.flip(1))
    assert right.item() == pytest.approx(1.0)
    assert wrong.item() < 0.1


def test_soft_inlier_score_falls_off_as_its_radius_says() -> None:
    correlation = torch.ones(1, 1, 1, 1, 1)
    score = soft_inlier_score(correlation, torch.tensor([[[0.15, 0.0]]]), radius=0.15)
    assert score.item() == pytest.approx(math.exp(-0.5))


def drawn(*lines: Tensor) -> Tensor:
    """Soft vessels along the zero lines of functions of the pixel, 1×1×64×64, inside a disc."""
    inside = (ROWS - 31.5) ** 2 + (COLUMNS - 31.5) ** 2 < 26**2
    nearest = torch.stack([line.abs() for line in lines]).amin(0)
    return (torch.exp(-(nearest**2) / 4) * inside)[None, None]


ROWS, COLUMNS = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
SHARED = (
    ROWS - 0.4 * COLUMNS - 12,
    ROWS + 0.3 * COLUMNS - 45,
    COLUMNS - 0.2 * ROWS - 30,
    COLUMNS + 0.5 * ROWS - 20,
)
ONLY_IN_SOURCE = ROWS + 0.9 * COLUMNS - 75  # as modalities do not show the same vessels


def optimised_warp(*, hinge: float) -> tuple[Tensor, float]:
    """Fit an affine warp from 2 px off; the warp, and the share of the source's vessels left."""
    target, source = drawn(*SHARED), drawn(*SHARED, ONLY_IN_SOURCE)
    distance, count = distance_map(target), source.sum(dim=(1, 2, 3))
    affine = torch.tensor([[[1.0, 0.0, 0.06], [0.0, 1.0, -0.06]]], requires_grad=True)
    optimiser = torch.optim.Adam([affine], lr=0.01)
    for _ in range(250):
        warped = warp(source, affine)
        loss = chamfer_distance(warped, distance, count=count)
        loss = loss + hinge * reverse_hinge(target, warped)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    left = warp(source, affine).sum().detach() / count[0]
    return affine.detach(), left.item()


def warp(image: Tensor, affine: Tensor) -> Tensor:
    grid = F.affine_grid(affine, list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, align_corners=False)


def test_chamfer_alone_shrinks_the_vessels() -> None:
    affine, left = optimised_warp(hinge=0.0)
    assert left < 0.5
    assert torch.linalg.det(affine[0, :, :2]) > 2  # target to source: the source is shrunk


def test_reverse_hinge_keeps_the_vessels_and_finds_the_warp() -> None:
    affine, left = optimised_warp(hinge=10.0)
    assert left == pytest.approx(1.0, abs=0.02)
    torch.testing.assert_close(affine[0], torch.eye(2, 3), atol=0.02, rtol=0)
