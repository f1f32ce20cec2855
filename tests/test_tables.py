"""Means that charge failures, and means that are refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from imedbench.analysis.tables import is_failure, pair_table, penalised, summarise, unanswered
from imedbench.core.datasets import PairRef
from imedbench.core.transforms import Affine
from imedbench.core.types import Outcome
from imedbench.runs.store import Prediction, Score, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "run", create=True)
    refs = [PairRef(f"p{n}", "multi-modal", "test", f"eye-{n}", "cf", "octa") for n in range(3)]
    store.set_pairs(refs)
    yield store
    store.close()


def fill(store: Store, method: str, outcomes: Sequence[Outcome], values: Sequence[float]) -> None:
    """Rows with a tre_mean; identity's is 10, 20, 30; latencies are 1, 2, 3 ms."""
    store.set_method(method, None)
    for n, (outcome, value) in enumerate(zip(outcomes, values, strict=True)):
        ok = outcome is Outcome.OK
        row = Prediction(
            f"{method}{n}",
            method,
            "multi-modal",
            f"p{n}",
            outcome,
            reason="" if ok else "why",
            transform=Affine.identity() if ok else None,
            latency_ms=n + 1.0,
            timed_alone=n < 2,
        )
        store.add_prediction(row)
        if outcome.is_answer:
            charged = 10.0 * (n + 1)
            store.add_scores([Score(row.key, "tre_mean", "1", "t", value if ok else None, charged)])


def only_row(store: Store) -> dict[str, object]:
    (row,) = summarise(pair_table(store), ["tre_mean", "dice"])
    return row.as_dict()


def test_failures_are_charged_the_identitys_score(store: Store) -> None:
    fill(store, "m", [Outcome.OK, Outcome.TIMEOUT, Outcome.OK], [1, np.nan, 4])
    row = only_row(store)
    assert row["tre_mean"] == pytest.approx((1 + 20 + 4) / 3)
    assert row["tre_mean|ok"] == pytest.approx(2.5)
    assert (row["n"], row["failures"], row["unanswered"]) == (3, 1, 0)
    assert "dice" not in row


@pytest.mark.parametrize("outcome", [Outcome.CRASH, Outcome.SKIPPED])
def test_an_unanswered_pair_refuses_every_mean(outcome: Outcome, store: Store) -> None:
    fill(store, "m", [Outcome.OK, outcome, Outcome.OK], [1, np.nan, 4])
    row = only_row(store)
    assert "tre_mean" not in row
    assert (row["failures"], row["unanswered"]) == (0, 1)


def test_a_pair_without_a_row_is_missing_and_refuses_every_mean(store: Store) -> None:
    fill(store, "m", [Outcome.OK, Outcome.OK], [1, 2])
    table = pair_table(store)
    assert table["outcome"].tolist() == ["ok", "ok", "missing"]
    assert unanswered(table)["reason"].tolist() == ["not computed"]
    assert "tre_mean" not in only_row(store)


def test_a_success_without_a_value_is_not_dropped_from_the_mean(store: Store) -> None:
    fill(store, "m", [Outcome.OK] * 3, [1, np.nan, 4])
    row = only_row(store)
    assert np.isnan(float(str(row["tre_mean"])))
    assert np.isnan(float(str(row["tre_mean|ok"])))


def test_one_methods_gap_is_not_another_methods(store: Store) -> None:
    fill(store, "a", [Outcome.OK, Outcome.CRASH, Outcome.OK], [1, np.nan, 4])
    fill(store, "b", [Outcome.OK] * 3, [3, 3, 3])
    a, b = summarise(pair_table(store), ["tre_mean"])
    assert (a.method, a.means, a.failure_text) == ("a", {}, "0 of 3, 1 unanswered")
    assert (b.method, b.mean("tre_mean"), b.failure_text) == ("b", 3, "0 of 3")


def test_nothing_but_failures_has_a_mean_but_none_over_successes(store: Store) -> None:
    fill(store, "m", [Outcome.NO_TRANSFORM] * 3, [np.nan] * 3)
    row = only_row(store)
    assert row["tre_mean"] == 20
    assert np.isnan(float(str(row["tre_mean|ok"])))
    assert row["latency_ms"] is None


def test_an_infinite_error_is_an_infinite_mean(store: Store) -> None:
    fill(store, "m", [Outcome.OK] * 3, [1, np.inf, 4])
    assert only_row(store)["tre_mean"] == np.inf


def test_latency_counts_only_successes_timed_alone(store: Store) -> None:
    fill(store, "m", [Outcome.OK, Outcome.NO_TRANSFORM, Outcome.OK], [1, np.nan, 4])
    assert only_row(store)["latency_ms"] == 1, "the third was not timed alone"


def test_penalised_values_keep_the_order_of_rows(store: Store) -> None:
    fill(store, "m", [Outcome.OUT_OF_MEMORY, Outcome.OK, Outcome.DEGENERATE], [np.nan, 5, np.nan])
    table = pair_table(store)
    assert penalised(table, "tre_mean").tolist() == [10, 5, 30]
    assert is_failure(table).tolist() == [True, False, True]


def test_a_run_without_rows_is_an_empty_table(store: Store) -> None:
    table = pair_table(store)
    assert table.empty
    assert {"method", "split", "pair_id", "outcome", "key"} <= set(table.columns)
    assert summarise(table) == []
    store.set_method("m", None)
    unscored = pair_table(store)
    assert unscored["outcome"].tolist() == ["missing"] * 3
    assert summarise(unscored)[0].failure_text == "3 unanswered"
