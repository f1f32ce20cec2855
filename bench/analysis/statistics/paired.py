"""Two methods on the same pairs: is there a difference, and how large?

Differences are ``b − a`` throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from imedbench.analysis.statistics.grouping import group_codes, group_means, group_sums
from imedbench.analysis.statistics.intervals import Interval, bootstrap_mean
from imedbench.analysis.statistics.power import minimum_detectable_difference
from imedbench.core.arrays import Floats, Mask
from imedbench.core.errors import ContractError


@dataclass(frozen=True)
class PairedComparison:
    """What the paired statistics say of two methods a and b.

    Args:
        n: number of pairs.
        n_groups: number of independent groups; Wilcoxon and effect sizes are over their means.
        mean_difference: mean of ``b − a`` with its clustered bootstrap interval.
        median_difference: Hodges–Lehmann estimate of ``b − a``.
        rank_biserial: effect size in [−1, 1]; positive where b has the larger values.
        p_wilcoxon: two-sided p of the signed-rank test.
        p_mcnemar: two-sided exact p of the failures, NaN if none were given.
        only_a_failed: number of pairs on which a alone failed.
        only_b_failed: number of pairs on which b alone failed.
        detectable: smallest mean difference that this many groups show with 80 % power.
    """

    n: int
    n_groups: int
    mean_difference: Interval
    median_difference: float
    rank_biserial: float
    p_wilcoxon: float
    p_mcnemar: float
    only_a_failed: int
    only_b_failed: int
    detectable: float

    @property
    def n_discordant(self) -> int:
        """Pairs on which one failed and the other did not."""
        return self.only_a_failed + self.only_b_failed

    def smallest_p(self, n_tests: int = 1) -> float:
        """Smallest p that so many groups can give at all, if every one points the same way.

        Args:
            n_tests: number of tests that Holm's correction is for; the first is multiplied by it.

        Example:
            >>> compare_paired(np.zeros(8), np.ones(8)).smallest_p(7)
            0.0546875
        """
        return float(min(1.0, n_tests * 2.0 ** (1 - self.n_groups)))


def compare_paired(
    a: Floats,
    b: Floats,
    groups: Sequence[str] | None = None,
    failed_a: Mask | None = None,
    failed_b: Mask | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> PairedComparison:
    """Return every paired statistic of two methods on the same pairs.

    Args:
        a: N figures of method a, failures penalised or infinite.
        b: N figures of method b on the same pairs in the same order.
        groups: each pair's eye or patient; None or an empty name for one of its own.
        failed_a: bool N, where a failed; None leaves McNemar's test out.
        failed_b: bool N, where b failed.
        level: confidence of the interval, in (0, 1).
        seed: of the bootstrap.

    Raises:
        ContractError: when the arrays differ in length.
    """
    differences = paired_differences(a, b)
    by_group = group_means(differences, groups)
    p_mcnemar, only_a, only_b = np.nan, 0, 0
    if failed_a is not None and failed_b is not None:
        p_mcnemar = mcnemar_exact(failed_a, failed_b, groups)
        only_a = int((failed_a & ~failed_b).sum())
        only_b = int((failed_b & ~failed_a).sum())
    return PairedComparison(
        n=differences.size,
        n_groups=by_group.size,
        mean_difference=bootstrap_mean(differences, groups, level=level, seed=seed),
        median_difference=hodges_lehmann(by_group),
        rank_biserial=rank_biserial(by_group),
        p_wilcoxon=wilcoxon_signed_rank(by_group),
        p_mcnemar=p_mcnemar,
        only_a_failed=only_a,
        only_b_failed=only_b,
        detectable=minimum_detectable_difference(by_group, level=level),
    )


def paired_differences(a: Floats, b: Floats) -> Floats:
    """``b − a`` pair by pair; 0 where both are infinite alike, as where both methods failed.

    Raises:
        ContractError: when the arrays are not two rows of one length.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ContractError(f"paired figures must be two equal rows, got {a.shape}, {b.shape}")
    equal = a == b
    return np.where(equal, 0.0, np.where(equal, 0.0, b) - np.where(equal, 0.0, a))


