"""Pairs whose right transform is known, with all that a metric may ask of them."""

from __future__ import annotations

import hashlib
from collections.abc import Set
from dataclasses import dataclass, replace

import numpy as np

from imedbench.core.arrays import Pixels
from imedbench.core.metrics import Need, PairViews, RegisteredPair
from imedbench.core.transforms import Transform, warp_image
from imedbench.core.types import GroundTruth, Image, ImagePair, Split
from imedbench.runs.conformance.known_motion import MOTION, SIZE, draw_eye

SPACING_UM = 10.0
_VESSELS = 85  # percentile of grey levels from which a drawn eye is vessel
_SEEN = (
    "fixed_view",
    "moving_view",
    "fixed_grey",
    "moving_grey",
    "fixed_vessels",
    "moving_vessels",
)
_MADE = ("sampling_map", "overlap", "warped_grey", "warped_vessels")


@dataclass(frozen=True, eq=False)
class KnownPair:
    """Two images that `MOTION` lays on each other.

    Args:
        fixed: its image.
        moving: likewise.
        truth: all that can be known of them.
    """

    fixed: Image
    moving: Image
    truth: GroundTruth

    def registered(self, found: Transform, offers: Set[Need]) -> RegisteredPair:
        """Return the pair under a transform, with no more than it is to offer."""
        truth = self.truth
        if "landmarks" not in offers:
            truth = replace(truth, moving_points=None, fixed_points=None)
        if "spacing" not in offers:
            truth = replace(truth, spacing_um=None)
        pair = ImagePair("drawn", self.fixed, self.moving, truth, group="eye")
        split: Split = "single-modal" if "single-modal" in offers else "multi-modal"
        views = PairViews(pair, split, lambda pixels: _vessels(pixels).astype(np.float32))
        return RegisteredPair(views, found, found.inverse() if "swapped" in offers else None)


def kinds_of_pairs() -> dict[str, KnownPair]:
    """Return pairs of every kind that a metric meets, by name."""
    eye = draw_eye()
    moving = Image(eye, "octa")
    fixed = Image(warp_image(eye, MOTION.inverse(), eye.shape), "octa")
    colour = Image(np.stack([fixed.pixels // 2, fixed.pixels, fixed.pixels // 3], 2), "cf")
    cut = Image(np.ascontiguousarray(eye[:150]), "octa")
    return {
        "pairs of images": _known(fixed, moving),
        "colour with grey": _known(colour, moving),
        "images of unequal sizes": _known(fixed, cut),
    }


def snapshot(case: RegisteredPair) -> str:
    """Hash all arrays that metrics share."""
    truth, digest = case.truth, hashlib.sha256()
    arrays = [case.views.pair.fixed.pixels, case.views.pair.moving.pixels]
    arrays += [getattr(case.views, name) for name in _SEEN]
    arrays += [getattr(case, name) for name in _MADE]
    points = (truth.moving_points, truth.fixed_points)
    for array in [*arrays, *(p for p in points if p is not None)]:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _known(fixed: Image, moving: Image) -> KnownPair:
    side = np.linspace(0.3, 0.7, 4) * SIZE
    points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    truth = GroundTruth(
        moving_points=points,
        fixed_points=MOTION.apply(points),
        fixed_vessels=_vessels(fixed.pixels),
        moving_vessels=_vessels(moving.pixels),
        fixed_from_moving=MOTION,
        spacing_um=SPACING_UM,
    )
    return KnownPair(fixed, moving, truth)


def _vessels(pixels: Pixels) -> np.ndarray:
    grey = pixels if pixels.ndim == 2 else pixels[..., 1]
    return grey > np.percentile(grey, _VESSELS)
