"""One attempt at a pair: candidate poses, refinement, sub-pixel alignment, evidence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from imedbench.core.arrays import Matrix
from imedbench.core.stages import stage
from imedbench.core.types import Image
from imedbench.methods.imed.lines import Targets, build_targets, trace_lines
from imedbench.methods.imed.pairing import project, select_distinct
from imedbench.methods.imed.refine import (
    AFFINE,
    HOMOGRAPHY,
    SIMILARITY,
    Fit,
    Round,
    Step,
    converge,
    refine,
    shortlist_poses,
)
from imedbench.methods.imed.search import SearchRange, search
from imedbench.methods.imed.selfcheck import Evidence, gather_evidence
from imedbench.methods.vessel_maps import Segmenter, VesselMap
from imedbench.methods.working_images import closer_image

if TYPE_CHECKING:
    from imedbench.methods.imed.method import Refinement

_MAX_POINTS = 4500  # of an image's centre lines
_FIRST = Round(n_points=200, radii=(24, 8), steps=4, reach=6.0, keep=16)
_SECOND = Round(n_points=500, radii=(10, 4), steps=5, reach=3.0, keep=16)
# From where the first round leaves a clear leader, and the second several finalists, to where all
# points take over:
_NEARER = [Step(radius, AFFINE, 1000) for radius in np.geomspace(8, 3, 5)]
_NEAREST = [Step(radius, AFFINE, 2000) for radius in np.geomspace(6, 3, 4)]
_EARLY = 8  # candidates that are looked at before all are
_CLEAR_LEAD = 0.5  # of the best of them, at which the others are not looked at
_CERTAIN = 0.99  # trust that such an answer must have
_NO_LEAD = 0.1  # below which an answer is not worth the last steps: none of 111 right ones on
_HOPELESS = 0.5  # training eyes leads by less than 0.2, of 163 wrong ones half by less than 0.03
_MAX_MOVE = 0.02  # of the image, by which a larger map may move an answer
_FREEDOM = {
    "similarity": SIMILARITY,
    "affine": AFFINE,
    "homography": HOMOGRAPHY,
    "curved": HOMOGRAPHY,
}


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
        candidates: how many clearly different poses of the search are looked at closely.
        finalists: how many different answers are refined to the end.
    """

    refine: Refinement
    candidates: int
    finalists: int


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
    def size(self) -> int:
        """Longest side of the working frames, px."""
        return max(*self.fixed.vessels.fov.shape, *self.moving.vessels.fov.shape)

    @property
    def native_side(self) -> float:
        """Longer side of what is looked at of the fixed image, its own px."""
        return max(self.fixed.vessels.fov.shape) / float(self.fixed.work_from_native[0, 0])

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
        view = closer_image(image, scale)
    with stage("maps"):
        vessels = segment(view)
    with stage("lines"):
        targets = build_targets(trace_lines(vessels, _MAX_POINTS))
    return Prepared(vessels, targets, view.work_from_native)


def attempt(fixed: Prepared, moving: Prepared, span: SearchRange, budget: Budget) -> Attempt:
    """Search for poses, refine the likeliest, converge with the best and judge it.

    Most pairs have one answer that leads clearly at scales near 1; the rest of the search and the
    refinement of the other candidates are for those that have not.

    Args:
        fixed: image whose frame is kept.
        moving: image to be brought into that frame.
        span: which poses to search.
        budget: how far to go.
    """
    still, moved = fixed.targets, moving.targets
    with stage("search"):
        found = search(still.lines, moved.lines, span, budget.candidates, "near")
    if budget.refine != "off":
        with stage("refine"):
            early = _early_answer(still, moved, found.matrices[:_EARLY], budget)
        if early is not None and early[1].trust >= _CERTAIN:
            return Attempt(fixed, moving, *early)
    with stage("search"):
        far = search(still.lines, moved.lines, span, budget.candidates, "far")
        found = found.and_also(far).distinct(moved.lines.shape, budget.candidates)
    with stage("refine"):
        return Attempt(fixed, moving, *_best_answer(still, moved, found.matrices, budget))


