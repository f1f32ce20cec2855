"""The bend that a homography leaves over: known ones are found, noise and flat eyes make none."""

import numpy as np
import pytest

from imedbench.core.transforms import Affine, Homography, Quadratic
from imedbench.methods.imed.bend import (
    Bend,
    bent,
    find_bend,
    find_overlap,
    fit_bend,
    left_by_homography,
)
from imedbench.methods.imed.lines import Lines, Targets, build_targets

SIDE = 400
POSE = np.array([[1.02, 0.03, 4.0], [-0.02, 0.99, -6.0], [1e-5, 0, 1]])


def vessels() -> Lines:
    """Waves that run across the image both ways, crossing."""
    along = np.arange(10.0, SIDE - 10)
    points, angles = [], []
    for k, start in enumerate(np.arange(30.0, SIDE - 30, 37)):
        phase = k + along / 40
        curve = np.column_stack([along, start + 8 * np.sin(phase)])
        slope = np.arctan(8 / 40 * np.cos(phase))
        points += [curve, curve[:, ::-1]]
        angles += [slope, np.pi / 2 - slope]
    return lines(np.concatenate(points), np.concatenate(angles))


def lines(points: np.ndarray, angles: np.ndarray) -> Lines:
    kept = ((points > 3) & (points < SIDE - 4)).all(1)
    fov = np.ones((SIDE, SIDE), bool)
    weight = np.ones(kept.sum(), np.float32)
    return Lines(points[kept].astype(np.float32), angles[kept].astype(np.float32), weight, fov)


def quadratic(share: float) -> Quadratic:
    """Moves by so much of the side, by root mean square; no homography does so."""
    middle, half = (SIDE - 1) / 2, SIDE / 2
    unit = np.stack(np.meshgrid(*[np.linspace(-1, 1, 9)] * 2), -1).reshape(-1, 2)
    bowl = np.column_stack([unit[:, 1] ** 2 - 1 / 3, unit[:, 0] ** 2 - 1 / 3]) / np.sqrt(8 / 45)
    places = middle + half * unit
    return Quadratic.fit(places, places + share * SIDE * bowl)


