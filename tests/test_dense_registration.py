"""From a warp in unit frames to a transform of images, with networks whose warp is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from imedbench.methods.dense_registration import fit_square, register_squares
from imedbench.methods.networks.arbicon import Warp

SIZE = 32


class NoDisplacement(nn.Module):
    def forward(self, descriptor: Tensor, points: Tensor) -> Tensor:
        return torch.zeros_like(points)


class Fixed:
    """A network that always finds the same affine warp, and remembers the sources it saw."""

    def __init__(self, matrix: list[list[float]]) -> None:
        self.matrix, self.seen = matrix, []

    def __call__(self, source: Tensor, target: Tensor) -> Warp:
        self.seen.append(source[0, 0].numpy())
        return Warp(
            affine=torch.tensor([self.matrix]),
            descriptor=torch.zeros(1, 1),
            predictor=NoDisplacement(),
            correlation=torch.rand(1, 3, 3, 3, 3),
        )


IDENTITY = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
RIGHT = [[1.0, 0.0, 0.25], [0.0, 1.0, 0.0]]  # the source lies an eighth of the square to the right


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((height, width)).astype(np.float32)


@given(height=st.integers(5, 90), width=st.integers(5, 90))
@settings(max_examples=25)
def test_the_corners_of_an_image_lie_where_its_square_shows_them(height: int, width: int) -> None:
    square = fit_square(np.ones((height, width), np.float32), SIZE, 0.0)
    corners = square.from_image.apply([[-0.5, -0.5], [width - 0.5, height - 0.5]])
    (left, top), (right, bottom) = np.rint(corners + 0.5).astype(int)
    np.testing.assert_allclose(corners + 0.5, [[left, top], [right, bottom]], atol=1e-9)
    assert max(right - left, bottom - top) == SIZE
    expected = np.zeros((SIZE, SIZE))
    expected[top:bottom, left:right] = 1
    np.testing.assert_allclose(square.plane, expected, atol=1e-6)


def test_identity_on_images_of_two_sizes_lays_their_centres_on_each_other() -> None:
    source, target = fit_square(image(64, 48), SIZE, 0.5), fit_square(image(96, 128), SIZE, 0.5)
    found = register_squares(Fixed(IDENTITY), source, target, 1, "cpu")
    centre = found.source_from_target.apply([[63.5, 47.5]])
    np.testing.assert_allclose(centre, [[23.5, 31.5]], atol=1e-3)
    # 128 px and 64 px fill the same square: the source is half as fine
    right = found.source_from_target.apply([[73.5, 47.5]])
    np.testing.assert_allclose(right - centre, [[5.0, 0.0]], atol=1e-3)


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_passes_add_up(passes: int) -> None:
    square = fit_square(image(64, 64), SIZE, 0.5)
    found = register_squares(Fixed(RIGHT), square, square, passes, "cpu")
    # an eighth of 64 px a pass
    np.testing.assert_allclose(
        found.source_from_target.apply([[20.0, 30.0]]), [[20.0 + 8 * passes, 30.0]], atol=1e-3
    )


def test_a_later_pass_sees_the_source_as_the_earlier_ones_moved_it() -> None:
    square = fit_square(image(SIZE, SIZE), SIZE, 0.5)
    network = Fixed(RIGHT)
    register_squares(network, square, square, 2, "cpu")
    first, second = network.seen
    np.testing.assert_allclose(first, square.plane, atol=1e-5)
    np.testing.assert_allclose(second[:, :-4], first[:, 4:], atol=1e-5)
    np.testing.assert_allclose(second[:, -4:], 0.5, atol=1e-5)  # beside the image


def test_what_it_shows_can_be_drawn() -> None:
    square = fit_square(image(SIZE, SIZE), SIZE, 0.5)
    pictures = register_squares(Fixed(IDENTITY), square, square, 1, "cpu").pictures
    assert set(pictures) == {"correlation", "displacement"}
    assert all(picture.dtype == np.uint8 for picture in pictures.values())
    assert pictures["correlation"].shape == (27, 27)
    # straight lines where nothing moves: some columns are white from top to bottom
    assert (pictures["displacement"][4:-4].min(axis=0) > 200).any()
