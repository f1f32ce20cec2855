"""Guarded sub-pixel alignment of the blurred vessel maps by enhanced correlation (ECC)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Matrix
from imedbench.methods.vessel_maps import VesselMap

_BLUR = 1.5  # px
_SHRINK = 2  # the maps are this much smaller: vessels stay wider than a pixel
_STEPS = 12
_MIN_GAIN = 1e-4
_MAX_MOVE = 3.0  # px that a corner of the overlap may move before the result is not believed


def polish_pose(fixed: VesselMap, moving: VesselMap, pose: Matrix) -> Matrix:
    """Maximise the maps' correlation from a pose that is nearly right.

    Evangelidis and Psarakis 2008, with OpenCV.

    Args:
        fixed: map of the fixed image.
        moving: map of the moving image.
        pose: 3×3 fixed_from_moving.

    Returns:
        The better pose, or the same one where the iteration fails or runs away.
    """
    small = np.diag([1 / _SHRINK, 1 / _SHRINK, 1.0])
    small[:2, 2] = (1 / _SHRINK - 1) / 2
    still, mask = _blurred(fixed)
    moved, inside = _blurred(moving)
    start = small @ np.linalg.inv(pose) @ np.linalg.inv(small)
    start = (start / start[2, 2]).astype(np.float32)
    seen = cv2.warpPerspective(inside, start, still.shape[::-1], flags=cv2.WARP_INVERSE_MAP) & mask
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _STEPS, _MIN_GAIN)
    try:
        _, found = cv2.findTransformECC(
            still, moved, start.copy(), cv2.MOTION_HOMOGRAPHY, stop, seen, 1
        )
    except cv2.error:  # OpenCV's way of saying that the iteration does not converge
        return pose
    better = np.linalg.inv(np.linalg.inv(small) @ found.astype(np.float64) @ small)
    return better / better[2, 2] if _farthest(pose, better, moving, seen) < _MAX_MOVE else pose


def _blurred(vessels: VesselMap) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    height, width = vessels.strength.shape
    size = (max(width // _SHRINK, 1), max(height // _SHRINK, 1))
    clear = cv2.GaussianBlur(np.minimum(vessels.strength, 1), (0, 0), _BLUR)
    mask = cv2.resize(vessels.fov.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    small = cv2.resize(clear, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32), np.asarray(mask, np.uint8)


def _farthest(pose: Matrix, better: Matrix, moving: VesselMap, seen: NDArray[np.uint8]) -> float:
    """How far the two poses are apart at the rim of the overlap, px of the fixed image."""
    rows, columns = np.nonzero(seen)
    if rows.size == 0:
        return np.inf
    box = [(x, y) for x in (columns.min(), columns.max()) for y in (rows.min(), rows.max())]
    corners = np.array(box, np.float64)[None] * _SHRINK
    there = cv2.perspectiveTransform(corners, np.linalg.inv(pose))
    back = cv2.perspectiveTransform(there, better)
    return float(np.linalg.norm(back - corners, axis=-1).max())
