"""Transforms handed to another library: it warps the same image to the same place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from imedbench.core.errors import BadInput
from imedbench.core.transforms import Affine, Homography, Quadratic, Transform, warp_image
from imedbench.core.transforms import conversions as convert

FIXED, MOVING = (90, 110), (100, 96)  # shapes; unequal, and none of them square
AFFINE = Affine.similarity(scale=1.1, rotation_deg=9, shift=(6, -4), centre=(50, 45))
PROJECTIVE = Homography(
    [[1.05, 0.06, 4], [-0.05, 0.97, 3], [4e-4, -3e-4, 1]],
)
BENT = Quadratic([[3, 1.02, 0.02, 4e-4, -2e-4, 1e-4], [-2, -0.03, 0.99, 1e-4, 3e-4, -3e-4]])
KINDS = {"affine": AFFINE, "projective": PROJECTIVE, "bent": BENT}
MATRICES = {"affine": AFFINE, "projective": PROJECTIVE}
POINTS = np.array([[20.0, 30.0], [60, 22], [48, 70], [30.5, 55.25]])


def scene() -> np.ndarray:
    """A smooth image, float32 in [0, 255]: libraries differ in nothing but where they look."""
    noise = np.random.default_rng(4).normal(size=MOVING).astype(np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3.0), None, 20, 235, cv2.NORM_MINMAX)


def expect(transform: Transform, warped: np.ndarray, off: float = 0.5) -> None:
    """That the library's picture is ours, away from the border of the moving image."""
    ours = warp_image(scene(), transform.inverse(), FIXED)
    inside = warp_image(np.ones(MOVING, np.float32), transform.inverse(), FIXED) > 0.999
    inside = cv2.erode(inside.astype(np.uint8), np.ones((5, 5))) > 0
    assert inside.mean() > 0.4
    assert warped.shape == FIXED
    assert np.abs(warped - ours)[inside].max() < off
    wrong = warp_image(scene(), transform, FIXED)
    assert np.abs(wrong - ours)[inside].max() > 20, "the other direction would be noticed"


def expect_same_points(found: Transform, transform: Transform, off: float = 1e-3) -> None:
    np.testing.assert_allclose(found.apply(POINTS), transform.apply(POINTS), atol=off)


def torch_scene() -> Any:
    import torch

    return torch.from_numpy(scene())[None, None]


@pytest.mark.parametrize("kind", MATRICES)
def test_opencv_warps_by_the_matrix(kind: str) -> None:
    transform, size = MATRICES[kind], FIXED[::-1]
    matrix = convert.to_opencv(transform)
    warp: Callable[..., Any] = cv2.warpAffine if kind == "affine" else cv2.warpPerspective
    expect(transform, warp(scene(), matrix, size), 4.0)  # OpenCV looks at 32nds of a pixel
    assert type(convert.from_opencv(matrix)) is type(transform)
    expect_same_points(convert.from_opencv(matrix), transform)
    here = np.float32([POINTS])
    there = cv2.perspectiveTransform(here, np.vstack([matrix, [0, 0, 1]])[:3])[0]
    np.testing.assert_allclose(there, transform.apply(POINTS), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_opencv_remaps_by_the_maps(kind: str) -> None:
    maps = convert.to_opencv_maps(KINDS[kind], FIXED)
    expect(KINDS[kind], cv2.remap(scene(), *maps, cv2.INTER_LINEAR))
    found = convert.from_opencv_maps(*maps)
    expect_same_points(found, KINDS[kind], 0.02)
    expect(found, cv2.remap(scene(), *maps, cv2.INTER_LINEAR))


def test_maps_look_far_outside_where_the_transform_is_undefined() -> None:
    horizon = Homography([[1, 0, 0], [0, 1, 0], [0.02, 0, 1]])
    map_x, _ = convert.to_opencv_maps(horizon, FIXED)
    assert np.isfinite(map_x).all()
    assert map_x[0, 60] == -1e4


@pytest.mark.parametrize("kind", MATRICES)
def test_skimage_warps_by_the_inverse(kind: str) -> None:
    skimage = pytest.importorskip("skimage.transform")
    made = convert.to_skimage(MATRICES[kind])
    np.testing.assert_allclose(made(POINTS), MATRICES[kind].apply(POINTS))
    warped = skimage.warp(scene(), made.inverse, output_shape=FIXED, order=1, preserve_range=True)
    expect(MATRICES[kind], warped)
    expect_same_points(convert.from_skimage(made), MATRICES[kind])
    assert type(convert.from_skimage(made)) is type(MATRICES[kind])


def test_skimage_polynomials_are_read_and_what_is_no_map_of_ours_is_refused() -> None:
    skimage = pytest.importorskip("skimage.transform")
    bent = skimage.PolynomialTransform(BENT.coefficients)
    np.testing.assert_allclose(convert.from_skimage(bent).apply(POINTS), bent(POINTS))
    flat = skimage.PolynomialTransform(np.array([[3, 1.1, 0.2], [1, -0.1, 0.9]]))
    np.testing.assert_allclose(convert.from_skimage(flat).apply(POINTS), flat(POINTS))
    with pytest.raises(BadInput, match="ThinPlateSplineTransform of scikit-image cannot be read"):
        convert.from_skimage(skimage.ThinPlateSplineTransform())


def images(spaced: bool) -> tuple[Any, Any]:
    """A fixed and a moving image of SimpleITK, with spaces of their own if asked for."""
    sitk = pytest.importorskip("SimpleITK")
    fixed = sitk.GetImageFromArray(np.zeros(FIXED, np.float32))
    moving = sitk.GetImageFromArray(scene())
    if spaced:
        fixed.SetSpacing((0.5, 2.0))
        fixed.SetOrigin((7.0, -30.0))
        moving.SetSpacing((3.0, 0.25))
        moving.SetOrigin((-100.0, 12.0))
        c, s = np.cos(0.3), np.sin(0.3)
        moving.SetDirection((c, -s, s, c))
    return fixed, moving


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_simpleitk_resamples_by_it_whatever_the_spaces_are(kind: str, spaced: bool) -> None:
    sitk = pytest.importorskip("SimpleITK")
    fixed, moving = images(spaced)
    made = convert.to_simpleitk(KINDS[kind], fixed, moving)
    warped = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, made))
    expect(KINDS[kind], warped)
    expect_same_points(convert.from_simpleitk(made, fixed, moving), KINDS[kind], 0.02)


