"""Does a run come out the same again?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imedbench.analysis.run import Run
from imedbench.core.datasets import PairRef
from imedbench.core.errors import BadInput
from imedbench.core.progress import Progress
from imedbench.core.transforms import SingularTransformError, Transform
from imedbench.core.types import ImagePair, Outcome, Registration
from imedbench.runs.hashing import seed_for
from imedbench.runs.store import Prediction
from imedbench.runs.validity import check_transform
from imedbench.runs.worker import CallResult, Task, Worker, WorkerSettings

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
        """Whether outcomes are equal and no point moved by more than the tolerance."""
        same = all(outcome is self.stored for outcome in self.outcomes)
        moved = 0.0 if np.isnan(self.largest_px) else self.largest_px
        return same and moved <= tolerance_px


def verify_run(run: Run, *, sample: int, repeat: int, seed: int, progress: Progress) -> list[Check]:
    """Compute a sample of rows again, on this machine, with the run's own settings.

    Args:
        run: the run.
        sample: rows of each method, picked at random.
        repeat: times each; more than one also compares the repeats with one another.
        seed: of the choice.
        progress: is told of every row.

    Raises:
        BadInput: when the run has no rows.
    """
    rng = np.random.default_rng(seed)
    by_method: dict[str, list[Prediction]] = {}
    for row in run.store.predictions():
        if row.outcome.is_answer:
            by_method.setdefault(row.method, []).append(row)
    if not by_method:
        raise BadInput(f"{run.folder}: no rows to verify")
    chosen = {
        method: [rows[i] for i in sorted(rng.permutation(len(rows))[:sample])]
        for method, rows in by_method.items()
    }
    progress.begin(sum(map(len, chosen.values())))
    return [
        check for m, rows in chosen.items() for check in _checks(run, m, rows, repeat, progress)
    ]


def _checks(
    run: Run, method: str, rows: Sequence[Prediction], repeat: int, progress: Progress
) -> Iterator[Check]:
    config = run.settings["config"]
    plugins = [Path(plugin) for plugin in run.settings.get("plugins", [])]
    settings = WorkerSettings(method, plugins, config["device"], config["threads"])
    worker = Worker(settings, config["timeout_s"])
    refs: dict[tuple[str, str], PairRef] = {
        (ref.split, ref.pair_id): ref for ref in run.store.pairs()
    }
    progress.method(method)
    try:
        for row in rows:
            ref = refs[row.split, row.pair_id]
            pair = run.dataset.load(ref)
            answers = [worker.call(_task(config["seed"], ref, pair)) for _ in range(repeat)]
            yield _check(row, pair, answers)
            progress.row(method, row.pair_id)
    finally:
        worker.close()


def _task(seed: int, ref: PairRef, pair: ImagePair) -> Task:
    return Task(pair.fixed, pair.moving, seed_for(seed, ref.split, ref.pair_id))


def _check(row: Prediction, pair: ImagePair, answers: Sequence[CallResult]) -> Check:
    outcomes = tuple(_outcome(answer, pair) for answer in answers)
    transforms = [a.registration.fixed_from_moving if a.registration else None for a in answers]
    distances = [_distance(row.transform, transform, pair) for transform in transforms]
    known = [d for d in distances if not np.isnan(d)]
    varies = _first_difference([a.registration for a in answers])
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


def _outcome(answer: CallResult, pair: ImagePair) -> Outcome:
    transform = answer.registration.fixed_from_moving if answer.registration else None
    if transform is None:
        return answer.outcome
    return check_transform(transform, pair.fixed.shape, pair.moving.shape)[0]


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


def _first_difference(results: Sequence[Registration | None]) -> str:
    """What differs first between repeats, bit by bit."""
    if any(r is None for r in results):
        return "" if all(r is None for r in results) else "outcome"
    first, *others = (_parts(r) for r in results if r is not None)
    for name, content in first.items():
        if any(other[name] != content for other in others):
            return name
    return ""


def _parts(result: Registration) -> dict[str, object]:
    shown, transform = result.diagnostics, result.fixed_from_moving
    matches = shown.matches
    return {
        "pictures": {name: picture.tobytes() for name, picture in shown.images.items()},
        "matches": matches and (matches.moving.tobytes(), matches.fixed.tobytes()),
        "values": dict(shown.values),
        "transform": transform
        and transform.apply([[0, 0], [100, 0], [0, 100], [90, 80]]).tobytes(),
    }
