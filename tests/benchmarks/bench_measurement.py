"""What measuring costs: stage marks, the latency harness, statistics and protocols."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from imedbench.analysis.protocols import PROTOCOLS, PairEvidence
from imedbench.analysis.statistics import bootstrap_mean, compare_paired, rank_stability
from imedbench.core.stages import collect_stages, stage
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, ImagePair, MethodInfo, Outcome, Registration
from imedbench.latency.calls import timed_call
from imedbench.latency.device import HostBackend

RNG = np.random.default_rng(0)


def enter_a_stage() -> None:
    with stage("maps"):
        pass


def test_stage_that_nobody_collects(benchmark: BenchmarkFixture) -> None:
    benchmark(enter_a_stage)


def test_stage_that_is_collected(benchmark: BenchmarkFixture) -> None:
    with collect_stages():
        benchmark.pedantic(enter_a_stage, rounds=200, iterations=100)


class Nothing:
    """A method without any work: what a timed call costs beside the method."""

    info = MethodInfo("nothing", "returns at once", "affine")
    answer = Registration(Affine.identity())

    def prepare(self, device: str) -> None:
        """There is nothing to prepare."""

    def register(self, fixed: Image, moving: Image) -> Registration:
        """The same answer each time."""
        return self.answer


def test_timed_call(benchmark: BenchmarkFixture) -> None:
    image = Image(np.zeros((512, 512), np.uint8), "cf")
    benchmark(timed_call, Nothing(), ImagePair("a", image, image), HostBackend())


@pytest.mark.parametrize("n", [13, 150, 10_000])
def test_bootstrap(benchmark: BenchmarkFixture, n: int) -> None:
    values = RNG.lognormal(size=n)
    benchmark.pedantic(lambda: bootstrap_mean(values), rounds=3)


@pytest.mark.parametrize(
    "statistic",
    [
        lambda scores: compare_paired(scores[:, 0], scores[:, 1]),
        lambda scores: rank_stability(scores),
    ],
    ids=["compare_paired", "rank_stability"],
)
def test_comparison(benchmark: BenchmarkFixture, statistic: Callable[[np.ndarray], object]) -> None:
    scores = RNG.lognormal(size=(150, 10))
    benchmark(statistic, scores)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_protocol_on_10000_pairs(benchmark: BenchmarkFixture, name: str) -> None:
    evidence = [
        PairEvidence(f"p{i}", Outcome.OK, errors=errors, mse=0.1)
        for i, errors in enumerate(RNG.lognormal(1, 1, (10_000, 8)))
    ]
    benchmark.pedantic(PROTOCOLS[name].evaluate, (evidence,), rounds=3)
