"""Stored rows as tables: one row a pair, and one row a method and split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imedbench.core.types import Outcome
from imedbench.runs.store import Store

_COLUMNS = (
    "method",
    "split",
    "pair_id",
    "group",
    "subset",
    "outcome",
    "reason",
    "latency_ms",
    "confidence",
    "key",
)
_SUMMARY_COLUMNS = ("split", "method", "n", "failures", "unanswered", "latency_ms")


def pair_table(store: Store) -> pd.DataFrame:
    """Every expected row of a run, with its scores.

    Returns:
        One row for each method, split and pair. Columns: ``method``, ``split``, ``pair_id``,
        ``eye``, ``subset``, ``outcome`` (``missing`` where there is no row), ``reason``,
        ``latency_ms`` (only where timed alone), ``confidence``, ``key``; for every metric M the
        columns ``M`` (NaN for a failure) and ``M|identity``, the score of the pair left as it is.
    """
    predictions = {(p.method, p.split, p.pair_id): p for p in store.predictions(transforms=False)}
    rows = []
    for method, ref in store.expected():
        found = predictions.get((method, ref.split, ref.pair_id))
        timed = found is not None and found.timed_alone
        rows.append(
            {
                "method": method,
                "split": ref.split,
                "pair_id": ref.pair_id,
                "group": ref.group,
                "subset": ref.subset,
                "outcome": str(found.outcome) if found else "missing",
                "reason": found.reason if found else "not computed",
                "latency_ms": found.latency_ms if found and timed else None,
                "confidence": found.confidence if found else None,
                "key": found.key if found else "",
            }
        )
    table = pd.DataFrame(rows, columns=_COLUMNS).astype({"latency_ms": float, "confidence": float})
    return table.join(_scores(store), on="key")


def _scores(store: Store) -> pd.DataFrame:
    values: dict[str, dict[str, float | None]] = {}
    for s in store.scores():
        row = values.setdefault(s.prediction, {})
        row[s.metric], row[f"{s.metric}|identity"] = s.value, s.identity
    return pd.DataFrame.from_dict(values, orient="index", dtype=float)


def is_failure(table: pd.DataFrame) -> pd.Series[bool]:
    """Which rows count as failed registrations."""
    return table["outcome"].isin([o.value for o in Outcome if o.is_failure])


def unanswered(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that make a run incomplete: missing, crashed or skipped pairs."""
    answered = [o.value for o in Outcome if o.is_answer]
    return table[~table["outcome"].isin(answered)]


def penalised(table: pd.DataFrame, metric: str) -> NDArray[np.float64]:
    """A metric with the identity's score in place of what a failed pair lacks."""
    charged = table[metric].where(~is_failure(table), table[f"{metric}|identity"])
    return charged.to_numpy(np.float64)


def summary_table(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Means by split and method.

    Args:
        table: of `pair_table`.
        metrics: names; those that no pair has are left out.

    Returns:
        One row a split and method, in the run's order. Columns: ``split``, ``method``, ``n``,
        ``failures``, ``unanswered``, ``latency_ms`` (median), and for every metric M ``M`` (mean
        over all pairs, a failure charged with the identity's score) and ``M|ok`` (mean over the
        successes). Means over an incomplete set of pairs are NaN.
    """
    rows = []
    for (split, method), part in table.groupby(["split", "method"], sort=False):
        missing = len(unanswered(part))
        row = {
            "split": split,
            "method": method,
            "n": len(part),
            "failures": int(is_failure(part).sum()),
            "unanswered": missing,
            "latency_ms": part.loc[part["outcome"] == "ok", "latency_ms"].median(),
        }
        for metric in (m for m in metrics if m in part and not missing):
            row[metric] = penalised(part, metric).mean()
            row[f"{metric}|ok"] = part.loc[part["outcome"] == "ok", metric].mean(skipna=False)
        rows.append(row)
    summary = pd.DataFrame(rows)
    metric_columns = [c for c in summary if c not in _SUMMARY_COLUMNS]
    return summary.reindex(columns=[*_SUMMARY_COLUMNS, *metric_columns])
