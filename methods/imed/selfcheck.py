"""Which of several answers is the likeliest, and whether it can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imedbench.core.arrays import Matrix
from imedbench.methods.imed.lines import Targets
from imedbench.methods.imed.pairing import find_pairs, measure_agreement

_ALL_POINTS = 1 << 30
# Log odds of being right: offset, then a weight for each part of `Evidence`, in its order. Logistic
# regression of 24 Nov 2026 on 683 right (TRE < 5 px) and 415 wrong (> 10 px) answers on training
# eyes of cf_octa, DRIVE and CHASE_DB1: tests/tools/calibrate_imed.py, seeds 7 and 21. With a fifth
# of the cases left out in turn, asking for a confidence of 0.8 flagged 99.5 % of the wrong ones and
# withheld 1.3 % of the right ones.
_OFFSET, _WEIGHTS = -22.27, (23.82, 2.13, 4.25, 20.68)
_MAX_LEAD = 0.2  # a larger lead says no more
# Of 326 right answers on training eyes none overlaps less than 0.17; unrelated eyes may, by chance.
_MIN_OVERLAP = 0.15


@dataclass(frozen=True)
class Evidence:
    """What speaks for a transform.

    Args:
        excess_match_rate: share of the vessels in the overlap that meet, less what chance gives.
        z_score: the same in standard deviations of chance.
        overlap: share of an image's vessels that lie in the overlap, the larger of both.
        lead: logarithm of how many times its z-score is that of the best different answer; 0 where
            there is none to compare it with.
    """

    excess_match_rate: float
    z_score: float
    overlap: float
    lead: float = 0.0

    def features(self) -> tuple[float, float, float, float]:
        """Return what the logistic regression reads, in the order of its weights."""
        z_score = float(np.log(max(self.z_score, 1.0)))
        return self.excess_match_rate, z_score, self.overlap, min(self.lead, _MAX_LEAD)

    @property
    def log_odds(self) -> float:
        """Logarithm of how many times likelier the transform is right than wrong."""
        parts = zip(_WEIGHTS, self.features(), strict=True)
        return sum((weight * value for weight, value in parts), _OFFSET)

    @property
    def confidence(self) -> float:
        """Probability that the transform is right; 0 where the images hardly overlap."""
        if self.overlap < _MIN_OVERLAP:
            return 0.0
        return float(1 / (1 + np.exp(-self.log_odds)))

    def lead_over(self, others: Sequence[Evidence]) -> float:
        """Logarithm of how many times its z-score is the best of different answers.

        Where all candidates became one answer, none came near it.
        """
        if not others:
            return _MAX_LEAD
        return float(np.log((self.z_score + 1) / (max(e.z_score for e in others) + 1)))


def gather_evidence(fixed: Targets, moving: Targets, pose: Matrix) -> Evidence:
    """Ask all vessels of both images about a pose, 3×3 fixed_from_moving."""
    found = measure_agreement(find_pairs(fixed, moving, pose[None], _ALL_POINTS))
    parts = (found.excess_match_rate, found.z_score, found.overlap)
    return Evidence(*(float(part[0]) for part in parts))
