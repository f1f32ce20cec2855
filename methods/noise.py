"""Smooth images whose noise drowns their vessels, and leave all others as they are."""

from __future__ import annotations

import cv2
import numpy as np

from imedbench.core.arrays import Mask, Pixels, Plane

_TO_DEVIATION = float(np.sqrt(np.pi / 2) / 6)  # of the mean response of Immerkær's kernel
_FINE, _COARSE = 5, 15  # px, sides of two boxes: between them lie the vessels
_RIM = 4  # px inside the field of view that are not counted
# Noise over the contrast of vessels. In working frames of 512 px it is 0.07 to 0.3 in real images
# of all modalities, 0.7 in drawn speckle, 1.3 to 7 in faded images that failed.
_HARMLESS = 0.6
_GAIN, _MOST = 2.0, 2.5  # px of 512: of four widths up to 3, this found most faded training pairs
_REFERENCE = 512  # px, longer side for which they were chosen


def suppress_noise(grey: Pixels, fov: Mask) -> Pixels | Plane:
    """Blur an image as far as its noise outweighs its vessels.

    Args:
        grey: uint8 H×W.
        fov: bool H×W, where the image shows retina.

    Returns:
        The image itself, or float32 H×W: a faint vessel is less than one grey level high.
    """
    sigma = _GAIN * (noise_ratio(grey, fov) - _HARMLESS)
    if sigma <= 0:
        return grey
    side = max(grey.shape) / _REFERENCE
    return cv2.GaussianBlur(grey.astype(np.float32), (0, 0), min(sigma, _MOST) * side)


def noise_ratio(grey: Pixels, fov: Mask) -> float:
    """Tell how strong the noise is beside the contrast of structures as wide as vessels.

    Args:
        grey: uint8 H×W.
        fov: bool H×W, where the image shows retina.

    Returns:
        Standard deviation of the noise (Immerkær 1996) over that of a band-pass; 0 for an empty
        image.
    """
    side = 2 * _RIM + 1
    inner = cv2.erode(fov.astype(np.uint8), np.ones((side, side), np.uint8))
    fine, coarse = (cv2.boxFilter(grey, cv2.CV_32F, (box, box)) for box in (_FINE, _COARSE))
    every = slice(None, None, 2)  # both are smooth
    band = fine[every, every] - coarse[every, every]
    contrast = cv2.meanStdDev(band, mask=np.ascontiguousarray(inner[every, every]))[1][0, 0]
    response = cv2.Sobel(grey, cv2.CV_16S, 2, 2)  # Immerkær's kernel: second differences, both ways
    noise = _TO_DEVIATION * cv2.norm(response, cv2.NORM_L1, inner) / max(cv2.countNonZero(inner), 1)
    return float(noise / contrast) if contrast > 0 else 0.0
