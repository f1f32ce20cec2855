"""Transforms against OpenCV, kornia, SciPy and closed forms."""

from __future__ import annotations

import json
import tracemalloc

import cv2
import kornia.geometry as kg
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from imedbench.core.errors import BadInput
from imedbench.core.transforms import (
    Affine,
    Composition,
    DenseField,
    Homography,
    NumericalInverse,
    Quadratic,
    SingularTransformError,
    ThinPlateSpline,
    Transform,
    compose,
    from_bytes,
    from_dict,
    inside,
    is_large,
    jacobian_determinant,
    pixel_grid,
    resample,
    sampling_map,
    to_bytes,
    to_dict,
    warp_image,
)

SIZE = 40  # px, side of the square on which the transforms are tried
Points = NDArray[np.float64]


def smooth_field(seed: int, amplitude: float = 2.0) -> NDArray[np.float32]:
    """A displacement whose slope stays far below 1, so that it can be inverted."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(-amplitude, amplitude, (5, 5, 2)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), np.float32)


def make(kind: str, seed: int) -> Transform:
    """A transform of a kind that is invertible on the square."""
    rng = np.random.default_rng(seed)
    linear = np.eye(2) + rng.uniform(-0.3, 0.3, (2, 2))
    shift = rng.uniform(-20, 20, 2)
    corners = np.array([[0, 0], [SIZE, 0], [SIZE, SIZE], [0, SIZE], [12, 25]], float)
    if kind == "affine":
        return Affine(np.column_stack([linear, shift]))
    if kind == "homography":
        return Homography([[*linear[0], shift[0]], [*linear[1], shift[1]], [1e-3, -2e-3, 1]])
    if kind == "quadratic":
        bend = rng.uniform(-1e-3, 1e-3, (2, 3))
        return Quadratic(np.column_stack([shift, linear, bend]))
    if kind == "thin-plate-spline":
        return ThinPlateSpline(corners, corners + rng.uniform(-3, 3, corners.shape))
    if kind == "dense":
        return DenseField(smooth_field(seed))
    if kind == "inverse":
        return NumericalInverse(make("quadratic", seed))
    return Composition([make("affine", seed), make("dense", seed + 1), make("homography", seed)])


EXACT = ("affine", "homography")
KINDS = ("affine", "homography", "quadratic", "thin-plate-spline", "dense", "inverse")
seeds = st.integers(0, 10**6)
few = settings(max_examples=12, deadline=None)


@pytest.fixture(scope="module")
def points() -> Points:
    return np.random.default_rng(7).uniform(2, SIZE - 3, (60, 2))


def test_every_registered_kind_is_tried_here() -> None:
    built_in = {
        name for name, k in Transform.kinds.items() if k.__module__.startswith("imedbench.")
    }
    assert built_in == {*KINDS, "composition"}


@pytest.mark.parametrize("kind", [*KINDS, "composition"])
@few
@given(seed=seeds)
def test_inverse_undoes(kind: str, seed: int, points: Points) -> None:
    transform = make(kind, seed)
    there = transform.apply(points)
    tolerance = 1e-7 if kind in EXACT else 3e-3
    back = transform.inverse().apply(there)
    np.testing.assert_allclose(back, points, atol=tolerance)
    again = transform.inverse().inverse().apply(points)
    np.testing.assert_allclose(again, there, atol=1e-6)


@pytest.mark.parametrize("kind", [*KINDS, "composition"])
@few
@given(seed=seeds)
def test_storage_keeps_every_digit(kind: str, seed: int, points: Points) -> None:
    transform = make(kind, seed)
    expected = transform.apply(points)
    for copy in (
        from_dict(json.loads(json.dumps(to_dict(transform)))),
        from_bytes(to_bytes(transform)),
    ):
        assert type(copy) is type(transform)
        np.testing.assert_array_equal(copy.apply(points), expected)


@few
@given(first=st.sampled_from(KINDS), second=st.sampled_from(KINDS), seed=seeds)
def test_composition_is_sequential_application(first: str, second: str, seed: int) -> None:
    a, b, c = make(first, seed), make(second, seed + 1), make("affine", seed + 2)
    xy = np.random.default_rng(seed).uniform(5, SIZE - 6, (20, 2))
    expected = c.apply(b.apply(a.apply(xy)))
    np.testing.assert_allclose(compose(a, b, c).apply(xy), expected, atol=1e-8)
    np.testing.assert_allclose(a.then(b).then(c).apply(xy), expected, atol=1e-8)


def test_matrices_merge_and_keep_their_kind() -> None:
    affine, projective = make("affine", 1), make("homography", 1)
    assert type(compose(affine, affine)) is Affine
    assert type(compose(affine, projective)) is Homography
    nested = compose(compose(affine, make("dense", 1)), compose(make("dense", 2), affine))
    assert isinstance(nested, Composition)
    assert [step.kind for step in nested.steps] == ["affine", "dense", "dense", "affine"]


@few
@given(seed=seeds)
def test_matrices_agree_with_opencv_and_kornia(seed: int) -> None:
    affine, homography = make("affine", seed), make("homography", seed)
    assert isinstance(affine, Affine)
    assert isinstance(homography, Homography)
    xy = np.random.default_rng(seed).uniform(0, SIZE, (30, 2))
    by_cv = cv2.transform(xy[None], affine.matrix[:2])[0]
    np.testing.assert_allclose(affine.apply(xy), by_cv, atol=1e-10)
    by_cv = cv2.perspectiveTransform(xy[None], homography.matrix)[0]
    np.testing.assert_allclose(homography.apply(xy), by_cv, atol=1e-9)
    by_kornia = kg.transform_points(torch.tensor(homography.matrix)[None], torch.tensor(xy)[None])
    np.testing.assert_allclose(homography.apply(xy), by_kornia[0].numpy(), atol=1e-9)


def test_similarity_turns_clockwise_on_a_screen_about_its_centre() -> None:
    turn = Affine.similarity(scale=2, rotation_deg=90, shift=(1, 0), centre=(10, 10))
    np.testing.assert_allclose(turn.apply([[10, 10], [11, 10]]), [[11, 10], [11, 12]], atol=1e-12)


@few
@given(seed=seeds)
def test_sides_of_the_horizon_survive_inversion_and_composition(seed: int) -> None:
    """The origin lies beyond the horizon of some of these, whatever scales their matrices."""
    rng = np.random.default_rng(seed)
    matrix = np.vstack(
        [rng.uniform(-2, 2, (2, 3)) * [1, 1, 500], [*rng.uniform(-4e-3, 4e-3, 2), 1]]
    )
    homography, other = Homography(matrix), Affine.similarity(rotation_deg=30, shift=(200, -300))
    xy = rng.uniform(0, 500, (50, 2))
    there = homography.apply(xy)
    seen = np.isfinite(there).all(1)
    back = homography.inverse().apply(there[seen])
    np.testing.assert_allclose(back, xy[seen], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        other.then(homography).apply(xy), homography.apply(other.apply(xy)), rtol=1e-6, atol=1e-6
    )
    np.testing.assert_array_equal(
        from_dict(to_dict(homography.inverse())).apply(there), homography.inverse().apply(there)
    )


def test_points_beyond_the_horizon_are_undefined() -> None:
    homography = Homography([[1, 0, 0], [0, 1, 0], [-0.1, 0, 1]])
    mapped = homography.apply([[0, 0], [9, 0], [10, 0], [11, 0]])
    assert np.isfinite(mapped).all(1).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    "matrix",
    [np.zeros((3, 3)), [[1, 1, 0], [1, 1, 0], [0, 0, 1]], [[1, 0, 0], [0, np.nan, 0], [0, 0, 1]]],
)
def test_singular_matrices_have_no_inverse(matrix: object) -> None:
    with pytest.raises(SingularTransformError):
        Homography(np.array(matrix, float)).inverse()


def test_wrong_shapes_are_refused() -> None:
    for build in (
        lambda: Homography(np.eye(2)),
        lambda: Affine([[1, 0, 0], [0, 1, 0], [1e-2, 0, 1]]),
        lambda: Quadratic(np.zeros((2, 5))),
        lambda: DenseField(np.zeros((4, 4, 3))),
        lambda: DenseField(np.zeros((1, 4, 2))),
        lambda: Composition([]),
        lambda: Affine.identity().apply([1, 2]),
        lambda: Affine.identity().apply([[1, 2, 3]]),
        lambda: Quadratic.fit(np.zeros((5, 2)), np.zeros((5, 2))),
        lambda: ThinPlateSpline([[0, 0], [1, 1], [2, 2]], [[0, 0], [1, 1], [2, 2]]),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - each message is the class's own
            build()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "afine"}, "unknown kind"),
        ({}, "unknown kind"),
        ({"kind": "affine", "matrix": [[1, 0], [0, 1]]}, "not a valid affine"),
        ({"kind": "affine", "scale": 1}, "not a valid affine"),
        ({"kind": "dense", "displacement": "x"}, "not a valid dense"),
    ],
)
def test_damaged_descriptions_are_bad_input(data: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        from_dict(data)


def test_large_transforms_are_told_from_small_ones() -> None:
    assert is_large(DenseField(np.zeros((64, 64, 2))))
    assert not is_large(make("homography", 0))
    assert is_large(compose(make("affine", 0), DenseField(np.zeros((64, 64, 2)))))


def test_the_same_transform_is_the_same_bytes() -> None:
    assert to_bytes(make("composition", 3)) == to_bytes(make("composition", 3))


@few
@given(seed=seeds, offset=st.floats(-5000, 5000))
def test_quadratic_fit_is_exact_far_from_the_origin(seed: int, offset: float) -> None:
    rng = np.random.default_rng(seed)
    true = make("quadratic", seed)
    xy = rng.uniform(0, 1000, (15, 2)) + offset
    fitted = Quadratic.fit(xy, true.apply(xy))
    np.testing.assert_allclose(fitted.apply(xy), true.apply(xy), rtol=1e-9, atol=1e-5)


def test_quadratic_is_the_polynomial_it_says() -> None:
    factors = [[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]]
    x, y = 2.0, 3.0
    monomials = np.array([1, x, y, x * x, x * y, y * y])
    np.testing.assert_allclose(Quadratic(factors).apply([[x, y]])[0], factors @ monomials)


@few
@given(seed=seeds)
def test_spline_passes_through_its_targets_and_is_affine_for_affine_ones(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source = np.array([[0, 0], [90, 5], [80, 85], [4, 95], [45, 40]]) + rng.uniform(-4, 4, (5, 2))
    target = source + rng.uniform(-9, 9, (5, 2))
    np.testing.assert_allclose(ThinPlateSpline(source, target).apply(source), target, atol=1e-6)
    affine, xy = make("affine", seed), rng.uniform(-50, 150, (10, 2))
    spline = ThinPlateSpline(source, affine.apply(source))
    np.testing.assert_allclose(spline.apply(xy), affine.apply(xy), atol=1e-5)


@few
@given(seed=seeds)
def test_dense_field_is_bilinear_and_clamped(seed: int) -> None:
    field = np.random.default_rng(seed).normal(size=(6, 9, 2)).astype(np.float32)
    xy = np.random.default_rng(seed + 1).uniform(-4, 12, (40, 2))
    xy = np.vstack([xy, [[0, 0], [8, 5], [8, 0], [3, 2]]])
    moved = [
        map_coordinates(field[..., c].astype(float), xy.T[::-1], order=1, mode="nearest")
        for c in (0, 1)
    ]
    np.testing.assert_allclose(DenseField(field).apply(xy), xy + np.stack(moved, 1), atol=1e-6)


@pytest.mark.parametrize("kind", [*KINDS, "composition"])
def test_nan_stays_nan_and_no_points_stay_none(kind: str) -> None:
    transform = make(kind, 5)
    mapped = transform.apply([[np.nan, 1], [10, 10]])
    assert np.isnan(mapped[0]).any()
    assert np.isfinite(mapped[1]).all()
    assert transform.apply(np.empty((0, 2))).shape == (0, 2)
    assert transform.inverse().apply(np.empty((0, 2))).shape == (0, 2)


def test_inverse_of_a_fold_is_undefined_where_nothing_lands() -> None:
    """x → 20 - |x - 20| / 2 in effect: nothing lands beyond x = 20."""
    x = np.arange(SIZE, dtype=np.float32)
    field = np.zeros((SIZE, SIZE, 2), np.float32)
    field[..., 0] = (20 - np.abs(x - 20) / 2) - x
    inverse = DenseField(field).inverse()
    mapped = inverse.apply([[15, 5], [19.5, 5], [25, 5], [38, 5]])
    assert np.isfinite(mapped).all(1).tolist() == [True, True, False, False]
    np.testing.assert_allclose(DenseField(field).apply(mapped[:2]), [[15, 5], [19.5, 5]], atol=1e-3)


def test_parameters_that_are_not_finite_are_seen_inside_a_composition() -> None:
    broken = DenseField(np.full((4, 4, 2), np.nan))
    assert make("composition", 0).is_finite()
    assert not compose(make("affine", 0), broken).is_finite()
    assert not broken.inverse().is_finite()


# Images


def gradient(height: int, width: int) -> NDArray[np.float32]:
    """Two channels: each pixel holds its own coordinate."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y], -1).astype(np.float32)


