"""Pairing and Gauss–Newton: derivatives, known deformations, collapse."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from imedbench.methods.imed.agreement import measure_agreement
from imedbench.methods.imed.lines import Lines, build_targets, find_nearest
from imedbench.methods.imed.pairing import (
    find_pairs,
    project,
    rotations_of,
    scales_of,
    select_distinct,
)
from imedbench.methods.imed.refine import (
    AFFINE,
    HOMOGRAPHY,
    SIMILARITY,
    Fit,
    Round,
    Step,
    converge,
    deformation,
    refine,
    shortlist_poses,
    slopes,
)

SHAPE = (240, 256)
FOV = np.ones(SHAPE, bool)


def curves(seed: int) -> Lines:
    rng = np.random.default_rng(seed)
    points, angles = [], []
    for _ in range(16):
        place, heading = rng.uniform([0, 0], SHAPE[::-1]), rng.uniform(0, 2 * np.pi)
        for bend in np.cumsum(rng.normal(0, 0.03, 120)):
            points.append(place.copy())
            angles.append(heading + bend)
            place += [np.cos(heading + bend), np.sin(heading + bend)]
    where, angle = np.array(points, np.float32), np.array(angles, np.float32)
    kept = ((where > 2) & (where < np.array(SHAPE[::-1]) - 3)).all(1)
    return Lines(where[kept], angle[kept], np.ones(kept.sum(), np.float32), FOV)


def placed(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """N×2 points through one homography."""
    return project(matrix[None], points.T)[:, 0].T


def aligned(fixed: Lines, moving: Lines, radii: np.ndarray, *freedoms: int) -> np.ndarray:
    """The pose that steps at these radii find, with one freedom after the other."""
    fit = Fit.of(np.eye(3)[None], fixed.shape)
    tables = build_targets(fixed), build_targets(moving)
    for freedom in freedoms:
        fit = refine(*tables, fit, [Step(radius, freedom, 2000) for radius in radii])
    return fit.poses[0]


def warped(lines: Lines, matrix: np.ndarray) -> Lines:
    """The curves through a homography, their directions by a small step along them."""
    step = 0.01 * np.column_stack([np.cos(lines.angle), np.sin(lines.angle)])
    here, there = (
        placed(matrix, p.astype(np.float64)) for p in (lines.points, lines.points + step)
    )
    angle = np.arctan2(*(there - here).T[::-1])
    kept = ((here > 2) & (here < np.array(SHAPE[::-1]) - 3)).all(1)
    return Lines(
        here[kept].astype(np.float32), angle[kept].astype(np.float32), lines.weight[kept], FOV
    )


def grid() -> np.ndarray:
    y, x = np.mgrid[20:220:5j, 20:230:5j]
    return np.column_stack([x.ravel(), y.ravel()])


@pytest.mark.parametrize("freedom", [SIMILARITY, AFFINE, HOMOGRAPHY])
def test_the_slopes_equal_finite_differences(freedom: int) -> None:
    rng = np.random.default_rng(0)
    parameters = rng.normal(0, 0.05, (3, 8))
    base = rng.uniform(-1, 1, (2, 3, 7))
    normals = rng.normal(size=(2, 3, 7))
    slope = slopes(parameters, base, normals, freedom)
    assert slope.shape == (3, freedom, 7)
    for k in range(freedom):
        change = np.zeros((3, 8))
        change[:, k] = 1e-6
        up, down = (project(deformation(parameters + s * change), base) for s in (1, -1))
        expected = ((up - down) / 2e-6 * normals).sum(0)
        np.testing.assert_allclose(slope[:, k], expected, atol=1e-7)


def test_the_nearest_vessel_of_fitting_direction_equals_a_tree_search() -> None:
    lines = curves(0)
    table = build_targets(lines)
    rng = np.random.default_rng(1)
    places = rng.uniform(10, 220, (2, 1, 200)).astype(np.float32)
    angle = np.zeros((1, 200), np.float32)
    index, seen, _ = find_nearest(table, places, angle)
    fitting = np.flatnonzero(np.cos(2 * lines.angle) > 0.5)
    best, _ = cKDTree(lines.points[fitting]).query(places[:, 0].T)
    found = np.linalg.norm(lines.points[index[0]] - places[:, 0].T, axis=1)
    assert seen.all()
    assert (np.cos(2 * lines.angle[index]) > 0.5 - 1e-6).all()
    apart = np.abs(found - best)
    assert apart[best < 4].max() < 3  # tables have cells of 2 px
    assert apart.max() < 7  # far from vessels of 4


def test_places_outside_are_not_seen() -> None:
    table = build_targets(curves(0))
    places = np.array([[[-9.0, 5.0, 50.0]], [[5.0, 1e9, 50.0]]], np.float32)
    _, seen, _ = find_nearest(table, places, np.zeros((1, 3), np.float32))
    assert seen.tolist() == [[False, False, True]]


@pytest.mark.parametrize("freedom", [SIMILARITY, AFFINE, HOMOGRAPHY])
def test_a_known_deformation_is_found(freedom: int) -> None:
    parameters = np.array([[0.03, -0.02, 0.02, 0.02, 0.01, -0.01, 0.008, -0.006]])
    parameters[:, freedom:] = 0
    to_unit = np.array([[1 / 128, 0, -1], [0, 1 / 128, -120 / 128], [0, 0, 1]])
    fixed_from_moving = np.linalg.inv(to_unit) @ deformation(parameters)[0] @ to_unit
    fixed = curves(3)
    moving = warped(fixed, np.linalg.inv(fixed_from_moving))
    freedoms = [free for free in (SIMILARITY, AFFINE, HOMOGRAPHY) if free <= freedom]
    pose = aligned(fixed, moving, np.geomspace(24, 3, 12), *freedoms)
    off = placed(pose, grid()) - placed(fixed_from_moving, grid())
    assert np.linalg.norm(off, axis=1).mean() < 0.3


def test_many_poses_at_once_equal_one_by_one() -> None:
    fixed, moving = build_targets(curves(3)), build_targets(curves(3))
    starts = np.stack([np.eye(3), np.eye(3)])
    starts[1, 0, 2] = 4.0
    steps = [Step(10.0, SIMILARITY, 300), Step(5.0, SIMILARITY, 300)]
    both = refine(fixed, moving, Fit.of(starts, SHAPE), steps)
    alone = refine(fixed, moving, Fit.of(starts[1:], SHAPE), steps)
    np.testing.assert_allclose(both.poses[1], alone.poses[0], atol=1e-4)
    np.testing.assert_array_equal(both.only(1).poses, both.poses[1:])


def test_vessels_that_only_one_image_shows_are_left_out() -> None:
    fixed = curves(3)
    rng = np.random.default_rng(0)
    extra = curves(9)
    shift = np.array([[1, 0, 5.0], [0, 1, -3.0], [0, 0, 1]])
    seen = warped(fixed, shift)
    kept = rng.permutation(len(extra))[: len(seen) // 3]
    moving = Lines(
        np.concatenate([seen.points, extra.points[kept]]),
        np.concatenate([seen.angle, extra.angle[kept]]),
        np.concatenate([seen.weight, extra.weight[kept]]),
        FOV,
    )
    pose = aligned(fixed, moving, np.geomspace(15, 3, 10), SIMILARITY)
    off = placed(pose, grid() + np.array([5.0, -3.0])) - grid()
    assert np.linalg.norm(off, axis=1).mean() < 0.3


def test_agreement_tells_the_truth_from_chance() -> None:
    table = build_targets(curves(3))
    far = np.array([[0.0, -1, 250], [1, 0, 10], [0, 0, 1]])
    found = measure_agreement(find_pairs(table, table, np.stack([np.eye(3), far]), 1000))
    assert found.excess_match_rate[0] > 0.6
    assert abs(found.excess_match_rate[1]) < 0.15
    assert found.z_score[0] > 4 * found.z_score[1]
    assert found.overlap[0] == pytest.approx(1, abs=0.02)


def test_shrinking_the_image_onto_a_vessel_pays_nothing() -> None:
    table = build_targets(curves(3))
    tiny = np.diag([0.05, 0.05, 1.0])
    tiny[:2, 2] = table.lines.points[500]
    found = measure_agreement(find_pairs(table, table, np.stack([np.eye(3), tiny]), 1000))
    assert found.z_score[1] < 0.3 * found.z_score[0]


def test_the_shortlist_puts_the_right_pose_first() -> None:
    table = build_targets(curves(3))
    rng = np.random.default_rng(0)
    wrong = np.tile(np.eye(3), (7, 1, 1))
    wrong[:, :2, 2] = rng.uniform(60, 120, (7, 2)) * rng.choice([-1, 1], (7, 2))
    near = np.eye(3)
    near[:2, 2] = 8, -6
    poses = np.concatenate([wrong, near[None]])
    first = shortlist_poses(table, table, poses, Round(200, (24, 8), 4, 6.0, 4))
    best = shortlist_poses(table, table, first.poses, Round(500, (10, 4), 5, 3.0, 2))
    assert len(first.poses) == 4
    assert len(best.poses) == 2
    assert (np.diff(first.z_scores) <= 0).all()
    np.testing.assert_allclose(best.poses[0], np.eye(3), atol=0.3)


def test_few_vessels_do_not_bend_the_whole_image() -> None:
    """The prior on strain: what one corner asks for by chance must not tilt the rest."""
    lines = curves(3)
    close = (np.abs(lines.points - [70, 70]) < 40).all(1)
    rng = np.random.default_rng(5)
    shaken = lines.points[close] + rng.normal(0, 1.0, (close.sum(), 2)).astype(np.float32)
    fixed = Lines(lines.points[close], lines.angle[close], lines.weight[close], FOV)
    moving = Lines(shaken, lines.angle[close], lines.weight[close], FOV)
    corners = np.array([[0, 0], [255, 0], [255, 239], [0, 239.0]])
    tables = build_targets(fixed), build_targets(moving)
    start = Fit.of(np.eye(3)[None], SHAPE)
    settled = converge(*tables, start, HOMOGRAPHY).poses[0]
    for pose in (aligned(fixed, moving, np.geomspace(6, 3, 8), HOMOGRAPHY), settled):
        assert np.linalg.norm(placed(pose, corners) - corners, axis=1).max() < 6


def test_converging_again_or_from_elsewhere_changes_nothing() -> None:
    fixed = curves(3)
    moving = warped(fixed, np.array([[1.01, 0.01, 5.0], [-0.02, 1, -3.0], [1e-5, 0, 1]]))
    tables = build_targets(fixed), build_targets(moving)
    steps = [Step(radius, AFFINE, 2000) for radius in np.geomspace(15, 3, 8)]
    near = refine(*tables, Fit.of(np.eye(3)[None], SHAPE), steps)
    once = converge(*tables, near, HOMOGRAPHY)
    elsewhere = replace(near, parameters=near.parameters + 0.004)  # half a pixel
    for start in (once, elsewhere):
        again = converge(*tables, start, HOMOGRAPHY).poses[0]
        assert np.abs(placed(again, grid()) - placed(once.poses[0], grid())).max() < 0.05


def test_a_pose_that_changes_its_scale_much_fell_onto_other_vessels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = build_targets(curves(3))
    collapsed, steady = np.diag([1.5, 1.5, 1.0]), np.eye(3)
    steady[0, 2] = 2.0
    after = np.stack([np.eye(3), steady])  # where the alignment takes them: the first fits best
    moved = Fit.of(after, SHAPE)
    monkeypatch.setattr("imedbench.methods.imed.refine.refine", lambda *_: moved)
    each = Round(500, (10, 4), 5, 3.0, keep=1)
    best = shortlist_poses(table, table, np.stack([collapsed, steady]), each)
    np.testing.assert_allclose(best.poses, steady[None], atol=1e-12)


def test_poses_that_put_the_image_in_one_place_are_one_answer() -> None:
    poses = np.tile(np.eye(3), (5, 1, 1))
    poses[1, 0, 2] = 3  # of 256 px: the same
    poses[2, 0, 2] = 40
    poses[3, :2, :2] *= 1.3
    poses[4, 0, 2] = -40
    assert select_distinct(poses, SHAPE, 9) == [0, 2, 3, 4]
    assert select_distinct(poses, SHAPE, 2) == [0, 2]


def test_rotation_and_scale_of_a_pose() -> None:
    angle = np.deg2rad(150)
    pose = 1.7 * np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]])
    pose = np.vstack([pose, [0, 0, 1]])[None]
    assert rotations_of(pose)[0] == pytest.approx(angle)
    assert scales_of(pose)[0] == pytest.approx(1.7)