def finish_at(best: Attempt, fixed: Prepared, moving: Prepared, budget: Budget) -> Attempt:
    """Converge in larger working frames with what was found in smaller ones.

    The larger maps, on which the answer was not found, may be noisy: they may move it a little.

    Args:
        best: what was found.
        fixed: the same fixed image, larger.
        moving: the same moving image, larger.
        budget: how far to go.
    """
    back = np.linalg.inv(moving.work_from_native)
    start = Fit.of(
        (fixed.work_from_native @ best.native_pose @ back)[None], fixed.targets.lines.shape
    )
    with stage("refine"):
        fit = converge(fixed.targets, moving.targets, start, _FREEDOM[budget.refine])
    height, width = moving.targets.lines.shape
    corners = np.array([[0, width, 0, width], [0, 0, height, height]], np.float64)
    moved = np.abs(project(fit.poses, corners) - project(start.poses, corners)).max()
    if moved > _MAX_MOVE * max(fixed.targets.lines.shape):
        return best
    return Attempt(fixed, moving, fit.poses[0], best.evidence)


def _early_answer(
    fixed: Targets, moving: Targets, poses: Matrix, budget: Budget
) -> tuple[Matrix, Evidence] | None:
    """The leader of a few candidates, refined to the end, if it leads clearly."""
    found = shortlist_poses(fixed, moving, poses, _FIRST)
    best = select_distinct(found.poses, moving.lines.shape, 2)
    scores = np.append(found.z_scores[best], 0.0) + 1
    lead = float(np.log(scores[0] / scores[1]))
    if lead < _CLEAR_LEAD:
        return None
    return _finish(
        fixed, moving, _bent(fixed, moving, found.poses[:1], budget, _NEARER), lead, budget
    )


def _best_answer(
    fixed: Targets, moving: Targets, poses: Matrix, budget: Budget
) -> tuple[Matrix, Evidence]:
    """The likeliest of all candidates, refined to the end."""
    if budget.refine != "off":
        for each in (_FIRST, _SECOND):
            poses = shortlist_poses(fixed, moving, poses, each).poses
    poses = poses[select_distinct(poses, moving.lines.shape, budget.finalists)]
    fits = _bent(fixed, moving, poses, budget, _NEAREST)
    judged = [gather_evidence(fixed, moving, pose) for pose in fits.poses]
    best = int(np.argmax([evidence.log_odds for evidence in judged]))
    others = [
        evidence
        for pose, evidence in zip(fits.poses, judged, strict=True)
        if len(select_distinct(np.stack([fits.poses[best], pose]), moving.lines.shape, 2)) > 1
    ]
    lead = judged[best].lead_over(others)
    found = replace(judged[best], lead=lead)
    if lead < _NO_LEAD and found.trust < _HOPELESS:
        return fits.poses[best], found
    return _finish(fixed, moving, fits.only(best), lead, budget)


def _bent(
    fixed: Targets, moving: Targets, poses: Matrix, budget: Budget, steps: Iterable[Step]
) -> Fit:
    """Similarities refined far enough to be compared."""
    fits = Fit.of(poses, fixed.lines.shape)
    if budget.refine == "off":
        return fits
    freedom = min(AFFINE, _FREEDOM[budget.refine])
    return refine(fixed, moving, fits, [replace(step, freedom=freedom) for step in steps])


def _finish(
    fixed: Targets, moving: Targets, fit: Fit, lead: float, budget: Budget
) -> tuple[Matrix, Evidence]:
    """One answer taken to where it stays, and what speaks for it."""
    if budget.refine != "off":
        fit = converge(fixed, moving, fit, _FREEDOM[budget.refine])
    pose = fit.poses[0]
    return pose, replace(gather_evidence(fixed, moving, pose), lead=lead)
