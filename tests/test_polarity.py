"""Field of view, polarity and contrast on images whose answer is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from imedbench.core.field_of_view import field_of_view
from imedbench.core.polarity import (
    flatten,
    has_dark_vessels,
    local_contrast,
    normalise,
    ridge_strength,
    stretch,
)
from imedbench.metrics.reference_vessels import reference_vessels

SIZE = 300


def retina(*, dark: bool, seed: int = 0, aperture: bool = False) -> np.ndarray:
    """Lines of vessel width on an uneven ground, in a round aperture if asked."""
    rng = np.random.default_rng(seed)
    ground = 120 + 30 * np.linspace(-1, 1, SIZE)[None] + np.zeros((SIZE, 1))
    lines = np.zeros((SIZE, SIZE), np.float32)
    for _ in range(12):
        a, b = rng.integers(20, SIZE - 20, (2, 2)).tolist()
        cv2.line(lines, a, b, 1.0, 4, cv2.LINE_AA)
    picture = ground + (-55 if dark else 70) * lines + rng.normal(size=ground.shape) * 4
    image = np.clip(picture, 0, 255).astype(np.uint8)
    if aperture:
        image[~disc(120)] = 0
    return image


def disc(radius: float) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    return np.hypot(x, y) < radius


WHOLE = np.ones((SIZE, SIZE), bool)


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("aperture", [True, False])
def test_polarity_is_read_off_the_image(dark: bool, seed: int, aperture: bool) -> None:
    image = retina(dark=dark, seed=seed, aperture=aperture)
    assert has_dark_vessels(image, field_of_view(image)) is dark
    assert has_dark_vessels(255 - image, WHOLE if not aperture else disc(115)) is not dark


@pytest.mark.parametrize("dark", [True, False])
def test_normalised_vessels_are_bright_whatever_they_were(dark: bool) -> None:
    image = retina(dark=dark)
    even = normalise(image, WHOLE)
    vessels = retina(dark=False) > 175
    assert even.dtype == np.float32
    assert 0 <= even.min() <= even.max() <= 1
    assert even[vessels].mean() > 0.6 > even[~vessels].mean()
    assert abs(float(even[:, :60].mean()) - float(even[:, -60:].mean())) < 0.05, "the slope is gone"


@pytest.mark.parametrize("longest", [None, SIZE // 2])
def test_a_copy_tells_the_field_of_view_of_a_large_image(
    monkeypatch: pytest.MonkeyPatch, longest: int | None
) -> None:
    image = cv2.resize(retina(dark=True, aperture=True), (2 * SIZE, 2 * SIZE))
    monkeypatch.setattr("imedbench.core.field_of_view._LEAST_HALVED", 4 * SIZE)
    whole = field_of_view(image)
    monkeypatch.undo()
    if longest:
        monkeypatch.setattr("imedbench.core.field_of_view._MOST_COPIED", longest)
    for seen in (field_of_view(image), field_of_view(np.dstack([image] * 3))):
        inner, outer = (
            change(whole.astype(np.uint8), np.ones((9, 9))) for change in (cv2.erode, cv2.dilate)
        )
        assert (seen >= inner).all()
        assert (seen <= outer).all()


def test_the_field_of_view_is_the_aperture() -> None:
    view = field_of_view(retina(dark=True, aperture=True))
    assert not view[~disc(121)].any()
    assert view[disc(112)].all()
    colour = np.dstack([retina(dark=True, aperture=True)] * 3)
    np.testing.assert_array_equal(field_of_view(colour), view)


@pytest.mark.parametrize("dark", [True, False])
def test_the_aperture_is_seen_in_what_noise_and_veils_have_lifted(dark: bool) -> None:
    image, rng = retina(dark=dark, aperture=True), np.random.default_rng(0)
    veiled = (40 + 0.35 * image).astype(np.uint8)
    noisy = np.clip(veiled + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)
    for lifted in (veiled, noisy):
        view = field_of_view(lifted)
        assert not view[~disc(123)].any()
        assert view[disc(112)].all()
        assert has_dark_vessels(lifted, view) is dark


def test_dark_spots_inside_and_full_frames_stay_in_view() -> None:
    image = retina(dark=True)
    assert field_of_view(image).all()
    image[140:150, 140:150] = 0
    assert field_of_view(image).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (16, 200), (20, 20)])
@pytest.mark.parametrize("level", [0, 7, 255])
def test_blank_and_tiny_images_are_all_in_view(shape: tuple[int, int], level: int) -> None:
    image = np.full(shape, level, np.uint8)
    view = field_of_view(image)
    assert view.shape == shape
    assert view.all()
    assert np.isfinite(normalise(image, view)).all()
    assert np.isfinite(reference_vessels(image)).all()


def test_local_contrast_has_mean_zero_and_deviation_one() -> None:
    image = np.random.default_rng(0).normal(50, 9, (SIZE, SIZE)).astype(np.float32)
    even = local_contrast(image, WHOLE, 40)
    assert abs(even.mean()) < 0.05
    assert even.std() == pytest.approx(1, abs=0.1)
    view = disc(100)
    inside = local_contrast(np.where(view, image, 1e4).astype(np.float32), view, 40)
    assert (inside[~view] == 0).all()
    assert abs(inside[view]).max() < 6, "what lies outside leaves no rim"


def test_flatten_keeps_the_polarity_and_stretch_the_black() -> None:
    image = retina(dark=True)
    np.testing.assert_allclose(flatten(255 - image, WHOLE), 1 - flatten(image, WHOLE), atol=1e-3)
    wide = stretch(image, WHOLE)
    assert wide.max() == 1
    assert wide[0, 0] == pytest.approx(image[0, 0] / np.percentile(image, 99.5), rel=1e-5)
    assert (stretch(np.zeros((9, 9), np.uint8), np.zeros((9, 9), bool)) == 0).all()


def test_ridges_are_lines_and_neither_blobs_nor_valleys() -> None:
    picture = np.zeros((101, 101), np.float32)
    picture[:, 49:52] = 1
    strength = ridge_strength(picture, 2)
    assert strength[50, 50] == strength[50].max() > 0
    assert ridge_strength(-picture, 2)[50, 50] == 0
    blob = np.zeros((101, 101), np.float32)
    cv2.circle(blob, (50, 50), 2, 1.0, -1)
    assert ridge_strength(blob, 2)[50, 50] < 0.1 * strength[50, 50]
    stretched = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    assert ridge_strength(stretched, 4)[100, 100] == pytest.approx(strength[50, 50], rel=0.1)
