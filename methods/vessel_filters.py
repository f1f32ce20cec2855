"""Filters that find lines, and which way they run, in an image or in a network's evidence.

Responses are float32 3×H×W: strength, and two planes in the direction of cosine and sine of twice
the angle, of any length.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from imedbench.core.arrays import Floats, Plane

_DIRECTIONS = 8
_ORDERS = (2, 0), (0, 2), (1, 1)  # of the derivatives along x and y
_SIGMA = 1.6  # px across a thin vessel
LONG_LINE = 7  # px each way along which a filter looks where the image itself is filtered
_SHORT_LINE = 5  # px, enough where a network has removed the noise
_MIN_PROBABILITY = 1e-3
_IMAGE_SHARE = 0.5  # of the image beside the network's evidence: keeps vessels it does not know


def evidence_responses(bright: Plane, probability: Plane) -> Plane:
    """Filter a network's evidence and a share of the image.

    Log odds rather than probabilities: faint vessels must stay visible beside clear ones.

    Args:
        bright: float32 H×W in [0, 1].
        probability: float32 H×W in [0, 1], of a vessel at each pixel.
    """
    floor = np.float32(_MIN_PROBABILITY)
    odds = np.log((probability + floor) / (1 - probability + floor))
    evidence = 0.5 + 0.5 * odds / np.float32(-np.log(floor))
    mixed = np.clip(evidence, 0, 1) + np.float32(_IMAGE_SHARE) * bright
    return line_responses(mixed.astype(np.float32), _SHORT_LINE)


def line_responses(bright: Plane, half_line: int) -> Plane:
    """Respond to bright lines at two scales, the strongest direction kept.

    Args:
        bright: float32 H×W in [0, 1].
        half_line: px each way along which a filter looks; 0 for plain second derivatives.
    """
    height, width = bright.shape
    half = cv2.resize(bright, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    fine, coarse = _directed(bright, half_line), _directed(half, half_line)
    strength, *double = found = np.zeros((3, height, width), np.float32)
    for k, angle in enumerate(_angles()):
        response = cv2.resize(coarse[k], (width, height), interpolation=cv2.INTER_LINEAR)
        cv2.max(fine[k], response, dst=response)
        cv2.max(strength, response, dst=strength)
        np.maximum(response, 0, out=response)
        for plane, part in zip(double, (np.cos(2 * angle), np.sin(2 * angle)), strict=True):
            cv2.scaleAdd(response, float(part), plane, dst=plane)
    return found


def _directed(bright: Plane, half_line: int) -> list[Plane]:
    """Response to a bright line in each direction."""
    smooth = cv2.GaussianBlur(bright, (0, 0), _SIGMA)
    second = [cv2.Sobel(smooth, cv2.CV_32F, *order, scale=0.25) for order in _ORDERS]
    flat = np.stack(second).reshape(len(_ORDERS), -1)
    across = (_across() @ flat).reshape(_DIRECTIONS, *bright.shape)
    if not half_line:
        return list(across)
    return [cv2.filter2D(a, cv2.CV_32F, _line(k, half_line)) for k, a in enumerate(across)]


@lru_cache
def _angles() -> Floats:
    return np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS


@lru_cache
def _across() -> Plane:
    """D×3: the second derivative across each direction, sign changed, from those of `_ORDERS`."""
    sin, cos = np.sin(_angles()), np.cos(_angles())
    return np.stack([-(sin**2), -(cos**2), 2 * sin * cos], 1).astype(np.float32)


@lru_cache
def _line(k: int, half_line: int) -> Plane:
    """A Gaussian along the k-th direction, one pixel wide, of sum 1."""
    angle = _angles()[k]
    y, x = np.mgrid[-half_line : half_line + 1, -half_line : half_line + 1]
    along = x * np.cos(angle) + y * np.sin(angle)
    across = -x * np.sin(angle) + y * np.cos(angle)
    kernel = np.maximum(1 - np.abs(across), 0) * np.exp(-0.5 * (along / (half_line / 1.7)) ** 2)
    return np.asarray(kernel / kernel.sum(), np.float32)
