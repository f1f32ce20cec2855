"""Does a run come out the same again?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imedbench.analysis.run import Run, plugin_hint
from imedbench.core.datasets import PairRef
from imedbench.core.errors import BadInput
from imedbench.core.options import PluginSpec
from imedbench.core.progress import Progress
from imedbench.core.registry import METHODS
from imedbench.core.transforms import SingularTransformError, Transform, to_bytes
from imedbench.core.types import ImagePair, Outcome
from imedbench.runs.calls import CallResult, Task
from imedbench.runs.hashing import seed_for
from imedbench.runs.rows import Prediction
from imedbench.runs.services import WorkerSettings
from imedbench.runs.worker import Worker

_GRID = 9  # points a side of the moving image at which two transforms are compared


@dataclass(frozen=True)
class Check:
    """One stored row, computed again.

    Args:
        method: spec.
        split: of the pair.
        pair_id: of the pair.
        stored: the outcome in the run.
        outcomes: what came out now, each time.
        largest_px: farthest that any point ends from where it ended in the run; NaN where either
            has no transform.
        varies: the first thing that differs, in the order methods make them: ``pictures``,
            ``matches``, ``values``, ``transform`` or ``outcome``; empty if nothing does.
    """

    method: str
    split: str
    pair_id: str
    stored: Outcome
    outcomes: tuple[Outcome, ...]
    largest_px: float
    varies: str

    def agrees(self, tolerance_px: float) -> bool:
        """Tell whether outcomes are equal and no point moved by more than the tolerance."""
        same = all(outcome is self.stored for outcome in self.outcomes)
        moved = 0.0 if np.isnan(self.largest_px) else self.largest_px
        return same and moved <= tolerance_px


def verify_run(
    run: Run,
    *,
    sample: int,
    repeat: int,
    seed: int,
    progress: Progress,
    plugins: Sequence[Path] = (),
) -> list[Check]:
    """Compute a sample of rows again, on this machine, with the run's own settings.

    Args:
        run: the run.
        sample: rows of each method, picked at random.
        repeat: times each; more than one also compares the repeats with one another.
        seed: of the choice.
        progress: is told of every row.
        plugins: files that bring methods of the run.

    Raises:
        BadInput: when the run has no rows, or one of its methods is not known here.
    """
    rng = np.random.default_rng(seed)
    by_method: dict[str, list[Prediction]] = {}
    for row in run.store.predictions():
        if row.outcome.is_answer and "imported" not in row.details:
            by_method.setdefault(row.method, []).append(row)
    if not by_method:
        raise BadInput(f"{run.folder}: no rows to verify")
    for method in by_method:
        try:
            METHODS.factory(PluginSpec.parse(method).name)
        except BadInput as error:
            raise BadInput(f"{run.folder}: {error}{plugin_hint(run.settings)}") from error
    chosen = {
        method: [rows[i] for i in sorted(rng.permutation(len(rows))[:sample])]
        for method, rows in by_method.items()
    }
    progress.begin(sum(map(len, chosen.values())))
    config = run.settings["config"]
    return [
        check
        for method, rows in chosen.items()
        for check in _checks(
            run,
            WorkerSettings(method, plugins, config["device"], config["threads"]),
            rows,
            repeat,
            progress,
        )
    ]


def _checks(
    run: Run,
    settings: WorkerSettings,
    rows: Sequence[Prediction],
    repeat: int,
    progress: Progress,
) -> Iterator[Check]:
    config = run.settings["config"]
    refs: dict[tuple[str, str], PairRef] = {
        (ref.split, ref.pair_id): ref for ref in run.store.pairs()
    }
    progress.method(settings.method)
    with closing(Worker(settings, config["timeout_s"])) as worker:
        for row in rows:
            pair = run.dataset.load(refs[row.split, row.pair_id])
            seed = seed_for(config["seed"], row.split, row.pair_id)
            task = Task(pair.fixed, pair.moving, seed)
            yield _check(row, pair, [worker.call(task) for _ in range(repeat)])
            progress.row(settings.method, row.pair_id)


def _check(row: Prediction, pair: ImagePair, results: Sequence[CallResult]) -> Check:
    outcomes = tuple(result.outcome for result in results)
    distances = [_distance(row.transform, result.transform, pair) for result in results]
    known = [d for d in distances if not np.isnan(d)]
    varies = _first_difference(results)
    if not varies and (max(known, default=0.0) > 0 or any(o is not row.outcome for o in outcomes)):
        varies = "transform" if all(o is row.outcome for o in outcomes) else "outcome"
    return Check(
        method=row.method,
        split=row.split,
        pair_id=row.pair_id,
        stored=row.outcome,
        outcomes=outcomes,
        largest_px=max(known, default=np.nan),
        varies=varies,
    )


def _distance(a: Transform | None, b: Transform | None, pair: ImagePair) -> float:
    """Farthest apart two transforms put a point of the moving image, px; NaN without both."""
    if a is None or b is None:
        return np.nan
    height, width = pair.moving.shape
    x, y = np.linspace(0, width - 1, _GRID), np.linspace(0, height - 1, _GRID)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    try:
        first, second = a.apply(grid), b.apply(grid)
    except SingularTransformError:
        return np.nan
    apart = np.linalg.norm(first - second, axis=1)
    return float(np.nanmax(apart)) if np.isfinite(apart).any() else np.nan


def _first_difference(results: Sequence[CallResult]) -> str:
    """What differs first between repeats, bit by bit."""
    first, *others = map(_parts, results)
    for name, content in first.items():
        if any(other[name] != content for other in others):
            return name
    return ""


def _parts(result: CallResult) -> dict[str, object]:
    """What can differ, in the order methods make it."""
    transform = result.transform
    return {
        "pictures": result.pictures,
        "matches": result.matches,
        "values": result.details,
        "transform": transform and to_bytes(transform),
        "outcome": result.outcome,
    }
