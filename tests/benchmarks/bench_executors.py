"""What a second worker is worth, and what Ray costs, for a method that only computes."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from imedbench.core.datasets import DatasetInfo, PairRef
from imedbench.core.registry import load_plugin_file
from imedbench.core.types import Image, ImagePair, Split
from imedbench.runs.config import RunConfig
from imedbench.runs.executors import Kind
from imedbench.runs.runner import run

BUSY = Path(__file__).parent.parent / "plugins" / "busy.py"
WARM = 8  # rows before the clock starts: workers are started by then
ROWS = 80


@dataclass
class Noise:
    """As many pairs of one noise image of 256×256 px as asked for."""

    pairs: int
    info: DatasetInfo = field(default_factory=lambda: DatasetInfo("noise", "noise"))

    def __post_init__(self) -> None:
        self._image = Image(np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8))

    def refs(self, split: Split) -> Sequence[PairRef]:
        return [PairRef(f"{i}", split, "test", f"{i}", "cf", "octa") for i in range(self.pairs)]

    def load(self, ref: PairRef) -> ImagePair:
        return ImagePair(ref.pair_id, self._image, self._image)


@dataclass
class Stopwatch:
    """Notes when rows arrive."""

    times: list[float] = field(default_factory=list)

    def begin(self, total: int) -> None: ...

    def method(self, spec: str) -> None: ...

    def row(self, method: str, pair_id: str) -> None:
        self.times.append(time.perf_counter())


def rows_per_second(out: Path, kind: Kind, workers: int) -> float:
    watch = Stopwatch()
    config = RunConfig(
        *("synthetic", ("busy",), out, ("multi-modal",)),
        plugins=(BUSY,),
        executor=kind,
        workers=workers,
    )
    run(config, Noise(ROWS), watch)
    return (ROWS - WARM) / (watch.times[-1] - watch.times[WARM - 1])


def test_two_workers_and_ray(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Rows a second of one worker, of two, and of two actors of Ray."""
    load_plugin_file(BUSY)
    places: list[tuple[Kind, int]] = [("processes", 1), ("processes", 2)]
    if importlib.util.find_spec("ray") is not None:
        places.append(("ray", 2))
    rates = benchmark.pedantic(
        lambda: {f"{k} {n}": rows_per_second(tmp_path / f"{k}-{n}", k, n) for k, n in places},
        rounds=1,
    )
    speedup = rates["processes 2"] / rates["processes 1"]
    benchmark.extra_info |= {**rates, "speedup": speedup}
    print(f"\n{rates}\ntwo workers are {speedup:.2f}× one")
    if "ray 2" in rates:
        print(f"Ray is {rates['ray 2'] / rates['processes 2']:.2f}× the worker pool")
