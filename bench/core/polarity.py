"""Bring every retinal modality to one look: bright vessels on an even ground.

Vessels are dark in colour fundus and early red-free images, bright in angiograms. Opposite polarity
is what breaks matching of raw images, and it can be read off an image without being told its
modality: vessels are the longest thin structures, so the sign with the stronger ridges is theirs.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Mask, Pixels, Plane

_PROBE_SIZE = 320  # px, longer side of the copy on which polarity is decided
_RIDGE_SIGMA, _RIDGE_LEVELS = 1.5, 3  # px on that copy, then on one of half the size, and so on
_LEAST_BLUR = 6.0  # px: a wider neighbourhood is averaged on a smaller copy
_MOST_PIXELS, _COPY_SIZE = 25_000_000, 2048  # discs grow with the image, and soon take minutes
_DARK_LEVEL = 0.12  # of the 95th percentile: darker than this may be outside the field of view
_RIM = 1 / 128  # of the shorter side, by which the mask shrinks: an aperture's edge is blurred


def field_of_view(image: Pixels) -> Mask:
    """Tell where an image shows retina.

    Outside is what is dark, reaches the border of the picture and is wider than a vessel gap, so a
    dark fovea or a dim lesion stays inside.

    Args:
        image: uint8, H×W or H×W×3.

    Returns:
        bool H×W; all True when less than a tenth would be left.
    """
    if image.shape[0] * image.shape[1] > _MOST_PIXELS:
        height, width = image.shape[:2]
        factor = _COPY_SIZE / max(height, width)
        small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        mask = field_of_view(np.asarray(small, np.uint8)).astype(np.uint8)
        return cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) > 0
    grey = image if image.ndim == 2 else image.max(axis=2)
    height, width = grey.shape
    smooth = cv2.medianBlur(grey, 5)
    bright = float(np.percentile(smooth[::4, ::4], 95))
    dark = (smooth <= max(4.0, _DARK_LEVEL * bright)).astype(np.uint8)
    radius = rim = max(2, round(_RIM * min(height, width)))
    framed = cv2.copyMakeBorder(dark, *(4 * radius,) * 4, cv2.BORDER_CONSTANT, value=1)
    opened = cv2.morphologyEx(framed, cv2.MORPH_OPEN, _disc(radius))
    _, labels = cv2.connectedComponents(opened)
    inside = (labels != labels[0, 0]).astype(np.uint8)
    kept = cv2.erode(inside, _disc(rim))[4 * radius : -4 * radius, 4 * radius : -4 * radius] > 0
    touched = ~kept & (cv2.dilate(dark, _disc(rim + 1)) == 0)  # eroded at the picture's own border
    mask = kept | touched
    return mask if mask.mean() > 0.1 else np.ones_like(mask)


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
    if dark_vessels is None:
        dark_vessels = has_dark_vessels(grey, fov)
    even = flatten(grey, fov)
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
    z = local_contrast(grey.astype(np.float32), fov, reach * max(grey.shape))
    return np.clip(0.5 + z / 6, 0, 1, dtype=np.float32)


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
        ridges (largest and smallest eigenvalue of the Hessian, Frangi et al. 1998).
    """
    scale = _PROBE_SIZE / max(grey.shape)
    size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(fov.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    flat = local_contrast(small.astype(np.float32), inside, _PROBE_SIZE / 20)
    core = cv2.erode(inside.astype(np.uint8), _disc(9)) > 0
    if not core.any():
        return False
    dark = bright = 0.0
    for _ in range(_RIDGE_LEVELS):
        low, high = _hessian_eigenvalues(flat, _RIDGE_SIGMA)
        dark += _energy(high, low, core)
        bright += _energy(-low, -high, core)
        half = tuple(max(side // 2, 1) for side in reversed(flat.shape))
        flat = np.asarray(cv2.resize(flat, half, interpolation=cv2.INTER_AREA), np.float32)
        core = cv2.resize(core.astype(np.uint8), half, interpolation=cv2.INTER_NEAREST) > 0
    return dark > bright


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
    mean = np.asarray(averaged(np.asarray(image * weight, np.float32)) / share, np.float32)
    centred = np.asarray(np.subtract(image, enlarged(mean)) * weight, np.float32)
    variance = averaged(np.square(centred)) / share
    inside = variance[cv2.resize(fov.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0]
    # An empty area must not blow up its noise.
    floor = 0.1 * float(np.median(inside)) + 1e-6 if inside.size else 1.0
    return centred * enlarged(np.asarray(1 / np.sqrt(variance + floor), np.float32))


def ridge_strength(image: Plane, sigma: float) -> Plane:
    """Say how much each pixel lies on a bright line of one width.

    Args:
        image: float32 H×W.
        sigma: half the line's width, px.

    Returns:
        float32 H×W, ≥ 0; scale-normalised, so widths compare. Blobs do not count (after Frangi et
        al. 1998).
    """
    low, high = _hessian_eigenvalues(image, sigma)
    return np.maximum(-low - np.abs(high), 0)


def _blur(image: Plane, radius: float) -> Plane:
    """Two box filters in a row, close to a Gaussian and as fast at any width."""
    side = 2 * max(1, round(radius * 0.7)) + 1
    once = cv2.blur(image, (side, side), borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.blur(once, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)


def _hessian_eigenvalues(image: Plane, sigma: float) -> tuple[Plane, Plane]:
    """Smaller and larger eigenvalue of the scale-normalised Hessian, each H×W."""
    smooth = cv2.GaussianBlur(image, (0, 0), sigma)
    xx = cv2.Sobel(smooth, cv2.CV_32F, 2, 0, scale=0.25)
    yy = cv2.Sobel(smooth, cv2.CV_32F, 0, 2, scale=0.25)
    xy = cv2.Sobel(smooth, cv2.CV_32F, 1, 1, scale=0.25)
    middle = (xx + yy) / 2
    spread = np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    weight = np.float32(sigma**2)
    return weight * (middle - spread), weight * (middle + spread)


def _energy(across: Plane, along: Plane, core: Mask) -> float:
    """Mean square strength of ridges; blobs, curved both ways, do not count."""
    ridge = np.maximum(across - np.abs(along), 0)[core]
    return float(np.mean(ridge**2))


@lru_cache(maxsize=32)
def _disc(radius: int) -> NDArray[np.uint8]:
    side = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
