"""Two methods, or two versions of one, on the same pairs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from imedbench.analysis.statistics import PairedComparison, compare_paired, holm
from imedbench.analysis.tables import is_failure, pair_table, penalised, unanswered
from imedbench.core.errors import BadInput, IncompleteRun
from imedbench.core.registry import METRICS
from imedbench.runs.store import Store

_SIGNIFICANT = 0.05
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
        p: Wilcoxon's, Holm-corrected over the rows of the comparison.
        better: whether the change is for the better; None where there is none to speak of.
    """

    split: str
    method: str
    metric: str
    before: float
    after: float
    paired: PairedComparison
    p: float
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
        """Whether a row's change goes beyond the limit."""
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
    corrected = holm([row.paired.p_wilcoxon for row in rows])
    return [_judged(row, p) for row, p in zip(rows, corrected, strict=True)]


def _table(side: RunSelector) -> pd.DataFrame:
    store = Store(side.folder)
    try:
        table = pair_table(store)
    finally:
        store.close()
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
    first, second = _values(a, metric), _values(b, metric)
    paired = compare_paired(
        first, second, a["group"].tolist(), is_failure(a).to_numpy(), is_failure(b).to_numpy()
    )
    total = np.sum if metric == "failures" else np.mean
    return MetricComparison(
        split, label, metric, float(total(first)), float(total(second)), paired, np.nan, None
    )


def _values(rows: pd.DataFrame, metric: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    if metric == "failures":
        return is_failure(rows).to_numpy().astype(np.float64)
    METRICS.factory(metric)
    values = penalised(rows, metric) if metric in rows else np.full(len(rows), np.nan)
    if np.isnan(values).any():
        raise IncompleteRun(f"{metric}: not scored on every pair; run imedbench score, or drop it")
    return values


def _judged(row: MetricComparison, p: float) -> MetricComparison:
    smaller_is_better = row.metric == "failures" or not (
        METRICS.create(row.metric).info.higher_is_better
    )
    chance = row.paired.p_mcnemar if row.metric == "failures" else p
    fell = row.after < row.before
    better = None if not chance < _SIGNIFICANT else fell == smaller_is_better
    return MetricComparison(
        row.split, row.method, row.metric, row.before, row.after, row.paired, p, better
    )
