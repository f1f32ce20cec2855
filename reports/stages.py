"""Where the time of a method goes: its stages on the typical pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imedbench.analysis.tables import unanswered


@dataclass(frozen=True)
class StageRow:
    """The stages of one method on one split.

    Args:
        method: its spec.
        n: pairs behind the medians.
        medians: ms by stage, in the order in which the stages were first seen.
    """

    method: str
    n: int
    medians: dict[str, float]


def stage_rows(
    table: pd.DataFrame, split: str, stages: Mapping[str, Mapping[str, float]]
) -> list[StageRow]:
    """Median times by stage over the answered pairs of a split, in the run's order.

    Pairs that were not timed alone, or that ended before any stage did, do not count.

    Args:
        table: of `imedbench.analysis.tables.pair_table`.
        split: which split.
        stages: ms by stage, by the key of the prediction.

    Returns:
        A row for each method with stages.
    """
    part = table[(table["split"] == split) & table["latency_ms"].notna()]
    answered = part.drop(index=unanswered(part).index)
    rows = []
    for method, of_method in answered.groupby("method", sort=False):
        timed = [stages[key] for key in of_method["key"] if stages.get(key)]
        if timed:
            rows.append(StageRow(str(method), len(timed), _medians(timed)))
    return rows


def _medians(timed: list[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for times in timed for name in times)
    # A stage that a pair did not need took it no time, as in `imedbench latency`.
    return {name: float(np.median([times.get(name, 0.0) for times in timed])) for name in names}