@few
@given(kind=st.sampled_from((*KINDS, "composition")), seed=seeds)
def test_a_warped_picture_of_coordinates_shows_where_each_pixel_looked(
    kind: str, seed: int
) -> None:
    moving_from_fixed = make(kind, seed)
    shape, moving_shape = (SIZE, SIZE + 7), (SIZE + 20, SIZE + 11)
    where = sampling_map(moving_from_fixed, shape)
    expected = moving_from_fixed.apply(pixel_grid(shape)).reshape(*shape, 2)
    np.testing.assert_allclose(where, expected, rtol=1e-6, atol=1e-4)
    shown = warp_image(gradient(*moving_shape), moving_from_fixed, shape)
    seen = inside(where, moving_shape)
    # OpenCV reads between pixels in steps of 1/32.
    np.testing.assert_allclose(shown[seen], where[seen], atol=1 / 32 + 1e-3)


@pytest.mark.parametrize("kind", EXACT)
@few
@given(seed=seeds)
def test_warping_is_opencvs_inverse_map_and_kornias(kind: str, seed: int) -> None:
    transform = make(kind, seed)
    assert isinstance(transform, Homography)
    rng = np.random.default_rng(seed)
    noise = rng.uniform(0, 255, (SIZE + 5, SIZE, 1)).astype(np.float32)
    moving = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.float32)
    shape = (SIZE, SIZE + 9)
    ours = warp_image(moving, transform, shape)
    by_cv = cv2.warpPerspective(
        moving, transform.matrix, shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    fixed_from_moving = torch.tensor(transform.inverse().matrix, dtype=torch.float64)[None]
    by_kornia = kg.warp_perspective(
        torch.tensor(moving, dtype=torch.float64)[None, None],
        fixed_from_moving,
        shape,
        align_corners=True,
    )
    whole = inside(sampling_map(transform, shape), moving.shape)
    if whole.any():
        np.testing.assert_allclose(ours[whole], by_cv[whole], atol=2.0)
        np.testing.assert_allclose(ours[whole], by_kornia[0, 0].numpy()[whole], atol=2.0)


def test_an_image_is_warped_some_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    transform, moving = make("dense", 3), gradient(SIZE, SIZE)[..., 0]
    whole = sampling_map(transform, (SIZE, SIZE)), warp_image(moving, transform, (SIZE, SIZE))
    monkeypatch.setattr("imedbench.core.transforms.warp._POINTS_AT_ONCE", 5 * SIZE)
    parts = sampling_map(transform, (SIZE, SIZE)), warp_image(moving, transform, (SIZE, SIZE))
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)


