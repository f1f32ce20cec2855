"""Confidence intervals of a mean, a rate and a quantile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from imedbench.analysis.statistics.grouping import group_codes, group_sums
from imedbench.core.arrays import Floats
from imedbench.core.errors import ContractError

RESAMPLES = 4999
MANY_GROUPS = 1000  # from here on the bootstrap agrees with the normal interval to 2 % of its width
_CELLS_AT_ONCE = 2_000_000  # resampled values held in memory


@dataclass(frozen=True)
class Interval:
    """An estimate and how far it can be trusted.

    Args:
        estimate: the figure itself; NaN if undefined.
        low: lower confidence limit; NaN if the data give none.
        high: upper confidence limit; NaN if the data give none.
        level: confidence, in (0, 1).
        n: number of pairs or repeats behind it.
        n_groups: number of independent groups behind it.
    """

    estimate: float
    low: float
    high: float
    level: float
    n: int
    n_groups: int

    @property
    def is_bounded(self) -> bool:
        """Whether the data give both limits."""
        return bool(np.isfinite([self.low, self.high]).all())


def bootstrap_mean(
    values: Floats,
    groups: Sequence[str] | None = None,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Mean with its bootstrap interval (bias-corrected and accelerated), resampled by group.

    Args:
        values: N figures, one a pair. A NaN or infinite one is never dropped: it makes the mean
            what arithmetic says and leaves it without limits.
        groups: each pair's eye or patient; None or an empty name for one of its own.
        level: confidence, in (0, 1).
        resamples: number of bootstrap samples.
        seed: of the resampling; the same seed gives the same limits.

    Returns:
        The mean over pairs; without limits when there are fewer than two groups.

    Raises:
        ContractError: when groups and values differ in number.

    Source:
        Efron, Better bootstrap confidence intervals, JASA 1987; whole clusters drawn as in Davison
        and Hinkley, Bootstrap Methods, 1997, section 3.8.
    """
    values = np.asarray(values, np.float64)
    codes = group_codes(values.size, groups)
    sums, counts = group_sums(values, codes)
    n, n_groups = values.size, counts.size
    mean = float(values.sum() / n) if n else np.nan
    if n_groups < 2 or not np.isfinite(values).all():
        return Interval(mean, np.nan, np.nan, level, n, n_groups)
    if np.ptp(values) == 0:
        return Interval(mean, mean, mean, level, n, n_groups)
    if n_groups > MANY_GROUPS:
        # The linearised standard error of a ratio of sums: Cochran, Sampling Techniques, 1977, 6.4.
        deviations = sums - mean * counts
        error = np.sqrt(np.square(deviations).sum() * n_groups / (n_groups - 1)) / n
        reach = float(stats.norm.isf((1 - level) / 2) * error)
        return Interval(mean, mean - reach, mean + reach, level, n, n_groups)
    limits = _bca_limits(sums, counts, level, resamples, seed)
    return Interval(mean, *limits, level, n, n_groups)


def _bca_limits(
    sums: Floats, counts: Floats, level: float, resamples: int, seed: int
) -> tuple[float, float]:
    if np.ptp(sums / counts) == 0:
        return (float(sums[0] / counts[0]),) * 2
    found = stats.bootstrap(
        (sums, counts),
        lambda s, c, axis=-1: s.sum(axis=axis) / c.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, _CELLS_AT_ONCE // sums.size),
        confidence_level=level,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def wilson_interval(count: int, n: int, *, level: float = 0.95) -> Interval:
    """Rate with its Wilson score interval (Wilson, JASA 1927).

    Args:
        count: how many of the pairs, such as failures.
        n: number of pairs.
        level: confidence, in (0, 1).

    Returns:
        The rate, in [0, 1]; NaN without pairs.

    Raises:
        ContractError: when the count is not in 0 … n.

    Example:
        >>> found = wilson_interval(3, 13)
        >>> round(found.low, 3), round(found.high, 3)
        (0.082, 0.503)
    """
    if not 0 <= count <= n:
        raise ContractError(f"the count must be in 0 … {n}, got {count}")
    if n == 0:
        return Interval(np.nan, np.nan, np.nan, level, 0, 0)
    found = stats.binomtest(count, n).proportion_ci(level, method="wilson")
    return Interval(count / n, float(found.low), float(found.high), level, n, n)


def quantile_interval(values: Floats, q: float, *, level: float = 0.95) -> Interval:
    """Sample quantile with the interval between two order statistics.

    No distribution is assumed: the ranks of the limits follow from the binomial distribution alone
    (Conover, Practical Nonparametric Statistics, section 3.2).

    Args:
        values: N independent repeats, such as latencies in ms.
        q: which quantile, in (0, 1).
        level: confidence, in (0, 1).

    Returns:
        The quantile (linear between order statistics); a limit is NaN where so few values cannot
        give it.

    Raises:
        ContractError: when q is not in (0, 1).
    """
    if not 0 < q < 1:
        raise ContractError(f"a quantile is in (0, 1), got {q}")
    values = np.asarray(values, np.float64)
    if not values.size or np.isnan(values).any():
        return Interval(np.nan, np.nan, np.nan, level, values.size, values.size)
    found = stats.quantile_test(values, p=q).confidence_interval(level)
    low, high = (float(limit) for limit in found)  # type: ignore[attr-defined]
    return Interval(float(np.quantile(values, q)), low, high, level, values.size, values.size)
