"""What a method gets wrong without saying so, and whether its own confidence tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imedbench.analysis.best import HEADLINE
from imedbench.core.arrays import Floats, Mask

WRONG_PX = 10.0  # success ends here in MEMO's and RedFeat's evaluations too


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """The risk–coverage curve of one method on one split.

    Args:
        method: its spec.
        n: pairs.
        n_answered: pairs that it answered with a usable transform.
        n_wrong: of those, pairs with a mean landmark error above `WRONG_PX`: silently wrong.
        coverage: shares of the pairs that are kept when its least confident answers are dropped
            first, rising; one value where it has no confidence.
        risk: share of the kept answers that are wrong, one for each coverage.
        aurc: mean risk over all numbers of kept answers; NaN without a confidence. 0 is perfect.
    """

    method: str
    n: int
    n_answered: int
    n_wrong: int
    coverage: Floats
    risk: Floats
    aurc: float


def risk_coverage(table: pd.DataFrame) -> list[RiskCoverage]:
    """Work out the curve of every method whose pairs have landmarks.

    Args:
        table: rows of one split, of `imedbench.analysis.tables.pair_table`.

    Returns:
        In the run's order; nothing where a pair lacks landmarks.

    Source:
        El-Yaniv and Wiener, On the foundations of noise-free selective classification, JMLR 2010;
        AURC: Geifman, Uziel and El-Yaniv, ICLR 2019.
    """
    if HEADLINE not in table or table[f"{HEADLINE}|identity"].isna().any():
        return []
    return [_curve(str(m), rows) for m, rows in table.groupby("method", sort=False)]


def silently_wrong(table: pd.DataFrame) -> pd.Series[bool]:
    """Mark the answers that are wrong; a lost landmark has no error and counts as wrong."""
    if HEADLINE not in table:
        return pd.Series(False, index=table.index)
    has_landmarks = table[f"{HEADLINE}|identity"].notna()
    return (table["outcome"] == "ok") & has_landmarks & ~(table[HEADLINE] <= WRONG_PX)


def _curve(method: str, rows: pd.DataFrame) -> RiskCoverage:
    answered = rows[rows["outcome"] == "ok"]
    wrong = silently_wrong(answered).to_numpy()
    n, kept = len(rows), len(answered)
    confidence = answered["confidence"].to_numpy(np.float64)
    if not kept or np.isnan(confidence).any():
        risk = np.array([wrong.mean()]) if kept else np.array([])
        coverage = np.array([kept / n]) if kept else np.array([])
        return RiskCoverage(method, n, kept, int(wrong.sum()), coverage, risk, np.nan)
    risk = _risk(confidence, wrong)
    coverage = np.arange(1, kept + 1) / n
    return RiskCoverage(method, n, kept, int(wrong.sum()), coverage, risk, float(risk.mean()))


def _risk(confidence: Floats, wrong: Mask) -> Floats:
    """Share of wrong answers among the k most confident, k = 1 …; equal ones come in any order.

    Example:
        >>> _risk(np.array([0.9, 0.5, 0.5]), np.array([False, True, False])).tolist()
        [0.0, 0.25, 0.3333333333333333]
    """
    order = np.argsort(-confidence, kind="stable")
    _, block, sizes = np.unique(-confidence[order], return_inverse=True, return_counts=True)
    expected = np.bincount(block, weights=wrong[order]) / sizes  # of a block's each member
    risk: Floats = np.cumsum(expected[block]) / np.arange(1, len(order) + 1)
    return risk


def cumulative(errors: Sequence[float] | Floats) -> tuple[Floats, Floats]:
    """Steps of the share of pairs whose error stays within a threshold.

    Args:
        errors: one a pair, px; NaN or infinite for failures.

    Returns:
        Thresholds, rising from 0, and the share in [0, 1] at each.
    """
    values = np.sort(np.nan_to_num(np.asarray(errors, np.float64), nan=np.inf))
    values = values[np.isfinite(values)]
    shares = np.arange(len(values) + 1) / max(len(errors), 1)
    return np.concatenate([[0.0], values]), shares
