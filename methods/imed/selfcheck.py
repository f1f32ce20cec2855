"""Which of several answers is the likeliest, and whether it can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imedbench.methods.imed.pairing import agreement, find_pairs
from imedbench.methods.imed.targets import Targets

_EVERY = 1 << 30  # all points
# Fitted to right and wrong transforms of eyes that no test uses: see tests/calibrate_imed.py.
_OFFSET, _PER_SHARE, _PER_SURPRISE, _PER_OVERLAP, _PER_LEAD = -22.27, 23.82, 2.13, 4.25, 20.68
ENOUGH_LEAD = 0.2  # a larger lead says no more


@dataclass(frozen=True)
class Evidence:
    """What speaks for a transform.

    Args:
        share: share of the vessels in the overlap that meet, less what chance gives.
        surprise: the same in standard deviations of chance.
        overlap: share of an image's vessels that lie in the overlap, the larger of both.
        lead: logarithm of how many times more surprising it is than the best different answer; 0
            where there is none to compare it with.
    """

    share: float
    surprise: float
    overlap: float
    lead: float = 0.0


def gather(fixed: Targets, moving: Targets, pose: NDArray[np.float64]) -> Evidence:
    """Ask the vessels of both images.

    Args:
        fixed: vessels of the fixed image.
        moving: vessels of the moving image.
        pose: 3×3 fixed_from_moving.
    """
    found = agreement(find_pairs(fixed, moving, pose[None], _EVERY))
    return Evidence(float(found.share[0]), float(found.surprise[0]), float(found.seen[0]))


def choose(judged: Sequence[Evidence]) -> tuple[int, Evidence]:
    """The likeliest of different answers, with its lead over the others.

    Args:
        judged: the evidence of each, at least one.

    Returns:
        Its index and its evidence.
    """
    best = int(np.argmax([_score(evidence) for evidence in judged]))
    others = [evidence.surprise for k, evidence in enumerate(judged) if k != best]
    lead = 0.0
    if others:
        lead = float(np.log((judged[best].surprise + 1) / (max(others) + 1)))
    return best, replace(judged[best], lead=lead)


def confidence(evidence: Evidence) -> float:
    """Probability that the transform is right, from a logistic fit to right and wrong ones."""
    return float(1 / (1 + np.exp(-_score(evidence))))


def _score(evidence: Evidence) -> float:
    """Log odds."""
    return float(
        _OFFSET
        + _PER_SHARE * evidence.share
        + _PER_SURPRISE * np.log(max(evidence.surprise, 1.0))
        + _PER_OVERLAP * evidence.overlap
        + _PER_LEAD * min(evidence.lead, ENOUGH_LEAD)
    )
