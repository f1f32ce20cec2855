"""How methods bear one growing difficulty: the same eyes, one factor turned up step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from imedbench.analysis.run import open_run, score_run
from imedbench.analysis.statistics import Interval, wilson_interval
from imedbench.analysis.tables import is_failure
from imedbench.core.datasets import open_dataset
from imedbench.core.progress import Progress
from imedbench.runs.config import RunConfig
from imedbench.runs.runner import run

GOOD_PX = 5.0  # a mean landmark error up to here counts as registered
_METRICS = ("tre_mean",)


@dataclass(frozen=True)
class SweepPoint:
    """One method at one step.

    Args:
        value: of the factor.
        method: spec.
        success: share of pairs with a mean landmark error of at most `GOOD_PX`.
        tre_median: median over pairs of the mean landmark error, px; infinite for failures.
        failures: failed pairs.
        n: pairs.
    """

    value: float
    method: str
    success: Interval
    tre_median: float
    failures: int
    n: int


def sweep(
    kind: str, values: Sequence[float], template: RunConfig, progress: Progress
) -> list[SweepPoint]:
    """Run the methods on the synthetic set at every value of one factor.

    Args:
        kind: the factor, see the option ``stress`` of the data set ``synthetic``.
        values: steps of it.
        template: everything else; ``data`` is a spec of ``synthetic`` without ``stress``, and each
            step gets a run folder of its own below ``out``.
        progress: is told of every row.

    Raises:
        BadInput: for an unknown factor or a value out of its range.
    """
    steps = [
        replace(
            template,
            data=f"{template.data}:stress={kind}:{value:g}",
            out=template.out / f"{kind}-{value:g}",
        )
        for value in values
    ]
    datasets = [open_dataset(step.data) for step in steps]  # bad values stop before any work
    points: list[SweepPoint] = []
    for value, step, dataset in zip(values, steps, datasets, strict=True):
        run(step, dataset, progress)
        points += _points(value, step, progress)
    return points


def _points(value: float, step: RunConfig, progress: Progress) -> list[SweepPoint]:
    opened = open_run(step.out)
    score_run(opened, _METRICS, progress)
    table = opened.table()
    points = []
    for method, rows in table[table["method"].isin(opened.store.methods())].groupby(
        "method", sort=False
    ):
        failed = is_failure(rows).to_numpy()
        errors = np.where(failed, np.inf, rows["tre_mean"].to_numpy(np.float64))
        points.append(
            SweepPoint(
                value=value,
                method=str(method),
                success=wilson_interval(int((errors <= GOOD_PX).sum()), len(rows)),
                tre_median=float(np.quantile(errors, 0.5, method="higher")),
                failures=int(failed.sum()),
                n=len(rows),
            )
        )
    return points
