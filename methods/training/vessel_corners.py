"""Keypoints that an anatomist would name: forks, crossings, sharp bends and ends of vessels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_LINE_SIGMA = 2.0  # px; every centre line is drawn this wide, whatever the vessel
_SPUR = 9  # px; blobs smaller than this are no vessel
_EDGE = 6  # px; where the picture ends a vessel does not


def vessel_corners(vessels: NDArray[np.bool_], apart: float = 6.0) -> NDArray[np.float32]:
    """Points of a vessel mask that can be told from their neighbours in both directions.

    They are corners (Shi and Tomasi 1994) of the centre lines drawn at one width: along a straight
    vessel the image changes in one direction only and there is none.

    Args:
        vessels: bool H×W.
        apart: least distance of two points, px.

    Returns:
        N×2 px, the clearest first.
    """
    lines = centre_lines(vessels)
    smooth = cv2.GaussianBlur(lines.astype(np.float32), (0, 0), _LINE_SIGMA)
    found = cv2.goodFeaturesToTrack(
        smooth, maxCorners=0, qualityLevel=0.12, minDistance=apart, blockSize=7
    )
    if found is None:
        return np.zeros((0, 2), np.float32)
    points = np.asarray(found, np.float32).reshape(-1, 2)
    size = np.array(vessels.shape[::-1])
    kept = ((points >= _EDGE) & (points < size - _EDGE)).all(axis=1)
    return np.asarray(points[kept], np.float32)


def centre_lines(vessels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Lines one pixel wide along the vessels (Zhang and Suen 1984), bool H×W."""
    even = cv2.medianBlur(vessels.astype(np.uint8) * 255, 3)  # a ragged wall grows spurs
    thin = cv2.ximgproc.thinning(even)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(thin, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= _SPUR
    large[0] = False
    return np.asarray(large[labels], np.bool_)
