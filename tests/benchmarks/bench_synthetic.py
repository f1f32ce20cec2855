"""How fast synthetic eyes and pairs are made, on one core. Wanted: 10 pairs/s at 256, 2 at 512."""

from collections.abc import Iterator

import cv2
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from imedbench.datasets.synthetic.benchmark import Synthetic
from imedbench.datasets.synthetic.streaming import PAIRS_PER_EYE, stream_pairs
from imedbench.datasets.synthetic.tree import make_eye
from imedbench.datasets.synthetic.warps import LEVELS, Level


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@pytest.mark.parametrize("size", [256, 512])
@pytest.mark.parametrize("level", LEVELS)
def test_stream(benchmark: BenchmarkFixture, level: Level, size: int) -> None:
    """One round makes the pairs of one eye, the growing of it included."""
    pairs = stream_pairs(1, level, size=size)
    next(pairs)  # textures are made once a process

    def one_eye() -> None:
        for _ in range(PAIRS_PER_EYE):
            next(pairs)

    benchmark.pedantic(one_eye, rounds=3)
    benchmark.extra_info["pairs_per_second"] = PAIRS_PER_EYE / benchmark.stats["mean"]


def test_eye(benchmark: BenchmarkFixture) -> None:
    """Growing one eye."""
    seeds = iter(range(1000, 2000))
    benchmark.pedantic(lambda: make_eye(next(seeds)), rounds=10)


def test_default_set(benchmark: BenchmarkFixture) -> None:
    """All thirteen pairs of the default data set, which keeps what it once made."""

    def all_pairs() -> None:
        dataset = Synthetic()
        for ref in dataset.refs("multi-modal"):
            dataset.load(ref)

    benchmark.pedantic(all_pairs, rounds=2)
