"""Eyes of which several images lie on one another, and pairs of views drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Plane, Points
from imedbench.core.errors import BadInput
from imedbench.methods.training.joint_data import read_retinas

LONGEST = 448  # px: no view of 256 px shows more detail
_OTHER = 0.85  # chance that the two views are of different images, where there are several
_EVERY = 4  # px between the points of a view that are mapped exactly; the maps are smooth
MODALITIES = ("cf", "octa", "fa", "octa-like")  # in which rendered eyes are kept

Place = Callable[[Points], Points]


@dataclass(frozen=True, eq=False)
class AlignedEye:
    """Images of one eye in one frame.

    Args:
        planes: bright vessels on an even ground, uint8 H×W each.
        vessels: uint8 H×W, 0 … 255.
        field: least and greatest part of the shorter side that a view shows.
    """

    planes: tuple[NDArray[np.uint8], ...]
    vessels: NDArray[np.uint8]
    field: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Motion:
    """Ranges of the motion between two views.

    Args:
        rotation: degrees either way.
        scale: factor either way.
        shift: share of the side.
        perspective: movement of an edge's middle, share of half the side.
        bend: scale of the quadratic and cubic terms, share of half the side; not every pair
            is bent.
    """

    rotation: float
    scale: float
    shift: float
    perspective: float
    bend: float


@dataclass(frozen=True, eq=False)
class ViewPair:
    """Two views of one eye.

    Args:
        fixed: float32 S×S in [0, 1].
        moving: float32 S×S in [0, 1].
        fixed_vessels: float32 S×S in [0, 1].
        moving_vessels: float32 S×S in [0, 1].
        moving_from_fixed: exact, N×2 points in unit frames.
        flat: whether it is a homography.
    """

    fixed: Plane
    moving: Plane
    fixed_vessels: Plane
    moving_vessels: Plane
    moving_from_fixed: Place
    flat: bool


def read_aligned(
    folder: Path, zoom: float, transformer: str, teacher: str, longest: int = LONGEST
) -> list[AlignedEye]:
    """Return the training eyes of a folder.

    Args:
        folder: rendered eyes, or a folder with ``images/train`` and ``vessels/train``.
        zoom: magnification at which colour images are transferred, see `read_retinas`.
        transformer: name of the frozen generator that adds fake OCTA of each colour image; empty
            to do without.
        teacher: name of a U-Net, for `read_retinas`.
        longest: side of the images that are kept, px.

    Raises:
        BadInput: when nothing is there or a file cannot be read.
    """
    if not (folder / "images").is_dir():
        return [
            AlignedEye(tuple(planes[name] for name in MODALITIES), planes["vessels"], (0.6, 1.05))
            for planes in read_eyes(folder)
        ]
    eyes = []
    for retina in read_retinas([folder], "train", (zoom,), transformer, teacher)[0]:
        shown = [retina.second.plane]
        if transformer and retina.first is not retina.second:
            shown.append(retina.first.plane)
        planes = tuple(_stored(plane, longest) for plane in shown)
        least = 0.65 if max(retina.second.plane.shape) < LONGEST else 0.45  # a scan is no wider
        vessels = _stored(retina.second.vessels.astype(np.float32), longest)
        eyes.append(AlignedEye(planes, vessels, (least, 1.05)))
    return eyes


def _stored(plane: Plane, longest: int) -> NDArray[np.uint8]:
    scale = min(1.0, longest / max(plane.shape))
    size = (round(plane.shape[1] * scale), round(plane.shape[0] * scale))
    small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return np.asarray(np.rint(small * 255), np.uint8)


def draw_views(eye: AlignedEye, size: int, motion: Motion, rng: np.random.Generator) -> ViewPair:
    """Draw two views of an eye, in any common orientation.

    Args:
        eye: what is seen.
        size: side of the views, px.
        motion: between the views.
        rng: drawn from in a fixed order.
    """
    last = len(eye.planes)
    first, second = (int(i) for i in rng.integers(last, size=2))
    if last > 1 and rng.random() < _OTHER:
        second = (first + int(rng.integers(1, last))) % last
    place = draw_placement(eye, rng)
    flat = bool(rng.random() < 0.5)
    moving_from_fixed = random_motion(motion, flat=flat, rng=rng)
    moving_grid = _sampling(place, size)
    fixed_grid = _sampling(lambda points: place(moving_from_fixed(points)), size)
    return ViewPair(
        _look(eye.planes[first], fixed_grid, 127),
        _look(eye.planes[second], moving_grid, 127),
        _look(eye.vessels, fixed_grid, 0),
        _look(eye.vessels, moving_grid, 0),
        moving_from_fixed,
        flat,
    )


def draw_placement(eye: AlignedEye, rng: np.random.Generator) -> Place:
    """Draw the way from the unit frame of a view to pixels of the eye's images."""
    height, width = eye.vessels.shape
    half = rng.uniform(*eye.field) * min(height, width) / 2
    angle = rng.uniform(-np.pi, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = half * turn @ np.diag([rng.choice([-1.0, 1.0]), 1.0])
    room = np.maximum(np.array([width, height]) / 2 - half, 0) + 0.05 * half
    centre = np.array([width - 1, height - 1]) / 2 + rng.uniform(-1, 1, 2) * room
    return lambda points: points @ linear.T + centre


def random_motion(motion: Motion, *, flat: bool, rng: np.random.Generator) -> Place:
    """Draw a bend, then perspective, then a similarity; in unit frames.

    Args:
        motion: how much of each, at most.
        flat: whether nothing is bent.
        rng: drawn from in a fixed order.
    """
    angle = np.deg2rad(rng.uniform(-motion.rotation, motion.rotation))
    scale = motion.scale ** rng.uniform(-1, 1)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = rng.uniform(-2, 2, 2) * motion.shift
    tilt = rng.uniform(-1, 1, 2) * motion.perspective
    weights = np.array([0.6] * 3 + [0.4] * 4)[:, None]  # cubic terms are smaller
    bend = rng.normal(0, 1, (7, 2)) * weights * rng.uniform(0, 2) * motion.bend * (not flat)

    def moved(points: Points) -> Points:
        x, y = points.T
        x2, y2 = x * x - 1 / 3, y * y - 1 / 3
        terms = np.stack([x2, x * y, y2, x * (x2 - 4 / 15), x2 * y, x * y2, y * (y2 - 4 / 15)], 1)
        points = points + terms @ bend
        points = points / (1 + points @ tilt)[:, None]
        return np.asarray(points @ linear.T + shift)

    return moved


def _sampling(place: Place, size: int) -> NDArray[np.float32]:
    """Where every pixel of a square view comes from, S×S×2."""
    count = -(-size // _EVERY) + 2  # one more on either side, for the interpolation to end in
    along = ((np.arange(count) - 0.5) * _EVERY) * 2 / size - 1
    points = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
    grid = place(points).reshape(count, count, 2).astype(np.float32)
    fine = cv2.resize(grid, (count * _EVERY,) * 2, interpolation=cv2.INTER_LINEAR)
    return np.asarray(fine[_EVERY:, _EVERY:][:size, :size], np.float32)


def look(plane: NDArray[np.uint8], place: Place, size: int, outside: int) -> Plane:
    """Show an image in a square view, float32 S×S in [0, 1].

    Args:
        plane: uint8 H×W.
        place: from the unit frame of the view to pixels of the image.
        size: side of the view, px.
        outside: grey level beside the image.
    """
    return _look(plane, _sampling(place, size), outside)


def _look(plane: NDArray[np.uint8], grid: NDArray[np.float32], outside: int) -> Plane:
    seen = cv2.remap(plane, grid, None, cv2.INTER_LINEAR, borderValue=outside)
    return np.asarray(seen, np.float32) / np.float32(255)


def distractor(eyes: Sequence[AlignedEye], size: int, rng: np.random.Generator) -> Plane:
    """Another eye's image, for what only one of two devices shows, S×S in [0, 1]."""
    eye = eyes[int(rng.integers(len(eyes)))]
    plane = eye.planes[int(rng.integers(len(eye.planes)))]
    turned = np.rot90(plane, int(rng.integers(4)))
    small = cv2.resize(np.ascontiguousarray(turned), (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


def read_eyes(folder: Path) -> list[dict[str, NDArray[np.uint8]]]:
    """Read all rendered eyes of a folder, in the order of their numbers.

    Raises:
        BadInput: when there are none.
    """
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise BadInput(
            f"{folder}: no rendered eyes; make some by imedbench data render-eyes {folder}"
        )
    eyes = []
    for path in paths:
        with np.load(path) as planes:
            eyes.append({name: planes[name] for name in planes.files})
    return eyes
