"""The robust estimator against exact motions, outliers and too little evidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imedbench.core.transforms import Affine, Homography
from imedbench.methods.estimators import (
    THRESHOLD_PX,
    Model,
    estimate,
    estimator_name,
    registration_from_matches,
)

MODELS: tuple[Model, ...] = ("homography", "affine")
few = settings(max_examples=15, deadline=None)


def motion(model: Model, seed: int) -> Homography:
    rng = np.random.default_rng(seed)
    linear, shift = np.eye(2) + rng.uniform(-0.2, 0.2, (2, 2)), rng.uniform(-40, 40, 2)
    if model == "affine":
        return Affine(np.column_stack([linear, shift]))
    return Homography([[*linear[0], shift[0]], [*linear[1], shift[1]], [1e-4, -1e-4, 1]])


@pytest.mark.parametrize("model", MODELS)
@few
@given(seed=st.integers(0, 10**6))
def test_a_motion_is_found_among_as_many_wrong_matches(model: Model, seed: int) -> None:
    rng = np.random.default_rng(seed)
    moving = rng.uniform(0, 512, (80, 2))
    fixed = motion(model, seed).apply(moving)
    fixed[40:] = rng.uniform(0, 512, (40, 2))
    found = estimate(moving, fixed, model)
    assert found.fixed_from_moving is not None, found.reason
    assert type(found.fixed_from_moving) is (Affine if model == "affine" else Homography)
    np.testing.assert_allclose(found.fixed_from_moving.apply(moving[:40]), fixed[:40], atol=0.5)
    assert found.inliers[:40].all()
    assert found.inliers[40:].sum() <= 4
    assert found.inliers.dtype == bool


@pytest.mark.parametrize("model", MODELS)
def test_the_same_matches_give_the_same_answer(model: Model) -> None:
    rng = np.random.default_rng(1)
    moving, noise = rng.uniform(0, 512, (60, 2)), rng.normal(size=(60, 2)) * 2
    fixed = motion(model, 1).apply(moving) + noise
    first, second = (estimate(moving, fixed, model) for _ in range(2))
    assert first.fixed_from_moving is not None
    assert second.fixed_from_moving is not None
    np.testing.assert_array_equal(first.fixed_from_moving.matrix, second.fixed_from_moving.matrix)


@pytest.mark.parametrize(
    ("n", "model", "reason"),
    [
        (0, "homography", "0 matches, a homography needs 4"),
        (1, "affine", "1 match, an affine map needs 3"),
        (3, "homography", "3 matches, a homography needs 4"),
    ],
)
def test_too_few_matches_are_no_motion(n: int, model: Model, reason: str) -> None:
    points = np.random.default_rng(0).uniform(0, 99, (n, 2))
    found = estimate(points, points, model)
    assert found.fixed_from_moving is None
    assert found.reason == reason
    assert found.inliers.shape == (n,)


@pytest.mark.parametrize("model", MODELS)
def test_as_many_matches_as_unknowns_prove_nothing(model: Model) -> None:
    """Four points fit some homography, three some affine map, whatever they are."""
    n = 4 if model == "homography" else 3
    moving = np.array([[10.0, 10], [200, 30], [180, 240], [30, 190]])[:n]
    found = estimate(moving, moving + 5, model)
    assert found.fixed_from_moving is None
    assert "agree" in found.reason


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("points", ["line", "one place"])
def test_degenerate_places_are_no_crash(model: Model, points: str) -> None:
    x = np.linspace(0, 300, 30)
    places = np.column_stack([x, x]) if points == "line" else np.full((30, 2), 50.0)
    found = estimate(places, places + 3, model)
    assert (found.fixed_from_moving is None) == (found.reason != "")


def test_noise_is_no_motion() -> None:
    rng = np.random.default_rng(0)
    found = estimate(rng.uniform(0, 512, (12, 2)), rng.uniform(0, 512, (12, 2)), "homography")
    assert found.fixed_from_moving is None
    assert "12 matches" in found.reason


@pytest.mark.parametrize("good", [True, False])
def test_the_answer_carries_its_matches_and_counts(good: bool) -> None:
    moving = np.random.default_rng(2).uniform(0, 300, (30 if good else 2, 2))
    answer = registration_from_matches(moving, moving + 4, "affine", {"n_keypoints_fixed": 99})
    assert (answer.fixed_from_moving is not None) is good
    values = answer.diagnostics.values
    assert values["n_matches"] == len(moving)
    assert values["n_keypoints_fixed"] == 99
    assert values["estimator"] == estimator_name("affine") == f"MAGSAC affine {THRESHOLD_PX:g} px"
    matches = answer.diagnostics.matches
    assert matches is not None
    assert values["n_inliers"] == matches.inliers.sum() == (30 if good else 0)
