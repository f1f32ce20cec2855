"""Pages and exports of a large run: 10,000 pairs under 10 methods, images of one texture."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from imedbench.analysis.run import Run
from imedbench.core.datasets import DatasetInfo, PairRef
from imedbench.core.progress import NullProgress
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, ImagePair, MethodInfo, Outcome, Split
from imedbench.reports.export import export
from imedbench.reports.page import write_page
from imedbench.reports.report import write_report
from imedbench.runs.store import Prediction, Score, Store

PAIRS, METHODS = 10_000, 10
METRICS = ("mse", "rmse", "tre_mean", "tre_median", "tre_max", "tre_rms", "dice", "ncc")


class OneTexture:
    """Every pair is the same two pictures."""

    info = DatasetInfo("large", "one texture under many names")

    def __init__(self) -> None:
        pixels = np.random.default_rng(0).integers(0, 255, (512, 512)).astype(np.uint8)
        self.image = Image(pixels, "cf")

    def refs(self, split: Split) -> list[PairRef]:
        return [PairRef(f"p{i}", split, "test", f"e{i // 2}", "cf", "octa") for i in range(PAIRS)]

    def load(self, ref: PairRef) -> ImagePair:
        return ImagePair(ref.pair_id, self.image, self.image)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder, dataset = tmp_path_factory.mktemp("large"), OneTexture()
    store, rng = Store(folder, create=True), np.random.default_rng(1)
    refs = dataset.refs("multi-modal")
    store.set_pairs(refs)
    store._db.execute("PRAGMA synchronous = OFF")
    for n in range(METHODS):
        store.set_method(f"m{n}", MethodInfo(f"m{n}", "drawn at random", "affine"))
        errors, failed = rng.exponential(2 + n, PAIRS), rng.random(PAIRS) < 0.03 * n
        for ref, error, fails in zip(refs, errors, failed, strict=True):
            outcome = Outcome.NO_TRANSFORM if fails else Outcome.OK
            transform = None if fails else Affine.identity()
            key, reason = f"{n}-{ref.pair_id}", "few matches" if fails else ""
            store.add_prediction(
                Prediction(
                    key, f"m{n}", ref.split, ref.pair_id, outcome, reason, transform, 0.5, 9.0
                )
            )
            value = None if fails else float(error)
            store.add_scores([Score(key, m, "1", "t", value, 20.0) for m in METRICS])
    settings = {
        "config": {"data": "large"},
        "plugins": [],
        "provenance": {"cores": 0, "system": "", "versions": {}, "git": None},
    }
    return Run(folder, settings, dataset, store)


def page_size(page: Path) -> int:
    """Bytes of a page that is made in time and memory enough: 60 s and 1.5 GB are the promise."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert peak < 1_500_000_000
    return page.stat().st_size


def test_html(large: Run, tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    page = benchmark.pedantic(write_page, (large, tmp_path, NullProgress()))
    assert page_size(page) < 20_000_000


def test_markdown(large: Run, tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    page = benchmark.pedantic(write_report, (large, tmp_path, NullProgress()))
    assert page_size(page) < 20_000_000


@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_export(kind: str, large: Run, tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    benchmark.pedantic(export, (large, tmp_path, kind, None, False))