def tables(bend: Quadratic, noise: float = 0.0) -> tuple[Targets, Targets]:
    """Fixed and moving vessels, which `POSE` and the bend bring together."""
    fixed = vessels()
    shaken = fixed.points.astype(np.float64)
    if noise:
        # A vessel errs alike along some of its length: forty pixels and more.
        rng = np.random.default_rng(1)
        steps = np.repeat(rng.normal(0, noise, (len(shaken) // 40 + 1, 2)), 40, axis=0)
        shaken += steps[: len(shaken)]
    onto = bend.then(Homography(POSE).inverse())
    ahead = 0.1 * np.column_stack([np.cos(fixed.angle), np.sin(fixed.angle)])
    step = onto.apply(shaken + ahead) - onto.apply(shaken)
    moving = lines(onto.apply(shaken), np.arctan2(step[:, 1], step[:, 0]))
    return build_targets(fixed), build_targets(moving)


def places() -> np.ndarray:
    y, x = np.mgrid[30:370:9j, 30:370:9j]
    return np.column_stack([x.ravel(), y.ravel()])


def test_a_known_quadratic_is_found_and_answered_in_the_images_own_pixels() -> None:
    true = quadratic(0.008)
    found = find_bend(*tables(true), POSE)
    assert found is not None
    off = found.transform().apply(places()) - true.apply(places())
    assert np.linalg.norm(off, axis=1).mean() < 0.15
    assert found.size == pytest.approx(0.008 * SIDE, rel=0.15)
    # Images of which the working frame is a third.
    shrink = np.diag([1 / 3, 1 / 3, 1.0])
    native = np.linalg.inv(shrink) @ POSE
    answer = bent(native, shrink, found)
    moving = true.then(Homography(POSE).inverse()).apply(places())
    assert np.linalg.norm(answer.apply(moving) - 3 * places(), axis=1).mean() < 0.5
    np.testing.assert_allclose(answer.inverse().apply(answer.apply(moving)), moving, atol=1e-3)


def test_a_flat_eye_stays_flat() -> None:
    flat = tables(quadratic(0.0))
    fitted = fit_bend(*flat, POSE, find_overlap(*flat, POSE))
    assert fitted.size < 1e-3 * SIDE
    assert find_bend(*flat, POSE) is None


def test_noise_does_not_bend() -> None:
    noisy = tables(quadratic(0.0), noise=1.6)
    fitted = fit_bend(*noisy, POSE, find_overlap(*noisy, POSE))
    assert fitted.left > 0.73
    assert find_bend(*noisy, POSE) is None
    curved = tables(quadratic(0.008))
    assert fit_bend(*curved, POSE, find_overlap(*curved, POSE)).left < 0.3


def test_small_bends_are_fitted_and_left_out() -> None:
    small = tables(quadratic(0.0025))
    fitted = fit_bend(*small, POSE, find_overlap(*small, POSE))
    assert fitted.size == pytest.approx(0.0025 * SIDE, rel=0.25)
    assert find_bend(*small, POSE) is None


def test_between_small_and_large_a_part_is_kept() -> None:
    """No step where a little noise could move the answer."""
    sizes = []
    for share in np.linspace(0.0028, 0.004, 7):
        found = find_bend(*tables(quadratic(share)), POSE)
        sizes.append(0.0 if found is None else found.size)
    assert sizes[0] == 0
    assert sizes[-1] > 0.0035 * SIDE
    assert max(np.diff(sizes)) < 0.6 * sizes[-1]


def test_images_that_do_not_meet_are_not_bent() -> None:
    far = np.array([[1.0, 0, 900], [0, 1, 0], [0, 0, 1]])
    assert find_bend(*tables(quadratic(0.01)), far) is None


def test_the_overlap_is_that_of_the_fields() -> None:
    table = build_targets(vessels())
    shift = np.array([[1.0, 0, SIDE / 4], [0, 1, 0], [0, 0, 1]])
    shared = find_overlap(table, table, shift)
    assert shared.side**2 == pytest.approx(0.75 * SIDE**2, rel=0.03)
    assert shared.places[0].min() == pytest.approx(SIDE / 4, abs=16)


def test_what_a_homography_can_do_is_no_bend() -> None:
    xy = places().T
    affine = Affine([[1.02, 0.01, 3], [-0.03, 0.99, -4]]).apply(xy.T).T - xy
    assert left_by_homography(affine, xy) == pytest.approx(0, abs=1e-9)
    tilt = Homography([[1, 0, 0], [0, 1, 0], [2e-6, -1e-6, 1]]).apply(xy.T).T - xy
    assert left_by_homography(tilt, xy) < 0.02 * np.abs(tilt).max()
    curved = quadratic(0.01).apply(xy.T).T - xy
    rest = left_by_homography(curved, xy)
    assert left_by_homography(curved + affine, xy) == pytest.approx(rest)
    assert rest == pytest.approx(np.sqrt((curved**2).sum(0).mean()), rel=0.2)


def test_outside_its_square_a_bend_is_that_of_the_rim() -> None:
    rng = np.random.default_rng(0)
    bend = Bend(np.array([50.0, 40.0]), 30.0, rng.normal(0, 0.01, (31, 2)))
    outside, rim = np.array([[500.0, 50], [40, -90]]), np.array([[80.0, 50], [40, 10]])
    np.testing.assert_array_equal(bend(outside), bend(rim))
    here = rng.uniform(0, 100, (40, 2))
    np.testing.assert_allclose(bend.transform().apply(here) - here, bend(here.T).T, atol=0.02)


def test_a_fold_is_noticed() -> None:
    weights = np.zeros((31, 2))
    weights[18] = 0.1  # a bump in the middle
    assert not Bend(np.zeros(2), 100.0, weights).folds()
    assert Bend(np.zeros(2), 100.0, 8 * weights).folds()
