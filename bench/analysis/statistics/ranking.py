"""Ranks of several methods: how sure is an order, and which methods cannot be told apart?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from imedbench.analysis.statistics.grouping import group_codes, group_means, group_sums
from imedbench.core.arrays import Floats
from imedbench.core.errors import ContractError

_CELLS_AT_ONCE = 2_000_000  # resampled weights held in memory


@dataclass(frozen=True, eq=False)
class RankStability:
    """How the order of M methods by their means would vary with other eyes of the same kind.

    Args:
        probability_best: M shares of bootstrap samples in which the method is first; ties share.
        rank: M ranks on the data as they are; 1 is best, ties share their mean rank.
        rank_low: M lower limits of the rank over bootstrap samples.
        rank_high: M upper limits of the rank over bootstrap samples.
        level: confidence of the limits.
        n_groups: number of independent groups.
    """

    probability_best: Floats
    rank: Floats
    rank_low: Floats
    rank_high: Floats
    level: float
    n_groups: int


@dataclass(frozen=True, eq=False)
class CriticalDifference:
    """Mean ranks over groups and the sets of methods that they do not separate.

    Args:
        mean_ranks: M mean ranks; 1 is best.
        p_value: of Friedman's test that all methods are alike.
        difference: Nemenyi's critical difference of two mean ranks.
        cliques: each a set of method indices, best first, that cannot be told apart; a method that
            differs from all others is in none.
        n_groups: number of independent groups.
    """

    mean_ranks: Floats
    p_value: float
    difference: float
    cliques: tuple[tuple[int, ...], ...]
    n_groups: int


def rank_stability(
    scores: Floats,
    groups: Sequence[str] | None = None,
    *,
    higher_is_better: bool = False,
    level: float = 0.95,
    resamples: int = 5000,
    seed: int = 0,
) -> RankStability:
    """Rank methods by their mean score, again for each bootstrap sample of groups.

    Args:
        scores: N×M, a row a pair, a column a method; failures penalised.
        groups: each pair's eye or patient; None or an empty name for one of its own.
        higher_is_better: which end is best.
        level: confidence of the rank limits, in (0, 1).
        resamples: number of bootstrap samples.
        seed: of the resampling.

    Raises:
        ContractError: when a score is not finite: an incomplete set has no ranks.
    """
    costs = _costs(scores, higher_is_better)
    if not np.isfinite(costs).all():
        raise ContractError("ranks by the mean need a finite score of every method on every pair")
    sums, counts = group_sums(costs, group_codes(len(costs), groups))
    ranks = _ranks(_resampled_means(sums, counts, resamples, seed))
    first = ranks == ranks.min(axis=1, keepdims=True)
    tail = (1 - level) / 2
    low, high = np.quantile(ranks, [tail, 1 - tail], axis=0, method="inverted_cdf")
    return RankStability(
        probability_best=(first / first.sum(axis=1, keepdims=True)).mean(axis=0),
        rank=_ranks(costs.mean(axis=0)),
        rank_low=low,
        rank_high=high,
        level=level,
        n_groups=counts.size,
    )


def _resampled_means(sums: Floats, counts: Floats, resamples: int, seed: int) -> Floats:
    """Means of each bootstrap sample (rows) by method (columns)."""
    rng = np.random.default_rng(seed)
    n_groups = counts.size
    batch = max(1, _CELLS_AT_ONCE // n_groups)
    means = []
    for start in range(0, resamples, batch):
        size = min(batch, resamples - start)
        weights = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=size)
        means.append((weights @ sums) / (weights @ counts)[:, None])
    return np.concatenate(means)


def _ranks(means: Floats) -> Floats:
    """Ranks along the last axis; means that differ by rounding only, by order of summation, tie."""
    resolution = 1e-12 * np.abs(means).max()
    return stats.rankdata(np.round(means / resolution) if resolution else means, axis=-1)


def critical_difference(
    scores: Floats,
    groups: Sequence[str] | None = None,
    *,
    higher_is_better: bool = False,
    level: float = 0.95,
) -> CriticalDifference:
    """Friedman's test and Nemenyi's critical difference (Demšar, JMLR 2006, section 3.2).

    Args:
        scores: N×M, a row a pair, a column a method, M ≥ 3; failures penalised or infinite.
        groups: each pair's eye or patient; a group's mean scores are one block.
        higher_is_better: which end is best.
        level: one less the significance level.

    Returns:
        Where Friedman's test shows nothing, all methods are one clique.

    Raises:
        ContractError: when there are fewer than three methods or two groups, or a score is NaN.
    """
    blocks = group_means(_costs(scores, higher_is_better), groups)
    n_groups, n_methods = blocks.shape
    if n_methods < 3 or n_groups < 2:
        raise ContractError("needs three methods and two groups; compare two methods as a pair")
    if np.isnan(blocks).any():
        raise ContractError("ranks need a score of every method on every pair")
    ranks = stats.rankdata(blocks, axis=1)
    all_tied = bool((np.ptp(ranks, axis=1) == 0).all())
    p_value = 1.0 if all_tied else float(stats.friedmanchisquare(*ranks.T).pvalue)
    studentised = stats.studentized_range.ppf(level, n_methods, np.inf) / np.sqrt(2)
    difference = float(studentised * np.sqrt(n_methods * (n_methods + 1) / (6 * n_groups)))
    mean_ranks = ranks.mean(axis=0)
    reach = difference if p_value < 1 - level else np.inf
    return CriticalDifference(
        mean_ranks, p_value, difference, _cliques(mean_ranks, reach), n_groups
    )


def _cliques(mean_ranks: Floats, reach: float) -> tuple[tuple[int, ...], ...]:
    """Maximal runs of methods, in order of rank, whose ends are less than ``reach`` apart."""
    order = np.argsort(mean_ranks, kind="stable")
    cliques: list[tuple[int, ...]] = []
    last_end = 0
    for start in range(order.size):
        within = mean_ranks[order] - mean_ranks[order[start]] < reach
        end = int(np.flatnonzero(within).max()) + 1
        if end - start > 1 and end > last_end:
            cliques.append(tuple(int(method) for method in order[start:end]))
            last_end = end
    return tuple(cliques)


def _costs(scores: Floats, higher_is_better: bool) -> Floats:
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or 0 in scores.shape:
        raise ContractError(f"scores must be N×M, a column a method, got {scores.shape}")
    return -scores if higher_is_better else scores
