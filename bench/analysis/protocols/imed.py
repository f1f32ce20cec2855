"""Rules by which registrations of the IMED data set were and are graded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from imedbench.analysis.protocols.curves import auc_below, auc_recall
from imedbench.analysis.protocols.evidence import Grade, PairEvidence, Protocol, grade_rates
from imedbench.core.arrays import Matrix
from imedbench.core.errors import IncompleteRun

ERROR_OF_A_FAILURE = 1e6  # px
FEWEST_MATCHES = 4
IDENTITY_TOLERANCE = 1e-3


def _grade_by_outcome(pair: PairEvidence) -> Grade:
    return Grade.FAILED if pair.outcome.is_failure else Grade.REGISTERED


def _seed_figures(pairs: Sequence[PairEvidence], grades: Sequence[Grade]) -> dict[str, float]:
    registered = [grade is Grade.REGISTERED for grade in grades]
    scores = [
        _known(pair.mse, pair) if good else None
        for pair, good in zip(pairs, registered, strict=True)
    ]
    successes = [score for score in scores if score is not None]
    penalised = [
        pair.identity_mse if score is None else score
        for pair, score in zip(pairs, scores, strict=True)
    ]
    return {
        "mse": _mean(successes),
        "rmse": _mean([float(np.sqrt(score)) for score in successes]),
        "failures": float(registered.count(False)),
        "mse_penalised": _mean_if_all(penalised, lambda score: score),
        "rmse_penalised": _mean_if_all(penalised, lambda score: float(np.sqrt(score))),
    }


def _known(mse: float | None, pair: PairEvidence) -> float:
    if mse is None:
        raise IncompleteRun(f"imed-seed-v1: pair {pair.pair_id} has no mse")
    return mse


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else np.nan


def _mean_if_all(values: Sequence[float | None], of: Callable[[float], float]) -> float:
    known = [of(value) for value in values if value is not None]
    return _mean(known) if len(known) == len(values) else np.nan


def _is_identity(matrix: Matrix) -> bool:
    scale = matrix[2, 2]
    return bool(scale != 0 and np.abs(matrix / scale - np.eye(3)).max() <= IDENTITY_TOLERANCE)


def _grade_by_lab(pair: PairEvidence) -> Grade:
    too_few = pair.n_matches is not None and pair.n_matches < FEWEST_MATCHES
    if too_few or pair.errors is None or not np.isfinite(pair.mean_error):
        return Grade.FAILED
    matrix = pair.matrix
    if matrix is not None and (not np.isfinite(matrix).all() or _is_identity(matrix)):
        return Grade.FAILED
    beyond = pair.errors.max > 50 or pair.errors.median > 20
    return Grade.INACCURATE if beyond else Grade.ACCEPTABLE


def _lab_figures(pairs: Sequence[PairEvidence], grades: Sequence[Grade]) -> dict[str, float]:
    means = [
        ERROR_OF_A_FAILURE if grade is Grade.FAILED else pair.mean_error
        for pair, grade in zip(pairs, grades, strict=True)
    ]
    good = [
        pair.errors
        for pair, grade in zip(pairs, grades, strict=True)
        if grade is Grade.ACCEPTABLE and pair.errors is not None
    ]
    # A squared distance is the sum of two squared coordinate differences: hence the half.
    coordinate_mse = [errors.rms**2 / 2 for errors in good]
    return grade_rates(grades) | {
        "mse": _mean(coordinate_mse),
        "mace": _mean([errors.mean for errors in good]),
        "auc_5": auc_recall(means, 5),
        "auc_10": auc_recall(means, 10),
        "auc_20": auc_recall(means, 20),
        "mauc": auc_below(means, 25),
    }


SEED = Protocol(
    name="imed-seed-v1",
    summary=(
        "mean over registered pairs of the vessel maps' mse and of its root, and failures of n; "
        "penalised: with identity's figure in a failed pair's place"
    ),
    source="the first IMED benchmark of 2022; ranks: fewest failures first, then the smaller mse",
    grade=_grade_by_outcome,
    figures=_seed_figures,
    order_key=lambda figures: (figures["failures"], figures["mse"]),
    needs_landmarks=False,
)

LAB = Protocol(
    name="imed-lab-v3",
    summary=(
        "failed: fewer than 4 matches, no finite matrix, or one within 1e-3 of identity; "
        "inaccurate: max > 50 px or median > 20 px; mse of coordinates and mace over acceptable "
        "pairs; auc_t: recall curve up to t px; mauc: mean over t = 1…25 px of mean error < t"
    ),
    source="the current rule of the IMED laboratory, whose images are 512×512",
    grade=_grade_by_lab,
    figures=_lab_figures,
    order_key=lambda figures: (-figures["mauc"],),
)
