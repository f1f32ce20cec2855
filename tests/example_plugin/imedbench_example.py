"""A method, a metric and a data set in one small module: the least a package of plugins needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imedbench.core.datasets import DatasetInfo, PairRef
from imedbench.core.methods import register_method
from imedbench.core.metrics import MetricInfo, RegisteredPair, register_metric
from imedbench.core.registry import DATASETS
from imedbench.core.transforms import Affine
from imedbench.core.types import GroundTruth, Image, ImagePair, MethodInfo, Registration, Split


@register_method(MethodInfo("centroids", "lays the centres of brightness on each other", "shift"))
def centroids(fixed: Image, moving: Image, *, darkest: int = 0) -> Registration:
    """Shift by the difference of the centres of what is brighter than ``darkest``."""
    centres = [_centre(image, darkest) for image in (fixed, moving)]
    if any(centre is None for centre in centres):
        return Registration.failed("an image has nothing bright in it")
    x, y = np.subtract(*centres)
    return Registration(Affine([[1, 0, x], [0, 1, y]]))


def _centre(image: Image, darkest: int) -> tuple[float, float] | None:
    weight = np.where(image.grey() > darkest, image.grey(), 0).astype(float)
    if not weight.any():
        return None
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return float((x * weight).sum() / weight.sum()), float((y * weight).sum() / weight.sum())


@register_metric(MetricInfo("shared_area", "share of the fixed image seen by both"))
def shared_area(case: RegisteredPair) -> float:
    """Share of fixed pixels inside both fields of view."""
    return float(case.overlap.mean())


@DATASETS.register("blobs")
class Blobs:
    """A bright blob, moved.

    Args:
        pairs: how many.
    """

    info = DatasetInfo("blobs", "one bright blob a pair, moved by a few pixels")

    def __init__(self, *, pairs: int = 2) -> None:
        self.pairs = pairs

    def refs(self, split: Split) -> Sequence[PairRef]:
        """The pairs, the same in both splits."""
        names = (f"blob-{n}" for n in range(self.pairs))
        return [PairRef(name, split, "test", name, "cf", "octa") for name in names]

    def load(self, ref: PairRef) -> ImagePair:
        """Draw one pair."""
        number = int(ref.pair_id.removeprefix("blob-"))
        place = np.array([30.0 + number, 26.0])
        moved = place + np.array([4.0, 2.0])
        fixed, moving = _blob(moved, ref.fixed_modality), _blob(place, ref.moving_modality)
        truth = GroundTruth(moving_points=place[None], fixed_points=moved[None])
        return ImagePair(ref.pair_id, fixed, moving, truth, ref.group)


def _blob(centre: np.ndarray, modality: str) -> Image:
    y, x = np.mgrid[:64, :64]
    distance = np.hypot(x - centre[0], y - centre[1])
    return Image((255 * np.exp(-((distance / 6) ** 2))).astype(np.uint8), modality)
