"""Poses from the correlation network, and from both it and the search."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from imedbench.core.transforms import Affine
from imedbench.datasets.synthetic.pairs import make_pair
from imedbench.methods.imed.prepare import Prepared, prepare
from imedbench.methods.imed.propose import Proposer, fit_similarity, network_pose
from imedbench.methods.imed.search import SearchRange
from imedbench.methods.imed.segmenter import Segmenter
from imedbench.methods.networks.arbicon import Warp

SIZE = 128


class NoDisplacement(nn.Module):
    def forward(self, descriptor: Tensor, points: Tensor) -> Tensor:
        return torch.zeros_like(points)


class Shifting:
    """Finds at its first call that the source lies a tenth of the square to the right."""

    size = 64

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, source: Tensor, target: Tensor) -> Warp:
        shift = 0.2 if self.calls == 0 else 0.0
        self.calls += 1
        return Warp(
            affine=torch.tensor([[[1.0, 0.0, shift], [0.0, 1.0, 0.0]]]),
            descriptor=torch.zeros(1, 1),
            predictor=NoDisplacement(),  # type: ignore[arg-type]
            correlation=torch.zeros(1, 2, 2, 2, 2),
        )


@pytest.fixture(scope="module")
def sides() -> tuple[Prepared, Prepared]:
    pair = make_pair(3, "easy", size=SIZE)
    segment = Segmenter("ridge", "vessels")
    return prepare(pair.fixed, 1.0, segment), prepare(pair.moving, 1.0, segment)


@given(
    scale=st.floats(0.3, 3), angle=st.floats(-180, 180), x=st.floats(-50, 50), y=st.floats(-50, 50)
)
def test_a_similarity_is_fitted_exactly(scale: float, angle: float, x: float, y: float) -> None:
    true = Affine.similarity(scale=scale, rotation_deg=angle, shift=(x, y))
    points = np.random.default_rng(0).uniform(0, 500, (9, 2))
    np.testing.assert_allclose(
        fit_similarity(points, true.apply(points)), true.matrix, atol=1e-9, rtol=1e-9
    )


def test_the_networks_pose_is_that_of_its_warp(sides: tuple[Prepared, Prepared]) -> None:
    pose = network_pose(Shifting(), *sides, "cpu")  # type: ignore[arg-type]
    # moving = fixed + SIZE / 10, so the moving image has to go to the left
    expected = [[1, 0, -SIZE / 10], [0, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(pose, expected, atol=1e-3)


@pytest.mark.parametrize(("kind", "count"), [("network", 1), ("both", 6), ("search", 5)])
def test_who_proposes(sides: tuple[Prepared, Prepared], kind: str, count: int) -> None:
    span = SearchRange(rotation_deg=14, smallest_scale=0.9, largest_scale=1.1)
    network = None if kind == "search" else Shifting()
    poses = Proposer(span, 5, kind, network, "cpu")(*sides)  # type: ignore[arg-type]
    assert len(poses) == count
    shifted = np.isclose(poses[:, 0, 2], -SIZE / 10, atol=1e-3)
    assert shifted[0] == (kind != "search")
    assert shifted.sum() <= 1
