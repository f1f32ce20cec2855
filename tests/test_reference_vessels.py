"""The frozen reader of vessels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from imedbench.metrics.reference_vessels import VERSION, reference_vessels

SIZE = 256


def drawn(*, dark: bool, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """An image of lines and the mask they were drawn with."""
    rng = np.random.default_rng(4)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for _ in range(9):
        a, b = rng.integers(10, SIZE - 10, (2, 2)).tolist()
        cv2.line(mask, a, b, 1, 4)
    mask = cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST)
    picture = 120 + rng.normal(size=mask.shape) * 5 + (-60.0 if dark else 60.0) * mask
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 1), 0, 255).astype(np.uint8), mask > 0


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("size", [256, 640])
def test_lines_are_found_whatever_their_polarity_and_scale(dark: bool, size: int) -> None:
    image, mask = drawn(dark=dark, size=size)
    found = reference_vessels(image)
    assert found.dtype == np.float32
    assert found.shape == mask.shape
    assert 0 <= found.min() <= found.max() <= 1
    cut = found >= 0.5
    dice = 2 * (cut & mask).sum() / (cut.sum() + mask.sum())
    assert dice > 0.7


def test_the_share_of_vessels_is_that_of_observers() -> None:
    image, _ = drawn(dark=True)
    assert (reference_vessels(image) >= 0.5).mean() == pytest.approx(0.12, abs=0.01)


def test_colour_is_read_by_its_green_channel() -> None:
    image, _ = drawn(dark=True)
    other = np.random.default_rng(0).integers(90, 150, image.shape).astype(np.uint8)
    np.testing.assert_array_equal(
        reference_vessels(np.dstack([other, image, other])), reference_vessels(image)
    )


def test_outside_the_field_of_view_there_are_none() -> None:
    image, _ = drawn(dark=True)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    outside = np.hypot(x, y) > 100
    image[outside] = 0
    found = reference_vessels(image)
    assert (found[outside] == 0).all()
    assert found.any()
    rim = (np.hypot(x, y) > 92) & ~outside
    assert found[rim].mean() < 0.35, "the edge of the aperture is no vessel"


def test_a_blank_image_has_none() -> None:
    for level in (0, 128):
        assert not reference_vessels(np.full((64, 64), level, np.uint8)).any()


def test_values_are_frozen_under_their_version() -> None:
    """Change these numbers only together with the version: stored scores depend on it."""
    image, _ = drawn(dark=True)
    found = reference_vessels(image)
    assert VERSION == "ridge-2"
    assert float(found.mean()) == pytest.approx(MEAN, abs=2e-3)
    assert float(found[::16, ::16].std()) == pytest.approx(STD, abs=2e-3)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    image[np.hypot(x, y) > 100] = 0
    faded = reference_vessels((40 + 0.35 * image).astype(np.uint8))
    assert float(faded.mean()) == pytest.approx(FADED_MEAN, abs=2e-3)


MEAN, STD = 0.1337, 0.2710
FADED_MEAN = 0.0619
