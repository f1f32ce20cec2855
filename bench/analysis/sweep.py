"""How methods bear one growing difficulty: the same eyes, one factor turned up step by step."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from imedbench.analysis.run import open_run, score_run
from imedbench.analysis.statistics import Interval, wilson_interval
from imedbench.analysis.tables import is_failure
from imedbench.core.datasets import open_dataset
from imedbench.core.errors import BadInput
from imedbench.core.progress import Progress
from imedbench.runs.config import RunConfig
from imedbench.runs.files import write_atomically
from imedbench.runs.runner import run

GOOD_PX = 5.0  # a mean landmark error up to here counts as registered
FILE = "sweep.json"
_METRICS = ("tre_mean",)


@dataclass(frozen=True)
class SweepPoint:
    """One method at one step.

    Args:
        value: of the factor.
        method: spec.
        success: share of pairs with a mean landmark error of at most `GOOD_PX`.
        tre_median: median over pairs of the mean landmark error, px; None where a failure is it.
        failures: failed pairs.
        n: pairs.
    """

    value: float
    method: str
    success: Interval
    tre_median: float | None
    failures: int
    n: int


@dataclass(frozen=True)
class Sweep:
    """How methods bore one growing difficulty.

    Args:
        kind: the factor.
        points: every method at every step.
    """

    kind: str
    points: list[SweepPoint]


def sweep(kind: str, values: Sequence[float], template: RunConfig, progress: Progress) -> Sweep:
    """Run the methods on the synthetic set at every value of one factor.

    Args:
        kind: the factor, see the option ``stress`` of the data set ``synthetic``.
        values: steps of it.
        template: everything else; ``data`` is a spec of ``synthetic`` without ``stress``, and each
            step gets a run folder of its own below ``out``.
        progress: is told of every row.

    Returns:
        The points, which are kept in ``sweep.json`` below ``out`` too.

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
    swept = Sweep(kind, points)
    write_atomically(template.out / FILE, msgspec.json.encode(swept))
    return swept


def read_sweep(folder: Path) -> Sweep:
    """Read the points of a sweep again.

    Raises:
        BadInput: when the folder holds none, or its file is damaged.
    """
    path = folder / FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Sweep)
    except (OSError, msgspec.MsgspecError) as error:
        raise BadInput(f"{path}: cannot be read as a sweep ({error})") from error
    if not found.points:
        raise BadInput(f"{path}: a sweep without a point")
    return found


def sweeps_beside(folder: Path) -> list[Sweep]:
    """Read the sweeps of a run folder: those kept in it, and the one that it is a step of.

    A file of that name which holds no sweep is somebody else's, and left alone.
    """
    found = []
    for file in [*sorted(folder.glob(f"*/{FILE}")), folder / ".." / FILE]:
        with suppress(BadInput):
            found.append(read_sweep(file.parent))
    return found


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
        median = float(np.quantile(errors, 0.5, method="higher"))
        points.append(
            SweepPoint(
                value=value,
                method=str(method),
                success=wilson_interval(int((errors <= GOOD_PX).sum()), len(rows)),
                tre_median=median if np.isfinite(median) else None,
                failures=int(failed.sum()),
                n=len(rows),
            )
        )
    return points
