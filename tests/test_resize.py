"""Resizing keeps things in their place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imedbench.core.arrays import plain
from imedbench.core.resize import fitted_size, resize, resize_mask, resize_points, resizing_matrix

SIZES = st.tuples(st.integers(8, 300), st.integers(8, 300))


def spot(size: tuple[int, int], x: float, y: float, sigma: float) -> np.ndarray:
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)).astype(np.float32)


def centre_of(plane: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[: plane.shape[0], : plane.shape[1]]
    return np.array([(columns * plane).sum(), (rows * plane).sum()]) / plane.sum()


@pytest.mark.parametrize("new_size", [(50, 40), (100, 80), (300, 240), (130, 60)])
def test_a_spot_lands_where_the_points_say(new_size: tuple[int, int]) -> None:
    size = (100, 80)
    plane = spot(size, 31.0, 44.0, 6.0)
    expected = resize_points(np.array([[31.0, 44.0]]), size, new_size)[0]
    np.testing.assert_allclose(centre_of(resize(plane, new_size)), expected, atol=0.06)


@given(SIZES, SIZES)
def test_matrix_and_points_agree_and_keep_the_corners(
    size: tuple[int, int], new_size: tuple[int, int]
) -> None:
    corners = np.array([[-0.5, -0.5], [size[0] - 0.5, size[1] - 0.5]])
    moved = resize_points(corners, size, new_size)
    np.testing.assert_allclose(moved, [[-0.5, -0.5], np.array(new_size) - 0.5], atol=1e-9)
    by_matrix = np.column_stack([corners, [1, 1]]) @ resizing_matrix(size, new_size).T
    np.testing.assert_allclose(by_matrix[:, :2], moved, atol=1e-9)


@given(SIZES, st.integers(1, 500))
def test_fitting_gives_the_longer_side_its_length(size: tuple[int, int], longest: int) -> None:
    fitted = fitted_size(size, longest)
    assert max(fitted) == longest
    assert min(fitted) >= 1
    assert abs(fitted[0] * size[1] / size[0] - fitted[1]) <= 1 + size[1] / size[0]


def test_an_image_of_the_size_is_left_alone_and_masks_stay_masks() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert resize(image, (4, 3)) is image
    mask = image > 5
    assert resize_mask(mask, (8, 6)).dtype == np.bool_
    np.testing.assert_array_equal(resize_mask(mask, (8, 6))[::2, ::2], mask)


def test_plain_values_are_what_json_knows() -> None:
    given_values = {1: np.int64(3), "x": [np.float32("nan"), np.inf, True, "text", None]}
    assert plain(given_values) == {"1": 3, "x": [None, None, True, "text", None]}
