"""Two methods, or two versions of one, on the same pairs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from imedbench.analysis.best import SIGNIFICANT, compare_rows
from imedbench.analysis.statistics import PairedComparison, holm
from imedbench.analysis.tables import (
    is_failure,
    is_known,
    metric_info,
    pair_table,
    penalised,
    unanswered,
)
from imedbench.core.errors import BadInput, IncompleteRun
from imedbench.core.registry import METRICS
from imedbench.runs.store import Store

_CONDITION = re.compile(r"^(?P<name>\w+)(?P<sign>[<>])(?P<limit>[+-]?\d+(\.\d+)?)(?P<percent>%?)$")
_KEY = ["split", "pair_id"]


@dataclass(frozen=True)
class RunSelector:
    """One side of a comparison: a run folder, and one of its methods or all of them.

    Example:
        >>> RunSelector.parse("runs/base@sift").method
        'sift'
    """

    folder: Path
    method: str | None

    @classmethod
    def parse(cls, text: str) -> RunSelector:
        """Read ``FOLDER`` or ``FOLDER@METHOD``."""
        folder, _, method = text.partition("@")
        return cls(Path(folder), method or None)


@dataclass(frozen=True)
class MetricComparison:
    """One metric of two methods on one split.

    Args:
        split: which split.
        method: of the base; ``a → b`` where the two differ.
        metric: name, or ``failures``.
        before: mean of the base, failures charged with the identity's score.
        after: mean of the new one.
        paired: the paired statistics of new minus base.
        p: of McNemar's test for failures, else of Wilcoxon's; Holm-corrected over all the rows.
        smallest_p: that so many pairs can give at all in so many rows.
        better: whether the change is for the better; None where none is shown, or where the plugin
            that knows the metric's direction is gone.
    """

    split: str
    method: str
    metric: str
    before: float
    after: float
    paired: PairedComparison
    p: float
    smallest_p: float
    better: bool | None


@dataclass(frozen=True)
class Condition:
    """When a comparison counts as failed, such as ``tre_mean>+5%`` or ``failures>+0``."""

    text: str
    metric: str
    above: bool
    limit: float
    relative: bool

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition.

        Raises:
            BadInput: when it is not of the form METRIC>+N, METRIC>+N% or with <.
        """
        found = _CONDITION.match(text.replace(" ", ""))
        if not found:
            raise BadInput(f"--fail-if {text!r}: write METRIC>+5%, METRIC>+0.5 or METRIC<-5%")
        return cls(
            text, found["name"], found["sign"] == ">", float(found["limit"]), bool(found["percent"])
        )

    def is_met(self, row: MetricComparison) -> bool:
        """Tell whether a row's change goes beyond the limit."""
        if row.metric != self.metric:
            return False
        change = row.after - row.before
        if self.relative and change:
            change = 100 * change / row.before if row.before else np.copysign(np.inf, change)
        return bool(change > self.limit if self.above else change < self.limit)


def compare_runs(
    base: RunSelector, new: RunSelector, metrics: Sequence[str]
) -> list[MetricComparison]:
    """Compare the methods of two sides, pair by pair.

    Args:
        base: what was.
        new: what is; the same methods as in the base, or one method against one.
        metrics: names; ``failures`` counts failed pairs.

    Raises:
        BadInput: when a side has no such run or method, or the two have no pairs in common.
        IncompleteRun: when a pair has no answer or no score.
    """
    before, after = _table(base), _table(new)
    rows: list[MetricComparison] = []
    for first, second in _matched_methods(base, before, new, after):
        for split in dict.fromkeys(before["split"]):
            a, b = _common(before, first, after, second, split)
            if len(a):
                label = first if first == second else f"{first} → {second}"
                rows += [_difference(split, label, metric, a, b) for metric in metrics]
    if not rows:
        raise BadInput("the two have no method and pairs in common; name them: FOLDER@METHOD")
    corrected = holm([row.p for row in rows])
    return [_judged(row, p, len(rows)) for row, p in zip(rows, corrected, strict=True)]


def _table(side: RunSelector) -> pd.DataFrame:
    with closing(Store(side.folder)) as store:
        table = pair_table(store)
    if side.method is None:
        return table
    chosen = table[table["method"] == side.method]
    if chosen.empty:
        known = ", ".join(dict.fromkeys(table["method"]))
        raise BadInput(f"{side.folder}: no method {side.method!r} in it; it has {known}")
    return chosen


def _matched_methods(
    base: RunSelector, before: pd.DataFrame, new: RunSelector, after: pd.DataFrame
) -> list[tuple[str, str]]:
    first, second = (list(dict.fromkeys(table["method"])) for table in (before, after))
    if base.method and new.method:
        return [(base.method, new.method)]
    return [(method, method) for method in first if method in second]


def _common(
    before: pd.DataFrame, first: str, after: pd.DataFrame, second: str, split: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of both methods on the pairs of a split, in one order."""
    a, b = (
        table[(table["method"] == method) & (table["split"] == split)].set_index(_KEY)
        for table, method in ((before, first), (after, second))
    )
    if set(a.index) != set(b.index) and len(a) and len(b):
        raise BadInput(f"{split}: the two ran on different pairs ({len(a)} and {len(b)})")
    for part in (a, b):
        missing = unanswered(part)
        if len(missing):
            raise IncompleteRun(
                f"{missing.iloc[0]['method']}: {len(missing)} pairs have no answer; finish the run"
            )
    return (a, b.loc[a.index]) if len(a) and len(b) else (a.iloc[:0], b.iloc[:0])


def _difference(
    split: str, label: str, metric: str, a: pd.DataFrame, b: pd.DataFrame
) -> MetricComparison:
    before, after = _figure(a, metric), _figure(b, metric)
    paired = compare_rows(a, b, metric)
    p = paired.p_mcnemar if metric == "failures" else paired.p_wilcoxon
    return MetricComparison(split, label, metric, before, after, paired, p, np.nan, None)


def _figure(rows: pd.DataFrame, metric: str) -> float:
    """Mean of a metric over all pairs, or the number of failures."""
    if metric == "failures":
        return float(is_failure(rows).sum())
    if metric not in rows:
        METRICS.factory(metric)  # a wrong name is told with the names there are
    values = penalised(rows, metric) if metric in rows else np.full(len(rows), np.nan)
    if np.isnan(values).any():
        raise IncompleteRun(f"{metric}: not scored on every pair; run imedbench score, or drop it")
    return float(values.mean())


def _judged(row: MetricComparison, p: float, n_tests: int) -> MetricComparison:
    better = None
    if p < SIGNIFICANT and (row.metric == "failures" or is_known(row.metric)):
        upwards = row.metric != "failures" and metric_info(row.metric).higher_is_better
        better = (row.after > row.before) == upwards
    return replace(row, p=p, smallest_p=row.paired.smallest_p(n_tests), better=better)
