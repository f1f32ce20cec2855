"""Landmark errors against scipy, loops and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import distance

from imedbench.core.errors import ContractError
from imedbench.metrics.landmarks import landmark_errors, tre_max, tre_mean, tre_median, tre_rms

RNG = np.random.default_rng(3)
NONE = np.empty((0, 2))


def points(n: int) -> NDArray[np.float64]:
    return RNG.uniform(0, 500, (n, 2))


def test_errors_are_the_distances_of_scipy_row_by_row() -> None:
    mapped, fixed = points(9), points(9)
    expected = np.diag(distance.cdist(mapped, fixed))
    np.testing.assert_allclose(landmark_errors(mapped, fixed), expected, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 6, 7])
def test_summaries_equal_a_loop(n: int) -> None:
    mapped, fixed = points(n), points(n)
    errors = sorted(math.dist(a, b) for a, b in zip(mapped, fixed, strict=True))
    assert tre_mean(mapped, fixed) == pytest.approx(math.fsum(errors) / n)
    assert tre_median(mapped, fixed) == pytest.approx(np.median(errors))
    assert tre_max(mapped, fixed) == pytest.approx(errors[-1])
    assert tre_rms(mapped, fixed) == pytest.approx(math.sqrt(math.fsum(e * e for e in errors) / n))


def test_a_shift_of_3_4_is_5_px_whatever_the_number_of_coordinates() -> None:
    fixed = points(10)
    mapped = fixed + np.array([3, 4])
    assert [f(mapped, fixed) for f in (tre_mean, tre_median, tre_max, tre_rms)] == pytest.approx(
        [5] * 4
    )
    assert tre_mean(mapped, fixed, spacing=11.5) == pytest.approx(57.5)


def test_no_landmarks_is_undefined_not_zero() -> None:
    assert all(math.isnan(f(NONE, NONE)) for f in (tre_mean, tre_median, tre_max, tre_rms))


@pytest.mark.parametrize("lost", [np.nan, np.inf, -np.inf])
def test_a_lost_landmark_is_infinitely_wrong(lost: float) -> None:
    mapped = np.array([[0.0, 0.0], [1.0, lost], [2.0, 0.0]])
    errors = landmark_errors(mapped, np.zeros((3, 2)))
    np.testing.assert_array_equal(errors, [0, np.inf, 2])
    assert tre_mean(mapped, np.zeros((3, 2))) == np.inf
    assert tre_median(mapped, np.zeros((3, 2))) == 2
    assert tre_max(mapped, np.zeros((3, 2))) == np.inf


@pytest.mark.parametrize(
    ("mapped", "fixed", "spacing"),
    [(points(3), points(4), 1.0), (np.zeros(2), np.zeros(2), 1.0), (points(3), points(3), 0.0)],
)
def test_unusable_arguments_are_refused(
    mapped: NDArray[np.float64], fixed: NDArray[np.float64], spacing: float
) -> None:
    with pytest.raises(ContractError):
        landmark_errors(mapped, fixed, spacing)
