"""Two views of one retina whose every pixel is known to match, as two devices would show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Plane, Points
from imedbench.methods.training.augment import REFERENCE_SIZE, Crop, degrade
from imedbench.methods.training.vessel_corners import vessel_corners
from imedbench.methods.training.vessel_folders import VesselImage


@dataclass(frozen=True, kw_only=True)
class ViewMotion:
    """How far two views lie apart; ranges are symmetric about none.

    Args:
        zoom_min: least magnification, 1 being an image shown 512 px wide.
        zoom_max: greatest magnification.
        rotation: between the views, at most, in degrees.
        scale: between the views, at most, as a factor.
        shift: between the views, at most, as a share of the view's side.
        perspective: of each corner, at most, as a share of the view's side.
    """

    zoom_min: float = 0.6
    zoom_max: float = 1.6
    rotation: float = 30.0
    scale: float = 1.4
    shift: float = 0.2
    perspective: float = 0.03


@dataclass(frozen=True, kw_only=True)
class Style:
    """How different two views look.

    Args:
        drawn: share of views that show the vessel mask rather than the image, as a modality does
            that sees no more than the larger vessels.
        clean: share of views that are not degraded.
        inverted: share of views with dark vessels.
    """

    drawn: float = 0.25
    clean: float = 0.2
    inverted: float = 0.0


@dataclass(frozen=True, eq=False)
class Subject:
    """An image with its keypoints, of which views are taken."""

    image: VesselImage
    corners: NDArray[np.float32]

    @classmethod
    def of(cls, image: VesselImage) -> Subject:
        """Find the keypoints of an image at the size at which views show it."""
        scale = REFERENCE_SIZE / max(image.plane.shape)
        size = (round(image.plane.shape[1] * scale), round(image.plane.shape[0] * scale))
        small = cv2.resize(image.vessels.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
        found = vessel_corners(small)
        return cls(image, ((found + 0.5) / scale - 0.5).astype(np.float32))


@dataclass(frozen=True, eq=False)
class MatchedView:
    """One view.

    Args:
        plane: float32 S×S in [0, 1].
        fov: bool S×S.
        corners: N×2 px, keypoints inside the field of view.
        view_from_image: 3×3.
    """

    plane: Plane
    fov: NDArray[np.bool_]
    corners: Points
    view_from_image: NDArray[np.float64]


def take_views(
    subject: Subject, size: int, motion: ViewMotion, style: Style, rng: np.random.Generator
) -> tuple[MatchedView, MatchedView]:
    """Return two views of one image.

    Args:
        subject: what to show.
        size: side of the views S, px.
        motion: how far they lie apart.
        style: how different they look.
        rng: drawn from in a fixed order.
    """
    first = _base(subject.image, size, motion, rng)
    second = _apart(size, motion, rng) @ first
    return (
        _view(subject, _bend(size, motion, rng) @ first, size, style, rng),
        _view(subject, _bend(size, motion, rng) @ second, size, style, rng),
    )


def between(first: MatchedView, second: MatchedView) -> NDArray[np.float64]:
    """Return the 3×3 matrix from the pixels of one view to those of another."""
    return np.asarray(second.view_from_image @ np.linalg.inv(first.view_from_image))


def project_points(matrix: NDArray[np.float64], points: NDArray[np.floating]) -> Points:
    """N×2 points through a 3×3 matrix."""
    mapped = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return np.asarray(mapped[:, :2] / mapped[:, 2:], np.float64)


def in_view(points: Points, fov: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which points lie in a field of view, bool N."""
    x, y = np.round(points).astype(np.intp).T
    within = (x >= 0) & (y >= 0) & (x < fov.shape[1]) & (y < fov.shape[0])
    shown: NDArray[np.bool_] = fov[np.where(within, y, 0), np.where(within, x, 0)]
    return np.logical_and(within, shown)


