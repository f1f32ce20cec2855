"""Two sides of a comparison, on runs written straight into the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imedbench.analysis.comparison import Condition, MetricComparison, RunSelector, compare_runs
from imedbench.analysis.statistics import compare_paired
from imedbench.core.datasets import PairRef
from imedbench.core.errors import BadInput, IncompleteRun
from imedbench.core.transforms import Affine
from imedbench.core.types import Outcome
from imedbench.runs.store import Prediction, Score, Store

IDENTITY_TRE = 20.0


def write_run(folder: Path, errors: dict[str, Sequence[float | Outcome]]) -> Path:
    """A run whose methods have the given TRE on each pair, or an outcome other than ok."""
    store = Store(folder, create=True)
    n = max(map(len, errors.values()))
    store.set_pairs(
        PairRef(f"p{i}", "multi-modal", "test", f"e{i}", "cf", "octa") for i in range(n)
    )
    for method, values in errors.items():
        store.set_method(method, None)
        for i, value in enumerate(values):
            key, ok = f"{folder.name}-{method}-{i}", not isinstance(value, Outcome)
            outcome = Outcome.OK if ok else value
            transform = Affine.identity() if ok else None
            assert isinstance(outcome, Outcome)
            store.add_prediction(
                Prediction(key, method, "multi-modal", f"p{i}", outcome, "why", transform=transform)
            )
            if outcome.is_answer:
                tre = float(value) if ok else None  # type: ignore[arg-type]
                store.add_scores([Score(key, "tre_mean", "1", "t", tre, IDENTITY_TRE)])
    store.close()
    return folder


def compare(
    base: Path, new: Path, metrics: Sequence[str] = ("tre_mean",)
) -> list[MetricComparison]:
    return compare_runs(RunSelector.parse(str(base)), RunSelector.parse(str(new)), metrics)


def test_same_method_in_two_runs_is_compared_pair_by_pair(tmp_path: Path) -> None:
    before, after = np.linspace(2, 4, 9), np.linspace(1, 2.5, 9)
    base = write_run(tmp_path / "base", {"m": before.tolist()})
    new = write_run(tmp_path / "new", {"m": after.tolist()})
    (row,) = compare(base, new)
    expected = compare_paired(before, after, [f"e{i}" for i in range(9)])
    assert (row.before, row.after) == pytest.approx((before.mean(), after.mean()))
    assert row.paired.mean_difference.estimate == pytest.approx(after.mean() - before.mean())
    assert row.p == pytest.approx(expected.p_wilcoxon)
    assert row.better is True


def test_failures_are_charged_with_the_identity(tmp_path: Path) -> None:
    base = write_run(tmp_path / "base", {"m": [1.0, Outcome.NO_TRANSFORM, 3.0]})
    new = write_run(tmp_path / "new", {"m": [1.0, 2.0, 3.0]})
    tre, failures = compare(base, new, ["tre_mean", "failures"])
    assert tre.before == pytest.approx((1 + IDENTITY_TRE + 3) / 3)
    assert (failures.before, failures.after) == (1, 0)
    assert failures.better is None  # one pair proves nothing


def test_two_methods_of_one_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"a": [4.0] * 8, "b": [1.0] * 8})
    sides = RunSelector.parse(f"{run}@a"), RunSelector.parse(f"{run}@b")
    (row,) = compare_runs(*sides, ["tre_mean"])
    assert row.method == "a → b"
    assert (row.before, row.after) == (4.0, 1.0)


def test_worse_is_worse_and_equal_is_nothing(tmp_path: Path) -> None:
    values = [1.0, 2, 3, 4, 5, 6, 7, 8]
    base = write_run(tmp_path / "base", {"m": values, "same": values})
    new = write_run(tmp_path / "new", {"m": [v + 1 for v in values], "same": values})
    worse, same = compare(base, new)
    assert worse.better is False
    assert same.better is None


def test_a_pair_without_an_answer_stops_the_comparison(tmp_path: Path) -> None:
    base = write_run(tmp_path / "base", {"m": [1.0, Outcome.CRASH]})
    new = write_run(tmp_path / "new", {"m": [1.0, 2.0]})
    with pytest.raises(IncompleteRun, match="1 pairs have no answer"):
        compare(base, new)


def test_other_pairs_or_methods_are_refused(tmp_path: Path) -> None:
    base = write_run(tmp_path / "base", {"m": [1.0, 2.0]})
    with pytest.raises(BadInput, match="different pairs"):
        compare(base, write_run(tmp_path / "longer", {"m": [1.0, 2.0, 3.0]}))
    with pytest.raises(BadInput, match="no method and pairs in common"):
        compare(base, write_run(tmp_path / "other", {"n": [1.0, 2.0]}))
    with pytest.raises(BadInput, match="no method 'x' in it; it has m"):
        compare_runs(RunSelector.parse(f"{base}@x"), RunSelector.parse(str(base)), ["tre_mean"])
    with pytest.raises(IncompleteRun, match="dice: not scored on every pair"):
        compare(base, base, ["dice"])


@pytest.mark.parametrize(
    ("text", "before", "after", "met"),
    [
        ("tre_mean>+5%", 100.0, 105.1, True),
        ("tre_mean>+5%", 100.0, 105.0, False),
        ("tre_mean > 0.5", 1.0, 1.6, True),
        ("tre_mean<-5%", 100.0, 94.0, True),
        ("tre_mean>+5%", 0.0, 0.1, True),
        ("tre_mean>+5%", 0.0, 0.0, False),
        ("dice>+5%", 1.0, 2.0, False),
    ],
)
def test_conditions(text: str, before: float, after: float, met: bool) -> None:
    paired = compare_paired(np.array([before] * 3), np.array([after] * 3))
    row = MetricComparison("multi-modal", "m", "tre_mean", before, after, paired, 1.0, 0.1, None)
    assert Condition.parse(text).is_met(row) is met


@pytest.mark.parametrize("text", ["tre_mean", "tre_mean>", ">5%", "tre_mean>=5", "tre_mean>five"])
def test_malformed_conditions(text: str) -> None:
    with pytest.raises(BadInput, match="--fail-if"):
        Condition.parse(text)


def test_gate_from_the_command_line(tmp_path: Path, cli: Callable[..., Any]) -> None:
    base = write_run(tmp_path / "base", {"m": [1.0] * 6})
    new = write_run(tmp_path / "new", {"m": [1.2] * 6})
    ended = cli("compare", base, new, "--metrics", "tre_mean", "--fail-if", "tre_mean>+5%")
    assert ended.code == 1
    assert "failed: tre_mean>+5% by m" in ended.err
    passed = cli("compare", base, new, "--metrics", "tre_mean", "--fail-if", "tre_mean>+50%")
    assert passed.code == 0
    assert "tre_mean" in passed.out
