"""The second loop: what is scored, what a failure is charged, and when a score is out of date."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imedbench.core.datasets import Dataset
from imedbench.core.errors import BadInput
from imedbench.core.metrics import Metric, MetricInfo, RegisteredPair
from imedbench.core.registry import METRICS
from imedbench.core.transforms import Affine
from imedbench.core.types import Outcome
from imedbench.datasets.manifest import Manifest
from imedbench.metrics.reference_vessels import reference_vessels
from imedbench.runs.scoring import score
from imedbench.runs.store import Prediction, Score, Store

LANDMARKS = ("tre_mean",)


@pytest.fixture
def data(tmp_path: Path, write_manifest: Callable[..., Path]) -> Path:
    return write_manifest(tmp_path / "data", ["cf", "cf", "cf"])


@pytest.fixture
def store(tmp_path: Path, data: Path) -> Iterator[Store]:
    """A good row (off by 1 px), a failure and a crash; identity is off by 2 px."""
    store = Store(tmp_path / "run", create=True)
    store.set_pairs(Manifest(root=data).refs("multi-modal"))
    store.set_method("m", None)
    good = Prediction(
        "k0", "m", "multi-modal", "p0", Outcome.OK, transform=Affine([[1, 0, 3], [0, 1, 0]])
    )
    store.add_prediction(good)
    store.add_prediction(
        replace(good, key="k1", pair_id="p1", outcome=Outcome.DEGENERATE, reason="mirror")
    )
    store.add_prediction(
        replace(good, key="k2", pair_id="p2", outcome=Outcome.CRASH, transform=None, reason="bug")
    )
    yield store
    store.close()


def scores(store: Store, data: Path, *metrics: str) -> dict[tuple[str, str], Score]:
    score(store, Manifest(root=data), metrics or LANDMARKS)
    return {(s.prediction, s.metric): s for s in store.scores()}


def test_failures_have_no_value_and_all_have_the_identitys(store: Store, data: Path) -> None:
    found = scores(store, data)
    assert found["k0", "tre_mean"].value == pytest.approx(1)
    assert found["k0", "tre_mean"].identity == pytest.approx(2)
    assert found["k1", "tre_mean"].value is None, "a degenerate transform is not scored"
    assert found["k1", "tre_mean"].identity == pytest.approx(2)
    assert ("k2", "tre_mean") not in found, "a crash is no answer"


def test_images_of_very_many_pixels_are_not_compared_one_by_one(
    store: Store, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imedbench.core.metrics.MAX_COMPARED", 4000)
    found = scores(store, data, "mse", "folding", *LANDMARKS)
    for name in ("mse", "folding"):
        assert found["k0", name].value is None
        assert found["k0", name].reason == (
            "the fixed image has 0.004096 million pixels,"
            " and only 0.004 million are compared one by one"
        )
    assert found["k0", "tre_mean"].value == pytest.approx(1)


def test_metrics_that_a_pair_cannot_answer_are_left_out(store: Store, data: Path) -> None:
    found = scores(store, data, "tre_mean_um", "mse_image", "dice")
    assert {metric for _, metric in found} == {"dice"}


@pytest.fixture
def counted(short_lived_plugins: None) -> list[str]:
    """A metric that counts how often it is computed, and on which pairs."""
    calls: list[str] = []

    def compute(case: RegisteredPair) -> float:
        calls.append(case.views.pair.pair_id)
        return float("nan") if case.views.pair.pair_id == "p1" else 5.0

    METRICS.register("counted")(lambda: Metric(MetricInfo("counted", "counts"), compute))
    return calls


def test_what_is_up_to_date_is_not_computed_again(
    store: Store, data: Path, counted: list[str]
) -> None:
    first = scores(store, data, "counted")
    assert counted == ["p0", "p0", "p1"], "twice for a success, once for what a failure is charged"
    assert first["k0", "counted"].value == 5
    assert first["k1", "counted"].identity is None
    assert scores(store, data, "counted") == first
    assert len(counted) == 3


def test_another_version_of_a_metric_is_computed_again(
    store: Store, data: Path, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scores(store, data, "counted")
    newer = Metric(MetricInfo("counted", "counts", version="2"), lambda case: 7.0)
    monkeypatch.setitem(METRICS._factories, "counted", lambda: newer)
    found = scores(store, data, "counted")
    assert found["k0", "counted"].value == 7
    assert found["k0", "counted"].version == "2"


def test_a_corrected_ground_truth_is_scored_again(
    store: Store, data: Path, counted: list[str]
) -> None:
    scores(store, data, "counted", "tre_mean")
    counted.clear()
    (data.parent / "0.csv").write_text("moving_x,moving_y,fixed_x,fixed_y\n8,9,11,9\n")
    found = scores(store, data, "counted", "tre_mean")
    assert found["k0", "tre_mean"].value == pytest.approx(0)
    assert set(counted) == {"p0"}, "the other pair's truth is as it was"


def test_unknown_metrics_are_refused_before_anything_is_scored(store: Store, data: Path) -> None:
    with pytest.raises(BadInput, match="did you mean tre_mean"):
        scores(store, data, "dice", "tre_mea")
    assert list(store.scores()) == []


def test_views_of_a_pair_are_computed_once_for_all_methods(
    store: Store, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counting(pixels: np.ndarray) -> np.ndarray:
        calls.append(pixels.shape)
        return reference_vessels(pixels)

    store.add_prediction(
        Prediction("k9", "n", "multi-modal", "p0", Outcome.OK, transform=Affine.identity())
    )
    dataset: Dataset = Manifest(root=data)
    monkeypatch.setattr("imedbench.metrics.reference_vessels.reference_vessels", counting)
    score(store, dataset, ("mse", "dice", "tre_mean"))
    assert len(calls) == 4, "two images of each of two answered pairs"
