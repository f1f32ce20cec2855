"""What the tables of a report say: means with intervals, and whether differences mean anything."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imedbench.analysis.statistics import (
    Interval,
    bootstrap_mean,
    compare_paired,
    critical_difference,
    holm,
    rank_stability,
    wilson_interval,
)
from imedbench.analysis.tables import is_failure, penalised, unanswered
from imedbench.core.registry import METRICS

#: What methods are ranked by, and examples picked by, wherever a pair has landmarks.
HEADLINE = "tre_mean"
_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class MethodRow:
    """One method on one split.

    Args:
        method: its spec.
        n: pairs.
        eyes: eyes or patients among them.
        unanswered: pairs without an answer; with any, there are no means.
        failures: share of failed pairs.
        means: by metric, failure-penalised.
        means_ok: by metric, over the successes only.
        latency_ms: median over the successes, None where not timed alone.
    """

    method: str
    n: int
    eyes: int
    unanswered: int
    failures: Interval
    means: dict[str, Interval]
    means_ok: dict[str, float]
    latency_ms: float | None

    @property
    def n_failures(self) -> int:
        """Number of failed pairs."""
        return round(self.failures.estimate * self.n)


@dataclass(frozen=True)
class Comparison:
    """One method, such as the best of a split, against another one on the same pairs.

    Args:
        other: the other method.
        difference: mean of the other minus that of the one, in the metric's unit.
        p: Wilcoxon signed-rank, Holm-corrected over all that the one is compared with.
        p_failures: McNemar's exact test on who failed.
        detectable: smallest difference that this many pairs would show four times in five.
    """

    other: str
    difference: Interval
    p: float
    p_failures: float
    detectable: float

    @property
    def means_something(self) -> bool:
        """Whether the difference is more than chance at the 5 % level."""
        return self.p < _SIGNIFICANT


@dataclass(frozen=True)
class Standing:
    """A method's place in the ranking.

    Args:
        method: its spec.
        rank: by the mean over all pairs; 1 is best.
        rank_low: best rank over bootstrap samples of eyes, 95 %.
        rank_high: worst rank over them.
        probability_best: share of the samples in which it is first.
        alike: methods that Friedman's and Nemenyi's tests do not tell apart from it.
    """

    method: str
    rank: float
    rank_low: float
    rank_high: float
    probability_best: float
    alike: tuple[str, ...]


def method_rows(table: pd.DataFrame, split: str, metrics: list[str]) -> list[MethodRow]:
    """A row for each method of a split, in the run's order.

    Args:
        table: of `imedbench.analysis.tables.pair_table`.
        split: which split.
        metrics: those to average; others than those computed are left out.
    """
    part = table[table["split"] == split]
    return [_method_row(str(m), rows, metrics) for m, rows in part.groupby("method", sort=False)]


def _method_row(method: str, rows: pd.DataFrame, metrics: list[str]) -> MethodRow:
    missing, ok = len(unanswered(rows)), rows["outcome"] == "ok"
    eyes = rows["group"].tolist()
    usable = [
        m for m in metrics if m in rows and not missing and rows[f"{m}|identity"].notna().all()
    ]
    latency = float(rows.loc[ok, "latency_ms"].median())
    return MethodRow(
        method=method,
        n=len(rows),
        eyes=len(set(eyes)),
        unanswered=missing,
        failures=wilson_interval(int(is_failure(rows).sum()), len(rows)),
        means={m: bootstrap_mean(penalised(rows, m), eyes) for m in usable},
        means_ok={m: float(rows.loc[ok, m].mean(skipna=False)) for m in usable if ok.any()},
        latency_ms=None if math.isnan(latency) else latency,
    )


def best_and_rest(rows: list[MethodRow], metric: str) -> tuple[MethodRow, list[MethodRow]] | None:
    """The method with the best mean and the others with a mean; None if there are not two."""
    compared = [row for row in rows if metric in row.means and row.method != "identity"]
    if not compared:
        return None
    sign = -1 if higher_is_better(metric) else 1
    ordered = sorted(compared, key=lambda row: sign * row.means[metric].estimate)
    return ordered[0], ordered[1:]


def beats_doing_nothing(rows: list[MethodRow], best: MethodRow, metric: str) -> bool:
    """Whether the best method is better than the images left as they are.

    Without identity among the methods, one that fails on every pair is not.
    """
    for row in rows:
        if row.method == "identity" and metric in row.means:
            gain = row.means[metric].estimate - best.means[metric].estimate
            return (-gain if higher_is_better(metric) else gain) > 0
    return best.n_failures < best.n


def comparisons(
    table: pd.DataFrame, split: str, metric: str, one: MethodRow, rest: list[MethodRow]
) -> list[Comparison]:
    """One method against each of the others, paired by image pair."""
    part = table[table["split"] == split]
    first = part[part["method"] == one.method].set_index("pair_id")
    results = []
    for row in rest:
        second = part[part["method"] == row.method].set_index("pair_id").loc[first.index]
        results.append(
            compare_paired(
                penalised(first, metric),
                penalised(second, metric),
                first["group"].tolist(),
                is_failure(first).to_numpy(),
                is_failure(second).to_numpy(),
            )
        )
    corrected = holm([result.p_wilcoxon for result in results])
    return [
        Comparison(row.method, r.mean_difference, p, r.p_mcnemar, r.detectable)
        for row, r, p in zip(rest, results, corrected, strict=True)
    ]


def standings(
    table: pd.DataFrame, split: str, metric: str, rows: list[MethodRow]
) -> list[Standing]:
    """How firmly the methods of a split are ranked by the mean of a metric, best first.

    Returns:
        Nothing where ranks mean nothing: fewer than three methods with a mean, fewer than two
        eyes, or a mean that is not finite.
    """
    ranked = [row.method for row in rows if metric in row.means]
    part = table[(table["split"] == split) & table["method"].isin(ranked)]
    if len(ranked) < 3 or part["group"].nunique() < 2:
        return []
    by_method = [part[part["method"] == method].set_index("pair_id") for method in ranked]
    pairs = by_method[0].index
    scores = np.stack([penalised(of_one.loc[pairs], metric) for of_one in by_method], axis=1)
    if not np.isfinite(scores).all():
        return []
    eyes, upwards = by_method[0]["group"].tolist(), higher_is_better(metric)
    firm = rank_stability(scores, eyes, higher_is_better=upwards)
    cliques = critical_difference(scores, eyes, higher_is_better=upwards).cliques
    found = [
        Standing(
            method=method,
            rank=float(firm.rank[i]),
            rank_low=float(firm.rank_low[i]),
            rank_high=float(firm.rank_high[i]),
            probability_best=float(firm.probability_best[i]),
            alike=tuple(ranked[j] for j in sorted({k for c in cliques if i in c for k in c} - {i})),
        )
        for i, method in enumerate(ranked)
    ]
    return sorted(found, key=lambda standing: standing.rank)


def higher_is_better(metric: str) -> bool:
    """Direction of a registered metric."""
    return bool(METRICS.create(metric).info.higher_is_better)
