"""Pairs made of one image: the same retina twice, warped, cut and restyled, the warp known."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.transforms import Affine, ThinPlateSpline, Transform, compose
from imedbench.methods.training.augment import Crop, degrade
from imedbench.methods.training.vessel_folders import VesselImage

Plane = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class WarpRange:
    """How far the warps go; every range is symmetric about no change.

    Args:
        rotation: degrees.
        scale: factor.
        shift: share of the image's side.
        bend: jitter of a 3×3 grid of thin-plate control points, share of the side.
        field_min: least part of the longer side of the original that a view shows.
        field_max: greatest part.
    """

    rotation: float = 30.0
    scale: float = 1.4
    shift: float = 0.2
    bend: float = 0.03
    field_min: float = 0.5
    field_max: float = 1.0


@dataclass(frozen=True, eq=False)
class WarpedPair:
    """Two views of one retina.

    Args:
        source: as first seen.
        target: as seen the second time.
        source_from_target: exact, in px of the views.
    """

    source: Crop
    target: Crop
    source_from_target: Transform


def warped_pair(
    image: VesselImage, size: int, ranges: WarpRange, rng: np.random.Generator
) -> WarpedPair:
    """Draw two views of an image.

    Args:
        image: the retina.
        size: side of the views, px.
        ranges: of the warp between them.
        rng: drawn from in a fixed order.
    """
    placed = _placement(image, size, ranges, rng)
    warp = random_warp(size, ranges, rng)
    columns, rows = np.meshgrid(np.arange(size), np.arange(size))
    pixels = np.stack([columns, rows], axis=-1).reshape(-1, 2)
    back = placed.inverse()
    source = _look(image, back.apply(pixels), size)
    target = _look(image, back.apply(warp.apply(pixels)), size)
    return WarpedPair(source, target, warp)


def random_warp(size: int, ranges: WarpRange, rng: np.random.Generator) -> Transform:
    """A thin-plate bend followed by a similarity about the middle, in px of a square view."""
    middle = (size - 1) / 2
    right, down = rng.uniform(-ranges.shift, ranges.shift, 2) * size
    similarity = Affine.similarity(
        scale=float(np.exp(rng.uniform(-1, 1) * np.log(ranges.scale))),
        rotation_deg=rng.uniform(-ranges.rotation, ranges.rotation),
        shift=(right, down),
        centre=(middle, middle),
    )
    if ranges.bend == 0:
        return similarity
    knots = np.stack(np.meshgrid(*([np.linspace(0, size - 1, 3)] * 2)), axis=-1).reshape(-1, 2)
    moved = knots + rng.uniform(-ranges.bend, ranges.bend, knots.shape) * size
    return compose(ThinPlateSpline(knots, moved), similarity)


def restyle(crop: Crop, rng: np.random.Generator, *, drawn: float, clean: float) -> Plane:
    """How one device would show a view.

    Args:
        crop: the view.
        rng: drawn from in a fixed order.
        drawn: chance that only the vessels are shown, as a segmentation finds them.
        clean: chance that an image is not degraded.

    Returns:
        float32 S×S in [0, 1], bright vessels.
    """
    if rng.random() < drawn:
        return _as_found(crop.vessels, rng)
    return crop.plane if rng.random() < clean else degrade(crop, rng)


def _as_found(vessels: Plane, rng: np.random.Generator) -> Plane:
    """A vessel map with pieces missing, false finds and softer or wider vessels."""
    size = vessels.shape[0]
    coarse = rng.standard_normal((9, 9)).astype(np.float32)
    seen = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC) + rng.uniform(0.5, 2.5)
    grain = cv2.GaussianBlur(rng.standard_normal(vessels.shape, np.float32), (0, 0), 2.0)
    false = np.clip(grain / grain.std() - rng.uniform(1.5, 3.0), 0, 1) * rng.uniform(0, 0.6)
    found = cv2.GaussianBlur(vessels, (0, 0), rng.uniform(0.3, 1.2)) * rng.uniform(1, 1.6)
    return np.clip(found * np.clip(seen, 0, 1) + false, 0, 1).astype(np.float32)


def _placement(
    image: VesselImage, size: int, ranges: WarpRange, rng: np.random.Generator
) -> Affine:
    """View pixels from image pixels: any rotation, about a point inside the field of view."""
    height, width = image.plane.shape
    field = rng.uniform(ranges.field_min, ranges.field_max)
    x = (width - 1) / 2 + rng.uniform(-0.5, 0.5) * (1 - field) * width
    y = (height - 1) / 2 + rng.uniform(-0.5, 0.5) * (1 - field) * height
    return Affine.similarity(
        scale=size / (field * max(height, width)),
        rotation_deg=rng.uniform(-180, 180),
        shift=((size - 1) / 2 - x, (size - 1) / 2 - y),
        centre=(x, y),
    )


def _look(image: VesselImage, points: NDArray[np.float64], size: int) -> Crop:
    """Sample an image at points, row by row of a square view, without aliasing."""
    grid = points.reshape(size, size, 2)
    step = float(np.linalg.norm(grid[size // 2, size // 2 + 1] - grid[size // 2, size // 2]))
    shrink = max(1.0, step)
    shape = tuple(max(8, round(side / shrink)) for side in image.plane.shape[::-1])
    ratio = np.array(shape) / np.array(image.plane.shape[::-1])
    at = ((grid + 0.5) * ratio - 0.5).astype(np.float32)

    def sample(plane: Plane, outside: float) -> Plane:
        small = cv2.resize(plane, shape, interpolation=cv2.INTER_AREA) if shrink > 1 else plane
        seen = cv2.remap(small, at, None, cv2.INTER_LINEAR, borderValue=outside)
        return np.asarray(seen, np.float32)

    fov = sample(image.fov.astype(np.float32), 0) > 0.5
    return Crop(sample(image.plane, 0.5), sample(image.vessels.astype(np.float32), 0), fov)
