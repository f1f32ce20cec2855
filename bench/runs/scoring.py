"""The second loop: every metric on every stored prediction."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from imedbench.core.arrays import plain
from imedbench.core.datasets import Dataset, PairRef
from imedbench.core.errors import BadEnvironment
from imedbench.core.metrics import Metric, PairViews, RegisteredPair, VesselReader
from imedbench.core.progress import NullProgress, Progress
from imedbench.core.registry import METRICS
from imedbench.core.text import as_text
from imedbench.core.transforms import Affine, Transform
from imedbench.core.types import ImagePair, Outcome
from imedbench.runs.imports import GIVEN
from imedbench.runs.pairs import KeptPairs, PairIndex
from imedbench.runs.plugin_source import describe
from imedbench.runs.rows import Prediction, Score
from imedbench.runs.store import Store

_Value = tuple[float | None, str]  # of a metric, and why there is none
NOT_SWAPPED = "needs the pair the other way round as well: run with --swapped"


def score(
    store: Store,
    dataset: Dataset,
    metrics: Sequence[str],
    read_vessels: VesselReader,
    progress: Progress | None = None,
) -> None:
    """Score what has no up-to-date score yet.

    A failed pair gets no value, and beside it what the images score left as they are: tables
    charge that to the failure. A metric that raises, or gives no finite number, has no value
    either, and the reason is stored. Pairs whose scores are all up to date are not read.

    Args:
        store: of the run.
        dataset: the one that the run was made on.
        metrics: names.
        read_vessels: the reference reader of vessels.
        progress: is told of every pair.

    Raises:
        BadInput: for an unknown metric, or when another process writes to the folder.
        BadEnvironment: when scores are missing and the folder cannot be written to.
    """
    progress = progress or NullProgress()
    chosen = [METRICS.create(name) for name in metrics]
    rows: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for row in store.predictions(transforms=False):
        if row.outcome.is_answer and GIVEN not in row.details:
            rows[row.split, row.pair_id].append(row)
    pairs = [ref for ref in store.pairs() if (ref.split, ref.pair_id) in rows]
    progress.begin(len(pairs))
    # A finished run can be read where nothing can be written.
    with store.only_writer() if store.writable else nullcontext():
        scoring = _Scoring(store, dataset, chosen, read_vessels)
        for ref in pairs:
            found = scoring.missing(ref, rows[ref.split, ref.pair_id])
            if found and not store.writable:
                raise BadEnvironment(f"{store.folder}: scores are missing, and it is read-only")
            store.add_scores(found)
            progress.row("scoring", ref.pair_id)


class _Scoring:
    """What the pairs of one run share while they are scored."""

    def __init__(
        self,
        store: Store,
        dataset: Dataset,
        metrics: Sequence[Metric],
        read_vessels: VesselReader,
    ) -> None:
        self.store, self.metrics, self.read_vessels = store, metrics, read_vessels
        self.pairs = dataset if isinstance(dataset, KeptPairs) else KeptPairs(dataset)
        self.index = PairIndex(store, self.pairs)
        self.known = {(s.prediction, s.metric): (s.version, s.truth) for s in store.scores()}
        self.swapped = {
            (row.method, row.split, row.pair_id): row
            for row in store.predictions(swapped=True, transforms=False)
        }

    def missing(self, ref: PairRef, rows: Sequence[Prediction]) -> list[Score]:
        """Return the scores that the rows of one pair lack or that are out of date."""
        try:
            hashes = self.index.hashes(ref)
            wanted = [
                (row, metric, truth)
                for row in rows
                for metric in self.metrics
                if metric.info.needs <= {"swapped", ref.split, *hashes.offers.split()}
                if self.known.get((row.key, metric.info.name))
                != (metric.info.version, truth := self._truth(row, metric, hashes.truth))
            ]
            scorer = PairScorer(self.pairs.load(ref), ref, self.read_vessels) if wanted else None
        except Exception as error:  # of a data set, which may be a plugin
            return [
                Score(row.key, m.info.name, m.info.version, "unread", None, None, as_text(error))
                for row in rows
                for m in self.metrics
            ]
        return [self._score(scorer, *what) for what in wanted] if scorer else []

    def _truth(self, row: Prediction, metric: Metric, truth: str) -> str:
        """What a score was computed from beside the prediction."""
        other = self.swapped.get((row.method, row.split, row.pair_id))
        return f"{truth} {other.key}" if other and "swapped" in metric.info.needs else truth

    def _score(self, scorer: PairScorer, row: Prediction, metric: Metric, truth: str) -> Score:
        value, reason = None, ""
        if row.outcome is Outcome.OK:
            value, reason = self._value(scorer, row, metric)
        identity, why = scorer.identity(metric)
        reason = reason or (why and f"left as it is: {why}")
        name, version = metric.info.name, metric.info.version
        return Score(row.key, name, version, truth, value, identity, reason)

    def _value(self, scorer: PairScorer, row: Prediction, metric: Metric) -> _Value:
        other = None
        if "swapped" in metric.info.needs:
            swapped = self.swapped.get((row.method, row.split, row.pair_id))
            if swapped is None:
                return None, NOT_SWAPPED
            if swapped.outcome is not Outcome.OK:
                return None, f"the other way round: {swapped.outcome}, {swapped.reason}"
            other = self.store.transform(swapped.key)
        return scorer.value(metric, row.key, lambda: self.store.transform(row.key), other)


class PairScorer:
    """The metrics of one pair; what several of them need is computed once, and only if asked.

    Args:
        pair: with its ground truth.
        ref: where it comes from.
        read_vessels: the reference reader of vessels.
    """

    def __init__(self, pair: ImagePair, ref: PairRef, read_vessels: VesselReader) -> None:
        self.views = PairViews(pair, ref.split, read_vessels)
        unmoved = Affine.identity()
        self._identity = RegisteredPair(self.views, unmoved, unmoved)
        self._identity_values: dict[str, _Value] = {}
        self._cases: dict[str, RegisteredPair] = {}

    def value(
        self,
        metric: Metric,
        key: str,
        transform: Callable[[], Transform],
        swapped: Transform | None = None,
    ) -> _Value:
        """One metric of one prediction.

        Args:
            metric: which.
            key: the prediction's.
            transform: reads what the method found.
            swapped: what it found for the pair the other way round.
        """
        if swapped is not None:
            return _compute(metric, RegisteredPair(self.views, transform(), swapped))
        if key not in self._cases:
            self._cases = {key: RegisteredPair(self.views, transform())}
        return _compute(metric, self._cases[key])

    def identity(self, metric: Metric) -> _Value:
        """One metric of the pair left as it is."""
        name = metric.info.name
        if name not in self._identity_values:
            self._identity_values[name] = _compute(metric, self._identity)
        return self._identity_values[name]


def _compute(metric: Metric, case: RegisteredPair) -> _Value:
    """A metric's value, or the reason for none: it may be a stranger's."""
    try:
        value = metric.compute(case)
        number = plain(value) if not isinstance(value, float) else value
    except (Exception, SystemExit) as error:
        return None, f"{metric.info.name} raised {describe(error)}"
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return None, f"{metric.info.name} returned {as_text(value, 40)!r}, which is no number"
    if math.isfinite(number):
        return float(number), ""
    return None, "undefined for this pair" if math.isnan(number) else "infinite"
