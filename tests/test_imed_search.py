"""The coarse search: drawing, correlation, and poses found again."""

import numpy as np
import pytest
import torch

from imedbench.methods.imed.grids import draw
from imedbench.methods.imed.lines import Lines
from imedbench.methods.imed.search import SearchRange, correlate, search

SHAPE = (300, 320)


def tree(seed: int, shape: tuple[int, int] = SHAPE) -> Lines:
    """Smooth random curves: vessels without an image."""
    rng = np.random.default_rng(seed)
    height, width = shape
    points, angles = [], []
    for _ in range(14):
        place, heading = rng.uniform([0, 0], [width, height]), rng.uniform(0, 2 * np.pi)
        for bend in np.cumsum(rng.normal(0, 0.03, 160)):
            points.append(place.copy())
            angles.append(heading + bend)
            place += [np.cos(heading + bend), np.sin(heading + bend)]
    where, angle = np.array(points, np.float32), np.array(angles, np.float32)
    kept = ((where > 2) & (where < np.array([width, height]) - 3)).all(1)
    return Lines(where[kept], angle[kept], np.ones(kept.sum(), np.float32), np.ones(shape, bool))


def seen_through(lines: Lines, matrix: np.ndarray, shape: tuple[int, int]) -> Lines:
    """The same vessels through a similarity, cut to another image."""
    points = lines.points @ matrix[:2, :2].T + matrix[:2, 2]
    turn = np.arctan2(matrix[1, 0], matrix[0, 0])
    kept = ((points > 2) & (points < np.array(shape[::-1]) - 3)).all(1)
    points = points[kept].astype(np.float32)
    angle = (lines.angle[kept] + turn).astype(np.float32)
    return Lines(points, angle, lines.weight[kept], np.ones(shape, bool))


def similarity(scale: float, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    cos, sin = scale * np.cos(np.deg2rad(degrees)), scale * np.sin(np.deg2rad(degrees))
    return np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]], [0, 0, 1]])


def test_drawing_adds_values_at_the_nearest_cell_of_a_periodic_grid() -> None:
    places = torch.tensor([[0.4 + 1.6j, 2.0j, -1.0 + 5.0j]])
    grid = draw(places, torch.tensor([[1.0, 2.0, 4.0]]), 4)
    expected = torch.zeros(1, 4, 4)
    expected[0, 2, 0] = 3
    expected[0, 1, 3] = 4
    assert torch.equal(grid, expected)


def test_correlation_equals_a_naive_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imedbench.methods.imed.search._BLUR", 0.0)
    rng = np.random.default_rng(0)
    size = 5
    fixed, moving = (
        rng.normal(size=(n, size, size)) + 1j * rng.normal(size=(n, size, size)) for n in (1, 2)
    )
    expected = np.zeros((2, size, size))
    for r in range(2):
        for y in range(size):
            for x in range(size):
                shifted = np.roll(fixed[0], (-y, -x), (0, 1))
                expected[r, y, x] = (moving[r].conj() * shifted).real.sum()
    found = correlate(torch.from_numpy(fixed), torch.from_numpy(moving))
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-9)


def test_crossing_vessels_count_against_and_parallel_ones_for() -> None:
    line = torch.zeros(1, 8, 8, dtype=torch.complex64)
    line[0, 4, 2:6] = 1
    crossing = -line  # twice ninety degrees
    assert float(correlate(line, line)[0, 0, 0, 0]) > 0
    assert float(correlate(line, crossing)[0, 0, 0, 0]) < 0


@pytest.mark.parametrize(
    ("scale", "degrees", "shift", "shape"),
    [
        (1.0, 3.0, (10.0, -6.0), SHAPE),
        (1.9, 25.0, (-120.0, -160.0), SHAPE),
        (0.55, -30.0, (60.0, 140.0), SHAPE),
        (1.0, 170.0, (330.0, 280.0), SHAPE),
        (1.0, 10.0, (-90.0, -70.0), (150, 150)),
    ],
    ids=["near", "zoomed in", "zoomed out", "upside down", "quarter"],
)
def test_a_known_pose_is_the_first(
    scale: float, degrees: float, shift: tuple[float, float], shape: tuple[int, int]
) -> None:
    moving_from_fixed = similarity(scale, degrees, shift)
    fixed = tree(1)
    moving = seen_through(fixed, moving_from_fixed, shape)
    poses = search(fixed, moving, SearchRange(), keep=8)
    expected = np.linalg.inv(moving_from_fixed)
    corners = np.array([[40, 110, 110, 40], [40, 40, 110, 110], [1, 1, 1, 1]])
    off = np.linalg.norm(((poses.matrices[0] - expected) @ corners)[:2], axis=0)
    assert off.mean() < 3 * SearchRange().cell(fixed.shape, shape)


def test_candidates_are_sorted_and_differ() -> None:
    fixed, moving = tree(1), tree(2)
    poses = search(fixed, moving, SearchRange(max_rotation=30), keep=8)
    assert len(poses.matrices) == 8
    assert (np.diff(poses.scores) <= 0).all()
    corner = poses.matrices[:, :2] @ np.array([0, 0, 1])
    other = poses.matrices[:, :2] @ np.array([SHAPE[1], SHAPE[0], 1])
    both = np.hstack([corner, other])
    gaps = np.abs(both[:, None] - both[None]).max(2) + 1e9 * np.eye(8)
    assert gaps.min() > 3


def test_ranges_reach_what_they_promise() -> None:
    span = SearchRange(max_rotation=40, min_scale=0.5, max_scale=2.0)
    assert np.rad2deg(span.rotations()).max() >= 40
    assert span.scales().min() <= 0.5
    assert span.scales().max() >= 2.0
    assert np.allclose(np.diff(np.append(span.rotations(), 0)[:-1]), np.deg2rad(7))
    assert len(np.unique(np.round(np.exp(1j * SearchRange().rotations()), 9))) == 51


def test_two_parts_of_the_scales_are_the_whole() -> None:
    span = SearchRange()
    near, far = span.scales("near"), span.scales("far")
    np.testing.assert_array_equal(np.sort(np.concatenate([near, far])), span.scales())
    assert near.min() < 0.75
    assert near.max() > 1.3
    fixed, moving = tree(1), seen_through(tree(1), similarity(1.9, 5.0, (-120.0, -160.0)), SHAPE)
    narrow = SearchRange(max_rotation=10)
    whole = search(fixed, moving, narrow, keep=8)
    parts = [search(fixed, moving, narrow, 8, part) for part in ("near", "far")]
    both = parts[0].and_also(parts[1]).distinct(SHAPE, 8)
    np.testing.assert_array_equal(both.matrices[0], whole.matrices[0])
    assert (np.diff(both.scores) <= 0).all()
