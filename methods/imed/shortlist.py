"""From many candidate poses to the few that the vessels' centre lines confirm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imedbench.methods.imed.pairing import Matrices, agreement, find_pairs, scales
from imedbench.methods.imed.refine import SIMILARITY, refine
from imedbench.methods.imed.targets import Targets

_DRIFT = 1.4  # a pose whose scale changes more than this fell onto other vessels


@dataclass(frozen=True)
class Round:
    """One round of the selection.

    Args:
        asking: points of each image that look for a partner.
        radii: first and last truncation radius of the alignment, px.
        steps: of Gauss–Newton.
        reach: px within which vessels meet.
        keep: how many poses go on.
    """

    asking: int
    radii: tuple[float, float]
    steps: int
    reach: float
    keep: int


def shortlist(
    fixed: Targets, moving: Targets, poses: Matrices, rounds: tuple[Round, ...]
) -> Matrices:
    """Align every pose a little, keep those that agree most, align these better, and so on.

    Args:
        fixed: vessels of the fixed image.
        moving: vessels of the moving image.
        poses: K×3×3 fixed_from_moving.
        rounds: what to do in which order.

    Returns:
        Similarities, best first.
    """
    for each in rounds:
        radii = np.geomspace(*each.radii, each.steps)
        moved = refine(fixed, moving, poses, radii, SIMILARITY, each.asking)
        found = agreement(find_pairs(fixed, moving, moved, each.asking), each.reach)
        drift = np.abs(np.log(scales(moved) / scales(poses)))
        surprise = np.where(drift < np.log(_DRIFT), found.surprise, 0)
        poses = moved[np.argsort(-surprise, kind="stable")[: each.keep]]
    return poses
