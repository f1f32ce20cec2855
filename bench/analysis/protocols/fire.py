"""Rules by which papers grade registrations of the FIRE data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imedbench.analysis.protocols.curves import auc_below, auc_up_to
from imedbench.analysis.protocols.evidence import Grade, PairEvidence, Protocol, grade_rates

BAD_CONTROL_POINTS = "P37_1_2"


def _grade_inclusive(pair: PairEvidence) -> Grade:
    if pair.errors is None:
        return Grade.FAILED
    within = pair.errors.median <= 20 and pair.errors.max <= 50
    return Grade.ACCEPTABLE if within else Grade.INACCURATE


def _grade_strict(pair: PairEvidence) -> Grade:
    if pair.errors is None:
        return Grade.FAILED
    within = pair.errors.median < 10 and pair.errors.max < 30
    return Grade.ACCEPTABLE if within else Grade.INACCURATE


def _category_areas(pairs: Sequence[PairEvidence], grades: Sequence[Grade]) -> dict[str, float]:
    areas = {
        f"auc_{category}" if category else "auc": auc_below(
            [pair.mean_error for pair in pairs if pair.category == category]
        )
        for category in sorted({pair.category for pair in pairs})
    }
    mauc = float(np.mean(list(areas.values())))
    return grade_rates(grades) | areas | {"mauc": mauc} | _pair_errors(pairs)


def _rates(pairs: Sequence[PairEvidence], grades: Sequence[Grade]) -> dict[str, float]:
    return grade_rates(grades) | _pair_errors(pairs)


def _pair_errors(pairs: Sequence[PairEvidence]) -> dict[str, float]:
    """Means over the registered pairs of their median error (MEE) and maximum error (MAE), px."""
    known = [pair.errors for pair in pairs if pair.errors is not None]
    return {
        "mee": float(np.mean([errors.median for errors in known])) if known else np.nan,
        "mae": float(np.mean([errors.max for errors in known])) if known else np.nan,
    }


def _pooled_area(pairs: Sequence[PairEvidence], grades: Sequence[Grade]) -> dict[str, float]:
    registered = sum(grade is not Grade.FAILED for grade in grades)
    area = auc_up_to([pair.mean_error for pair in pairs])
    return {"auc": area, "failed": 1 - registered / len(pairs)}


SUPERRETINA = Protocol(
    name="fire-superretina-v1",
    summary=(
        "acceptable: median ≤ 20 px and max ≤ 50 px; mauc: mean over categories of the mean over "
        "t = 1…25 px of the share of pairs with mean error < t; mee, mae: mean over registered "
        "pairs of the median and of the maximum error, px"
    ),
    source="Liu et al., Semi-supervised keypoint detector and descriptor …, ECCV 2022",
    grade=_grade_inclusive,
    figures=_category_areas,
    order_key=lambda figures: (-figures["mauc"],),
    excluded=(BAD_CONTROL_POINTS,),
)

GLAMPOINTS = Protocol(
    name="fire-glampoints-v1",
    summary=(
        "acceptable: median < 10 px and max < 30 px; mee, mae: mean over registered pairs of the "
        "median and of the maximum error, px"
    ),
    source="Truong et al., GLAMpoints: greedily learned accurate match points, ICCV 2019",
    grade=_grade_strict,
    figures=_rates,
    order_key=lambda figures: (-figures["acceptable"], figures["failed"]),
)

RETINAREGNET = Protocol(
    name="fire-retinaregnet-v1",
    summary="auc: sum over t = 0…25 px of the share of pairs with mean error ≤ t, over 25, pooled",
    source="Sivaraman et al., RetinaRegNet, 2024",
    grade=lambda pair: Grade.FAILED if pair.errors is None else Grade.REGISTERED,
    figures=_pooled_area,
    order_key=lambda figures: (-figures["auc"],),
)


def _class_means(pairs: Sequence[PairEvidence], grades: Sequence[Grade]) -> dict[str, float]:
    """Mean error of the registered pairs, by category, without the bad pair and with it."""
    known = [pair for pair in pairs if pair.errors is not None]
    good = [pair for pair in known if BAD_CONTROL_POINTS not in pair.pair_id]
    by_class = {
        f"mle_{c}": [pair.mean_error for pair in good if pair.category == c]
        for c in sorted({pair.category for pair in pairs} - {""})
    }
    chosen = {
        "mle": [pair.mean_error for pair in good],
        **by_class,
        "mle_with_P37": [pair.mean_error for pair in known],
    }
    means = {name: float(np.mean(errors)) if errors else np.nan for name, errors in chosen.items()}
    return means | {"failed": 1 - len(known) / len(pairs)}


LANDMARK_ERROR = Protocol(
    name="fire-mle-v1",
    summary=(
        "mle: mean over registered pairs of the mean landmark error, px, also by category; "
        "P37_1_2, whose control points are wrong, counts in mle_with_P37 alone"
    ),
    source="as EyeLiner and RetinaRegNet report FIRE, 2024; ranks: fewest failures, then mle",
    grade=lambda pair: Grade.FAILED if pair.errors is None else Grade.REGISTERED,
    figures=_class_means,
    order_key=lambda figures: (figures["failed"], figures["mle"]),
)