def wilcoxon_signed_rank(differences: Floats) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; zero differences are left out.

    Exact for up to 50 differences without ties and up to 13 with them, else by the normal
    approximation.

    Args:
        differences: N independent differences; infinite ones rank last.

    Returns:
        p in (0, 1]; 1 if nothing differs, NaN without differences or with a NaN among them.
    """
    differences = np.asarray(differences, np.float64)
    if not differences.size or np.isnan(differences).any():
        return np.nan
    moved = differences[differences != 0]
    return float(stats.wilcoxon(moved, correction=True).pvalue) if moved.size else 1.0


def rank_biserial(differences: Floats) -> float:
    """Matched-pairs rank-biserial correlation, ``(R⁺ − R⁻) / (R⁺ + R⁻)`` (Kerby 2014).

    Args:
        differences: N independent differences; zeros are left out, infinite ones rank last.

    Returns:
        −1 if all are negative to 1 if all are positive, 0 if nothing differs; NaN without
        differences or with a NaN among them.
    """
    differences = np.asarray(differences, np.float64)
    if not differences.size or np.isnan(differences).any():
        return np.nan
    moved = differences[differences != 0]
    if not moved.size:
        return 0.0
    ranks = stats.rankdata(np.abs(moved))
    return float((np.sign(moved) * ranks).sum() / ranks.sum())


def hodges_lehmann(differences: Floats) -> float:
    """Hodges–Lehmann estimate: the median of the means of all pairs of differences.

    It belongs to the signed-rank test as the mean belongs to the t test. Memory grows with the
    square of N.

    Args:
        differences: N independent differences.

    Returns:
        In the unit of the differences; NaN without differences, with a NaN among them, or with
        both positive and negative infinite ones.
    """
    differences = np.asarray(differences, np.float64)
    infinite = differences[np.isinf(differences)]
    if not differences.size or np.isnan(differences).any() or np.unique(infinite).size > 1:
        return np.nan
    means = [(differences[i:] + differences[i]) / 2 for i in range(differences.size)]
    return _median(np.concatenate(means))


def _median(values: Floats) -> float:
    """Median that keeps infinities: numpy's turns them into NaN with a warning."""
    middle = [(values.size - 1) // 2, values.size // 2]
    low, high = np.partition(values, middle)[middle]
    return float((low + high) / 2)


def mcnemar_exact(failed_a: Mask, failed_b: Mask, groups: Sequence[str] | None = None) -> float:
    """Two-sided exact p of McNemar's test: does one method fail where the other does not?

    With several pairs a group it is the sign test on each group's surplus of failures, which is
    McNemar's when each pair is its own group.

    Args:
        failed_a: bool N, where method a failed.
        failed_b: bool N, where method b failed.
        groups: each pair's eye or patient; None or an empty name for one of its own.

    Returns:
        p in (0, 1]; 1 if no group differs.

    Raises:
        ContractError: when the arrays differ in length.
    """
    failed_a, failed_b = np.asarray(failed_a, np.bool_), np.asarray(failed_b, np.bool_)
    if failed_a.shape != failed_b.shape or failed_a.ndim != 1:
        raise ContractError("failures must be two equal rows of bool")
    surplus, _ = group_sums(
        failed_b.astype(np.float64) - failed_a, group_codes(failed_a.size, groups)
    )
    more, fewer = int((surplus > 0).sum()), int((surplus < 0).sum())
    return float(stats.binomtest(more, more + fewer).pvalue) if more + fewer else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for the number of comparisons (Holm, Scand. J. Statist. 1979).

    Args:
        p_values: one for each comparison; a NaN is a test that was not made and does not count.

    Returns:
        Adjusted p-values in the same order.
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p)[: int((~np.isnan(p)).sum())]  # NaN sorts last
    adjusted = np.full(p.size, np.nan)
    remaining = np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * remaining))
    return [float(value) for value in adjusted]
