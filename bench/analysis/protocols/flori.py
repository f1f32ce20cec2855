"""The rule by which registrations of the FLoRI21 data set are graded."""

from __future__ import annotations

from collections.abc import Sequence

from imedbench.analysis.protocols.curves import auc_up_to
from imedbench.analysis.protocols.evidence import Grade, PairEvidence, Protocol

LIMIT_PX = 100  # of images of 3900×3072 px


def _figures(pairs: Sequence[PairEvidence], grades: Sequence[Grade]) -> dict[str, float]:
    failed = sum(grade is Grade.FAILED for grade in grades)
    area = auc_up_to([pair.mean_error for pair in pairs], LIMIT_PX)
    return {"auc": area, "failed": failed / len(pairs)}


FLORI = Protocol(
    name="flori-auc-v1",
    summary="auc: sum over t = 0…100 px of the share of pairs with mean error ≤ t, over 100",
    source="Sivaraman et al., RetinaRegNet, 2024: its published evaluation script of FLoRI21",
    caveat=(
        "Read from that script alone: the data set's own paper (Ding et al., IEEE TBME 2022) was"
        " not available. Thresholds are px of its 3900×3072 images, so that on smaller ones the"
        " area says little; errors of exactly 0 bring 1.01."
    ),
    grade=lambda pair: Grade.FAILED if pair.errors is None else Grade.REGISTERED,
    figures=_figures,
    order_key=lambda figures: (-figures["auc"],),
)
