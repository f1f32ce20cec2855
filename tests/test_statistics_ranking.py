"""Rank statistics against scipy, Demšar's table and hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from imedbench.analysis.statistics import critical_difference, rank_stability
from imedbench.core.errors import ContractError

RNG = np.random.default_rng(4)

# Demšar 2006, table 5(a): critical values of the two-tailed Nemenyi test at 0.05.
NEMENYI = {3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 10: 3.164}


def test_a_method_best_on_every_eye_is_surely_best() -> None:
    scores = RNG.normal(size=(20, 1)) + np.arange(3)
    found = rank_stability(scores)
    np.testing.assert_array_equal(found.probability_best, [1, 0, 0])
    for ranks in (found.rank, found.rank_low, found.rank_high):
        np.testing.assert_array_equal(ranks, [1, 2, 3])


def test_higher_is_better_turns_the_order() -> None:
    scores = RNG.normal(size=(20, 1)) + np.arange(3)
    np.testing.assert_array_equal(rank_stability(scores, higher_is_better=True).rank, [3, 2, 1])


def test_equal_methods_share_the_first_place() -> None:
    column = RNG.normal(size=(30, 1)) * 1e-6
    scores = np.hstack([column, column, column + 1])
    found = rank_stability(scores)
    np.testing.assert_allclose(found.probability_best, [0.5, 0.5, 0])
    np.testing.assert_array_equal(found.rank, [1.5, 1.5, 3])
    np.testing.assert_array_equal(rank_stability(np.zeros((4, 2))).probability_best, [0.5, 0.5])


def test_sums_in_another_order_tie_all_the_same() -> None:
    scores = np.array([[0.1, 0.3], [0.2, 0.2], [0.3, 0.1], [1.0, 1.0]])
    assert scores[:3, 0].sum() != scores[:3, 1].sum()
    found = rank_stability(scores, ["left", "left", "left", "right"])
    np.testing.assert_array_equal(found.probability_best, [0.5, 0.5])
    np.testing.assert_array_equal(found.rank, [1.5, 1.5])


def test_probability_of_best_equals_the_closed_form() -> None:
    # On three eyes a wins by 1, on one it loses by 2: with k draws of that eye out of 4, a is best
    # for k = 0 or 1 (4 − 3k > 0), never tied. k is binomial(4, 1/4).
    scores = np.array([[0.0, 1.0]] * 3 + [[2.0, 0.0]])
    expected = stats.binom.cdf(1, 4, 0.25)
    found = rank_stability(scores, resamples=20_000)
    assert found.probability_best[0] == pytest.approx(expected, abs=0.012)


def test_pairs_of_one_eye_are_drawn_together() -> None:
    scores = np.array([[0.0, 1.0]] * 9 + [[2.0, 0.0]])
    eyes = ["left"] * 9 + ["right"]
    found = rank_stability(scores, eyes, resamples=20_000)
    # Both eyes or left alone: a is best; right alone (1/4): b is.
    assert found.probability_best == pytest.approx([0.75, 0.25], abs=0.012)
    assert found.n_groups == 2


def test_stability_is_repeatable_and_refuses_gaps() -> None:
    scores = RNG.normal(size=(10, 3))
    first, second = rank_stability(scores, seed=8), rank_stability(scores, seed=8)
    np.testing.assert_array_equal(first.probability_best, second.probability_best)
    for gap in (np.nan, np.inf):
        with pytest.raises(ContractError):
            rank_stability(np.array([[1.0, gap]]))
    one = rank_stability(np.array([[1.0, 2.0]]))
    np.testing.assert_array_equal(one.probability_best, [1, 0])


@pytest.mark.parametrize(("n_methods", "q"), NEMENYI.items())
def test_critical_difference_has_the_published_quantile(n_methods: int, q: float) -> None:
    found = critical_difference(RNG.normal(size=(15, n_methods)))
    expected = q * np.sqrt(n_methods * (n_methods + 1) / (6 * 15))
    assert found.difference == pytest.approx(expected, abs=1e-3)


def test_friedman_equals_scipy_on_scores_with_ties() -> None:
    scores = RNG.integers(0, 4, (12, 4)).astype(float)
    found = critical_difference(scores)
    assert found.p_value == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue)
    np.testing.assert_allclose(found.mean_ranks, stats.rankdata(scores, axis=1).mean(axis=0))


def test_cliques_by_hand() -> None:
    # 30 eyes, mean ranks 1.5, 1.5, 3, 4; the critical difference is 2.569 · √(20/180) = 0.856.
    rows = [[1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 3.0, 4.0]] * 15
    found = critical_difference(np.array(rows)[:, [2, 0, 3, 1]])
    np.testing.assert_array_equal(found.mean_ranks, [3, 1.5, 4, 1.5])
    assert found.cliques == ((1, 3),)


def test_overlapping_cliques_are_both_kept_and_inner_ones_are_not() -> None:
    # Mean ranks 1, 2, 3 over 4 eyes: the critical difference is 2.343 · √(12/24) = 1.657.
    found = critical_difference(np.tile([1.0, 2.0, 3.0], (4, 1)))
    assert found.p_value < 0.05
    assert found.cliques == ((0, 1), (1, 2))


def test_where_friedman_shows_nothing_all_are_one_clique() -> None:
    assert critical_difference(np.ones((5, 3))).cliques == ((0, 1, 2),)
    assert critical_difference(np.ones((5, 3))).p_value == 1
    two_rows = np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 3.0]])
    assert critical_difference(two_rows).cliques == ((0, 1, 2),)


def test_ranks_far_apart_mean_nothing_where_friedman_shows_nothing() -> None:
    scores = [[5, 4, 2, 4, 0], [5, 1, 3, 4, 4], [5, 4, 2, 4, 2], [3, 4, 5, 2, 2], [4, 0, 1, 3, 0]]
    found = critical_difference(np.array(scores, np.float64))
    assert found.p_value > 0.05
    assert np.ptp(found.mean_ranks) > found.difference
    assert found.cliques == ((4, 1, 2, 3, 0),)


def test_failures_rank_last_and_tie() -> None:
    scores = np.tile([1.0, np.inf, np.inf], (6, 1))
    np.testing.assert_array_equal(critical_difference(scores).mean_ranks, [1, 2.5, 2.5])


def test_an_eye_is_one_block() -> None:
    scores = RNG.normal(size=(8, 3))
    doubled = critical_difference(np.repeat(scores, 2, axis=0), list("aabbccddeeffgghh"))
    assert doubled.p_value == critical_difference(scores).p_value
    assert doubled.n_groups == 8


@pytest.mark.parametrize(
    "scores", [np.ones((5, 2)), np.ones((1, 3)), np.full((5, 3), np.nan), np.ones(3)]
)
def test_too_few_or_unknown_scores_are_refused(scores: np.ndarray) -> None:
    with pytest.raises(ContractError):
        critical_difference(scores)
