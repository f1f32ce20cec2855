"""How fast synthetic eyes and pairs are made, on one core. Wanted: 10 pairs/s at 256, 2 at 512."""

from collections.abc import Iterator

import cv2
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from imedbench.datasets.synthetic.benchmark import Synthetic
from imedbench.datasets.synthetic.pairs import make_pair
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
def test_pair(benchmark: BenchmarkFixture, level: Level, size: int) -> None:
    """One pair, the growing of its eye included."""
    make_pair(0, level, size=size)  # textures are made once a process
    seeds = iter(range(1, 100))
    benchmark.pedantic(lambda: make_pair(next(seeds), level, size=size), rounds=8)


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
