"""The maps' correlation settles a homography whose vessels are uncertain.

Where two images show the same vessels a pixel or so apart, as noise, blur and translation leave
them, whole maps tell more than centre lines: they have the vessels' widths, gaps and ends too.
Where the lines agree well they are the more exact, above all in small overlaps, since they hold
shear and perspective down. So the maps count by how far apart the lines run.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from imedbench.core.arrays import Matrix, Pixels, Plane
from imedbench.methods.imed.attempt import Attempt
from imedbench.methods.imed.overlap import find_overlap
from imedbench.methods.imed.pairing import project
from imedbench.methods.vessel_maps import VesselMap

# Chosen on synthetic eyes (seed 7, single-modal) and warped images of real ones.
_UNSURE = 0.7, 0.8  # px: vessels closer than the first are sure, those further than the second not
_BELIEVED = 4.0, 6.0  # px by which the maps may move the answer
_CLEAR = 0.6  # strength, above which a vessel is as clear as any
_SHRINK = 2  # the maps are this much smaller
_BLUR = 1.0  # px, before they are
_RIM = np.ones((13, 13), np.uint8)  # px round the edge of the field, where maps end or are blurred
_STEPS = 3  # of the ascent, which starts near; more change little


def polish(best: Attempt) -> Attempt:
    """Move an answer as far towards the greatest correlation of the maps as its lines are unsure.

    Args:
        best: what lines found, converged.

    Returns:
        The same where the lines are sure, or where the ascent fails or runs away.
    """
    fixed, moving = best.fixed, best.moving
    unsure = float(np.interp(best.evidence.spread, _UNSURE, (0, 1)))
    found = correlate_maps(fixed.vessels, moving.vessels, best.pose) if unsure else None
    shared = find_overlap(fixed.targets, moving.targets, best.pose)
    if found is None or not shared.side:
        return best
    moves = project((found @ np.linalg.inv(best.pose))[None], shared.places)[:, 0] - shared.places
    moved = np.sqrt((moves**2).sum(0).mean())
    share = unsure * float(np.interp(moved, _BELIEVED, (1, 0)))
    return replace(best, pose=(1 - share) * best.pose / best.pose[2, 2] + share * found)


def correlate_maps(fixed: VesselMap, moving: VesselMap, pose: Matrix) -> Matrix | None:
    """Maximise the maps' correlation (Evangelidis and Psarakis 2008, with OpenCV).

    Args:
        fixed: map of the fixed image.
        moving: map of the moving image.
        pose: 3×3 fixed_from_moving that is nearly right.

    Returns:
        The homography there, its last element 1; None where the ascent fails.
    """
    small = np.diag([1 / _SHRINK, 1 / _SHRINK, 1.0])
    small[:2, 2] = (1 / _SHRINK - 1) / 2
    still, seen_fixed = _shrunk(fixed)
    moved, seen_moving = _shrunk(moving)
    start = small @ np.linalg.inv(pose) @ np.linalg.inv(small)
    start = (start / start[2, 2]).astype(np.float32)
    shape = moved.shape[1], moved.shape[0]
    seen = seen_moving & cv2.warpPerspective(seen_fixed, start, shape, flags=cv2.INTER_NEAREST)
    stop = (cv2.TERM_CRITERIA_COUNT, _STEPS, 0.0)
    try:
        _, found = cv2.findTransformECC(still, moved, start, cv2.MOTION_HOMOGRAPHY, stop, seen, 1)
    except cv2.error:  # OpenCV's way of saying that the ascent does not converge
        return None
    better = np.linalg.inv(np.linalg.inv(small) @ found.astype(np.float64) @ small)
    return np.asarray(better / better[2, 2])


def _shrunk(vessels: VesselMap) -> tuple[Plane, Pixels]:
    height, width = vessels.strength.shape
    size = (max(width // _SHRINK, 1), max(height // _SHRINK, 1))
    clear = cv2.GaussianBlur(np.minimum(vessels.strength, _CLEAR), (0, 0), _BLUR)
    inner = cv2.erode(vessels.fov.astype(np.uint8), _RIM, borderValue=0)
    seen = cv2.resize(inner, size, interpolation=cv2.INTER_NEAREST)
    shrunk = cv2.resize(clear, size, interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.float32), np.asarray(seen, np.uint8)