def corresponding_points(
    first: MatchedView, second: MatchedView, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points that both views show, half of them corners as far as there are any.

    Args:
        first: a view.
        second: another view of the same eye.
        count: N; NaN rows fill up where the views share too little.
        rng: drawn from in a fixed order.

    Returns:
        N×2 px in each view, row by row the same place.
    """
    size = first.plane.shape[0]
    corners = first.corners[rng.permutation(len(first.corners))[: count // 2]]
    anywhere = rng.uniform(4, size - 5, (2 * count, 2))
    places = np.vstack([corners, anywhere[in_view(anywhere, first.fov)]])
    targets = project_points(between(first, second), places)
    shared = in_view(targets, second.fov) & ((targets >= 4) & (targets < size - 4)).all(1)
    both = np.full((2, count, 2), np.nan, np.float32)
    kept = np.flatnonzero(shared)[:count]
    both[0, : len(kept)], both[1, : len(kept)] = places[kept], targets[kept]
    return both[0], both[1]


def _base(
    image: VesselImage, size: int, motion: ViewMotion, rng: np.random.Generator
) -> NDArray[np.float64]:
    """A turned, flipped, zoomed square round a point of the retina."""
    zoom = np.exp(rng.uniform(np.log(motion.zoom_min), np.log(motion.zoom_max)))
    rows, columns = np.nonzero(image.fov)
    index = rng.integers(len(rows))
    centre = np.array([columns[index], rows[index]], np.float64)
    scale = zoom * REFERENCE_SIZE / max(image.plane.shape)
    # Views centred far from the middle would show little retina.
    middle = (np.array(image.plane.shape[::-1]) - 1) / 2
    linear = scale * _turn(rng.uniform(-180, 180)) @ np.diag([rng.choice([-1.0, 1.0]), 1.0])
    return _about(linear, (centre + middle) / 2, size)


def _apart(size: int, motion: ViewMotion, rng: np.random.Generator) -> NDArray[np.float64]:
    """From the first view to the second."""
    scale = motion.scale ** rng.uniform(-1, 1)
    linear = scale * _turn(rng.uniform(-motion.rotation, motion.rotation))
    shift = rng.uniform(-motion.shift, motion.shift, 2) * size
    return _about(linear, np.full(2, (size - 1) / 2) + shift, size)


def _bend(size: int, motion: ViewMotion, rng: np.random.Generator) -> NDArray[np.float64]:
    """A slight perspective."""
    corners = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    reach = motion.perspective * size
    moved = corners + rng.uniform(-reach, reach, (4, 2)).astype(np.float32)
    return np.asarray(cv2.getPerspectiveTransform(corners, moved), np.float64)


def _view(
    subject: Subject,
    view_from_image: NDArray[np.float64],
    size: int,
    style: Style,
    rng: np.random.Generator,
) -> MatchedView:
    image = subject.image
    plane = image.plane
    if rng.random() < style.drawn:
        plane = draw_vessels(image, rng)
    fov = _warp(image.fov.astype(np.float32), view_from_image, size, 0.0) > 0.5
    warped = _warp(plane, view_from_image, size, 0.5)
    crop = Crop(warped, np.zeros_like(warped), fov)
    shown = warped if rng.random() < style.clean else degrade(crop, rng)
    shown = 1 - shown if rng.random() < style.inverted else shown
    corners = project_points(view_from_image, subject.corners)
    return MatchedView(shown, fov, corners[in_view(corners, fov)], view_from_image)


def draw_vessels(image: VesselImage, rng: np.random.Generator) -> Plane:
    """Return the vessels alone, the thin ones perhaps left out, on an even ground."""
    mask = image.vessels.astype(np.uint8)
    scale = max(mask.shape) / REFERENCE_SIZE
    if rng.random() < 0.5:
        thinnest = 2 * round(scale * rng.uniform(0.5, 3.5)) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (thinnest, thinnest))
        opened = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel), np.uint8)
        mask = opened if opened.sum() > 0.25 * mask.sum() else mask
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), scale * rng.uniform(0, 1) + 0.4)
    return np.asarray(0.42 + rng.uniform(0.12, 0.55) * soft, np.float32)


def _warp(plane: Plane, matrix: NDArray[np.float64], size: int, outside: float) -> Plane:
    """Resample without aliasing: sample finer than wanted, then average."""
    scale = np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    finer = int(np.clip(round(1 / scale), 1, 4))
    up = np.array([[finer, 0, (finer - 1) / 2], [0, finer, (finer - 1) / 2], [0, 0, 1]])
    fine = cv2.warpPerspective(plane, up @ matrix, (size * finer,) * 2, borderValue=outside)
    return np.asarray(cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA), np.float32)


def _turn(degrees: float) -> NDArray[np.float64]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]])


def _about(linear: NDArray[np.float64], centre: Points, size: int) -> NDArray[np.float64]:
    """The 3×3 matrix that brings ``centre`` to the middle of a square view."""
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = (size - 1) / 2 - linear @ centre
    return matrix


def read_subjects(folders: Sequence[Sequence[VesselImage]]) -> list[list[Subject]]:
    """Find the keypoints of every image of every folder."""
    return [[Subject.of(image) for image in images] for images in folders]
