"""One attempt at a pair: candidate poses, refinement, sub-pixel alignment, evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imedbench.core.stages import stage
from imedbench.methods.imed import selfcheck
from imedbench.methods.imed.distinct import distinct
from imedbench.methods.imed.options import Refinement
from imedbench.methods.imed.polish import polish
from imedbench.methods.imed.prepare import Prepared
from imedbench.methods.imed.refine import AFFINE, HOMOGRAPHY, refine
from imedbench.methods.imed.selfcheck import Evidence
from imedbench.methods.imed.shortlist import Round, shortlist
from imedbench.methods.imed.targets import Targets

Matrix = NDArray[np.float64]
Propose = Callable[[Prepared, Prepared], Matrix]

_ASKING = 2000  # points of each image in the last steps
_ROUNDS = (
    Round(asking=200, radii=(24, 8), steps=4, reach=6.0, keep=16),
    Round(asking=500, radii=(10, 4), steps=5, reach=3.0, keep=16),
)


@dataclass(frozen=True)
class Effort:
    """How far an attempt goes.

    Args:
        refine: the most general transform of the refinement.
        polish: align the maps below a pixel at the end.
        finalists: how many different answers are refined to the end.
        last_steps: of Gauss–Newton with the homography.
    """

    refine: Refinement
    polish: bool
    finalists: int
    last_steps: int


@dataclass(frozen=True, eq=False)
class Found:
    """The outcome of one attempt.

    Args:
        fixed: image whose frame is kept.
        moving: image brought into that frame.
        pose: 3×3 fixed_from_moving, between the working frames of the two.
        evidence: what speaks for it.
        confidence: probability that it is right.
    """

    fixed: Prepared
    moving: Prepared
    pose: Matrix
    evidence: Evidence
    confidence: float

    @property
    def native_pose(self) -> Matrix:
        """3×3 fixed_from_moving, between the images' own pixels."""
        to_fixed = np.linalg.inv(self.fixed.view.work_from_native)
        return np.asarray(to_fixed @ self.pose @ self.moving.view.work_from_native)


def attempt(fixed: Prepared, moving: Prepared, propose: Propose, effort: Effort) -> Found:
    """Propose poses, refine the likeliest, polish the best and judge it.

    Args:
        fixed: image whose frame is kept.
        moving: image to be brought into that frame.
        propose: candidate poses of the two, K×3×3.
        effort: how far to go.
    """
    candidates = propose(fixed, moving)
    with stage("refine"):
        poses = _refined(fixed.targets, moving.targets, candidates, effort)
        judged = [selfcheck.gather(fixed.targets, moving.targets, pose) for pose in poses]
        best, evidence = selfcheck.choose(judged)
    pose = poses[best]
    if effort.polish and effort.refine == "homography":
        with stage("polish"):
            pose = polish(fixed.vessels, moving.vessels, pose)
    return Found(fixed, moving, pose, evidence, selfcheck.confidence(evidence))


def _refined(fixed: Targets, moving: Targets, poses: Matrix, effort: Effort) -> Matrix:
    """The finalists: different answers, refined as far as they may be."""
    if effort.refine != "off":
        poses = shortlist(fixed, moving, poses, _ROUNDS)
    poses = poses[distinct(poses, moving.lines.shape, effort.finalists)]
    if effort.refine in ("affine", "homography"):
        poses = refine(fixed, moving, poses, np.geomspace(6, 3, 4), AFFINE, _ASKING)
    if effort.refine == "homography":
        radii = np.geomspace(5, 3, effort.last_steps)
        poses = refine(fixed, moving, poses, radii, HOMOGRAPHY, _ASKING)
    return poses
