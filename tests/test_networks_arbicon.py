"""Arbicon-Net: frames of points, direction of the warp, start from the identity."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from imedbench.methods.networks.arbicon import (
    AffineStage,
    ArbiconNet,
    DisplacementPredictor,
    Warp,
)
from imedbench.methods.networks.unit_frame import (
    apply_affine,
    grid_points,
    resample_affine,
    smooth_grid,
    to_pixels,
    to_unit,
)

sides = st.integers(1, 2000)
coordinates = st.floats(-1e4, 1e4)


class NoDisplacement(nn.Module):
    def forward(self, descriptor: Tensor, points: Tensor) -> Tensor:
        return torch.zeros_like(points)


def affine_warp(matrix: list[list[float]]) -> Warp:
    return Warp(
        affine=torch.tensor([matrix]),
        descriptor=torch.zeros(1, 1),
        predictor=NoDisplacement(),  # type: ignore[arg-type]
        correlation=torch.zeros(1, 1, 1, 1, 1),
    )


@given(x=coordinates, y=coordinates, height=sides, width=sides)
def test_pixels_and_unit_frame_are_inverse(x: float, y: float, height: int, width: int) -> None:
    pixels = torch.tensor([[x, y]], dtype=torch.float64)
    there = to_unit(pixels, (height, width))
    torch.testing.assert_close(to_pixels(there, (height, width)), pixels, atol=1e-6, rtol=1e-9)


def test_unit_frame_puts_edges_at_one() -> None:
    corners = to_unit(torch.tensor([[-0.5, -0.5], [7.5, 3.5]]), (4, 8))
    torch.testing.assert_close(corners, torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))


def test_grid_points_are_those_of_grid_sample() -> None:
    grid = F.affine_grid(torch.eye(2, 3)[None], [1, 1, 5, 7], align_corners=False)
    torch.testing.assert_close(grid_points((5, 7)), grid.reshape(1, -1, 2))


def test_apply_affine_equals_matrix_product() -> None:
    torch.manual_seed(0)
    affine, points = torch.rand(2, 2, 3), torch.rand(2, 4, 2)
    by_hand = torch.stack(
        [affine[b] @ torch.cat([points[b, i], torch.ones(1)]) for b in range(2) for i in range(4)]
    )
    torch.testing.assert_close(apply_affine(affine, points).reshape(-1, 2), by_hand)


def test_a_warp_sends_target_points_to_the_source() -> None:
    # the source shows the pixel (6, 3) of the target's frame at (4, 3): 2 px to the left
    source = torch.zeros(1, 1, 8, 8)
    source[0, 0, 3, 4] = 1
    warp = affine_warp([[1.0, 0.0, -0.5], [0.0, 1.0, 0.0]])
    resampled = warp.resample(source, (8, 8))
    assert resampled[0, 0, 3, 6] == pytest.approx(1.0)
    assert resampled.sum() == pytest.approx(1.0)
    pixels = to_pixels(
        warp.source_from_target(to_unit(torch.tensor([[[6.0, 3.0]]]), (8, 8))), (8, 8)
    )
    torch.testing.assert_close(pixels, torch.tensor([[[4.0, 3.0]]]))


def test_resample_and_resample_affine_agree() -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 2, 9, 11)
    matrix = [[0.9, 0.1, 0.05], [-0.1, 1.1, 0.0]]
    by_points = affine_warp(matrix).resample(image, (9, 11))
    torch.testing.assert_close(by_points, resample_affine(image, torch.tensor([matrix])))


@pytest.mark.parametrize("size", [(9, 11), (1, 6), (176, 176)])
def test_a_smooth_grid_is_exact_for_affine_and_close_for_curved(size: tuple[int, int]) -> None:
    affine = torch.tensor(
        [[[0.9, 0.2, 0.05], [-0.1, 1.1, 0.0]], [[1.0, 0.0, 0.3], [0.0, 1.0, 0.0]]]
    )
    grid = grid_points(size)
    there = apply_affine(affine, grid.expand(2, -1, -1))
    found = smooth_grid(lambda p: apply_affine(affine, p.expand(2, -1, -1)), size)
    torch.testing.assert_close(found.reshape(2, -1, 2), there)

    def curved(points: Tensor) -> Tensor:
        return points + 0.1 * torch.sin(2 * points.flip(-1))

    if size == (176, 176):
        close = smooth_grid(curved, size).reshape(1, -1, 2)
        assert (close - curved(grid)).abs().max() * 88 < 0.02  # px


def test_an_untrained_network_stays_close_to_the_identity() -> None:
    torch.manual_seed(0)
    net = ArbiconNet(widths=(2, 4), grid=11, descriptor=8, consensus=(2,)).eval()
    points = grid_points((4, 4)).expand(2, -1, -1)
    warp = net(torch.rand(2, 1, 22, 22), torch.rand(2, 1, 22, 22))
    assert warp.affine.shape == (2, 2, 3)
    assert warp.descriptor.shape == (2, 8)
    assert warp.correlation.shape == (2, 11, 11, 11, 11)
    assert (warp.source_from_target(points) - points).abs().max() < 0.05


def test_affine_stage_fits_every_grid_from_eleven_cells() -> None:
    for grid in (11, 15):
        assert AffineStage(grid).eval()(torch.rand(1, *(grid,) * 4)).shape == (1, 2, 3)


def test_displacement_is_point_wise_and_smooth() -> None:
    torch.manual_seed(0)
    predictor = DisplacementPredictor(4, widths=(16, 8)).eval()
    descriptor = torch.rand(1, 4)
    points = torch.rand(1, 10, 2)
    whole = predictor(descriptor, points)
    torch.testing.assert_close(predictor(descriptor, points[:, 3:4]), whole[:, 3:4])
    near = predictor(descriptor, points + 1e-3)
    assert (near - whole).abs().max() < 1e-3


def test_a_tiny_network_learns_a_shift() -> None:
    """Gradients reach the affine stage through the correlation."""
    torch.manual_seed(0)
    net = ArbiconNet(widths=(4, 8), grid=11, descriptor=4, consensus=(2,))
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    source = torch.rand(4, 1, 22, 22)
    shifts = torch.tensor([[0.2, 0.0], [-0.2, 0.0], [0.0, 0.2], [0.0, -0.2]])
    true = torch.eye(2, 3).repeat(4, 1, 1)
    true[:, :, 2] = shifts
    target = resample_affine(source, true)
    points = grid_points((3, 3)).expand(4, -1, -1)
    errors = []
    for _ in range(60):
        found = apply_affine(net.first_stage(source, target).affine, points)
        loss = (found - apply_affine(true, points)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(loss.item())
    assert errors[-1] < errors[0] / 20
