"""Which method is best on a split, and how sure is that?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imedbench.analysis.statistics import (
    PairedComparison,
    compare_paired,
    critical_difference,
    holm,
    rank_stability,
)
from imedbench.analysis.tables import MethodSummary, is_failure, metric_info, penalised
from imedbench.core.options import PluginSpec

#: What methods are ranked by, and examples picked by, wherever every pair has landmarks.
HEADLINE = "tre_mean"
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Comparison:
    """One method against another on the same pairs; differences are the other minus the one.

    Args:
        other: summary of the other method.
        paired: the paired statistics.
        p: Wilcoxon's, Holm-corrected over the table that the comparison belongs to.
        p_failures: McNemar's of who failed, corrected alike; NaN where both fail on the same pairs.
        smallest_p: that either test could give here at all, once it is corrected.
        higher_is_better: of the metric compared.
    """

    other: MethodSummary
    paired: PairedComparison
    p: float
    p_failures: float
    smallest_p: float
    higher_is_better: bool

    @property
    def is_shown(self) -> bool:
        """Whether either test finds more than chance at the 5 % level."""
        return self.p < SIGNIFICANT or self.p_failures < SIGNIFICANT

    @property
    def verdict(self) -> str:
        """What the tests allow to say of the other method."""
        if self.is_shown:
            rise = self.paired.mean_difference.estimate
            fails_more = self.paired.only_b_failed - self.paired.only_a_failed
            loss = (
                (-rise if self.higher_is_better else rise) if self.p < SIGNIFICANT else fails_more
            )
            return "worse" if loss > 0 else "better"
        if self.smallest_p >= SIGNIFICANT:
            return f"too few {'pairs' if self.paired.n_groups == self.paired.n else 'eyes'} to tell"
        return "no difference shown"


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


@dataclass(frozen=True)
class Variant:
    """A method with other options than its defaults, against the plain one."""

    options: str
    change: Comparison


@dataclass(frozen=True)
class Ablation:
    """A plain method and its variants on one split."""

    plain: MethodSummary
    variants: list[Variant]


@dataclass(frozen=True)
class SplitResult:
    """What a run says of one split.

    Args:
        split: which one.
        metric: what methods are compared by.
        rows: a summary a method, in the run's order.
        best: the one with the best mean; None without a mean, or where none beats doing nothing.
        comparisons: the best against each of the others.
        standings: ranks and how firm they are, best first.
        ablations: methods that also ran with other options.
    """

    split: str
    metric: str
    rows: list[MethodSummary]
    best: MethodSummary | None
    comparisons: list[Comparison]
    standings: list[Standing]
    ablations: list[Ablation]


def judge_split(table: pd.DataFrame, rows: Sequence[MethodSummary]) -> SplitResult:
    """Work out what a split shows.

    Args:
        table: of `imedbench.analysis.tables.pair_table`.
        rows: of one split.
    """
    part, rows = table[table["split"] == rows[0].split], list(rows)
    metric = HEADLINE if any(HEADLINE in row.means for row in rows) else "mse"
    sign = -1 if metric_info(metric).higher_is_better else 1
    ranked = [r for r in rows if metric in r.means and np.isfinite(r.means[metric].estimate)]
    ranked.sort(key=lambda row: sign * row.means[metric].estimate)
    others = [row for row in ranked if row.method != "identity"]
    best = others[0] if others and _beats_doing_nothing(ranked, others[0]) else None
    return SplitResult(
        split=rows[0].split,
        metric=metric,
        rows=rows,
        best=best,
        comparisons=compare_with(part, metric, best, others[1:]) if best else [],
        standings=_standings(part, metric, ranked),
        ablations=_ablations(part, metric, rows),
    )


def _beats_doing_nothing(ranked: Sequence[MethodSummary], best: MethodSummary) -> bool:
    """Whether the best is ahead of identity; without identity, whether it finds anything."""
    methods = [row.method for row in ranked]
    if "identity" in methods:
        return methods.index(best.method) < methods.index("identity")
    return best.n_failures < best.n


def compare_with(
    part: pd.DataFrame, metric: str, one: MethodSummary, others: Sequence[MethodSummary]
) -> list[Comparison]:
    """Compare one method with each of the others, pair by pair, as one family of tests.

    Args:
        part: rows of one split.
        metric: compared with failures penalised.
        one: the method that differences are taken from.
        others: with the metric.
    """
    by_method = {m: rows.set_index("pair_id") for m, rows in part.groupby("method")}
    first = by_method[one.method]
    results = [
        compare_rows(first, by_method[row.method].loc[first.index], metric) for row in others
    ]
    # Two questions, two families: who is more accurate, and who fails less.
    ps = holm([r.p_wilcoxon for r in results])
    # Where both fail on the same pairs there is no test to make, nor one to correct for.
    ps_failures = holm([r.p_mcnemar if r.n_discordant else np.nan for r in results])
    upwards = metric_info(metric).higher_is_better
    return [
        Comparison(row, r, p, p_failures, r.smallest_p(len(results)), upwards)
        for row, r, p, p_failures in zip(others, results, ps, ps_failures, strict=True)
    ]


def compare_rows(a: pd.DataFrame, b: pd.DataFrame, metric: str) -> PairedComparison:
    """Compare the rows of two methods on the same pairs in the same order."""
    failed_a, failed_b = is_failure(a).to_numpy(), is_failure(b).to_numpy()
    values = (
        (failed_a.astype(np.float64), failed_b.astype(np.float64))
        if metric == "failures"
        else (penalised(a, metric), penalised(b, metric))
    )
    return compare_paired(*values, a["group"].tolist(), failed_a, failed_b)


def _standings(part: pd.DataFrame, metric: str, ranked: Sequence[MethodSummary]) -> list[Standing]:
    """Rank methods, best first; nothing with fewer than three of them or two groups."""
    names = [row.method for row in ranked]
    if len(names) < 3 or part["group"].nunique() < 2:
        return []
    by_method = [part[part["method"] == name].set_index("pair_id") for name in names]
    pairs = by_method[0].index
    scores = np.stack([penalised(rows.loc[pairs], metric) for rows in by_method], axis=1)
    groups, upwards = by_method[0]["group"].tolist(), metric_info(metric).higher_is_better
    firm = rank_stability(scores, groups, higher_is_better=upwards)
    cliques = critical_difference(scores, groups, higher_is_better=upwards).cliques
    alike = [{k for c in cliques if i in c for k in c} - {i} for i in range(len(names))]
    found = [
        Standing(
            method=name,
            rank=float(firm.rank[i]),
            rank_low=float(firm.rank_low[i]),
            rank_high=float(firm.rank_high[i]),
            probability_best=float(firm.probability_best[i]),
            alike=tuple(names[j] for j in sorted(alike[i])),
        )
        for i, name in enumerate(names)
    ]
    return sorted(found, key=lambda standing: standing.rank)


def _ablations(part: pd.DataFrame, metric: str, rows: Sequence[MethodSummary]) -> list[Ablation]:
    """Compare each plain method with its own variants; none where one of them lacks the mean."""
    by_name: dict[str, list[MethodSummary]] = {}
    for row in rows:
        by_name.setdefault(PluginSpec.parse(row.method).name, []).append(row)
    found = []
    for name, alike in by_name.items():
        plain = [row for row in alike if row.method == name]
        others = [row for row in alike if row.method != name]
        if plain and others and all(metric in row.means for row in alike):
            changes = compare_with(part, metric, plain[0], others)
            variants = [
                Variant(change.other.method.removeprefix(f"{name}:"), change) for change in changes
            ]
            found.append(Ablation(plain[0], variants))
    return found
