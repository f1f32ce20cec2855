"""Working frame, vessel maps and centre lines, on drawn vessels."""

import cv2
import numpy as np
import pytest

from imedbench.core.types import Image
from imedbench.methods.imed.lines import trace_lines
from imedbench.methods.noise import noise_ratio, suppress_noise
from imedbench.methods.vessel_maps import (
    Segmenter,
    VesselMap,
    evidence_map,
    oriented_map,
    ridge_map,
)
from imedbench.methods.working_images import (
    WorkingImage,
    closer_image,
    working_image,
    working_scales,
)


def ridge_at(angle_deg: float, offset: float, size: int = 120) -> np.ndarray:
    """A bright line of Gaussian profile through a known place, float32 in [0, 1]."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    angle = np.deg2rad(angle_deg)
    across = -x * np.sin(angle) + y * np.cos(angle) - offset
    return (0.3 + 0.5 * np.exp(-0.5 * (across / 2.0) ** 2)).astype(np.float32)


def inside(image: np.ndarray) -> np.ndarray:
    return np.ones(image.shape, bool)


def network_map(bright: np.ndarray, fov: np.ndarray) -> VesselMap:
    return Segmenter("unet", network="vessel-lines")(WorkingImage(bright, fov, np.eye(3)))


@pytest.mark.parametrize("find", [oriented_map, ridge_map, network_map])
@pytest.mark.parametrize("angle_deg", [0.0, 20.0, 45.0, 90.0, 130.0])
def test_a_line_is_found_where_it_is_and_as_it_runs(find, angle_deg: float) -> None:
    image = ridge_at(angle_deg, 3.3)
    lines = trace_lines(find(image, inside(image)), 1000)
    middle = (np.abs(lines.points - 59.5) < 40).all(1)
    angle = np.deg2rad(angle_deg)
    points = lines.points[middle] - 59.5
    off = -points[:, 0] * np.sin(angle) + points[:, 1] * np.cos(angle)
    assert middle.sum() > 50
    assert np.abs(off - 3.3).max() < 0.3
    assert np.cos(2 * (lines.angle[middle] - angle)).min() > np.cos(2 * np.deg2rad(4))


@pytest.mark.parametrize("find", [oriented_map, network_map])
def test_the_outside_has_no_vessels(find) -> None:
    image = ridge_at(30.0, 0.0)
    fov = inside(image)
    fov[:, :60] = False
    found = find(image, fov)
    assert found.strength[:, :60].max() == 0
    assert found.strength[:, 70:].max() > 0.5
    assert trace_lines(found, 1000).points[:, 0].min() > 60


def test_network_and_image_both_speak() -> None:
    known, unknown = ridge_at(0.0, -30.0), ridge_at(0.0, 30.0)
    image = np.maximum(known, unknown)
    probability = np.clip((known - 0.3) * 2, 0, 1)
    found = evidence_map(image, probability, inside(image))
    assert found.strength[29:31, 60].max() > found.strength[89:91, 60].max() > 0.1


@pytest.mark.parametrize("find", [oriented_map, network_map])
def test_the_strength_is_that_of_the_directions(find) -> None:
    image = ridge_at(70.0, 0.0)
    found = find(image, inside(image))
    np.testing.assert_allclose(np.hypot(*found.double_angle), found.strength, atol=1e-4)


def test_short_pieces_are_dropped_and_the_surest_points_kept() -> None:
    y = np.arange(120, dtype=np.float32)[:, None]
    strength = np.exp(-0.5 * ((y - 40) / 2) ** 2) * np.ones(120, np.float32)
    strength[:, 30:40] += np.exp(-0.5 * ((y - 90) / 2) ** 2)
    direction = np.stack([strength, np.zeros_like(strength)])
    found = VesselMap(strength.astype(np.float32), direction, inside(strength))
    assert np.unique(trace_lines(found, 1000).points[:, 1].round()).tolist() == [40]
    assert len(trace_lines(found, 50)) == 50


@pytest.mark.parametrize("find", [oriented_map, network_map])
def test_an_empty_image_has_no_lines(find) -> None:
    blank = np.full((80, 90), 0.5, np.float32)
    assert len(trace_lines(find(blank, inside(blank)), 1000)) == 0


@pytest.mark.parametrize("shape", [(600, 400), (401, 733, 3), (100, 120)])
@pytest.mark.parametrize("scale", [0.43, 1.0, 1.7])
def test_the_working_frame_keeps_pixel_corners_in_place(
    shape: tuple[int, ...], scale: float
) -> None:
    rng = np.random.default_rng(0)
    pixels = cv2.GaussianBlur(rng.integers(60, 255, shape, np.uint8), (0, 0), 3)
    view = working_image(Image(pixels), scale)
    height, width = view.bright.shape
    assert (height, width) == (round(shape[0] * scale), round(shape[1] * scale))
    native = np.array([[-0.5, -0.5, 1], [shape[1] - 0.5, shape[0] - 0.5, 1]]).T
    expected = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]])
    np.testing.assert_allclose((view.work_from_native @ native)[:2].T, expected, atol=1e-9)


@pytest.mark.parametrize(("radius", "scale", "closer"), [(110, 1.0, 2.0), (150, 0.5, 0.84)])
def test_a_small_field_of_view_is_brought_closer_in_its_place(
    radius: int, scale: float, closer: float
) -> None:
    rng = np.random.default_rng(0)
    pixels = cv2.GaussianBlur(rng.integers(60, 255, (500, 460, 3), np.uint8), (0, 0), 3)
    y, x = np.mgrid[:500, :460]
    pixels[np.hypot(x - 180, y - 300) > radius] = 0
    view = closer_image(Image(pixels), scale)
    assert view.work_from_native[0, 0] == pytest.approx(closer, rel=0.03)
    seen = np.argwhere(view.fov)[:, ::-1]
    back = np.linalg.inv(view.work_from_native) @ [*seen.mean(0), 1]
    np.testing.assert_allclose(back[:2], [180, 300], atol=1)
    assert 2 * radius * closer * 0.93 < np.ptp(seen[:, 0]) < 2 * radius * closer
    assert view.fov.shape < (2 * radius * closer * 1.2,) * 2


def test_a_large_field_of_view_is_seen_with_what_surrounds_it() -> None:
    pixels = np.zeros((300, 300), np.uint8)
    cv2.circle(pixels, (140, 150), 120, 200, -1)
    whole, closer = (see(Image(pixels), 0.9) for see in (working_image, closer_image))
    np.testing.assert_array_equal(whole.work_from_native, closer.work_from_native)
    np.testing.assert_array_equal(whole.bright, closer.bright)


@pytest.mark.parametrize(
    ("fixed", "moving", "expected"),
    [
        ((1024, 800), (512, 300), (0.5, 1.0)),  # each is shrunk on its own
        ((512, 512), (100, 100), (1.0, 1.0)),  # a large one keeps a small one as it is
        ((400, 300), (200, 320), (1.28, 1.28)),  # small ones grow alike
        ((90, 90), (60, 60), (2.0, 2.0)),  # but no more than twofold
    ],
)
def test_working_scales(
    fixed: tuple[int, int], moving: tuple[int, int], expected: tuple[float, float]
) -> None:
    images = (Image(np.zeros(shape, np.uint8)) for shape in (fixed, moving))
    assert working_scales(*images, 512) == pytest.approx(expected)


def noisy(sigma: float, amplitude: float = 20.0, size: int = 256) -> np.ndarray:
    """Waves as wide as vessels under noise, uint8."""
    wave = amplitude * np.sin(2 * np.pi * np.arange(size) / 16)
    noise = np.random.default_rng(0).normal(0, sigma, (size, size))
    return np.rint(128 + wave + noise).astype(np.uint8)


def test_the_noise_is_measured_beside_what_is_as_wide_as_a_vessel() -> None:
    # What both boxes leave of a wave of 16 px, and its deviation of 20 / √2.
    kept = [np.sin(box * np.pi / 16) / (box * np.sin(np.pi / 16)) for box in (5, 15)]
    for sigma in (2.0, 5.0):
        image = noisy(sigma)
        in_band = np.sqrt((20 * (kept[0] - kept[1])) ** 2 / 2 + (sigma / 5) ** 2)
        assert noise_ratio(image, inside(image)) == pytest.approx(sigma / in_band, rel=0.06)


def test_only_an_image_whose_noise_outweighs_its_vessels_is_blurred() -> None:
    clear, faint = noisy(2.0), noisy(12.0, amplitude=4.0)
    assert suppress_noise(clear, inside(clear)) is clear
    blurred = suppress_noise(faint, inside(faint))
    assert blurred.std() < 0.5 * faint.std()
    blank = np.full((64, 64), 120, np.uint8)
    assert suppress_noise(blank, inside(blank)) is blank
    assert suppress_noise(blank, np.zeros((64, 64), bool)) is blank


def test_a_little_more_noise_blurs_only_a_little_more() -> None:
    blurs = []
    for sigma in np.arange(6.0, 14.0, 0.5):
        image = noisy(sigma)
        blurs.append(float(np.std(suppress_noise(image, inside(image))) / image.std()))
    assert blurs[0] == 1.0
    assert blurs[-1] < 0.97
    assert np.abs(np.diff(blurs)).max() < 0.05
