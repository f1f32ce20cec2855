"""Images whose motion is known, and the mistakes that a wrong transform betrays."""

from __future__ import annotations

from functools import cache

import numpy as np

from imedbench.core.arrays import Pixels, Points
from imedbench.core.transforms import Affine, Homography, Transform
from imedbench.core.types import Image, Registration

SIZE = 192  # px; large enough for keypoints, small enough for slow methods
NEAR = 5.0  # px; a motion found this well is found
# Turned, grown and shifted, so that neither its inverse nor its transpose looks like it.
MOTION = Affine.similarity(scale=1.06, rotation_deg=7, shift=(14, -9), centre=(96, 96))


def name_mistake(found: Transform) -> tuple[str, float]:
    """Tell what a transform is instead of `MOTION`.

    Returns:
        The mistake, empty where it is none that is known, and how far it is from the truth, px.
    """
    swap = Homography([[0, 1, 0], [1, 0, 0], [0, 0, 1]])
    swapped = swap.then(MOTION).then(swap)
    mistakes: dict[str, Transform] = {
        "the inverse of the right one: fixed_from_moving maps points of the moving image to the"
        " fixed one; return transform.inverse()": MOTION.inverse(),
        "with x and y swapped: points are (x, y), x to the right": swapped,
        "the inverse of the right one, and with x and y swapped": swapped.inverse(),
    }
    off = _distance(found, MOTION)
    still = _distance(Affine.identity(), MOTION)
    likeliest, near = min(
        ((text, _distance(found, other)) for text, other in mistakes.items()),
        key=lambda one: one[1],
    )
    return (likeliest if near < 0.5 * min(off, still) else ""), off


def kinds_of_images(eye: Pixels) -> list[tuple[str, Image, Image]]:
    """Return pairs of every kind that a method meets, with a name each."""
    colour = np.stack([eye // 2, eye, eye // 3], axis=2)
    blank = np.zeros((SIZE, SIZE), np.uint8)
    return [
        ("grey images", Image(eye, "octa"), Image(255 - eye, "fa")),
        ("colour images", Image(colour, "cf"), Image(colour, "cf")),
        ("colour with grey", Image(colour, "cf"), Image(eye, "octa")),
        ("images of unequal sizes", Image(eye[:150], "octa"), Image(colour[:, :120], "cf")),
        ("images of 24 px", Image(eye[90:114, 90:110], "octa"), Image(eye[90:114, 90:110], "octa")),
        ("blank images", Image(blank, "octa"), Image(blank, "octa")),
    ]


def draw_eye() -> Pixels:
    """Draw an OCTA image, uint8 S×S."""
    return _drawn().copy()


@cache
def _drawn() -> Pixels:
    from imedbench.datasets.synthetic.pairs import make_pair

    made = make_pair(3, "imed", fixed_modality="octa", moving_modality="octa", size=SIZE)
    return made.fixed.grey()


def _distance(found: Transform, true: Transform) -> float:
    """Mean distance of where both take the middle of the image, px."""
    side = np.linspace(0.25, 0.75, 4) * SIZE
    points: Points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    with np.errstate(all="ignore"):
        off = np.linalg.norm(found.apply(points) - true.apply(points), axis=1).mean()
    return float(off) if np.isfinite(off) else np.inf


def is_same_answer(first: Registration | None, second: Registration | None) -> bool:
    """Tell whether two answers move the image alike, to the bit."""
    transforms = [r.fixed_from_moving if r is not None else None for r in (first, second)]
    if None in transforms:
        return transforms == [None, None]
    points = np.array([[10.0, 20.0], [150.0, 40.0], [60.0, 170.0]])
    a, b = (t.apply(points) for t in transforms if t is not None)
    return bool(np.array_equal(a, b, equal_nan=True))
