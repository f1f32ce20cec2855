"""What a run costs beside the method, and how fast stored rows are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from imedbench.core.datasets import DatasetInfo, PairRef
from imedbench.core.transforms import Affine
from imedbench.core.types import GroundTruth, Image, ImagePair, Outcome, Split
from imedbench.runs.config import RunConfig
from imedbench.runs.runner import run
from imedbench.runs.scoring import score
from imedbench.runs.store import Prediction, Store

RNG = np.random.default_rng(0)


@dataclass
class InMemory:
    """As many pairs of one noise image as asked for; loading costs nothing."""

    pairs: int
    size: int
    info: DatasetInfo = field(default_factory=lambda: DatasetInfo("in-memory", "noise"))

    def __post_init__(self) -> None:
        pixels = RNG.integers(0, 256, (self.size, self.size), np.uint8)
        points = RNG.uniform(0, self.size, (12, 2))
        self._image, self._truth = Image(pixels), GroundTruth(points, points + 1.0)

    def refs(self, split: Split) -> Sequence[PairRef]:
        return [PairRef(f"{i}", split, "test", f"{i}", "cf", "octa") for i in range(self.pairs)]

    def load(self, ref: PairRef) -> ImagePair:
        return ImagePair(ref.pair_id, self._image, self._image, self._truth, ref.group)


@dataclass
class Stopwatch:
    """Notes when rows arrive, so that the worker's start is left out."""

    times: list[float] = field(default_factory=list)

    def begin(self, total: int) -> None: ...

    def method(self, spec: str) -> None: ...

    def row(self, method: str, pair_id: str) -> None:
        from time import perf_counter

        self.times.append(perf_counter())


def test_overhead_per_pair_at_512(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Everything but the method, per pair: extra_info holds the median in ms."""
    dataset = InMemory(60, 512)
    watch = Stopwatch()
    config = RunConfig("synthetic", ("identity",), tmp_path / "run", ("multi-modal",))
    benchmark.pedantic(run, (config, dataset, watch), rounds=1)
    benchmark.extra_info["ms_per_pair"] = 1e3 * float(np.median(np.diff(watch.times[5:])))
    print(f"\noverhead: {benchmark.extra_info['ms_per_pair']:.2f} ms a pair")


@pytest.mark.parametrize("n", [1_000, 10_000])
def test_landmark_scores_per_second(benchmark: BenchmarkFixture, tmp_path: Path, n: int) -> None:
    """Score n stored predictions on landmarks."""
    dataset = InMemory(n, 64)
    store = Store(tmp_path / "run", create=True)
    store.set_pairs(dataset.refs("multi-modal"))
    for ref in dataset.refs("multi-modal"):
        row = Prediction(
            f"k{ref.pair_id}", "identity", ref.split, ref.pair_id, Outcome.OK,
            transform=Affine.identity(),
        )  # fmt: skip
        store.add_prediction(row)
    metrics = ("tre_mean", "tre_median", "tre_max")
    benchmark.pedantic(score, (store, dataset, metrics), rounds=1)
    rate = n / benchmark.stats.stats.mean
    benchmark.extra_info["pairs_per_s"] = rate
    print(f"\nscored {rate:.0f} pairs/s")
    store.close()
