"""Regularity metrics against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from imedbench.core.errors import ContractError
from imedbench.core.transforms import jacobian_determinant
from imedbench.metrics.regularity import folding, inverse_consistency, sd_log_j


def grid(height: int, width: int) -> NDArray[np.float32]:
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([x, y], axis=-1)


def test_a_mirror_folds_everywhere_and_identity_nowhere() -> None:
    identity = grid(8, 9)
    assert folding(jacobian_determinant(identity)) == 0
    assert folding(jacobian_determinant(identity * np.array([-1, 1], np.float32))) == 1
    assert sd_log_j(jacobian_determinant(identity)) == 0
    assert sd_log_j(jacobian_determinant(identity * 3)) == pytest.approx(0, abs=1e-12)


def test_folding_counts_zero_and_skips_unknown() -> None:
    determinants = np.array([[1.0, 0.0, -2.0], [np.nan, 0.5, np.inf]])
    assert folding(determinants) == 2 / 4
    assert folding(determinants, np.array([[1, 1, 0], [0, 1, 1]], bool)) == 1 / 3


def test_sd_log_j_of_two_values_and_of_folds() -> None:
    assert sd_log_j(np.array([np.e, 1 / np.e])) == pytest.approx(1)
    assert sd_log_j(np.array([1.0, -5.0])) == pytest.approx(-math.log(1e-9) / 2)


def test_nothing_known_is_undefined() -> None:
    for metric in (folding, sd_log_j):
        assert math.isnan(metric(np.full((2, 2), np.nan)))
        assert math.isnan(metric(np.ones((2, 2)), np.zeros((2, 2), bool)))


def test_inverse_consistency() -> None:
    points = np.array([[1.0, 2.0], [5.0, 5.0], [9.0, 0.0]])
    assert inverse_consistency(points, points) == 0
    assert inverse_consistency(points, points + np.array([0.3, 0.4])) == pytest.approx(0.5)
    assert inverse_consistency(points, np.where(points == 9, np.nan, points)) == np.inf
    assert math.isnan(inverse_consistency(np.empty((0, 2)), np.empty((0, 2))))


def test_unusable_arrays_are_refused() -> None:
    with pytest.raises(ContractError):
        inverse_consistency(np.zeros((3, 2)), np.zeros((4, 2)))
