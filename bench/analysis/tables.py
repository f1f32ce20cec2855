"""Stored rows as tables: one row a pair, and one summary a method and split for every reader."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from imedbench.analysis.statistics import Interval, bootstrap_mean, wilson_interval
from imedbench.core.arrays import Floats
from imedbench.core.metrics import MetricInfo
from imedbench.core.registry import METRICS
from imedbench.core.types import Outcome
from imedbench.runs.store import Store

FAILURES = tuple(o.value for o in Outcome if o.is_failure)
ANSWERS = tuple(o.value for o in Outcome if o.is_answer)
_NUMBER = r"\d+(?:\.\d+)?"

# Every row that a run is to have, those it lacks included; no transform is read for it.
_EXPECTED = """
SELECT m.spec AS method, p.split, p.pair_id, p.group_name AS "group", p.subset, p.category, p.note,
    p.fixed_modality, p.moving_modality, COALESCE(r.outcome, 'missing') AS outcome,
    COALESCE(r.reason, 'not computed') AS reason,
    CASE WHEN r.timed_alone THEN r.latency_ms END AS latency_ms, r.confidence,
    COALESCE(r.key, '') AS "key", COALESCE(r.stages, '{}') AS stages,
    json_extract(r.details, '$.n_matches') AS n_matches
FROM methods m JOIN covers c ON c.method = m.spec JOIN pairs p ON p.split = c.split
LEFT JOIN predictions r ON r.method = m.spec AND r.split = p.split AND r.pair_id = p.pair_id
    AND NOT r.swapped
ORDER BY m.rowid, p.split, p.position
"""


def pair_table(store: Store) -> pd.DataFrame:
    """Return every expected row of a run, with its scores.

    Returns:
        One row for each method, split and pair. Columns: ``method``, ``split``, ``pair_id``,
        ``group`` (eye or patient), ``subset``, ``category``, ``note``, ``fixed_modality``,
        ``moving_modality``, ``outcome`` (``missing`` where there is no row), ``reason``,
        ``latency_ms`` (only where timed alone), ``confidence``, ``key``, ``stages`` (JSON: ms by
        stage), ``n_matches``; for every metric M the columns ``M`` (NaN for a failure) and
        ``M|identity``, the score of the pair left as it is.
    """
    table = store.read(_EXPECTED)
    table = table.astype({"latency_ms": float, "confidence": float, "n_matches": float})
    scores = store.read("SELECT prediction, metric, value, identity FROM scores")
    for kind, suffix in (("value", ""), ("identity", "|identity")):
        wide = scores.pivot(index="prediction", columns="metric", values=kind).astype(float)
        table = table.join(wide.add_suffix(suffix), on="key")
    return table


def metric_names(table: pd.DataFrame) -> list[str]:
    """Name the metrics that a table has scores of."""
    return [str(c) for c in table.columns if f"{c}|identity" in table]


def metric_info(name: str) -> MetricInfo:
    """Look up what a metric is; one whose plugin is gone keeps no more than its name.

    Example:
        >>> metric_info("tre_mean").unit
        'px'
    """
    known = is_known(name)
    info: MetricInfo = METRICS.create(name).info if known else MetricInfo(name, "plugin is gone")
    return info


def is_known(metric: str) -> bool:
    """Tell whether a metric's plugin is loaded, so that its unit and direction are known."""
    return metric in METRICS.names()


def is_built_in(metric: str) -> bool:
    """Tell whether a metric comes with imedbench."""
    return is_known(metric) and METRICS.factory(metric).__module__.startswith("imedbench.metrics")


def is_failure(table: pd.DataFrame) -> pd.Series[bool]:
    """Mark the rows that count as failed registrations."""
    return table["outcome"].isin(FAILURES)


def unanswered(table: pd.DataFrame) -> pd.DataFrame:
    """Select the rows that make a run incomplete: missing, crashed or skipped pairs."""
    return table[~table["outcome"].isin(ANSWERS)]


def incomplete(table: pd.DataFrame) -> str:
    """Say how many rows have no answer and which is the first; empty for a complete run."""
    missing = unanswered(table)
    if missing.empty:
        return ""
    first = missing.iloc[0]
    return (
        f"{len(missing)} of {len(table)} rows have no answer, first {first['method']} on"
        f" {first['pair_id']} ({first['outcome']}: {first['reason']})"
    )


def penalised(table: pd.DataFrame, metric: str) -> Floats:
    """Read a metric with the identity's score in place of what a failed pair lacks."""
    charged = table[metric].where(~is_failure(table), table[f"{metric}|identity"])
    return charged.to_numpy(np.float64)


