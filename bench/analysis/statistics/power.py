"""How small a difference a set of pairs could show at all."""

from __future__ import annotations

import numpy as np
from scipy import optimize, stats

from imedbench.core.arrays import Floats


def minimum_detectable_difference(
    differences: Floats, *, power: float = 0.8, level: float = 0.95
) -> float:
    """Smallest true mean difference that as many pairs, spread alike, would likely show.

    Args:
        differences: N independent differences.
        power: probability that a paired t test is significant in that direction, in (0.5, 1).
        level: one less the two-sided significance level.

    Returns:
        In the unit of the differences; NaN for fewer than two or with one that is not finite.

    Source:
        Cohen, Statistical Power Analysis, 1988, chapter 2, by the noncentral t distribution.
    """
    differences = np.asarray(differences, np.float64)
    n = differences.size
    if n < 2 or not np.isfinite(differences).all():
        return np.nan
    freedom = n - 1
    threshold = stats.t.isf((1 - level) / 2, freedom)
    # Far enough: there spread and mean each stay on the good side with probability √power.
    spread = np.sqrt(stats.chi2.ppf(np.sqrt(power), freedom) / freedom)
    farthest = threshold * spread + stats.norm.ppf(np.sqrt(power))
    shift = optimize.brentq(
        lambda shift: float(stats.nct.sf(threshold, freedom, shift)) - power, 0.0, farthest
    )
    return float(shift * differences.std(ddof=1) / np.sqrt(n))
