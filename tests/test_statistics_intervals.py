"""Intervals against scipy, statsmodels, simulation and hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from imedbench.analysis.statistics import bootstrap_mean, quantile_interval, wilson_interval
from imedbench.analysis.statistics.grouping import group_codes, group_means
from imedbench.core.errors import ContractError

SKEWED = np.random.default_rng(0).lognormal(size=40)


def test_group_codes_keep_unnamed_pairs_apart() -> None:
    assert group_codes(6, ["a", "", "b", "a", "", "b"]).tolist() == [0, 1, 2, 0, 3, 2]
    assert group_codes(3, None).tolist() == [0, 1, 2]
    assert group_codes(0, None).tolist() == []
    with pytest.raises(ContractError, match="groups"):
        group_codes(3, ["a"])


def test_group_means_of_rows() -> None:
    values = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 60.0]])
    np.testing.assert_array_equal(group_means(values, ["a", "b", "a"]), [[2, 35], [2, 20]])


def test_a_group_with_both_infinities_has_no_mean() -> None:
    found = group_means(np.array([np.inf, -np.inf, 1.0]), ["a", "a", "b"])
    np.testing.assert_array_equal(found, [np.nan, 1])


def test_bootstrap_equals_scipy_for_single_pairs() -> None:
    ours = bootstrap_mean(SKEWED, seed=3, resamples=4000)
    theirs = stats.bootstrap((SKEWED,), np.mean, n_resamples=4000, rng=np.random.default_rng(3))
    assert ours.estimate == pytest.approx(SKEWED.mean())
    expected = theirs.confidence_interval
    assert (ours.low, ours.high) == pytest.approx((expected.low, expected.high))


def test_bootstrap_is_repeatable_and_its_seed_matters() -> None:
    assert bootstrap_mean(SKEWED, seed=1) == bootstrap_mean(SKEWED, seed=1)
    assert bootstrap_mean(SKEWED, seed=1) != bootstrap_mean(SKEWED, seed=2)


def test_doubling_every_pair_within_its_eye_adds_no_confidence() -> None:
    names = [f"eye{i}" for i in range(SKEWED.size)]
    once = bootstrap_mean(SKEWED, names)
    twice = bootstrap_mean(np.repeat(SKEWED, 2), np.repeat(names, 2).tolist())
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))
    assert (twice.n, twice.n_groups) == (80, 40)
    ungrouped = bootstrap_mean(np.repeat(SKEWED, 2))
    assert ungrouped.high - ungrouped.low < 0.8 * (once.high - once.low)


def test_clustered_interval_equals_a_loop_over_resampled_eyes() -> None:
    rng = np.random.default_rng(5)
    groups = rng.integers(0, 12, 50).astype(str).tolist()
    effect = {name: rng.normal(0, 2) for name in sorted(set(groups))}
    values = np.array([effect[name] + rng.normal() + 10 for name in groups])
    by_name = {name: values[np.array(groups) == name] for name in effect}
    names = list(by_name)
    means = []
    for _ in range(4000):
        drawn = [by_name[names[i]] for i in rng.integers(0, len(names), len(names))]
        means.append(np.concatenate(drawn).mean())
    low, high = np.quantile(means, [0.025, 0.975])
    ours = bootstrap_mean(values, groups)
    # The oracle takes plain percentiles: for so nearly symmetric a mean both nearly agree.
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.12 * (high - low))


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    samples = rng.normal(size=(300, 20))
    found = [bootstrap_mean(row, resamples=999) for row in samples]
    covered = sum(interval.low <= 0 <= interval.high for interval in found)
    assert 0.88 <= covered / 300 <= 0.98


def test_bootstrap_of_nothing_one_and_equal_values() -> None:
    nothing = bootstrap_mean(np.array([]))
    assert np.isnan([nothing.estimate, nothing.low, nothing.high]).all()
    one = bootstrap_mean(np.array([4.0]))
    assert one.estimate == 4
    assert not one.is_bounded
    assert not bootstrap_mean(np.array([1.0, 2.0]), ["eye", "eye"]).is_bounded
    flat = bootstrap_mean(np.full(5, 2.0))
    assert (flat.low, flat.high) == (2, 2)
    flat_by_eye = bootstrap_mean(np.array([1.0, 3.0, 1.0, 3.0]), ["a", "a", "b", "b"])
    assert (flat_by_eye.low, flat_by_eye.high) == (2, 2)


def test_bootstrap_never_drops_what_is_not_finite() -> None:
    unknown = bootstrap_mean(np.array([1.0, np.nan, 3.0]))
    assert np.isnan(unknown.estimate)
    assert unknown.n == 3
    endless = bootstrap_mean(np.array([1.0, np.inf, 3.0]))
    assert endless.estimate == np.inf
    assert not endless.is_bounded


@pytest.mark.parametrize(("count", "n"), [(0, 13), (3, 13), (13, 13), (12, 13), (1, 1)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson_equals_statsmodels(count: int, n: int, level: float) -> None:
    ours = wilson_interval(count, n, level=level)
    expected = proportion_confint(count, n, alpha=1 - level, method="wilson")
    assert (ours.low, ours.high) == pytest.approx(expected, abs=1e-12)


def test_wilson_of_no_pairs_and_of_too_many_failures() -> None:
    assert np.isnan(wilson_interval(0, 0).estimate)
    with pytest.raises(ContractError):
        wilson_interval(4, 3)


def test_median_interval_by_hand() -> None:
    # n = 10, q = 1/2: P(B <= 1) = 11/1024 = 0.0107 and P(B <= 2) = 0.0547, so the second smallest
    # and the second largest bound the median with 97.9 %, the third ones only with 89.1 %.
    found = quantile_interval(np.arange(10.0)[::-1], 0.5)
    assert (found.estimate, found.low, found.high) == (4.5, 1, 8)


def test_quantile_interval_covers_the_quantile() -> None:
    rng = np.random.default_rng(1)
    truth = stats.norm.ppf(0.9)
    found = [quantile_interval(rng.normal(size=100), 0.9) for _ in range(400)]
    covered = np.mean([interval.low <= truth <= interval.high for interval in found])
    assert covered >= 0.93


def test_a_tail_quantile_of_few_repeats_has_no_upper_limit() -> None:
    found = quantile_interval(np.arange(20.0), 0.95)
    assert np.isfinite(found.low)
    assert np.isnan(found.high)


def test_quantile_of_ties_nothing_and_nan() -> None:
    tied = quantile_interval(np.full(30, 7.0), 0.5)
    assert (tied.estimate, tied.low, tied.high) == (7, 7, 7)
    assert np.isnan(quantile_interval(np.array([]), 0.5).estimate)
    assert np.isnan(quantile_interval(np.array([1.0, np.nan]), 0.5).estimate)
    with pytest.raises(ContractError):
        quantile_interval(np.arange(3.0), 1.0)


def test_with_many_groups_the_normal_interval_is_the_bootstraps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from imedbench.analysis.statistics import intervals

    values = np.random.default_rng(3).exponential(2, 3000)
    groups = [f"eye-{i // 2}" for i in range(3000)]
    quick = bootstrap_mean(values, groups)
    monkeypatch.setattr(intervals, "MANY_GROUPS", 10_000)
    slow = bootstrap_mean(values, groups)
    width = slow.high - slow.low
    assert quick.estimate == slow.estimate
    assert (quick.low, quick.high) == pytest.approx((slow.low, slow.high), abs=0.05 * width)
