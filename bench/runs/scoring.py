"""The second loop: every metric on every stored prediction."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imedbench.core.datasets import Dataset, PairRef
from imedbench.core.metrics import Metric, PairViews, RegisteredPair, VesselReader
from imedbench.core.progress import NullProgress, Progress
from imedbench.core.registry import METRICS
from imedbench.core.transforms import Affine
from imedbench.core.types import ImagePair, Outcome
from imedbench.runs.hashing import truth_hash
from imedbench.runs.store import Prediction, Score, Store


@dataclass(frozen=True)
class _Known:
    """What says that a stored score is still good."""

    version: str
    truth: str


def score(
    store: Store,
    dataset: Dataset,
    metrics: Sequence[str],
    read_vessels: VesselReader,
    progress: Progress | None = None,
) -> None:
    """Score what has no up-to-date score yet.

    A failed pair gets no value, and beside it what the images score left as they are: tables
    charge that to the failure.

    Args:
        store: of the run.
        dataset: the one that the run was made on.
        metrics: names.
        read_vessels: the reference reader of vessels.
        progress: is told of every pair.

    Raises:
        BadInput: for an unknown metric or an image that cannot be read.
    """
    progress = progress or NullProgress()
    chosen = [METRICS.create(name) for name in metrics]
    rows: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for prediction in store.predictions():
        if prediction.outcome.is_answer:
            rows[prediction.split, prediction.pair_id].append(prediction)
    known = {(s.prediction, s.metric): _Known(s.version, s.truth) for s in store.scores()}
    pairs = [ref for ref in store.pairs() if (ref.split, ref.pair_id) in rows]
    progress.begin(len(pairs))
    for ref in pairs:
        pair = dataset.load(ref)
        scorer = _PairScorer(ref, pair, chosen, read_vessels)
        for prediction in rows[ref.split, ref.pair_id]:
            store.add_scores(scorer.missing(prediction, known))
        progress.row("scoring", ref.pair_id)


class _PairScorer:
    """The metrics of one pair; those of the identity are computed once, and only if needed."""

    def __init__(
        self, ref: PairRef, pair: ImagePair, metrics: Sequence[Metric], read_vessels: VesselReader
    ) -> None:
        self.views = PairViews(pair, ref.split, read_vessels)
        self.metrics = [m for m in metrics if _applies(m, ref, pair)]
        self.truth = truth_hash(pair)
        self._identity = RegisteredPair(self.views, Affine.identity())
        self._identity_values: dict[str, float | None] = {}

    def missing(
        self, prediction: Prediction, known: dict[tuple[str, str], _Known]
    ) -> Iterator[Score]:
        """The scores a prediction lacks or that are out of date."""
        wanted = [
            m
            for m in self.metrics
            if known.get((prediction.key, m.info.name)) != _Known(m.info.version, self.truth)
        ]
        case = None
        if prediction.outcome is Outcome.OK and prediction.transform is not None:
            case = RegisteredPair(self.views, prediction.transform)
        for metric in wanted:
            name = metric.info.name
            value = _number(metric.compute(case)) if case is not None else None
            yield Score(
                prediction.key,
                name,
                metric.info.version,
                self.truth,
                value,
                self._identity_value(metric),
            )

    def _identity_value(self, metric: Metric) -> float | None:
        name = metric.info.name
        if name not in self._identity_values:
            self._identity_values[name] = _number(metric.compute(self._identity))
        return self._identity_values[name]


def _applies(metric: Metric, ref: PairRef, pair: ImagePair) -> bool:
    has = {
        "landmarks": pair.truth.moving_points is not None,
        "spacing": pair.truth.spacing_um is not None,
        "single-modal": ref.split == "single-modal",
    }
    return all(has[need] for need in metric.info.needs)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
