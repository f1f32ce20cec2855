"""One attempt at a pair: candidate poses, refinement, sub-pixel alignment, evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from imedbench.core.arrays import Matrix
from imedbench.core.stages import stage
from imedbench.core.types import Image
from imedbench.methods.imed.lines import Targets, build_targets, trace_lines
from imedbench.methods.imed.pairing import select_distinct
from imedbench.methods.imed.polish import polish_pose
from imedbench.methods.imed.refine import (
    AFFINE,
    HOMOGRAPHY,
    Round,
    refine_poses,
    shortlist_poses,
)
from imedbench.methods.imed.search import SearchRange, search
from imedbench.methods.imed.selfcheck import Evidence, choose_answer, gather_evidence
from imedbench.methods.vessel_maps import Segmenter, VesselMap, working_image

if TYPE_CHECKING:
    from imedbench.methods.imed.method import Refinement

_MAX_POINTS = 4500  # of an image's centre lines
_LAST_POINTS = 2000  # of each image that look for a partner in the last steps
_ROUNDS = (
    Round(n_points=200, radii=(24, 8), steps=4, reach=6.0, keep=16),
    Round(n_points=500, radii=(10, 4), steps=5, reach=3.0, keep=16),
)


@dataclass(frozen=True, eq=False)
class Prepared:
    """One image, ready to be registered.

    Args:
        vessels: how vessel-like each pixel of its working frame is.
        targets: the vessels' centre lines, and tables that find the nearest.
        work_from_native: 3×3, from the image's own pixels to those of the working frame.
    """

    vessels: VesselMap
    targets: Targets
    work_from_native: Matrix


@dataclass(frozen=True)
class Budget:
    """How far an attempt goes.

    Args:
        refine: the most general transform of the refinement.
        polish: align the maps below a pixel at the end.
        candidates: how many clearly different poses of the search are looked at closely.
        finalists: how many different answers are refined to the end.
        last_steps: of Gauss–Newton with the homography.
    """

    refine: Refinement
    polish: bool
    candidates: int
    finalists: int
    last_steps: int


@dataclass(frozen=True, eq=False)
class Attempt:
    """The outcome of one attempt.

    Args:
        fixed: image whose frame is kept.
        moving: image brought into that frame.
        pose: 3×3 fixed_from_moving, between the working frames of the two.
        evidence: what speaks for it.
    """

    fixed: Prepared
    moving: Prepared
    pose: Matrix
    evidence: Evidence

    @property
    def native_pose(self) -> Matrix:
        """3×3 fixed_from_moving, between the images' own pixels."""
        to_fixed = np.linalg.inv(self.fixed.work_from_native)
        return np.asarray(to_fixed @ self.pose @ self.moving.work_from_native)


def prepare(image: Image, scale: float, segment: Segmenter) -> Prepared:
    """Find the vessels of an image.

    Args:
        image: any modality.
        scale: of the working frame to the image.
        segment: finds vessels.
    """
    with stage("normalise"):
        view = working_image(image, scale)
    with stage("maps"):
        vessels = segment(view)
    with stage("lines"):
        targets = build_targets(trace_lines(vessels, _MAX_POINTS))
    return Prepared(vessels, targets, view.work_from_native)


def attempt(fixed: Prepared, moving: Prepared, span: SearchRange, budget: Budget) -> Attempt:
    """Search for poses, refine the likeliest, polish the best and judge it.

    Args:
        fixed: image whose frame is kept.
        moving: image to be brought into that frame.
        span: which poses to search.
        budget: how far to go.
    """
    still, moved = fixed.targets, moving.targets
    with stage("search"):
        candidates = search(still.lines, moved.lines, span, budget.candidates).matrices
    with stage("refine"):
        poses = _finalists(still, moved, candidates, budget)
        judged = [gather_evidence(still, moved, pose) for pose in poses]
        best, evidence = choose_answer(judged)
    pose = poses[best]
    if budget.polish and budget.refine == "homography":
        with stage("polish"):
            pose = polish_pose(fixed.vessels, moving.vessels, pose)
    return Attempt(fixed, moving, pose, evidence)


def _finalists(fixed: Targets, moving: Targets, poses: Matrix, budget: Budget) -> Matrix:
    """Different answers, refined as far as they may be."""
    if budget.refine != "off":
        poses = shortlist_poses(fixed, moving, poses, _ROUNDS)
    poses = poses[select_distinct(poses, moving.lines.shape, budget.finalists)]
    if budget.refine in ("affine", "homography"):
        poses = refine_poses(fixed, moving, poses, np.geomspace(6, 3, 4), AFFINE, _LAST_POINTS)
    if budget.refine == "homography":
        radii = np.geomspace(5, 3, budget.last_steps)
        poses = refine_poses(fixed, moving, poses, radii, HOMOGRAPHY, _LAST_POINTS)
    return poses
