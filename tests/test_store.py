"""The embedded database of a run."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imedbench.core.datasets import PairRef
from imedbench.core.errors import BadInput
from imedbench.core.transforms import Affine, DenseField, to_dict
from imedbench.core.types import MethodInfo, Outcome
from imedbench.runs.rows import read_info
from imedbench.runs.store import Prediction, Score, Store

ROW = Prediction(
    key="k1",
    method="sift:ratio=0.7",
    split="multi-modal",
    pair_id="p1",
    outcome=Outcome.OK,
    transform=Affine([[1, 0, 1 / 3], [0, 1, -2e-17]]),
    confidence=0.25,
    latency_ms=12.5,
    timed_alone=False,
    stages={"maps": 3.5},
    details={"n_matches": 7, "estimator": "MAGSAC"},
)
REF = PairRef("p1", "multi-modal", "test", "eye-1", "cf", "octa", "a note", "S")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "run", create=True)
    yield store
    store.close()


def plain(row: Prediction) -> tuple[Prediction, object]:
    return replace(row, transform=None), None if row.transform is None else to_dict(row.transform)


def test_a_row_comes_back_as_it_went_in(store: Store) -> None:
    failed = Prediction("k2", "m", "single-modal", "p1", Outcome.TIMEOUT, "too slow")
    for row in (ROW, failed):
        store.add_prediction(row)
    assert [plain(r) for r in store.predictions()] == [plain(ROW), plain(failed)]
    assert [r.key for r in store.predictions("m")] == ["k2"]
    assert store.keys("m") == {("single-modal", "p1", False): ("k2", Outcome.TIMEOUT)}


def test_a_dense_field_goes_to_a_file_and_leaves_with_its_row(store: Store) -> None:
    field = DenseField(np.random.default_rng(0).normal(size=(70, 60, 2)))
    store.add_prediction(replace(ROW, transform=field))
    file = store.folder / "transforms" / "k1.npz"
    assert file.is_file()
    (row,) = store.predictions()
    assert isinstance(row.transform, DenseField)
    np.testing.assert_array_equal(row.transform.displacement, field.displacement)
    store.remove("k1")
    assert not file.exists()
    assert list(store.predictions()) == []


def test_no_pair_can_have_two_rows(store: Store) -> None:
    store.add_prediction(ROW)
    for twin in (ROW, replace(ROW, key="other")):
        with pytest.raises(sqlite3.IntegrityError):
            store.add_prediction(twin)


def test_scores_are_replaced_and_leave_with_their_row(store: Store) -> None:
    store.add_prediction(ROW)
    old = Score("k1", "tre_mean", "1", "truth", 3.0, 9.0)
    store.add_scores([old, replace(old, metric="dice", value=None)])
    store.add_scores([replace(old, version="2", value=float("inf"))])
    found = {s.metric: s for s in store.scores()}
    assert found["tre_mean"] == replace(old, version="2", value=float("inf"))
    assert found["dice"].value is None
    store.remove("k1")
    assert list(store.scores()) == []


def test_pairs_keep_the_data_sets_order_and_are_brought_up_to_date(store: Store) -> None:
    refs = [replace(REF, pair_id=name) for name in ("b", "a", "c")]
    store.set_pairs(refs)
    assert store.pairs() == refs
    renamed = replace(refs[1], group="eye-2")
    store.set_pairs([refs[0], renamed, refs[2]])
    assert store.pairs() == [refs[0], renamed, refs[2]]
    store.forget_pairs()
    assert store.pairs() == []


def test_methods_keep_their_order_and_their_facts(store: Store) -> None:
    info = MethodInfo("sift", "keypoints", "homography", trained_on=("a", "b"))
    store.set_method("sift", None)
    store.set_method("identity", replace(info, name="identity"))
    store.set_method("sift", info)
    store.set_method("sift", None)
    assert list(store.methods()) == ["sift", "identity"]
    assert store.methods()["sift"] == info


def test_everything_can_be_forgotten(store: Store) -> None:
    store.set_pairs([REF])
    store.set_method("m", None)
    store.add_prediction(ROW)
    store.add_scores([Score("k1", "tre_mean", "1", "truth", 3.0, 9.0)])
    store.forget_everything()
    assert (store.pairs(), store.methods()) == ([], {})
    assert (list(store.predictions()), list(store.scores())) == ([], [])


def test_a_reader_sees_finished_rows_while_another_writes(store: Store) -> None:
    reader = Store(store.folder)
    store.add_prediction(ROW)
    assert [r.key for r in reader.predictions()] == ["k1"]
    reader.close()


def test_folders_without_a_usable_database_are_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no run here"):
        Store(tmp_path)
    (tmp_path / Store.FILE).write_text("not a database, but long enough to look like one" * 30)
    with pytest.raises(BadInput, match="not a database of imedbench"):
        Store(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be made"):
        Store(tmp_path / "file", create=True)
    with sqlite3.connect(tmp_path / "newer.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer.sqlite").rename(tmp_path / "newer" / Store.FILE)
    with pytest.raises(BadInput, match="schema 99"):
        Store(tmp_path / "newer")


def test_a_folder_of_the_old_schema_is_refused_and_left_alone(
    tmp_path: Path, cli: Callable[..., Any]
) -> None:
    store = Store(tmp_path, create=True)
    store.close()
    (tmp_path / "run.json").write_text("{}")
    with sqlite3.connect(tmp_path / Store.FILE) as db:
        db.execute("PRAGMA user_version = 2")
    db.close()
    before = (tmp_path / Store.FILE).read_bytes()
    for create in (False, True):
        with pytest.raises(BadInput, match=r"schema 2, this one reads 3\); run again into a new"):
            Store(tmp_path, create=create)
    ended = cli("merge", tmp_path, tmp_path, "--out", tmp_path / "out")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "schema 2" in ended.err
    assert (tmp_path / Store.FILE).read_bytes() == before


def test_facts_of_a_later_version_are_left_out_and_damaged_ones_named() -> None:
    later = '{"name": "m", "summary": "s", "family": "f", "trained_on": ["a"], "later": 1}'
    assert read_info(later) == MethodInfo("m", "s", "f", trained_on=("a",))
    for damaged in ("", "[]", "{}", '{"name": 1, "summary": "s", "family": "f"}'):
        with pytest.raises(BadInput, match="the facts of a method"):
            read_info(damaged)
