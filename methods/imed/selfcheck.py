"""Which of several answers is the likeliest, whether it can be believed, and how exact it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtr

from imedbench.core.arrays import Matrix
from imedbench.methods.imed.agreement import measure_agreement, measure_meeting
from imedbench.methods.imed.lines import Targets
from imedbench.methods.imed.pairing import find_pairs, scales_of

_ALL_POINTS = 1 << 30
# Log odds of being right: offset, then a weight for each of `Evidence.features`. The error of a
# right answer is exp(_ERROR[0]) · spread ** _ERROR[1] px, give or take a factor of exp(_SCATTER).
# Both by tests/tools/calibrate_imed.py, seed 21, which says how well they tell on eyes left out.
_OFFSET, _WEIGHTS = -25.86, (9.75, 3.80, 6.62, 9.57, -11.23)
_ERROR, _SCATTER = (-0.39, 1.69), 0.54
_MAX_LEAD = 0.5  # a larger lead says no more; at this one the other candidates are not looked at
# Of 390 right answers on training eyes none overlaps less than 0.23; unrelated eyes may, by chance.
_MIN_OVERLAP = 0.15
_LEAST_SPREAD = 0.05  # px: none of those answers has less
_RIGHT = 0.01  # of the fixed image's longer side, about 5 px of 512: errors below it are right


@dataclass(frozen=True)
class Evidence:
    """What speaks for a transform.

    Args:
        excess_match_rate: share of the vessels in the overlap that meet, less what chance gives.
        z_score: the same in standard deviations of chance.
        overlap: share of an image's vessels that lie in the overlap, the larger of both.
        met_length: of the vessels of both that meet, px of the coarser image.
        spread: how far apart those run, likewise.
        pixel: such a pixel as a share of the fixed image's longer side.
        lead: logarithm of how many times its z-score is that of the best different answer; 0 where
            there is none to compare it with.
    """

    excess_match_rate: float
    z_score: float
    overlap: float
    met_length: float
    spread: float
    pixel: float
    lead: float = 0.0

    def features(self) -> tuple[float, float, float, float, float]:
        """Return what the logistic regression reads, in the order of its weights."""
        length, lead = float(np.log1p(self.met_length)), min(self.lead, _MAX_LEAD)
        return self.excess_match_rate, length, self.overlap, lead, self.spread

    @property
    def log_odds(self) -> float:
        """Logarithm of how many times likelier the pose is right than wrong."""
        parts = zip(_WEIGHTS, self.features(), strict=True)
        return sum((weight * value for weight, value in parts), _OFFSET)

    @property
    def trust(self) -> float:
        """Probability that the pose is right; 0 where the images hardly overlap."""
        return 0.0 if self.overlap < _MIN_OVERLAP else float(expit(self.log_odds))

    @property
    def expected_error(self) -> float:
        """Median error of right answers like this, as a share of the fixed image's longer side."""
        px = np.exp(_ERROR[0]) * max(self.spread, _LEAST_SPREAD) ** _ERROR[1]
        return float(px * self.pixel)

    @property
    def confidence(self) -> float:
        """Probability that the pose is right and its error below 1 % of the longer side."""
        return self.trust * float(ndtr(np.log(_RIGHT / self.expected_error) / _SCATTER))

    def lead_over(self, others: Sequence[Evidence]) -> float:
        """Logarithm of how many times its z-score is the best of different answers.

        Where all candidates became one answer, none came near it.
        """
        if not others:
            return _MAX_LEAD
        return float(np.log((self.z_score + 1) / (max(e.z_score for e in others) + 1)))


def gather_evidence(fixed: Targets, moving: Targets, pose: Matrix) -> Evidence:
    """Ask all vessels of both images about a pose, 3×3 fixed_from_moving."""
    pairs = find_pairs(fixed, moving, pose[None], _ALL_POINTS)
    found, meeting = measure_agreement(pairs), measure_meeting(pairs)
    coarser = max(float(scales_of(pose[None])[0]), 1.0)  # px of the fixed image
    return Evidence(
        float(found.excess_match_rate[0]),
        float(found.z_score[0]),
        float(found.overlap[0]),
        float(meeting.length[0]),
        float(meeting.spread[0]),
        coarser / max(fixed.lines.shape),
    )
