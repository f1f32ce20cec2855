"""Metrics of pairs under the transforms of rows: what a scoring worker computes, cell by cell."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from imedbench.core.arrays import plain
from imedbench.core.errors import BadInput, ImedbenchError
from imedbench.core.metrics import Metric, MetricInfo, PairViews, RegisteredPair, VesselReader
from imedbench.core.randomness import seed_everything
from imedbench.core.registry import METRICS, load_plugin_file
from imedbench.core.text import as_text
from imedbench.core.transforms import Affine, Transform
from imedbench.core.types import ImagePair, Split
from imedbench.runs.calls import CallResult
from imedbench.runs.hashing import seed_for
from imedbench.runs.plugin_source import describe
from imedbench.runs.services import Beat, Caller

Value = tuple[float | None, str]  # of a metric, and why there is none
_UNMOVED = Affine.identity()


@dataclass(frozen=True)
class Case:
    """One row to score.

    Args:
        metrics: names of those that it lacks.
        transform: what the method found; None for a failure, which has no value.
        swapped: what it found for the pair the other way round, for the metrics that need it.
    """

    metrics: tuple[str, ...]
    transform: Transform | None = None
    swapped: Transform | None = None

    def has_value(self, metric: Metric) -> bool:
        """Whether there is what the metric is computed from."""
        both_ways = "swapped" not in metric.info.needs or self.swapped is not None
        return self.transform is not None and both_ways


@dataclass(frozen=True)
class PairCases:
    """A pair with the rows to score on it."""

    pair: ImagePair
    split: Split
    cases: tuple[Case, ...]

    def names(self) -> list[str]:
        """Name the metrics that any row lacks."""
        return list(dict.fromkeys(name for case in self.cases for name in case.metrics))

    @property
    def n_cells(self) -> int:
        """Number of values: one a row and metric, and one a metric of the pair left as it is."""
        return sum(len(case.metrics) for case in self.cases) + len(self.names())


@dataclass(frozen=True)
class Batch:
    """Some pairs to score in one go.

    Args:
        pairs: with their rows.
        faults: by number of the cell, why its value cannot be computed.
    """

    pairs: tuple[PairCases, ...]
    faults: dict[int, str] = field(default_factory=dict)

    @property
    def n_cells(self) -> int:
        """Number of values."""
        return sum(pair.n_cells for pair in self.pairs)


@dataclass(frozen=True)
class Scored:
    """What came of a batch.

    Args:
        cells: a value and the reason for none, pair by pair: those of the rows, row by row, then
            those of the pair left as it is. Empty when the worker was lost.
        fault: what became of the worker.
        at: the cell that it was at.
    """

    cells: list[Value]
    fault: str = ""
    at: int = 0


@dataclass(frozen=True)
class MetricSettings:
    """How metrics are set up.

    Args:
        metrics: their names.
        plugins: files to load first.
        threads: for the numerical libraries.
        memory_gib: most memory the process may take; None for nearly all the machine has.
        warm_up: values are not timed.
    """

    metrics: tuple[str, ...]
    plugins: Sequence[Path] = ()
    threads: int = 1
    memory_gib: float | None = None
    warm_up: bool = False

    def kinds(self) -> tuple[type[Batch], type[Scored]]:
        """Return the types of questions and answers."""
        return Batch, Scored

    def start(self) -> Callable[[Batch, Beat], Scored]:
        """Build the metrics."""
        from imedbench.metrics.reference_vessels import reference_vessels

        for plugin in self.plugins:
            load_plugin_file(plugin)
        metrics = {name: _made(name) for name in self.metrics}
        return partial(_score, metrics, reference_vessels)

    def lost(self, cause: CallResult, beats: int) -> Scored:
        """Say which cell the worker was at."""
        return Scored([], cause.reason, beats)


def _made(name: str) -> Metric:
    """Build a metric, or what says for each of its cells why it cannot be built here."""
    try:
        metric: Metric = METRICS.create(name)
    except ImedbenchError as error:
        return Metric(MetricInfo(name, "cannot be built"), partial(_raise, error))
    return metric


def _raise(error: ImedbenchError, case: RegisteredPair) -> float:
    raise error


class CellByCell:
    """Asks again without the cell that a worker died of: a bad metric costs its own cells.

    Args:
        caller: asks a worker.
    """

    def __init__(self, caller: Caller[Batch, Scored]) -> None:
        self.caller = caller

    def call(self, batch: Batch) -> Scored:
        """Score a batch to its end."""
        faults: dict[int, str] = {}
        while True:
            scored = self.caller.call(replace(batch, faults=faults))
            if not scored.fault:
                return scored
            if scored.at in faults or scored.at >= batch.n_cells:  # it is not about any cell
                return Scored([(None, scored.fault)] * batch.n_cells)
            faults[scored.at] = scored.fault

    def close(self) -> None:
        """End the worker."""
        self.caller.close()

    def end(self) -> None:
        """End the worker from another thread, for good."""
        self.caller.end()


def _score(
    metrics: dict[str, Metric], read_vessels: VesselReader, batch: Batch, beat: Beat
) -> Scored:
    cells: list[Value] = []
    for pair in batch.pairs:
        seed_everything(seed_for(0, pair.split, pair.pair.pair_id))
        for compute in _cells(pair, metrics, read_vessels):
            fault = batch.faults.get(len(cells))
            cells.append(compute() if fault is None else (None, fault))
            beat()
    return Scored(cells)


def _cells(
    pair: PairCases, metrics: dict[str, Metric], read_vessels: VesselReader
) -> Iterator[Callable[[], Value]]:
    """What computes each value of a pair; what several need is computed once, and only if asked."""
    views = PairViews(pair.pair, pair.split, read_vessels)
    for case in pair.cases:
        moved = RegisteredPair(views, case.transform or _UNMOVED, case.swapped)
        for name in case.metrics:
            asked = case.has_value(metrics[name])
            yield partial(_compute, metrics[name], moved) if asked else lambda: (None, "")
    unmoved = RegisteredPair(views, _UNMOVED, _UNMOVED)
    for name in pair.names():
        yield partial(_compute, metrics[name], unmoved)


def _compute(metric: Metric, case: RegisteredPair) -> Value:
    """A metric's value, or the reason for none: it may be a stranger's."""
    try:
        value = metric.compute(case)
        number = plain(value) if not isinstance(value, float) else value
    except BadInput as error:  # what is wrong with the pair, in plain words
        return None, str(error)
    except (Exception, SystemExit) as error:
        return None, f"{metric.info.name} raised {describe(error)}"
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return None, f"{metric.info.name} returned {as_text(value, 40)!r}, which is no number"
    if math.isfinite(number):
        return float(number), ""
    return None, "undefined for this pair" if math.isnan(number) else "infinite"
