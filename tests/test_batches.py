"""Several pairs in one call: the same rows as alone, whatever becomes of the batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from imedbench.core.datasets import open_dataset
from imedbench.core.transforms import to_dict
from imedbench.core.types import Outcome
from imedbench.runs.config import RunConfig
from imedbench.runs.executors import Kind
from imedbench.runs.rows import Prediction
from imedbench.runs.runner import run
from imedbench.runs.store import Store

PLUGIN = Path(__file__).parent / "plugins" / "batching.py"
Start = Callable[..., dict[str, Prediction]]


@pytest.fixture
def start(tmp_path: Path, write_manifest: Callable[..., Path]) -> Start:
    """Runs the batching method on pairs of these modalities and gives its rows."""
    from imedbench.core.registry import load_plugin_file

    load_plugin_file(PLUGIN)

    def begin(acts: list[str], size: int, kind: Kind = "processes") -> dict[str, Prediction]:
        data, out = tmp_path / "data", tmp_path / f"run-{kind}-{size}"
        write_manifest(data, acts)
        spec = f"batching:size={size}"
        config = RunConfig(
            *(str(data / "pairs.csv"), (spec,), out, ("multi-modal",)),
            timeout_s=3,
            plugins=(PLUGIN,),
            executor=kind,
        )
        run(config, open_dataset(config.data))
        store = Store(out)
        found = {row.pair_id: row for row in store.predictions(spec)}
        store.close()
        return found

    return begin


def facts(rows: dict[str, Prediction]) -> dict[str, tuple[object, ...]]:
    return {
        name: (row.outcome, row.reason, row.transform and to_dict(row.transform))
        for name, row in rows.items()
    }


def test_rows_are_those_of_single_calls_and_say_what_their_time_is(start: Start) -> None:
    acts = ["x", "give-up", "x", "x", "x", "x", "x"]
    together, alone = start(acts, 3, "in-process"), start(acts, 1, "in-process")
    assert facts(together) == facts(alone)
    assert [row.details.get("batch") for row in together.values()] == [3, 3, 3, 3, 3, 3, None]
    assert [row.timed_alone for row in together.values()] == [False] * 6 + [True]
    first, second, third = list(together.values())[:3]
    assert first.latency_ms == second.latency_ms == third.latency_ms
    assert all(row.timed_alone and "batch" not in row.details for row in alone.values())


@pytest.mark.parametrize("act", ["raise-together", "one-too-few", "no-answer"])
def test_what_fails_in_a_batch_is_asked_alone(act: str, start: Start) -> None:
    rows = start(["x", act, "x", "x"], 3, "in-process")
    assert facts(rows) == facts(start(["x", act, "x", "x"], 1, "in-process"))
    assert "batch" not in rows["p1"].details
    assert ("batch" in rows["p0"].details) == (act == "no-answer")


def test_a_batch_that_dies_or_hangs_costs_the_pair_that_it_died_of(start: Start) -> None:
    acts = ["x", "die", "x", "x", "hang-together", "x", "x"]
    rows = start(acts, 3)
    assert rows["p1"].outcome is Outcome.CRASH
    assert "the process died (exit 7)" in rows["p1"].reason
    assert all(rows[f"p{n}"].outcome is Outcome.OK for n in (0, 2, 3, 4, 5, 6))
    assert facts(rows) == facts(start(acts, 1))
