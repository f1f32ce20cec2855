"""Random crops and degradations that make one vessel image into many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Plane
from imedbench.core.polarity import local_contrast
from imedbench.methods.training.vessel_folders import VesselImage

T = TypeVar("T")
_DEVIATION = 1 / 6  # of an image once its contrast is evened, see `polarity.normalise`
REFERENCE_SIZE = 512  # px: zoom 1 shows an image as if its longer side had this many


@dataclass(frozen=True, eq=False)
class Crop:
    """A square cut out of a vessel image.

    Args:
        plane: float32 S×S in [0, 1], bright vessels.
        vessels: float32 S×S in [0, 1].
        fov: bool S×S.
    """

    plane: Plane
    vessels: Plane
    fov: NDArray[np.bool_]


def pick(items: Sequence[T], rng: np.random.Generator) -> T:
    """One of the items, each as likely."""
    return items[int(rng.integers(len(items)))]


def random_crop(
    image: VesselImage,
    size: int,
    zoom: tuple[float, float],
    rng: np.random.Generator,
    *,
    mirror: bool = False,
) -> Crop:
    """Cut a randomly turned, flipped and zoomed square round a point inside the field of view.

    Args:
        image: to cut from.
        size: side of the square, px.
        zoom: least and most magnification, relative to the image at `REFERENCE_SIZE`.
        rng: drawn from in a fixed order.
        mirror: go on beyond the picture's edge with its mirror image, not with an even grey.
    """
    scale = np.exp(rng.uniform(*np.log(zoom))) * REFERENCE_SIZE / max(image.plane.shape)
    angle = rng.uniform(-np.pi, np.pi)
    rows, columns = np.nonzero(image.fov)
    index = rng.integers(len(rows))
    centre = np.array([columns[index], rows[index]], np.float64)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = linear @ np.diag([rng.choice([-1.0, 1.0]), np.exp(rng.uniform(-0.1, 0.1))])
    finer = int(np.clip(round(1 / scale), 1, 4))  # sample finer, then average: no aliasing
    linear = linear * finer
    shift = (size * finer - 1) / 2 - linear @ centre
    matrix = np.hstack([linear, shift[:, None]])

    border = cv2.BORDER_REFLECT_101 if mirror else cv2.BORDER_CONSTANT

    def warp(plane: Plane, outside: float) -> Plane:
        fine = cv2.warpAffine(
            plane, matrix, (size * finer,) * 2, borderMode=border, borderValue=outside
        )
        return np.asarray(cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA), np.float32)

    fov = warp(image.fov.astype(np.float32), 0) > 0.5
    return Crop(warp(image.plane, 0.5), warp(image.target, 0), fov)


def degrade(crop: Crop, rng: np.random.Generator) -> Plane:
    """Return the crop as a worse camera, another device or a sick eye would show it.

    Args:
        crop: left as it is.
        rng: drawn from in a fixed order.

    Returns:
        float32 S×S in [0, 1], local contrast normalised again.
    """
    plane = crop.plane ** np.float32(np.exp(rng.uniform(-0.5, 0.5)))
    if rng.random() < 0.5:
        plane = _add_blobs(plane, rng)
    if rng.random() < 0.4:
        plane = np.asarray(cv2.GaussianBlur(plane, (0, 0), rng.uniform(0.4, 2.0)), np.float32)
    if rng.random() < 0.4:
        plane = _shade(plane, rng)
    if rng.random() < 0.15:
        plane = _add_scan_lines(plane, rng)
    if rng.random() < 0.7:
        plane = plane + _noise(plane.shape, rng)
    radius = np.exp(rng.uniform(np.log(12), np.log(50)))
    z = local_contrast(plane.astype(np.float32), crop.fov, radius)
    return np.clip(0.5 + z * rng.uniform(0.8, 1.2) / 6, 0, 1).astype(np.float32)


def fade(crop: Crop, noise: tuple[float, float], rng: np.random.Generator) -> Crop:
    """Drown a crop in noise, as a picture of hardly any contrast is once its contrast is evened.

    Args:
        crop: left as it is.
        noise: least and greatest deviation, where that of the crop is about 1/6; the grey levels'
            noise of 8 in a picture of a fifth of the usual contrast gives 0.6.
        rng: drawn from in a fixed order.
    """
    strength = np.exp(rng.uniform(*np.log(noise)))
    grain = rng.standard_normal(crop.plane.shape, np.float32)
    if rng.random() < 0.5:  # as of a picture that was enlarged
        grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.4, 1.2)), np.float32)
    seen = crop.plane - np.float32(0.5) + grain * np.float32(strength / grain.std())
    if rng.random() < 0.5:  # as `suppress_noise` leaves it
        seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.8, 2.5)), np.float32)
    gain = _DEVIATION / max(float(seen.std()), 1e-6)  # so that little is clipped
    return replace(crop, plane=np.clip(0.5 + seen * np.float32(gain), 0, 1, dtype=np.float32))


def _add_blobs(plane: Plane, rng: np.random.Generator) -> Plane:
    """Soft bright and dark ellipses: exudates, bleedings, drusen, reflexes."""
    layer = np.zeros_like(plane)
    size = plane.shape[0]
    for _ in range(rng.integers(1, 9)):
        centre = tuple(int(v) for v in rng.integers(0, size, 2))
        axes = tuple(int(v) for v in np.exp(rng.uniform(0.7, np.log(size / 6), 2)))
        value = float(rng.uniform(0.15, 0.5) * rng.choice([-1, 1]))
        cv2.ellipse(layer, centre, axes, float(rng.uniform(0, 180)), 0, 360, value, -1)
    return plane + np.asarray(cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.6, 3.0)), np.float32)


def _shade(plane: Plane, rng: np.random.Generator) -> Plane:
    """Contrast that changes slowly over the picture, as under a cataract."""
    gain = np.clip(1 + 0.4 * _smooth_field(plane.shape, rng), 0.2, 2.0).astype(np.float32)
    return np.float32(0.5) + (plane - np.float32(0.5)) * gain


def _add_scan_lines(plane: Plane, rng: np.random.Generator) -> Plane:
    """Bright or dark rows or columns, as eye movements leave in a scan."""
    lines = np.zeros(plane.shape[0], np.float32)
    lines[rng.integers(0, len(lines), rng.integers(1, 5))] = rng.uniform(-0.4, 0.4)
    return plane + (lines if rng.random() < 0.5 else lines[:, None])


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> Plane:
    """White noise, grain of a few pixels, or both."""
    fine = rng.standard_normal(shape, np.float32) * np.float32(rng.uniform(0, 0.12))
    sigma = rng.uniform(0.6, 2.5)
    grain = cv2.GaussianBlur(rng.standard_normal(shape, np.float32), (0, 0), sigma)
    return fine + np.asarray(grain, np.float32) * np.float32(rng.uniform(0, 0.2) * sigma)


def _smooth_field(shape: Sequence[int], rng: np.random.Generator) -> Plane:
    coarse = rng.standard_normal((4, 4), np.float32)
    return np.asarray(
        cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32
    )
