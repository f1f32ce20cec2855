"""Whether a found transform can be believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imedbench.methods.imed.pairing import agreement, find_pairs
from imedbench.methods.imed.targets import Targets

_EVERY = 1 << 30  # all points
# Fitted to right and wrong transforms of eyes that no test uses: see tests/stress_imed.py.
_OFFSET, _PER_SHARE, _PER_SURPRISE, _PER_OVERLAP = -22.9, 20.45, 3.4, 2.85


@dataclass(frozen=True)
class Evidence:
    """What speaks for a transform.

    Args:
        share: share of the vessels in the overlap that meet, less what chance gives.
        surprise: the same in standard deviations of chance.
        overlap: share of an image's vessels that lie in the overlap, the larger of both.
    """

    share: float
    surprise: float
    overlap: float


def gather(fixed: Targets, moving: Targets, pose: NDArray[np.float64]) -> Evidence:
    """Ask the vessels of both images.

    Args:
        fixed: vessels of the fixed image.
        moving: vessels of the moving image.
        pose: 3×3 fixed_from_moving.
    """
    found = agreement(find_pairs(fixed, moving, pose[None], _EVERY))
    return Evidence(float(found.share[0]), float(found.surprise[0]), float(found.seen[0]))


def confidence(evidence: Evidence) -> float:
    """Probability that the transform is right, from a logistic fit to right and wrong ones."""
    score = (
        _OFFSET
        + _PER_SHARE * evidence.share
        + _PER_SURPRISE * np.log(max(evidence.surprise, 1.0))
        + _PER_OVERLAP * evidence.overlap
    )
    return float(1 / (1 + np.exp(-score)))
