"""The rendered images: geometry against closed form, looks against what each device shows."""

from typing import get_args

import numpy as np
import pytest

from imedbench.core.transforms import Homography
from imedbench.datasets.synthetic.drawing import Strokes, draw, fill
from imedbench.datasets.synthetic.fundus import Fundus
from imedbench.datasets.synthetic.lesions import LesionKind, make_lesions
from imedbench.datasets.synthetic.randomness import derived_seed, stream
from imedbench.datasets.synthetic.render import Modality, render
from imedbench.datasets.synthetic.textures import TILE_PX, _surface, noise, sample
from imedbench.datasets.synthetic.tree import make_eye
from imedbench.datasets.synthetic.view import View, dense_map

BRIGHT: set[Modality] = {"octa", "octa-like", "fa"}


def _strokes(ends: list[list[list[float]]], radius: float, size: int = 64) -> Strokes:
    n = len(ends)
    radii = np.full(n, radius)
    return Strokes(size, np.array(ends), radii, radii, np.ones(n, np.bool_))


@pytest.mark.parametrize("radius", [0.3, 0.7, 2.0, 5.0])
def test_line_has_its_area_and_its_place(radius: float) -> None:
    plane = draw(_strokes([[[20.25, 5.0], [20.25, 60.0]]], radius), np.ones(1))
    row = plane[32]
    assert row.sum() == pytest.approx(2 * radius, rel=0.1)
    assert (row * np.arange(64)).sum() / row.sum() == pytest.approx(20.25, abs=0.25)


def test_strongest_of_two_crossing_lines_wins() -> None:
    cross = [[[0.0, 32.0], [63.0, 32.0]], [[32.0, 0.0], [32.0, 63.0]]]
    plane = draw(_strokes(cross, 2.0), np.array([1.0, 0.4]))
    assert plane[32, 32] == pytest.approx(1.0, abs=0.03)
    assert plane[10, 32] == pytest.approx(0.4, abs=0.02)


def test_filled_circle_has_its_area() -> None:
    turn = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([np.cos(turn), np.sin(turn)], 1)
    view = View.square(200, 10.0)
    assert fill(view, [circle]).sum() == pytest.approx(np.pi * 20**2, rel=0.02)


def test_view_maps_there_and_back() -> None:
    view = View.square(300, 6.0, np.array([1.0, -0.5]))
    assert view.mm_per_px == pytest.approx(0.02)
    np.testing.assert_allclose(view.px_from_mm.apply([[1.0, -0.5]]), [[149.5, 149.5]])
    np.testing.assert_allclose(
        view.grid_mm[299, 0], view.mm_from_px.apply([[0, 299]])[0], rtol=1e-5
    )


def test_dense_map_equals_the_transform() -> None:
    transform = Homography([[1.1, 0.1, 5], [-0.1, 0.9, 3], [1e-4, -5e-5, 1]])
    field = dense_map(transform, (101, 57))
    x, y = np.meshgrid(np.arange(101), np.arange(57))
    exact = transform.apply(np.stack([x.ravel(), y.ravel()], 1)).reshape(57, 101, 2)
    assert field.shape == (57, 101, 2)
    assert np.abs(field - exact).max() < 0.02


def test_tiles_are_seamless() -> None:
    plane = _surface("clouds", stream(0, "tile", "clouds"))
    inner = np.abs(np.diff(plane, axis=1)).mean()
    seam = np.abs(plane[:, 0] - plane[:, -1]).mean()
    assert seam < 2 * inner


def test_sampled_texture_belongs_to_the_place_and_not_to_the_image() -> None:
    whole = View.square(200, 4.0)
    part = View.square(100, 2.0, np.array([-1.0 + 0.01 - 0.01, -1.0]))
    a = sample("clouds", whole.grid_mm, 0.02, 5)
    b = sample("clouds", part.grid_mm, 0.02, 5)
    assert TILE_PX * 0.02 > 4.0
    np.testing.assert_allclose(a[:100, :100], b, atol=0.1)


def test_noise_is_normalised() -> None:
    plane = noise((200, 200), 2.0, np.random.default_rng(0))
    assert plane.std() == pytest.approx(1, abs=0.01)


