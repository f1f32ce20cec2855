"""The parts of the coarse-to-fine network against independent calculations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from imedbench.core.transforms import Quadratic
from imedbench.methods.coarse_to_fine_search import Found, Picture, folds
from imedbench.methods.networks import polynomial_fit as poly
from imedbench.methods.networks.coarse_to_fine import SIZE, CoarseToFine, warp
from imedbench.methods.networks.local_correlation import displacements, local_correlation
from imedbench.methods.networks.losses.stages import end_point_error, soft_match_loss
from imedbench.methods.networks.match_judge import CUES, MatchJudge

BENT = torch.tensor(
    [[[0.02, -0.03], [1.1, 0.05], [-0.04, 0.95], [0.03, 0.0], [0.01, -0.02], [0.0, 0.02]]]
)


def naive_correlation(fixed: Tensor, moving: Tensor, radius: int) -> Tensor:
    height, width = fixed.shape[2:]
    padded = F.pad(moving, (radius,) * 4)
    planes = [
        (fixed * padded[:, :, y : y + height, x : x + width]).sum(dim=1)
        for y in range(2 * radius + 1)
        for x in range(2 * radius + 1)
    ]
    return torch.stack(planes, dim=1)


def test_banded_correlation_equals_the_naive_one_and_so_do_its_gradients() -> None:
    torch.manual_seed(0)
    planes = [torch.randn(2, 5, 6, 9, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    weights = torch.randn(2, 25, 6, 9, dtype=torch.float64)
    found, expected = (
        (way(*planes, 2) * weights) for way in (local_correlation, naive_correlation)
    )
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(value.sum(), planes) for value in (found, expected)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_displacements_are_in_the_order_of_the_correlation() -> None:
    fixed, moving = torch.zeros(1, 1, 9, 9), torch.zeros(1, 1, 9, 9)
    fixed[0, 0, 4, 4] = moving[0, 0, 5, 2] = 1.0
    best = int(local_correlation(fixed, moving, 3)[0, :, 4, 4].argmax())
    assert displacements(3)[best].tolist() == [-2.0, 1.0]


def test_the_ridge_fit_is_weighted_least_squares() -> None:
    rng = np.random.default_rng(0)
    points, weight = rng.uniform(-1, 1, (40, 2)), rng.uniform(0.1, 2, 40)
    true = Quadratic.fit(points, points + rng.normal(0, 0.05, points.shape))
    moving = true.apply(points) + rng.normal(0, 0.01, points.shape)
    x, y = points.T
    rows = np.column_stack([np.ones(40), x, y, x * x, x * y, y * y])
    root = np.sqrt(weight)[:, None]
    expected = rows @ np.linalg.lstsq(root * rows, root * moving, rcond=None)[0]
    start = poly.identity(1, torch.zeros(1, dtype=torch.float64))
    there = torch.from_numpy(moving)[None]
    found = poly.ridge_fit(
        start,
        torch.from_numpy(points),
        there,
        1e6 * torch.from_numpy(weight)[None],  # so sure that no ridge holds
        torch.tensor([-9.0, -9.0], dtype=torch.float64),
        2,
    )
    moved = poly.evaluate(found, torch.from_numpy(points))[0].numpy()
    np.testing.assert_allclose(moved, expected, atol=1e-6)


def test_a_strong_ridge_keeps_the_map_before_it() -> None:
    points = torch.rand(30, 2) * 2 - 1
    there = poly.evaluate(BENT, points)
    start, sure = poly.identity(1, there), torch.ones(1, 30)
    held = poly.ridge_fit(start, points, there, sure, torch.tensor([20.0, 20.0]), 2)
    torch.testing.assert_close(held[:, 1:], start[:, 1:], atol=1e-4, rtol=0)
    free = poly.ridge_fit(start, points, there, sure, torch.tensor([-20.0, -20.0]), 2)
    torch.testing.assert_close(free, BENT, atol=1e-3, rtol=0)


def test_derivatives_and_compositions_of_maps() -> None:
    points = torch.rand(7, 2, dtype=torch.float64) * 2 - 1
    bent, step = BENT.double(), 1e-5
    found = poly.jacobian(bent, points)
    for axis in (0, 1):
        shift = torch.zeros(2, dtype=torch.float64)
        shift[axis] = step
        slope = poly.evaluate(bent, points + shift) - poly.evaluate(bent, points - shift)
        torch.testing.assert_close(found[..., axis], slope / (2 * step), atol=1e-7, rtol=0)
    affine = torch.tensor([[[0.0, -2.0, 0.3], [2.0, 0.0, -0.1]]], dtype=torch.float64)
    there = poly.evaluate(bent, points) @ affine[0, :, :2].T + affine[0, :, 2]
    torch.testing.assert_close(poly.evaluate(poly.after_affine(affine, bent), points), there)
    torch.testing.assert_close(
        poly.evaluate(poly.from_affine(affine), points),
        (points @ affine[0, :, :2].T + affine[0, :, 2])[None],
    )


def test_an_answer_goes_to_pixels_and_back() -> None:
    fixed = Picture.of(np.full((200, 320), 0.5, np.float32), (SIZE,), "cpu")
    moving = Picture.of(np.full((512, 512), 0.5, np.float32), (SIZE,), "cpu")
    found = Found(BENT, 0.0, 0, np.zeros((1, 1), np.uint8))
    forward = found.moving_from_fixed(fixed, moving)
    # The unit frame's middle is the middle of both images; there the map is known.
    middle = poly.evaluate(BENT, torch.zeros(1, 2))[0, 0].numpy()
    np.testing.assert_allclose(
        forward.apply([[159.5, 99.5]])[0], (middle + 1) * 256 - 0.5, atol=1e-3
    )
    points = np.random.default_rng(0).uniform(0, [319, 199], (50, 2))
    np.testing.assert_allclose(forward.inverse().apply(forward.apply(points)), points, atol=1e-4)


def test_folds_are_noticed() -> None:
    folded = BENT.clone()
    folded[0, 3, 0] = 0.9  # x → 1.1·x + 0.9·x² turns back at x = -0.6
    assert folds(torch.cat([BENT, folded])).tolist() == [False, True]


def test_the_match_loss_is_least_at_the_truth() -> None:
    place = torch.tensor([[[1.25, 2.5]]])
    valid = torch.ones(1, 1, dtype=torch.bool)
    truth = torch.zeros(1, 1, 16)
    for index, share in ((9, 0.375), (10, 0.125), (13, 0.375), (14, 0.125)):
        truth[0, 0, index] = share
    best = soft_match_loss((truth + 1e-9).log(), place, 4, valid)
    other = soft_match_loss((truth.roll(1, -1) + 1e-9).log(), place, 4, valid)
    np.testing.assert_allclose(best, -(truth * (truth + 1e-9).log()).sum(), rtol=1e-5)
    assert other > best


def test_the_end_point_error_counts_valid_points_alone() -> None:
    found, true = torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [9.0, 9.0]]])
    assert end_point_error(found, true, torch.tensor([[True, False]])).tolist() == [5.0]


def test_judges_leave_the_matches_alone() -> None:
    cues = torch.rand(2, 5, CUES, requires_grad=True)
    odds = MatchJudge()(cues, torch.rand(2, 5))
    assert odds.shape == (2,)
    odds.sum().backward()
    assert cues.grad is None


@pytest.fixture(scope="module")
def network() -> CoarseToFine:
    torch.manual_seed(0)
    return CoarseToFine()


def test_shapes_and_that_all_parts_learn_from_their_losses(network: CoarseToFine) -> None:
    network.train()
    images = torch.randn(4, 1, SIZE, SIZE) * 0.2
    both = network.encode(images, vessels=True)
    assert both.coarse.shape == (4, 64, 32, 32)
    assert both.fine.shape == (4, 24, 64, 64)
    assert both.vessels.shape == images.shape
    first = network.globally(both[:2].coarse, both[2:].coarse)
    assert first.log_match.shape == (2, 256, 1024)
    start = first.map.detach()
    second = network.refine(both[:2], warp(images[2:], start), start)
    assert second.log_match.shape == (2, 1024, 81)
    assert torch.isfinite(second.map).all()
    (first.map.sum() + second.map.sum() + both.vessels.sum()).backward()
    unused = [n for n, p in network.named_parameters() if p.grad is None and "judge" not in n]
    assert unused == []


def test_folding_the_normalisation_in_changes_nothing(network: CoarseToFine) -> None:
    torch.manual_seed(1)
    fresh = CoarseToFine().eval()
    image = torch.randn(1, 1, SIZE, SIZE) * 0.2
    with torch.inference_mode():
        before = fresh.encode(image)
        after = fresh.folded().encode(image)
    torch.testing.assert_close(after.coarse, before.coarse, atol=1e-5, rtol=0)
    torch.testing.assert_close(after.fine, before.fine, atol=1e-5, rtol=0)


def test_warping_by_a_shift() -> None:
    image = torch.zeros(1, 1, SIZE, SIZE)
    image[0, 0, 100, 120] = 1.0
    map_ = poly.identity(1, image)
    map_[0, 0, 0] = 2 * 8 / SIZE  # fixed points show what lies 8 px to the right
    row, column = divmod(int(warp(image, map_)[0, 0].argmax()), SIZE)
    assert (row, column) == (100, 112)
