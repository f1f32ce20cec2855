"""How two images of one eye differ in geometry: the levels of difficulty and single factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from imedbench.core.arrays import Points
from imedbench.core.errors import BadInput
from imedbench.core.transforms import Affine, Homography, Quadratic, ThinPlateSpline, Transform

Size = tuple[int, int]
Level = Literal["easy", "imed", "hard", "fields"]
LEVELS: tuple[Level, ...] = get_args(Level)
StressKind = Literal["rotation", "scale", "overlap", "blur", "noise", "lesions"]
GEOMETRIC: tuple[StressKind, ...] = ("rotation", "scale", "overlap")


@dataclass(frozen=True)
class Stress:
    """One factor set to a value, all else as the level has it.

    Args:
        kind: which factor.
        value: ``rotation`` degrees; ``scale`` of the moving image's magnification; ``overlap``
            share of the fixed image that the moving one covers; ``blur`` standard deviation in px
            of a 512 px image; ``noise`` standard deviation of 255; ``lesions`` load from 0
            (healthy) to 3.
    """

    kind: StressKind
    value: float

    @classmethod
    def parse(cls, text: str) -> Stress:
        """Read ``KIND:VALUE``.

        Raises:
            BadInput: for another form, an unknown kind or a value out of range.

        Example:
            >>> Stress.parse("rotation:20")
            Stress(kind='rotation', value=20.0)
        """
        name, _, number = text.partition(":")
        kinds = {str(kind): kind for kind in get_args(StressKind)}
        if name not in kinds:
            raise BadInput(f"stress {text!r}: say KIND:VALUE, KIND one of {', '.join(kinds)}")
        try:
            value = float(number)
        except ValueError:
            raise BadInput(f"stress {text!r}: {number!r} is not a number") from None
        stress = cls(kinds[name], value)
        stress._check()
        return stress

    def _check(self) -> None:
        low, high = _RANGE[self.kind]
        if not low <= self.value <= high:
            raise BadInput(f"stress {self.kind}: {self.value:g} is not within {low:g} … {high:g}")


_RANGE: dict[StressKind, tuple[float, float]] = {
    "rotation": (-180, 180),
    "scale": (0.3, 3.0),
    "overlap": (0.1, 1.0),
    "blur": (0, 20),
    "noise": (0, 128),
    "lesions": (0, 3),
}


@dataclass(frozen=True)
class Motion:
    """Ranges from which the movement between two images is drawn.

    Args:
        rotation_deg: largest rotation either way.
        scale: least and greatest size of a fixed pixel in moving pixels.
        shift: largest shift in x and y, as a share of the width.
        perspective: corner movement by perspective, as a share of the width.
        bend: largest movement by the eye's curvature or by a spline, as a share of the width.
        least_overlap: share of the fixed image that stays covered.
    """

    rotation_deg: float
    scale: tuple[float, float]
    shift: float
    perspective: float = 0.0
    bend: float = 0.0
    least_overlap: float = 0.5


MOTIONS: dict[Level, Motion] = {
    "easy": Motion(2.0, (0.99, 1.01), 0.015),
    "imed": Motion(3.2, (1.02, 1.06), 0.035, perspective=0.006),
    "hard": Motion(30.0, (0.75, 1.33), 0.25, perspective=0.02, bend=0.012, least_overlap=0.4),
    "fields": Motion(10.0, (1.0, 1.0), 0.0, perspective=0.01, bend=0.012),
}


@dataclass(frozen=True)
class Warp:
    """The movement between two images, in both directions."""

    fixed_from_moving: Transform
    moving_from_fixed: Transform


def make_warp(
    level: Level, size: Size, rng: np.random.Generator, stress: Stress | None = None
) -> Warp:
    """Draw a movement.

    Args:
        level: how large it is.
        size: width and height of both images, px.
        rng: what it is drawn from.
        stress: a geometric factor set to a value; others are ignored here.

    Returns:
        A map with closed form from fixed to moving, and its inverse: closed too for matrices,
        numerical for bent ones.
    """
    motion = MOTIONS[level]
    for _ in range(200):
        matrix = _projective(motion, size, rng, stress)
        if stress is not None or covered(matrix.inverse(), size) >= motion.least_overlap:
            break
    moving_from_fixed: Transform = matrix
    if motion.bend > 0:
        moving_from_fixed = _bend(motion.bend * max(size), size, rng).then(matrix)
    return Warp(moving_from_fixed.inverse(), moving_from_fixed)


def covered(fixed_from_moving: Transform, size: Size) -> float:
    """Share of the fixed image's area that the moving image covers, both of that size."""
    back = fixed_from_moving.inverse().apply(_grid(size, 33))
    return float(((back >= 0) & (back <= np.array(size) - 1)).all(1).mean())


def _grid(size: Size, n: int) -> Points:
    """n×n positions from corner to corner of an image, px."""
    at = np.linspace(0, 1, n)
    grid: Points = np.stack(np.meshgrid(at, at), -1).reshape(-1, 2) * (np.array(size) - 1)
    return grid


def _projective(
    motion: Motion, size: Size, rng: np.random.Generator, stress: Stress | None
) -> Homography:
    """Moving from fixed, without bending."""
    x, y = (size[0] - 1) / 2, (size[1] - 1) / 2
    rotation = rng.uniform(-1, 1) * motion.rotation_deg
    scale = float(np.exp(rng.uniform(*np.log(motion.scale))))
    shift = rng.uniform(-1, 1, 2) * motion.shift * np.array(size)
    tilt = rng.uniform(-1, 1, 2) * motion.perspective * 2 / max(size)
    if stress is not None and stress.kind == "rotation":
        rotation = stress.value
    if stress is not None and stress.kind == "scale":
        scale = stress.value
    if stress is not None and stress.kind == "overlap":
        # Along one direction chosen at random, so that exactly this share of the area is left.
        shift = _shift_for_overlap(stress.value, rng) * size
        rotation, scale, tilt = 0.0, 1.0, np.zeros(2)
    similar = Affine.similarity(
        scale=1 / scale,
        rotation_deg=-rotation,
        centre=(x, y),
        shift=(float(shift[0]), float(shift[1])),
    )
    centred = Affine([[1, 0, -x], [0, 1, -y]])
    tilted = Homography([[1, 0, 0], [0, 1, 0], [tilt[0], tilt[1], 1]])
    matrix = centred.then(tilted).then(centred.inverse()).then(similar)
    assert isinstance(matrix, Homography)
    return matrix


def _shift_for_overlap(overlap: float, rng: np.random.Generator) -> Points:
    side = rng.integers(4)
    along = 1 - overlap
    return along * np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])[side]


def _bend(largest: float, size: Size, rng: np.random.Generator) -> Transform:
    """The eye's curvature as a quadratic, or an irregular spline; half the time each."""
    grid = _grid(size, 4)
    if rng.random() < 0.5:
        return ThinPlateSpline(grid, grid + rng.uniform(-1, 1, grid.shape) * largest)
    unit = 2 * grid / (np.array(size) - 1) - 1
    square = np.stack([unit[:, 0] ** 2, unit.prod(1), unit[:, 1] ** 2], 1)
    return Quadratic.fit(grid, grid + largest * square @ rng.uniform(-1, 1, (3, 2)))