def test_warping_takes_little_beside_its_map_and_its_image() -> None:
    moving, transform = np.zeros((1500, 1500), np.uint8), Affine([[1, 0, 1], [0, 1, 0]])
    tracemalloc.start()
    warp_image(moving, transform, moving.shape)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1500 * 1500 * (8 + 1 + 1) + (30 << 20)


def test_pixel_centres_are_at_integers() -> None:
    """A shift by one whole pixel moves values without mixing them; by half, it averages two."""
    moving = np.array([[0, 10, 20, 30]], np.float32).repeat(2, 0)
    one = warp_image(moving, Affine([[1, 0, 1], [0, 1, 0]]), (2, 4))
    assert one[0].tolist() == [10, 20, 30, 0]
    half = warp_image(moving, Affine([[1, 0, 0.5], [0, 1, 0]]), (2, 3))
    assert half[0].tolist() == [5, 15, 25]
    assert pixel_grid((2, 3)).tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 3)])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_identity_changes_no_value(interpolation: str, shape: tuple[int, ...], kind: type) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(kind)
    shown = warp_image(pixels, Affine.identity(), shape[:2], interpolation)  # type: ignore[arg-type]
    assert shown.dtype == pixels.dtype
    np.testing.assert_array_equal(shown, pixels)


def test_nothing_is_seen_where_a_map_is_undefined_or_far_away() -> None:
    where = np.zeros((2, 2, 2), np.float32)
    where[0, 0] = np.nan
    where[0, 1] = 1e9
    where[1, 0] = -np.inf
    moving = np.full((3, 3), 200, np.uint8)
    assert resample(moving, where).tolist() == [[0, 0], [0, 200]]
    assert inside(where, (3, 3)).tolist() == [[False, False], [False, True]]


