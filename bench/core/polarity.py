"""Bring every retinal modality to one look: bright vessels on an even ground.

Vessels are dark in colour fundus and early red-free images, bright in angiograms. Opposite polarity
is what breaks matching of raw images, and it can be read off an image without being told its
modality: vessels are the longest thin structures, so the sign with the stronger ridges is theirs.
"""

from __future__ import annotations

import cv2
import numpy as np

from imedbench.core.arrays import Mask, Pixels, Plane
from imedbench.core.resize import Size, fitted_size, resize_mask

_PROBE_SIZE = 256  # px, longer side of the copy on which polarity is decided
_RIDGE_SIGMA, _RIDGE_LEVELS = 1.2, 3  # px on that copy, then on one of half the size, and so on
_CORE = np.ones((15, 15), np.uint8)  # pixels of it so near the edge of the field do not count
_LEAST_BLUR = 6.0  # px: a wider neighbourhood is averaged on a smaller copy


def normalise(grey: Pixels | Plane, fov: Mask, *, dark_vessels: bool | None = None) -> Plane:
    """Even out light and contrast and make vessels bright.

    Args:
        grey: H×W in [0, 255].
        fov: bool H×W, where the image shows retina.
        dark_vessels: the polarity, where it is known; read off the image by default.

    Returns:
        float32 H×W in [0, 1]: 0.5 is the local mean and the value outside the field of view,
        0.5 ± 1/6 one local standard deviation.
    """
    even = flatten(grey, fov)
    if dark_vessels is None:
        size = fitted_size((grey.shape[1], grey.shape[0]), _PROBE_SIZE)
        dark_vessels = _valleys_prevail(_resized(even, size), resize_mask(fov, size))
    return 1 - even if dark_vessels else even


def flatten(grey: Pixels | Plane, fov: Mask, *, reach: float = 0.05) -> Plane:
    """Even out light and contrast, and leave the polarity.

    Args:
        grey: H×W in [0, 255].
        fov: bool H×W.
        reach: radius of the neighbourhood, as a share of the longer side; the wider, the more of
            the macula's shading stays.

    Returns:
        float32 H×W in [0, 1], as of `normalise`.
    """
    z = local_contrast(grey.astype(np.float32, copy=False), fov, reach * max(grey.shape))
    z *= np.float32(1 / 6)
    z += np.float32(0.5)
    return np.clip(z, np.float32(0), np.float32(1), out=z)


def stretch(grey: Pixels, fov: Mask) -> Plane:
    """Scale grey levels so that the brightest half per cent saturates; black stays black.

    Args:
        grey: uint8 H×W.
        fov: bool H×W.

    Returns:
        float32 H×W in [0, 1].
    """
    top = max(1.0, float(np.percentile(grey[fov], 99.5))) if fov.any() else 255.0
    return np.clip(grey / np.float32(top), 0, 1, dtype=np.float32)


def has_dark_vessels(grey: Pixels | Plane, fov: Mask) -> bool:
    """Tell whether the thin structures of an image are rather dark than bright.

    Args:
        grey: H×W in [0, 255].
        fov: bool H×W.

    Returns:
        True for dark vessels, as in colour fundus; decided by the energy of dark against bright
        ridges (after Frangi et al. 1998).
    """
    size = fitted_size((grey.shape[1], grey.shape[0]), _PROBE_SIZE)
    inside = resize_mask(fov, size)
    return _valleys_prevail(flatten(_resized(grey, size), inside), inside)


def _valleys_prevail(even: Plane, fov: Mask) -> bool:
    """`has_dark_vessels` of an even image of `_PROBE_SIZE`."""
    core = cv2.erode(fov.astype(np.uint8), _CORE)
    darkness = 0.0
    for _ in range(_RIDGE_LEVELS):
        valley = _valleys(even, _RIDGE_SIGMA)
        darkness += cv2.mean(valley * np.abs(valley), core)[0]
        half = max(even.shape[1] // 2, 1), max(even.shape[0] // 2, 1)
        even = _resized(even, half)
        core = cv2.resize(core, half, interpolation=cv2.INTER_NEAREST)
    return darkness > 0


def _resized(image: Pixels | Plane, size: Size) -> Plane:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)


def local_contrast(image: Plane, fov: Mask, radius: float) -> Plane:
    """Subtract the local mean and divide by the local standard deviation.

    Only pixels inside the field of view count, so its edge leaves no rim.

    Args:
        image: float32 H×W, any unit.
        fov: bool H×W.
        radius: half width of the neighbourhood, px.

    Returns:
        float32 H×W of mean about 0 and deviation about 1; 0 outside the field of view.
    """
    weight = fov.astype(np.float32)
    factor = max(1, int(radius / _LEAST_BLUR))
    size = tuple(max(side // factor, 1) for side in reversed(fov.shape))

    def averaged(plane: Plane) -> Plane:
        small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA) if factor > 1 else plane
        return _blur(np.asarray(small, np.float32), radius / factor)

    def enlarged(plane: Plane) -> Plane:
        large = cv2.resize(plane, fov.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return np.asarray(large if factor > 1 else plane, np.float32)

    share = np.maximum(averaged(weight), 1e-3)
    mean = np.asarray(averaged(np.multiply(image, weight, dtype=np.float32)) / share, np.float32)
    centred = np.subtract(image, enlarged(mean), dtype=np.float32)
    centred *= weight
    variance = averaged(np.square(centred)) / share
    inside = variance[resize_mask(fov, size)]
    # An empty area must not blow up its noise.
    floor = 0.1 * float(np.median(inside)) + 1e-6 if inside.size else 1.0
    centred *= enlarged(np.asarray(1 / np.sqrt(variance + floor), np.float32))
    return centred


def ridge_strength(image: Plane, sigma: float) -> Plane:
    """Say how much each pixel lies on a bright line of one width.

    Args:
        image: float32 H×W.
        sigma: half the line's width, px.

    Returns:
        float32 H×W, ≥ 0; scale-normalised, so widths compare. Blobs do not count (after Frangi et
        al. 1998).
    """
    return np.maximum(-_valleys(image, sigma), 0)


def _blur(image: Plane, radius: float) -> Plane:
    """Two box filters in a row, close to a Gaussian and as fast at any width."""
    side = 2 * max(1, round(radius * 0.7)) + 1
    once = cv2.blur(image, (side, side), borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.blur(once, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)


def _valleys(image: Plane, sigma: float) -> Plane:
    """How much each pixel lies on a dark line of one width, or less than 0 on a bright one, H×W.

    The largest eigenvalue of the scale-normalised Hessian less the size of the other, so that
    blobs, curved both ways, do not count; for bright lines the smallest one.
    """
    smooth = cv2.GaussianBlur(image, (0, 0), sigma)
    xx, yy, xy = (
        cv2.Sobel(smooth, cv2.CV_32F, *order, scale=0.25 * sigma**2)
        for order in ((2, 0), (0, 2), (1, 1))
    )
    spread = cv2.magnitude(cv2.subtract(xx, yy), 2 * xy)  # between the eigenvalues
    return np.asarray(cv2.max(cv2.min(cv2.add(xx, yy), spread), -spread), np.float32)