def test_lesions_of_a_light_case_are_among_those_of_a_heavy_one() -> None:
    for kind in get_args(LesionKind):
        light, heavy = make_lesions(3, kind, 0.5), make_lesions(3, kind, 2.0)
        assert len(light) < len(heavy)
        for a, b in zip(light, heavy, strict=False):
            np.testing.assert_array_equal(a, b)
        assert make_lesions(3, kind, 0.0) == []


@pytest.mark.parametrize("modality", get_args(Modality))
@pytest.mark.parametrize("width_mm", [3.0, 6.0, 13.0])
def test_vessels_stand_out_the_right_way(modality: Modality, width_mm: float) -> None:
    """Bright on OCTA and angiograms, dark on photographs, as seen against their surroundings."""
    import cv2

    signs = []
    for seed in (1, 2, 3):
        eye = make_eye(seed)
        centre = 0.4 * eye.disc if width_mm > 9 else np.array([0.0, 1.2])
        fundus = Fundus(eye, View.square(192, width_mm, centre))
        shown = render(fundus, modality, stream(seed, "test", modality))
        assert shown.pixels.dtype == np.uint8
        grey = shown.pixels if shown.pixels.ndim == 2 else shown.pixels[..., 1]
        level = grey.astype(np.float32)
        contrast = cv2.GaussianBlur(level, (0, 0), 1) - cv2.GaussianBlur(level, (0, 0), 8)
        wide = fundus.vessels(0.04) & shown.fov
        off = ~cv2.dilate(fundus.vessels(0.0).astype(np.uint8), np.ones((3, 3))).astype(bool)
        signs.append(contrast[wide].mean() - contrast[off & shown.fov].mean())
    assert all(s > 3 for s in signs) if modality in BRIGHT else all(s < -1 for s in signs)


def test_wide_photograph_is_in_colour_and_round_and_a_narrow_one_is_neither() -> None:
    eye = make_eye(1)
    wide = render(Fundus(eye, View.square(128, 13.0)), "cf", stream(1, "wide"))
    narrow = render(Fundus(eye, View.square(128, 6.0)), "cf", stream(1, "narrow"))
    assert wide.pixels.shape == (128, 128, 3)
    assert wide.pixels[0, 0].max() < 30
    assert not wide.fov[0, 0]
    assert narrow.pixels.shape == (128, 128)
    assert narrow.fov.all()


def test_fovea_is_dark_in_octa_and_on_photographs() -> None:
    for modality in ("octa", "cf"):
        level = render(
            Fundus(make_eye(1), View.square(256, 6.0)), modality, stream(4, "fovea")
        ).pixels.astype(float)
        y, x = np.mgrid[:256, :256] - 127.5
        distance = np.hypot(x, y) * 6.0 / 256
        assert (
            level[distance < 0.15].mean() < 0.85 * level[(distance > 0.8) & (distance < 2)].mean()
        )


def test_octa_like_image_lacks_the_vessels_a_photograph_does_not_show() -> None:
    """Thin vessels are as bright as their surroundings in a translation, not so in a scan."""
    fundus = Fundus(make_eye(2), View.square(256, 6.0))
    thin = fundus.vessels(0.010) & ~fundus.vessels(0.016)
    wide = fundus.vessels(0.05)
    ratio = {}
    for modality in ("octa", "octa-like"):
        level = render(fundus, modality, stream(5, "cf")).pixels.astype(float)
        off = level[~fundus.vessels(0.0)].mean()
        ratio[modality] = (level[thin].mean() - off) / (level[wide].mean() - off)
    assert ratio["octa-like"] < 0.6 * ratio["octa"]


def test_streams_depend_on_seed_and_name_alone() -> None:
    assert stream(1, "a", 2).random() == stream(1, "a", 2).random()
    numbers = {stream(*key).random() for key in [(1, "a"), (1, "b"), (2, "a"), (1, "a", 0)]}
    assert len(numbers) == 4
    assert derived_seed(1, "eye", 3) != derived_seed(1, "eye", 4)