@dataclass(frozen=True)
class MethodSummary:
    """One method on one split: the figures of every table, in a terminal or on a page.

    Args:
        split: which split.
        method: its spec.
        n: pairs.
        n_groups: eyes or patients among them.
        n_failures: failed pairs.
        n_unanswered: pairs without an answer; with any, there are no means.
        failures: share of failed pairs.
        means: by metric, over all pairs, a failure charged with the identity's score.
        means_ok: by metric, over the successes only.
        latency_ms: median over the successes, None where not timed alone.
        stages: median ms by stage over the answered pairs timed alone, in the order first seen.
        n_staged: pairs behind those medians.
    """

    split: str
    method: str
    n: int
    n_groups: int
    n_failures: int
    n_unanswered: int
    failures: Interval
    means: dict[str, Interval]
    means_ok: dict[str, float]
    latency_ms: float | None
    stages: dict[str, float]
    n_staged: int

    def mean(self, metric: str) -> float:
        """Mean of a metric; NaN where there is none."""
        return self.means[metric].estimate if metric in self.means else math.nan

    @property
    def failure_text(self) -> str:
        """Failures of the pairs, and how many pairs have no answer at all."""
        if self.n_unanswered == self.n:
            return f"{self.n} unanswered"
        failed = f"{self.n_failures} of {self.n}"
        return f"{failed}, {self.n_unanswered} unanswered" if self.n_unanswered else failed

    def as_dict(self) -> dict[str, Any]:
        """Flatten it for JSON and spreadsheets: ``M``, ``M|low``, ``M|high`` and ``M|ok``."""
        row: dict[str, Any] = {
            "split": self.split,
            "method": self.method,
            "n": self.n,
            "n_groups": self.n_groups,
            "failures": self.n_failures,
            "unanswered": self.n_unanswered,
            "failures|low": self.failures.low * self.n,
            "failures|high": self.failures.high * self.n,
            "latency_ms": self.latency_ms,
        }
        for name, mean in self.means.items():
            row |= {name: mean.estimate, f"{name}|low": mean.low, f"{name}|high": mean.high}
            row[f"{name}|ok"] = self.means_ok.get(name, math.nan)
        return row


def summarise(table: pd.DataFrame, metrics: Sequence[str] | None = None) -> list[MethodSummary]:
    """Summarise each method on each split, in the run's order.

    Args:
        table: of `pair_table`.
        metrics: names, those that no pair has are left out; None for all there are.
    """
    chosen = metric_names(table) if metrics is None else [m for m in metrics if m in table]
    groups = table.groupby(["split", "method"], sort=False)
    return [_summary(str(split), str(method), rows, chosen) for (split, method), rows in groups]


def _summary(split: str, method: str, rows: pd.DataFrame, metrics: Sequence[str]) -> MethodSummary:
    missing, ok, failed = (
        len(unanswered(rows)),
        rows["outcome"] == "ok",
        int(is_failure(rows).sum()),
    )
    groups = rows["group"].tolist()
    # Where some pairs cannot have a metric, for want of landmarks, a mean would be of other pairs.
    usable = [m for m in metrics if not missing and rows[f"{m}|identity"].notna().all()]
    times = _stage_times(rows)
    latency = float(rows.loc[ok, "latency_ms"].median())
    return MethodSummary(
        split=split,
        method=method,
        n=len(rows),
        n_groups=len(set(groups)),
        n_failures=failed,
        n_unanswered=missing,
        failures=wilson_interval(failed, len(rows)),
        means={m: bootstrap_mean(penalised(rows, m), groups) for m in usable},
        means_ok={m: float(rows.loc[ok, m].mean(skipna=False)) for m in usable if ok.any()},
        latency_ms=None if math.isnan(latency) else latency,
        stages=_medians(times),
        n_staged=len(times),
    )


def _stage_times(rows: pd.DataFrame) -> list[dict[str, float]]:
    """Stage times of the answered pairs timed alone that got as far as a stage."""
    timed = rows[rows["latency_ms"].notna() & rows["outcome"].isin(ANSWERS)]
    return [stages for text in timed["stages"] if (stages := json.loads(text))]


def _medians(times: Sequence[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for stages in times for name in stages)
    # A stage that a pair did not need took it no time, as in `imedbench latency`.
    return {name: float(np.median([s.get(name, 0.0) for s in times])) for name in names}


def failure_reasons(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Count how often each method failed for which reason, unanswered pairs included.

    Reasons that differ only in their numbers count as one; the first is shown.

    Returns:
        Dicts of ``method``, ``split``, ``outcome``, ``reason``, ``pair_id`` (the first) and
        ``count``.
    """
    failed = table[table["outcome"] != "ok"]
    alike = failed["reason"].str.replace(_NUMBER, "N", regex=True)
    by = [failed["method"], failed["split"], failed["outcome"], alike]
    groups = [rows for _, rows in failed.groupby(by, sort=False)]
    shown = ("method", "split", "outcome", "reason", "pair_id")
    return [{**{c: rows[c].iloc[0] for c in shown}, "count": len(rows)} for rows in groups]
