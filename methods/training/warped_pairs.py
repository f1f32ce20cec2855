"""Pairs made of one image: the same retina twice, warped, cut and restyled, the warp known."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Plane
from imedbench.core.resize import resizing_matrix
from imedbench.core.transforms import Affine, ThinPlateSpline, Transform, compose
from imedbench.methods.training.augment import Crop, degrade
from imedbench.methods.training.vessel_folders import VesselImage


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
class Retina:
    """One retina as two devices show it.

    Args:
        first: what source views are cut from.
        second: what target views are cut from.
        first_from_second: from pixels of the second image to pixels of the first.
    """

    first: VesselImage
    second: VesselImage
    first_from_second: Transform

    @classmethod
    def seen_once(cls, image: VesselImage) -> Retina:
        """Return a retina of which there is one image, which serves for both."""
        return cls(image, image, Affine.identity())

    def shrunk(self, longest: int) -> Retina:
        """Shrink the images as far as can be, since every view is made from all of them.

        Args:
            longest: of each image's sides afterwards, px.
        """
        first = _shrunk(self.first, longest)
        second = first if self.second is self.first else _shrunk(self.second, longest)
        before = _resizing(second, self.second)
        after = _resizing(self.first, first)
        return Retina(first, second, compose(before, self.first_from_second, after))


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
    retina: Retina, size: int, ranges: WarpRange, rng: np.random.Generator
) -> WarpedPair:
    """Draw two views of a retina.

    Args:
        retina: what is seen.
        size: side of the views, px.
        ranges: of the warp between them.
        rng: drawn from in a fixed order.
    """
    placed = _placement(retina.first, size, ranges, rng)
    warp = random_warp(size, ranges, rng)
    back = placed.inverse()
    second_from_target = compose(warp, back, retina.first_from_second.inverse())
    source = _look(retina.first, _sampling(back, size))
    target = _look(retina.second, _sampling(second_from_target, size))
    return WarpedPair(source, target, warp)


def _shrunk(image: VesselImage, longest: int) -> VesselImage:
    scale = longest / max(image.plane.shape)
    if scale >= 1:
        return image
    size = (round(image.plane.shape[1] * scale), round(image.plane.shape[0] * scale))

    def small(plane: NDArray[np.float32]) -> Plane:
        return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)

    return VesselImage(
        image.name,
        small(image.plane),
        small(image.fov.astype(np.float32)) > 0.5,
        small(image.vessels.astype(np.float32)) > 0.35,  # thin vessels survive
    )


def _resizing(before: VesselImage, after: VesselImage) -> Affine:
    """From pixels of an image to pixels of its resized copy; corners lie at -0.5 in both."""
    sizes = ((image.plane.shape[1], image.plane.shape[0]) for image in (before, after))
    return Affine(resizing_matrix(*sizes)[:2])


def random_warp(size: int, ranges: WarpRange, rng: np.random.Generator) -> Transform:
    """Draw a thin-plate bend followed by a similarity about the middle, in px of a view."""
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
    """Say how one device would show a view.

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


def _sampling(transform: Transform, size: int) -> NDArray[np.float32]:
    """Where every pixel of a square view comes from, S×S×2.

    Warps are smooth, so that every fourth point and linear interpolation do.
    """
    every = 4
    count = -(-size // every) + 2  # one more on either side, for the interpolation to end in
    coarse = (np.arange(count) - 0.5) * every - 0.5
    points = np.stack(np.meshgrid(coarse, coarse), axis=-1).reshape(-1, 2)
    grid = transform.apply(points).reshape(count, count, 2).astype(np.float32)
    fine = cv2.resize(grid, (count * every,) * 2, interpolation=cv2.INTER_LINEAR)
    return np.asarray(fine[every:, every:][:size, :size], np.float32)


def _look(image: VesselImage, grid: NDArray[np.float32]) -> Crop:
    """Sample an image at the points of a square view, S×S×2, without aliasing."""
    middle = len(grid) // 2
    shrink = max(1.0, float(np.linalg.norm(grid[middle, middle + 1] - grid[middle, middle])))
    shape = tuple(max(8, round(side / shrink)) for side in image.plane.shape[::-1])
    ratio = (np.array(shape) / np.array(image.plane.shape[::-1])).astype(np.float32)
    at = (grid + np.float32(0.5)) * ratio - np.float32(0.5)

    def sample(plane: Plane, outside: float) -> Plane:
        small = cv2.resize(plane, shape, interpolation=cv2.INTER_AREA) if shrink > 1 else plane
        seen = cv2.remap(small, at, None, cv2.INTER_LINEAR, borderValue=outside)
        return np.asarray(seen, np.float32)

    fov = sample(image.fov.astype(np.float32), 0) > 0.5
    return Crop(sample(image.plane, 0.5), sample(image.vessels.astype(np.float32), 0), fov)
