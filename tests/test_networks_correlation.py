"""Correlation, mutual matching and 4-D convolution against plain loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from imedbench.methods.networks.conv4d import BatchNorm4d, Conv4d
from imedbench.methods.networks.correlation import (
    Consensus,
    OffsetReadout,
    SolvedAffine,
    centred,
    cosine_correlation,
    mutual_matching,
    soft_matches,
)
from imedbench.methods.networks.unit_frame import grid_points


def test_cosine_correlation_equals_the_formula_cell_by_cell() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 5, 2, 3)), rng.standard_normal((2, 5, 4, 2))
    found = cosine_correlation(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    assert found.shape == (2, 2, 3, 4, 2)
    for n, i, j, k, m in np.ndindex(found.shape):
        u, v = a[n, :, i, j], b[n, :, k, m]
        expected = u @ v / (np.linalg.norm(u) * np.linalg.norm(v))
        assert found[n, i, j, k, m] == pytest.approx(expected)


def test_centred_features_say_nothing_of_what_all_cells_share() -> None:
    torch.manual_seed(0)
    features = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(centred(features).mean(dim=(2, 3)), torch.zeros(2, 3))
    torch.testing.assert_close(centred(features + torch.rand(2, 3, 1, 1)), centred(features))


def test_mutual_matching_by_hand() -> None:
    # rows are source cells, columns target cells; maxima of rows 0.8, 0.6, of columns 0.8, 0.6
    correlation = torch.tensor([[0.8, 0.4], [0.2, 0.6]]).reshape(1, 2, 1, 2, 1)
    expected = [[0.8, 0.4 * (0.4 / 0.8) * (0.4 / 0.6)], [0.2 * (0.2 / 0.6) * (0.2 / 0.8), 0.6]]
    found = mutual_matching(correlation).reshape(2, 2)
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-4, rtol=0)


def naive_conv4d(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The sum over channels and offsets, one output at a time; zeros outside."""
    batch, _, *sizes = x.shape
    outputs, _, kernel = weight.shape[:3]
    result = bias.reshape(1, -1, 1, 1, 1, 1).repeat(batch, 1, *sizes)
    offsets = range(-(kernel // 2), kernel // 2 + 1)
    for place in np.ndindex(*sizes):
        for offset in itertools.product(offsets, repeat=4):
            there = tuple(p + o for p, o in zip(place, offset, strict=True))
            if all(0 <= t < s for t, s in zip(there, sizes, strict=True)):
                tap = tuple(o + kernel // 2 for o in offset)
                taps = weight[(slice(None), slice(None), *tap)]
                seen = x[(slice(None), slice(None), *there)]
                result[(slice(None), slice(None), *place)] += seen @ taps.T
    assert result.shape[1] == outputs
    return result


@pytest.mark.parametrize("kernel", [1, 3])
def test_conv4d_equals_a_naive_loop(kernel: int) -> None:
    torch.manual_seed(0)
    conv = Conv4d(2, 3, kernel)
    x = torch.rand(2, 2, 3, 4, 2, 3)
    with torch.no_grad():
        torch.testing.assert_close(conv(x), naive_conv4d(x, conv.weight, conv.bias))


def test_conv4d_passes_gradients_to_weights_and_input() -> None:
    torch.manual_seed(0)
    conv = Conv4d(1, 1).double()
    x = torch.rand(1, 1, 2, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(conv, (x,))


def test_batch_norm_4d_normalises_every_channel() -> None:
    x = torch.randn(3, 2, 3, 3, 3, 3) * 4 + 7
    y = BatchNorm4d(2)(x).transpose(0, 1).flatten(1)
    torch.testing.assert_close(y.mean(1), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std(1, correction=0), torch.ones(2), atol=1e-4, rtol=0)


def test_consensus_does_not_care_which_image_is_the_source() -> None:
    torch.manual_seed(0)
    net = Consensus((3, 3)).eval()
    correlation = torch.rand(1, 3, 4, 2, 5)
    swapped = net(correlation.permute(0, 3, 4, 1, 2))
    torch.testing.assert_close(swapped.permute(0, 3, 4, 1, 2), net(correlation))


def shifted_right() -> Tensor:
    """Target cell (i, j) matches source cell (i, j + 1), half a unit of four cells to the right."""
    features = torch.eye(16).reshape(1, 16, 4, 4)
    return cosine_correlation(features, torch.roll(features, -1, dims=3))


def test_soft_matches_of_a_shifted_correlation() -> None:
    found = soft_matches(60 * shifted_right())
    inner = found.offset.reshape(4, 4, 2)[:, :3]  # the last column's match has left the image
    torch.testing.assert_close(inner, torch.tensor([0.5, 0.0]).expand(4, 3, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.sure, torch.ones(1, 16))
    even = soft_matches(torch.zeros(1, 2, 3, 1, 1))
    torch.testing.assert_close(even.sure, torch.full((1, 1), 1 / 6))
    torch.testing.assert_close(even.offset, torch.zeros(1, 1, 2))


def test_the_solved_affine_is_the_least_squares_one() -> None:
    """Features that tell every cell, seen through a known affine map of the cells."""
    side = 12
    there = grid_points((side, side))[0]
    true = torch.tensor([[0.9, 0.1, 0.05], [-0.08, 1.05, -0.1]])
    moved = there @ true[:, :2].T + true[:, 2]

    def seen(points: Tensor) -> Tensor:
        near = torch.exp(-(torch.cdist(points, there) ** 2) / 0.05)
        return near.T.reshape(1, -1, side, side)

    correlation = cosine_correlation(seen(there), seen(moved))
    found = SolvedAffine(similarity=200.0, prior=1e-6)(correlation)
    torch.testing.assert_close(found[0], true, atol=0.03, rtol=0)
    strict = SolvedAffine(similarity=200.0, prior=1e3)(correlation)
    torch.testing.assert_close(strict[0, :, :2], torch.eye(2), atol=1e-3, rtol=0)


def test_what_the_consensus_leaves_sways_the_offsets() -> None:
    even = torch.zeros(1, 1, 2, 1, 1)
    agreed = torch.tensor([0.0, 2.0]).reshape(1, 1, 2, 1, 1)
    left, right = torch.softmax(torch.tensor([0.0, 2.0]), 0).tolist()
    x, y, sure = OffsetReadout(agreement=1.0)(even, agreed)[0, 0].tolist()
    assert x == pytest.approx(0.5 * right - 0.5 * left)
    assert y == 0
    assert sure == pytest.approx(left**left * right**right)
