"""The second loop: every metric on every stored prediction."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from imedbench.core.datasets import Dataset, PairRef
from imedbench.core.errors import BadEnvironment
from imedbench.core.metrics import Metric
from imedbench.core.progress import NullProgress, Progress
from imedbench.core.registry import METRICS
from imedbench.core.text import as_text
from imedbench.core.types import Outcome
from imedbench.runs.executors import Execution
from imedbench.runs.files import log_file
from imedbench.runs.imports import GIVEN
from imedbench.runs.metric_service import (
    Batch,
    Case,
    CellByCell,
    MetricSettings,
    PairCases,
    Scored,
    Value,
)
from imedbench.runs.pairs import KeptPairs, PairIndex
from imedbench.runs.rows import Prediction, Score
from imedbench.runs.store import Store

NOT_SWAPPED = "needs the pair the other way round as well: run with --swapped"
MAX_CELLS = 128  # values a message: sending them one by one would cost more than most of them
MAX_BYTES = 16 << 20  # of images a message


@dataclass(frozen=True)
class Guard:
    """How a run is protected from its metrics, which may be a stranger's.

    Args:
        execution: where they are computed; in this process nothing is guarded.
        plugins: files that a worker loads first.
        timeout_s: longest a value may take.
        memory_gib: most memory a worker may take; None for nearly all the machine has.
    """

    execution: Execution = field(default_factory=lambda: Execution("in-process"))
    plugins: Sequence[Path] = ()
    timeout_s: float = 60.0
    memory_gib: float | None = None


def score(
    store: Store,
    dataset: Dataset,
    metrics: Sequence[str],
    progress: Progress | None = None,
    guard: Guard | None = None,
) -> None:
    """Score what has no up-to-date score yet.

    A failed pair gets no value, and beside it what the images score left as they are: tables
    charge that to the failure. A metric that raises, hangs, dies or gives no finite number has no
    value either, and the reason is stored. Pairs whose scores are all up to date are not read.

    Args:
        store: of the run.
        dataset: the one that the run was made on.
        metrics: names.
        progress: is told of every pair.
        guard: where values are computed; in this process if left out.

    Raises:
        BadInput: for an unknown metric, or when another process writes to the folder.
        BadEnvironment: when scores are missing and the folder cannot be written to.
    """
    progress, guard = progress or NullProgress(), guard or Guard()
    chosen = [METRICS.create(name) for name in metrics]
    # A finished run can be read where nothing can be written.
    with store.only_writer() if store.writable else nullcontext():
        scoring = _Scoring(store, dataset, chosen, progress)
        settings = MetricSettings(tuple(metrics), guard.plugins, memory_gib=guard.memory_gib)
        execution, log = guard.execution, log_file(store.folder, "metrics")
        with execution.executor(
            lambda: CellByCell(execution.caller(settings, guard.timeout_s, log))
        ) as executor:
            for job, scored in executor.results(scoring.jobs()):
                scoring.keep(job, scored)


@dataclass(frozen=True)
class _Row:
    """A row with the metrics that it lacks, and by metric what they are computed from."""

    prediction: Prediction
    truths: dict[str, str]


_Job = list[tuple[PairRef, list[_Row]]]


class _Scoring:
    """What the pairs of one run share while they are scored."""

    def __init__(
        self, store: Store, dataset: Dataset, metrics: Sequence[Metric], progress: Progress
    ) -> None:
        self.store, self.progress = store, progress
        self.metrics = {metric.info.name: metric for metric in metrics}
        self.pairs = dataset if isinstance(dataset, KeptPairs) else KeptPairs(dataset)
        self.index = PairIndex(store, self.pairs)
        self.known = {(s.prediction, s.metric): (s.version, s.truth) for s in store.scores()}
        self.swapped = {
            (row.method, row.split, row.pair_id): row
            for row in store.predictions(swapped=True, transforms=False)
        }
        self.rows: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
        for row in store.predictions(transforms=False):
            if row.outcome.is_answer and GIVEN not in row.details:
                self.rows[row.split, row.pair_id].append(row)

    def jobs(self) -> Iterator[tuple[_Job, Batch]]:
        """What is to be scored, several pairs at a time; the others are reported as done."""
        refs = [ref for ref in self.store.pairs() if (ref.split, ref.pair_id) in self.rows]
        self.progress.begin(len(refs))
        job: _Job = []
        cases: list[PairCases] = []
        n_bytes = n_cells = 0
        for ref in refs:
            rows = self._unscored(ref)
            if not rows:
                continue
            pair = self.pairs.load(ref)
            job.append((ref, rows))
            cases.append(PairCases(pair, ref.split, tuple(self._case(row) for row in rows)))
            n_bytes += pair.fixed.pixels.nbytes + pair.moving.pixels.nbytes
            n_cells += cases[-1].n_cells
            if n_cells >= MAX_CELLS or n_bytes >= MAX_BYTES:
                yield job, Batch(tuple(cases))
                job, cases, n_bytes, n_cells = [], [], 0, 0
        if job:
            yield job, Batch(tuple(cases))

    def keep(self, job: _Job, scored: Scored) -> None:
        """Store what came of a job."""
        cells = iter(scored.cells)
        found: list[Score] = []
        for _, rows in job:
            values = [[next(cells) for _ in row.truths] for row in rows]
            names = dict.fromkeys(name for row in rows for name in row.truths)
            unmoved = {name: next(cells) for name in names}
            for row, row_values in zip(rows, values, strict=True):
                for name, value in zip(row.truths, row_values, strict=True):
                    found.append(self._score(row, name, value, unmoved[name]))
        self._add(found)
        for ref, _ in job:
            self.progress.row("scoring", ref.pair_id)

    def _add(self, scores: Sequence[Score]) -> None:
        if not self.store.writable:
            raise BadEnvironment(f"{self.store.folder}: scores are missing, and it is read-only")
        self.store.add_scores(scores)

    def _unscored(self, ref: PairRef) -> list[_Row]:
        """The rows of a pair that lack scores; where it cannot be read, that is what they get."""
        rows = self.rows[ref.split, ref.pair_id]
        try:
            hashes = self.index.hashes(ref)
            offered: set[str] = {"swapped", ref.split, *hashes.offers.split()}
            found = [_Row(row, self._missing(row, offered, hashes.truth)) for row in rows]
            found = [row for row in found if row.truths]
            if found:
                self.pairs.load(ref)
        except sqlite3.Error:  # the run's own, no matter of the pair
            raise
        except Exception as error:  # of a data set, which may be a plugin
            infos, reason = [m.info for m in self.metrics.values()], as_text(error)
            self._add(
                [
                    Score(row.key, info.name, info.version, "unread", None, None, reason)
                    for row in rows
                    for info in infos
                ]
            )
            found = []
        if not found:
            self.progress.row("scoring", ref.pair_id)
        return found

    def _missing(self, row: Prediction, offered: set[str], truth: str) -> dict[str, str]:
        """By metric that is missing or out of date, what it is to be computed from."""
        other = self.swapped.get((row.method, row.split, row.pair_id))
        found = {}
        for name, metric in self.metrics.items():
            info = metric.info
            made_from = f"{truth} {other.key}" if other and "swapped" in info.needs else truth
            known = self.known.get((row.key, name))
            if info.needs <= offered and known != (info.version, made_from):
                found[name] = made_from
        return found

    def _case(self, row: _Row) -> Case:
        prediction, names = row.prediction, tuple(row.truths)
        if prediction.outcome is not Outcome.OK:
            return Case(names)
        other = self._other(prediction) if any(map(self._needs_both, names)) else None
        both_ways = other is not None and other.outcome is Outcome.OK
        swapped = self.store.transform(other.key) if other and both_ways else None
        return Case(names, self.store.transform(prediction.key), swapped)

    def _other(self, row: Prediction) -> Prediction | None:
        """The method's answer for the pair the other way round."""
        return self.swapped.get((row.method, row.split, row.pair_id))

    def _needs_both(self, metric: str) -> bool:
        return "swapped" in self.metrics[metric].info.needs

    def _score(self, row: _Row, name: str, value: Value, unmoved: Value) -> Score:
        prediction, version = row.prediction, self.metrics[name].info.version
        (number, reason), (identity, why) = value, unmoved
        if prediction.outcome is Outcome.OK and self._needs_both(name):
            other = self._other(prediction)
            if other is None:
                reason = NOT_SWAPPED
            elif other.outcome is not Outcome.OK:
                reason = f"the other way round: {other.outcome}, {other.reason}"
        reason = reason or (why and f"left as it is: {why}")
        return Score(prediction.key, name, version, row.truths[name], number, identity, reason)