def test_simpleitk_without_images_counts_in_pixels() -> None:
    sitk = pytest.importorskip("SimpleITK")
    turn = sitk.Euler2DTransform((10.0, 20.0), 0.2, (3.0, 1.0))
    found = convert.from_simpleitk(turn)
    np.testing.assert_allclose(found.inverse().apply([[5, 6]])[0], turn.TransformPoint((5, 6)))
    assert isinstance(found, Affine)
    with pytest.raises(BadInput, match="fixed_shape"):
        convert.to_simpleitk(BENT)
    made = convert.to_simpleitk(BENT, fixed_shape=FIXED)
    there = BENT.apply(POINTS)
    back = np.array([made.TransformPoint(point.tolist()) for point in there])
    np.testing.assert_allclose(back, POINTS, atol=0.01)
    expect_same_points(convert.from_simpleitk(made, fixed_shape=FIXED), BENT, 0.01)


@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize("align_corners", [False, True])
def test_kornia_warps_by_the_matrix_in_pixels_and_normalised(
    kind: str, align_corners: bool
) -> None:
    from kornia.geometry.transform import homography_warp, warp_perspective

    transform = MATRICES[kind]
    matrix = convert.to_kornia(transform)
    expect(transform, warp_perspective(torch_scene(), matrix, FIXED)[0, 0].numpy())
    expect_same_points(convert.from_kornia(matrix), transform)
    how = {"align_corners": align_corners}
    matrix = convert.to_kornia_normalised(transform, FIXED, MOVING, **how)
    expect(transform, homography_warp(torch_scene(), matrix, FIXED, **how)[0, 0].numpy())
    found = convert.from_kornia_normalised(matrix, FIXED, MOVING, **how)
    expect_same_points(found, transform)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("align_corners", [False, True])
def test_torch_samples_by_the_grid(kind: str, align_corners: bool) -> None:
    from torch.nn.functional import grid_sample

    grid = convert.to_torch_grid(KINDS[kind], FIXED, MOVING, align_corners=align_corners)
    warped = grid_sample(torch_scene(), grid, align_corners=align_corners)
    expect(KINDS[kind], warped[0, 0].numpy())
    found = convert.from_torch_grid(grid, MOVING, align_corners=align_corners)
    expect_same_points(found, KINDS[kind], 0.02)


def test_a_bent_transform_has_no_matrix_and_is_told_what_to_use() -> None:
    for name in ("to_opencv", "to_skimage", "to_kornia"):
        with pytest.raises(BadInput, match=r"a quadratic transform has no matrix; use to_"):
            getattr(convert, name)(BENT)
    with pytest.raises(BadInput, match="a batch of 2"):
        convert.from_kornia(convert.to_kornia(AFFINE).repeat(2, 1, 1))


def test_a_dot_goes_where_it_should() -> None:
    """By hand: 5 px right and 3 px up, in every library."""
    sitk = pytest.importorskip("SimpleITK")
    skimage = pytest.importorskip("skimage.transform")
    import torch
    from kornia.geometry.transform import warp_perspective

    move = Affine([[1, 0, 5], [0, 1, -3]])
    dot = np.zeros((40, 40), np.float32)
    dot[20, 10] = 1
    batch = torch.from_numpy(dot)[None, None]
    image = sitk.GetImageFromArray(dot)
    pictures = [
        cv2.warpAffine(dot, convert.to_opencv(move), (40, 40)),
        skimage.warp(dot, convert.to_skimage(move).inverse),
        sitk.GetArrayFromImage(sitk.Resample(image, image, convert.to_simpleitk(move))),
        warp_perspective(batch, convert.to_kornia(move), (40, 40))[0, 0].numpy(),
    ]
    for picture in pictures:
        assert np.unravel_index(picture.argmax(), picture.shape) == (17, 15)