def test_inside_ends_at_the_last_pixel_centre() -> None:
    where = np.array([[[0, 0], [2, 1], [2.01, 1], [2, 1.01], [-0.01, 0]]], np.float32)
    assert inside(where, (2, 3))[0].tolist() == [True, True, False, False, False]


@few
@given(seed=seeds)
def test_jacobian_determinant_of_closed_forms(seed: int) -> None:
    affine = make("affine", seed)
    assert isinstance(affine, Affine)
    shape = (9, 13)
    determinant = jacobian_determinant(sampling_map(affine, shape))
    np.testing.assert_allclose(determinant, np.linalg.det(affine.matrix[:2, :2]), atol=1e-4)
    # det of (x, y) → (x + a x², y + b x y) is (1 + 2 a x)(1 + b x), by central differences exactly.
    a, b = 0.003, -0.002
    bent = Quadratic([[0, 1, 0, a, 0, 0], [0, 0, 1, 0, b, 0]])
    x = np.arange(13.0)
    found = jacobian_determinant(sampling_map(bent, shape))
    np.testing.assert_allclose(
        found[:, 1:-1], ((1 + 2 * a * x) * (1 + b * x))[None, 1:-1].repeat(9, 0), atol=1e-4
    )


def test_jacobian_determinant_is_negative_for_a_mirror() -> None:
    mirror = Affine([[-1, 0, 9], [0, 1, 0]])
    np.testing.assert_allclose(jacobian_determinant(sampling_map(mirror, (4, 10))), -1)
