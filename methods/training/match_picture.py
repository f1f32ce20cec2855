"""A picture of matches between two images of one height."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_RIGHT = (80, 220, 80)  # blue, green, red
_WRONG = (60, 60, 230)


def picture_matches(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    start: NDArray[np.floating],
    end: NDArray[np.floating],
    right: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """Return two images side by side, right matches in green over wrong ones in red.

    Args:
        first: H×W in [0, 1].
        second: H×W in [0, 1].
        start: N×2 px in the first image.
        end: N×2 px in the second image.
        right: bool N.

    Returns:
        uint8 H×2W×3 (blue, green, red).
    """
    both = (np.hstack([first, second]) * 255).clip(0, 255).astype(np.uint8)
    picture = cv2.cvtColor(both, cv2.COLOR_GRAY2BGR)
    beside = np.array([first.shape[1], 0])
    for i in np.argsort(right):
        begin, finish = np.round([start[i], end[i] + beside]).astype(int).tolist()
        cv2.line(picture, begin, finish, _RIGHT if right[i] else _WRONG, 1, cv2.LINE_AA)
    return np.asarray(picture, np.uint8)
