"""Paired statistics against scipy, statsmodels, enumeration and hand-worked cases."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from imedbench.analysis.statistics import (
    compare_paired,
    hodges_lehmann,
    holm,
    mcnemar_exact,
    minimum_detectable_difference,
    paired_differences,
    rank_biserial,
    wilcoxon_signed_rank,
)
from imedbench.core.errors import ContractError

RNG = np.random.default_rng(11)
DIFFERENCES = RNG.normal(0.4, 1, 25)
NONE = np.array([])


def enumerated_signed_rank_p(differences: NDArray[np.float64]) -> float:
    """Two-sided p over all signs, with mean ranks for ties."""
    moved = differences[differences != 0]
    ranks = stats.rankdata(np.abs(moved))
    found = ranks[moved > 0].sum()
    sums = [ranks[np.array(signs)].sum() for signs in product([True, False], repeat=moved.size)]
    tail = min(np.mean(np.array(sums) >= found - 1e-9), np.mean(np.array(sums) <= found + 1e-9))
    return min(1.0, 2 * float(tail))


@pytest.mark.parametrize(
    "differences",
    [
        [1.0, -2.0, 3.0, 4.0, 5.0, 6.0],
        [1.0, 1.0, -1.0, 2.0, 2.0, 3.0, 3.0],
        [0.0, 0.0, 1.0, 2.0, 2.0, -3.0],
        [5.0],
        [0.5, -0.5],
    ],
)
def test_small_samples_are_exact_with_ties_and_zeros(differences: list[float]) -> None:
    found = wilcoxon_signed_rank(np.array(differences))
    assert found == pytest.approx(enumerated_signed_rank_p(np.array(differences)))


def test_wilcoxon_equals_scipy_on_two_samples() -> None:
    a, b = RNG.normal(size=(2, 60))
    expected = stats.wilcoxon(b, a, correction=True).pvalue
    assert wilcoxon_signed_rank(paired_differences(a, b)) == pytest.approx(expected)


def test_infinite_differences_rank_last() -> None:
    assert wilcoxon_signed_rank(np.array([1.0, 2.0, np.inf])) == wilcoxon_signed_rank(
        np.array([1.0, 2.0, 3.0])
    )
    assert rank_biserial(np.array([1.0, 2.0, -np.inf])) == 0


def test_pairs_on_which_both_failed_do_not_differ() -> None:
    differences = paired_differences(np.array([np.inf, 1, np.inf]), np.array([np.inf, np.inf, 2]))
    np.testing.assert_array_equal(differences, [0, np.inf, -np.inf])


def test_no_difference_no_data_and_nan() -> None:
    zeros = np.zeros(4)
    assert wilcoxon_signed_rank(zeros) == 1
    assert rank_biserial(zeros) == hodges_lehmann(zeros) == 0
    for statistic in (wilcoxon_signed_rank, rank_biserial, hodges_lehmann):
        assert np.isnan(statistic(NONE))
        assert np.isnan(statistic(np.array([1.0, np.nan])))


def test_rank_biserial_from_the_statistic_of_scipy() -> None:
    r_plus = stats.wilcoxon(DIFFERENCES, alternative="greater").statistic
    total = DIFFERENCES.size * (DIFFERENCES.size + 1) / 2
    assert rank_biserial(DIFFERENCES) == pytest.approx(2 * r_plus / total - 1)
    assert rank_biserial(np.array([1.0, 2.0, 3.0])) == 1


def test_hodges_lehmann_is_the_median_of_a_double_loop() -> None:
    n = DIFFERENCES.size
    means = [(DIFFERENCES[i] + DIFFERENCES[j]) / 2 for i in range(n) for j in range(i, n)]
    assert hodges_lehmann(DIFFERENCES) == pytest.approx(np.median(means))
    assert hodges_lehmann(np.array([3.0])) == 3
    assert hodges_lehmann(DIFFERENCES + 5) == pytest.approx(hodges_lehmann(DIFFERENCES) + 5)


def test_hodges_lehmann_with_failures() -> None:
    assert hodges_lehmann(np.array([1.0, 2.0, 3.0, np.inf])) == pytest.approx(2.75)
    assert hodges_lehmann(np.array([np.inf, np.inf, 1.0])) == np.inf
    assert np.isnan(hodges_lehmann(np.array([np.inf, -np.inf, 1.0])))


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 5), (2, 7), (4, 4), (1, 0), (0, 0)])
def test_mcnemar_equals_statsmodels(only_a: int, only_b: int) -> None:
    both, neither = 3, 6
    a = np.array([True] * both + [True] * only_a + [False] * (only_b + neither))
    b = np.array([True] * both + [False] * only_a + [True] * only_b + [False] * neither)
    expected = mcnemar([[both, only_a], [only_b, neither]], exact=True).pvalue
    assert mcnemar_exact(a, b) == pytest.approx(expected)


def test_mcnemar_counts_an_eye_once() -> None:
    a, b = np.array([True, True, True, True]), np.array([False, False, False, True])
    assert mcnemar_exact(a, b) == pytest.approx(0.25)  # 3 to 0: 2 · 2⁻³
    assert mcnemar_exact(a, b, ["x", "x", "x", "y"]) == 1  # 1 to 0
    assert mcnemar_exact(np.ones(5, bool), np.ones(5, bool)) == 1
    with pytest.raises(ContractError):
        mcnemar_exact(np.ones(2, bool), np.ones(3, bool))


def test_holm_equals_statsmodels_with_ties() -> None:
    p_values = [0.01, 0.04, 0.03, 0.03, 0.6, 0.005]
    expected = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(expected)


def test_holm_leaves_out_tests_not_made() -> None:
    found = holm([0.02, np.nan, 0.03])
    assert found[0] == pytest.approx(0.04)
    assert np.isnan(found[1])
    assert found[2] == pytest.approx(0.04)
    assert holm([]) == []


@pytest.mark.parametrize("power", [0.8, 0.95])
@pytest.mark.parametrize("n", [3, 13, 60])
def test_detectable_difference_equals_statsmodels(n: int, power: float) -> None:
    differences = RNG.normal(size=n)
    effect = TTestPower().solve_power(nobs=n, alpha=0.05, power=power, alternative="two-sided")
    expected = effect * differences.std(ddof=1)
    found = minimum_detectable_difference(differences, power=power)
    assert found == pytest.approx(expected, rel=1e-4)


def test_nothing_is_detectable_with_one_pair_or_nan() -> None:
    assert np.isnan(minimum_detectable_difference(np.array([1.0])))
    assert np.isnan(minimum_detectable_difference(np.array([1.0, np.inf])))
    assert minimum_detectable_difference(np.array([1.0, 1.0])) == 0


def test_comparison_is_over_groups_and_by_direction() -> None:
    a = np.array([5.0, 6.0, 7.0, 8.0, 9.0, 4.0])
    b = a - [1, 3, 2, 2, 5, 1]
    eyes = ["l", "l", "r", "r", "x", "y"]
    failed_a, failed_b = a > 7.5, a > 8.5
    found = compare_paired(a, b, eyes, failed_a, failed_b)
    by_eye = np.array([-2.0, -2.0, -5.0, -1.0])
    assert (found.n, found.n_groups) == (6, 4)
    assert found.mean_difference.estimate == pytest.approx(-14 / 6)
    assert found.median_difference == hodges_lehmann(by_eye)
    assert found.rank_biserial == -1
    assert found.p_wilcoxon == pytest.approx(enumerated_signed_rank_p(by_eye))
    assert found.p_wilcoxon == pytest.approx(0.125)
    assert (found.only_a_failed, found.only_b_failed, found.p_mcnemar) == (1, 0, 1)
    assert found.detectable == minimum_detectable_difference(by_eye)


def test_comparison_of_one_pair_and_of_nothing_but_failures() -> None:
    one = compare_paired(np.array([1.0]), np.array([2.0]))
    assert (one.p_wilcoxon, one.mean_difference.estimate) == (1, 1)
    assert np.isnan(one.p_mcnemar)
    failed = np.ones(4, bool)
    endless = np.full(4, np.inf)
    none = compare_paired(endless, endless, None, failed, failed)
    assert (none.p_wilcoxon, none.p_mcnemar, none.median_difference) == (1, 1, 0)


def test_unequal_rows_are_refused() -> None:
    with pytest.raises(ContractError):
        paired_differences(np.zeros(3), np.zeros(4))
