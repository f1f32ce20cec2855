"""The registration network alone, on synthetic pairs whose truth is exact."""

from __future__ import annotations

import numpy as np
import pytest

from imedbench.core.types import Image, ImagePair
from imedbench.datasets.synthetic.pairs import make_pair
from imedbench.methods.arbicon import Arbicon
from imedbench.methods.network_input import even_plane


@pytest.fixture(scope="module")
def pair() -> ImagePair:
    return make_pair(21, "imed")


def error_px(method: Arbicon, fixed: Image, moving: Image, pair: ImagePair) -> float:
    """Mean distance of the landmarks."""
    method.prepare("cpu")
    answer = method.register(fixed, moving)
    assert answer.fixed_from_moving is not None
    assert pair.truth.moving_points is not None
    assert pair.truth.fixed_points is not None
    left = answer.fixed_from_moving.apply(pair.truth.moving_points) - pair.truth.fixed_points
    return float(np.linalg.norm(left, axis=1).mean())


def test_images_of_two_modalities_are_registered(pair: ImagePair) -> None:
    assert error_px(Arbicon(), pair.fixed, pair.moving, pair) < 1.5


def test_vessel_maps_are_registered_as_they_are(pair: ImagePair) -> None:
    maps = []
    for image in (pair.fixed, pair.moving):
        strength = np.clip((even_plane(image) - 0.5) * 512, 0, 255)
        maps.append(Image(strength.astype(np.uint8), "vessels"))
    assert error_px(Arbicon(), *maps, pair) < 3.0


def test_a_map_of_vessels_is_shown_on_an_even_ground() -> None:
    pixels = np.array([[0, 255], [51, 0]], np.uint8)
    expected = np.array([[0.5, 1.0], [0.6, 0.5]])
    np.testing.assert_allclose(even_plane(Image(pixels, "vessels")), expected, atol=1e-6)


def test_the_report_network_is_kept_beside_it(pair: ImagePair) -> None:
    published = Arbicon(network="report")
    assert published.info.weights != Arbicon().info.weights
    identity = np.linalg.norm(pair.truth.moving_points - pair.truth.fixed_points, axis=1).mean()
    assert error_px(published, pair.fixed, pair.moving, pair) < 3 * identity
