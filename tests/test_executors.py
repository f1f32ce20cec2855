"""The three places where calls are made: the same tables, whatever methods and metrics do."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imedbench.core.errors import BadEnvironment, BadInput
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, ImagePair, Outcome
from imedbench.runs.calls import Task
from imedbench.runs.executors import Execution, Pool
from imedbench.runs.metric_service import Batch, Case, CellByCell, MetricSettings, PairCases
from imedbench.runs.ray_actors import RayWorker, connect, count_places
from imedbench.runs.services import NoPlace, WorkerSettings
from imedbench.runs.store import Score, Store

Cli = Callable[..., Any]
BAD_METRICS = Path(__file__).parent / "plugins" / "bad_metrics.py"
ACTS = ("random", "give-up", "own-transform", "mirror", "numpy-values", "shift")
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: extra ray")


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """A cluster on this machine, which the tests share: starting one takes seconds."""
    ray = pytest.importorskip("ray")
    for _ in range(3):  # it gives a busy machine 30 s
        with suppress(BadEnvironment):
            connect(Execution("ray", 2), 1)
            break
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("executors")


@pytest.fixture
def exported(
    cli: Cli, folder: Path, troublesome: Path, write_manifest: Callable[..., Path]
) -> Callable[..., dict[str, bytes]]:
    """Runs and scores into a folder, and gives the files that an export makes, times left out."""
    data = folder / "data" / "pairs.csv"
    if not data.is_file():
        write_manifest(data.parent, ACTS)

    def run(name: str, *options: object) -> dict[str, bytes]:
        out = folder / name
        if not out.is_dir():
            ended = cli(
                *("run", "--data", data, "--methods", "identity,troublesome", "--out", out),
                *("--plugin", troublesome, "--plugin", BAD_METRICS, "--split", "multi-modal"),
                *("--metrics", "mse,tre_mean,inverse_consistency,drawn_metric", "--swapped"),
                *("--no-page", *options),
            )
            assert ended.code == 0, ended.err
            with sqlite3.connect(out / Store.FILE) as db:
                db.execute("UPDATE predictions SET latency_ms = NULL, stages = '{}'")
            assert cli("export", out, "--plugin", BAD_METRICS).code == 0
        return {file.name: file.read_bytes() for file in (out / "export").iterdir()}

    return run


@pytest.mark.parametrize(
    "options",
    [
        ("--executor", "in-process"),
        ("--workers", 2),
        pytest.param(("--executor", "ray", "--workers", 2), marks=needs_ray),
    ],
    ids=str,
)
def test_tables_are_the_same_to_the_byte(
    options: tuple[object, ...],
    exported: Callable[..., dict[str, bytes]],
    request: pytest.FixtureRequest,
) -> None:
    if "ray" in options:
        request.getfixturevalue("ray_here")
    assert exported("-".join(map(str, options)), *options) == exported("processes")


# Metrics of strangers

REASONS = {
    "metric-hang": "no answer within 8 s",
    "metric-segfault": "the process died (SIGSEGV)",
    "metric-exit": "the process died (exit 0)",
    "metric-leave": "SystemExit: bye",
    "metric-raise": "KeyError: 'no such thing'",
    "metric-text": "'good', which is no number",
    "metric-none": "which is no number",
    "metric-array": "which is no number",
    "metric-infinite": "infinite",
    "metric-flood": "",
}


def test_a_bad_metric_costs_its_own_cells(
    cli: Cli, tmp_path: Path, troublesome: Path, write_manifest: Callable[..., Path]
) -> None:
    data = write_manifest(tmp_path / "data", [*REASONS, "shift"])
    ended = cli(
        *("run", "--data", data, "--methods", "troublesome", "--plugin", troublesome, "--no-page"),
        *("--split", "multi-modal", "--out", tmp_path / "run", "--metrics", "tre_mean"),
    )
    assert ended.code == 0, ended.err
    ended = cli(
        *("score", tmp_path / "run", "--metrics", "tre_mean,bad_metric", "--plugin", BAD_METRICS),
        *("--timeout", 8),
    )
    assert ended.code == 0, ended.err
    assert len(ended.out) < 20_000
    found = scores(tmp_path / "run")
    for number, (act, reason) in enumerate(REASONS.items()):
        bad, good = found[f"p{number}", "bad_metric"], found[f"p{number}", "tre_mean"]
        assert reason in bad.reason, act
        assert (bad.value is None) == (reason != ""), act
        assert bad.identity == 2, act
        assert good.value == pytest.approx(0, abs=1e-9), act
        assert good.identity == pytest.approx(2), act
    last = found[f"p{len(REASONS)}", "bad_metric"]
    assert (last.value, last.identity, last.reason) == (2, 2, "")


def test_a_metric_that_takes_too_much_memory_is_ended() -> None:
    settings = MetricSettings(("bad_metric",), (BAD_METRICS,), memory_gib=0.3)
    image = Image(np.zeros((16, 16), np.uint8), "metric-eat")
    case = Case(("bad_metric",), Affine([[1, 0, 2], [0, 1, 0]]))
    pair = PairCases(ImagePair("p", image, image), "multi-modal", (case,))
    caller = CellByCell(Execution().caller(settings, 100))
    (value, reason), unmoved = caller.call(Batch((pair,))).cells
    caller.close()
    assert (value, unmoved) == (None, (2, ""))
    assert reason == "the process took more than 0.3 GiB"


def test_a_metric_that_a_worker_does_not_know_costs_its_own_cells() -> None:
    image = Image(np.zeros((16, 16), np.uint8))
    case = Case(("nowhere", "folding"), Affine([[1, 0, 2], [0, 1, 0]]))
    pair = PairCases(ImagePair("p", image, image), "multi-modal", (case,))
    caller = CellByCell(Execution("in-process").caller(MetricSettings(case.metrics), 100))
    (value, reason), known, *_ = caller.call(Batch((pair,))).cells
    assert value is None
    assert "there is no metric named 'nowhere'" in reason
    assert known == (0, "")


def scores(run: Path) -> dict[tuple[str, str], Score]:
    store = Store(run)
    pairs = {row.key: row.pair_id for row in store.predictions(transforms=False)}
    found = {(pairs[s.prediction], s.metric): s for s in store.scores()}
    store.close()
    return found


# Ray


@needs_ray
@pytest.mark.usefixtures("ray_here")
@pytest.mark.parametrize(
    ("act", "outcome", "reason"),
    [
        ("shift", Outcome.OK, ""),
        ("hang", Outcome.TIMEOUT, "no answer within 3 s"),
        ("segfault", Outcome.CRASH, "the process died (SIGSEGV)"),
    ],
)
def test_a_method_in_an_actor_is_judged_as_anywhere(
    act: str, outcome: Outcome, reason: str, troublesome: Path
) -> None:
    settings = WorkerSettings("troublesome", (troublesome,), warm_up=False)
    caller = Execution("ray", 1).caller(settings, 3)
    image = Image(np.zeros((16, 16), np.uint8), act)
    result = caller.call(Task(image, image, 0))
    caller.close()
    assert (result.outcome, reason in result.reason) == (outcome, True)


@needs_ray
@pytest.mark.usefixtures("ray_here")
def test_an_actor_that_is_lost_is_replaced(troublesome: Path) -> None:
    import ray

    settings = WorkerSettings("troublesome", (troublesome,), warm_up=False)
    worker = RayWorker(settings, 20, Execution("ray", 1), 0)
    image = Image(np.zeros((16, 16), np.uint8), "shift")
    assert worker.call(Task(image, image, 0)).outcome is Outcome.OK
    ray.kill(worker._actor)
    assert worker.call(Task(image, image, 0)).outcome is Outcome.OK
    gone = worker._make_actor()
    ray.kill(gone)
    worker.close()
    worker._make_actor = lambda _: gone  # type: ignore[method-assign]
    lost = worker.call(Task(image, image, 0))
    assert lost.outcome is Outcome.CRASH
    assert lost.reason == "its actor was lost (ActorDiedError), 3 times"


@needs_ray
@pytest.mark.usefixtures("ray_here")
def test_there_are_no_more_actors_than_the_cluster_has_room_for() -> None:
    many = Execution("ray", 64)
    assert count_places(many, 1, 0) == 2
    assert count_places(many, 2, 0) == 1
    for threads, gpus, wanted in ((3, 0, "3 CPU for"), (1, 1, "1 CPU and 1 GPU for")):
        with pytest.raises(BadInput, match=wanted):
            count_places(many, threads, gpus)


@needs_ray
@pytest.mark.usefixtures("ray_here")
def test_one_whose_machine_is_gone_does_not_wait_for_the_others_for_ever(
    troublesome: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.setattr("imedbench.runs.ray_actors.ROOM_S", 0.5)
    settings = WorkerSettings("troublesome", (troublesome,), warm_up=False)
    worker = RayWorker(settings, 20, Execution("ray", 1), 0)
    image = Image(np.zeros((16, 16), np.uint8), "shift")
    assert worker.call(Task(image, image, 0)).outcome is Outcome.OK
    lost, worker._actor = worker._actor, None
    other = worker._make_actor()  # the cluster has room for two
    third = ray.remote(num_cpus=1)(type("Other", (), {})).remote()  # and waits for its turn
    worker._actor = lost
    ray.kill(lost)
    with pytest.raises(NoPlace):
        worker.call(Task(image, image, 0))
    for actor in (other, third):
        ray.kill(actor)
    assert worker.call(Task(image, image, 0)).outcome is Outcome.OK
    worker.close()


class Shrinking:
    """Answers so often, then has no place any more."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def call(self, task: int) -> int:
        if not self.left:
            raise NoPlace
        self.left -= 1
        return task

    def close(self) -> None:
        """Nothing to end."""

    end = close


def test_what_one_without_a_place_was_asked_the_others_answer() -> None:
    callers = iter([Shrinking(1), Shrinking(99)])
    with Pool(lambda: next(callers), lambda: 2) as pool:
        found = dict(pool.results((n, n) for n in range(20)))
    assert found == {n: n for n in range(20)}


def test_without_any_place_the_run_ends_with_one_line() -> None:
    callers = iter([Shrinking(1), Shrinking(2)])
    with Pool(lambda: next(callers), lambda: 2) as pool:
        results = pool.results((n, n) for n in range(20))
        with pytest.raises(BadEnvironment, match="run again to go on"):
            list(results)


# What does not fit together


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--executor", "threads"), "there is none; say processes, in-process, ray"),
        (("--executor", "in-process", "--workers", 2), "one call at a time"),
        (("--address", "auto"), "say --executor ray"),
    ],
)
def test_executors_that_cannot_be(cli: Cli, options: tuple[object, ...], why: str) -> None:
    ended = cli("run", *options)
    assert ended.code == 2
    assert why in ended.err
    assert ended.err.count("\n") == 1


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(BadInput, match=r"pip install 'imedbench\[ray\]'"):
        Execution("ray").caller(WorkerSettings("identity"), 1)
