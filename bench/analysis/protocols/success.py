"""Rules that ask how many pairs stay within ten pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imedbench.analysis.protocols.evidence import Grade, LandmarkErrors, PairEvidence, Protocol

LIMIT_PX = 10.0


def _grade_by_rms(pair: PairEvidence) -> Grade:
    return _grade(pair.errors, pair.errors.rms if pair.errors else np.inf)


def _grade_by_mean(pair: PairEvidence) -> Grade:
    return _grade(pair.errors, pair.mean_error)


def _grade(errors: LandmarkErrors | None, error: float) -> Grade:
    if errors is None:
        return Grade.FAILED
    return Grade.ACCEPTABLE if error < LIMIT_PX else Grade.INACCURATE


def _successes(pairs: Sequence[PairEvidence], grades: Sequence[Grade]) -> list[LandmarkErrors]:
    graded = zip(pairs, grades, strict=True)
    return [p.errors for p, grade in graded if grade is Grade.ACCEPTABLE and p.errors is not None]


def _figures(pairs: Sequence[PairEvidence], grades: Sequence[Grade]) -> dict[str, float]:
    good = _successes(pairs, grades)
    return {
        "success": len(good) / len(pairs),
        "rmse_of_successes": float(np.mean([e.rms for e in good])) if good else np.nan,
        "mean_of_successes": float(np.mean([e.mean for e in good])) if good else np.nan,
    }


MEMO = Protocol(
    name="memo-success-v1",
    summary="success: root mean squared landmark error < 10 px; its mean over the successes",
    source="Wang et al., MEMO: data set and methods for multimodal retinal registration, 2023",
    grade=_grade_by_rms,
    figures=_figures,
    order_key=lambda figures: (-figures["success"], figures["rmse_of_successes"]),
)

REDFEAT = Protocol(
    name="redfeat-srr-v1",
    summary="success: mean landmark error < 10 px; its mean over the successes",
    source="Deng and Ma, ReDFeat: recoupling detection and description, 2022",
    grade=_grade_by_mean,
    figures=_figures,
    order_key=lambda figures: (-figures["success"], figures["mean_of_successes"]),
)
