"""What a metric is given and what it declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Mask
from imedbench.core.errors import BadInput
from imedbench.core.registry import METRICS
from imedbench.core.transforms import Transform, inside, resample, sampling_map
from imedbench.core.types import GroundTruth, Image, ImagePair, Split

Need = Literal["landmarks", "spacing", "single-modal", "swapped"]


@dataclass(frozen=True)
class MetricInfo:
    """What a metric is.

    Args:
        name: as in tables.
        summary: one line.
        unit: ``px``, ``µm`` or empty.
        higher_is_better: direction of improvement.
        needs: what a pair must offer for the metric to be defined.
        version: raise it when values change.
    """

    name: str
    summary: str
    unit: str = ""
    higher_is_better: bool = False
    needs: frozenset[Need] = frozenset()
    version: str = "1"


MAX_COMPARED = 25_000_000
"""Pixels of an image that is compared pixel by pixel: 5,000 × 5,000 px take 2 GiB and a minute."""

VesselReader = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class PairViews:
    """What metrics look at of a pair before any transform: computed once, and only if asked.

    Args:
        pair: the images and what is known of them.
        split: the split the pair was taken from.
        read_vessels: reference reader for images without a vessel mask: uint8 pixels → float32
            H×W in [0, 1].
    """

    def __init__(self, pair: ImagePair, split: Split, read_vessels: VesselReader) -> None:
        self.pair, self.split = pair, split
        self._read_vessels = read_vessels

    @property
    def fixed(self) -> Image:
        """The fixed image, where it is compared pixel by pixel; BadInput when it is too large."""
        return _comparable(self.pair.fixed, "fixed")

    @property
    def moving(self) -> Image:
        """The moving image, where it is compared pixel by pixel; BadInput when it is too large."""
        return _comparable(self.pair.moving, "moving")

    @cached_property
    def fixed_view(self) -> Mask:
        """Field of view of the fixed image, bool H×W."""
        from imedbench.core.field_of_view import field_of_view

        return field_of_view(self.fixed.pixels)

    @cached_property
    def moving_view(self) -> Mask:
        """Field of view of the moving image, bool H×W."""
        from imedbench.core.field_of_view import field_of_view

        return field_of_view(self.moving.pixels)

    @cached_property
    def fixed_grey(self) -> NDArray[np.float32]:
        """Fixed image, H×W in [0, 1]."""
        return _unit(self.fixed.grey())

    @cached_property
    def moving_grey(self) -> NDArray[np.float32]:
        """Moving image, H×W in [0, 1]."""
        return _unit(self.moving.grey())

    @cached_property
    def fixed_vessels(self) -> NDArray[np.float32]:
        """Vessel map of the fixed image, H×W in [0, 1]."""
        return self._vessels(self.pair.truth.fixed_vessels, self.fixed.pixels)

    @cached_property
    def moving_vessels(self) -> NDArray[np.float32]:
        """Vessel map of the moving image, H×W in [0, 1]."""
        return self._vessels(self.pair.truth.moving_vessels, self.moving.pixels)

    def _vessels(self, mask: Mask | None, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._read_vessels(pixels) if mask is None else mask.astype(np.float32)


class RegisteredPair:
    """One pair under one transform; what costs something is computed once, and only if asked.

    Args:
        views: the pair before any transform; many transforms may share it.
        fixed_from_moving: the transform to judge.
        swapped: what the method found for the pair the other way round, which takes points of the
            fixed image to the moving one; there for metrics that need it.
    """

    def __init__(
        self, views: PairViews, fixed_from_moving: Transform, swapped: Transform | None = None
    ) -> None:
        self.views = views
        self.fixed_from_moving = fixed_from_moving
        self.swapped = swapped

    @property
    def truth(self) -> GroundTruth:
        """What is known of the pair."""
        return self.views.pair.truth

    @cached_property
    def moving_from_fixed(self) -> Transform:
        """The inverse transform."""
        return self.fixed_from_moving.inverse()

    @cached_property
    def sampling_map(self) -> NDArray[np.float32]:
        """Where each fixed pixel looks in the moving image, H×W×2 px."""
        return sampling_map(self.moving_from_fixed, self.views.fixed.shape)

    @cached_property
    def overlap(self) -> Mask:
        """Fixed pixels inside both images' fields of view, bool H×W."""
        where, moving_view = self.sampling_map, self.views.moving_view
        seen = resample(moving_view.astype(np.uint8), where, "nearest") > 0
        return self.views.fixed_view & seen & inside(where, self.views.moving.shape)

    @cached_property
    def warped_grey(self) -> NDArray[np.float32]:
        """Moving image on the fixed grid, H×W in [0, 1]."""
        return resample(self.views.moving_grey, self.sampling_map)

    @cached_property
    def warped_vessels(self) -> NDArray[np.float32]:
        """Vessel map of the moving image on the fixed grid, H×W in [0, 1]."""
        return resample(self.views.moving_vessels, self.sampling_map)


def _comparable(image: Image, which: str) -> Image:
    height, width = image.shape
    if height * width > MAX_COMPARED:
        raise BadInput(
            f"the {which} image has {height * width / 1e6:.4g} million pixels, and only"
            f" {MAX_COMPARED / 1e6:g} million are compared one by one"
        )
    return image


def _unit(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    return grey.astype(np.float32) / np.float32(255)


@dataclass(frozen=True)
class Metric:
    """A metric's facts and the function that computes it.

    Args:
        info: what it is.
        compute: value for one registered pair; NaN where it is undefined (no overlap, say).
    """

    info: MetricInfo
    compute: Callable[[RegisteredPair], float]


def register_metric(
    info: MetricInfo,
) -> Callable[[Callable[[RegisteredPair], float]], Callable[[RegisteredPair], float]]:
    """Register a function as a metric under ``info.name``, by decorating it.

    Example:
        >>> @register_metric(MetricInfo("example_overlap", "share of the image both show"))
        ... def example_overlap(case: RegisteredPair) -> float:
        ...     return float(case.overlap.mean())
    """

    def store(
        compute: Callable[[RegisteredPair], float],
    ) -> Callable[[RegisteredPair], float]:
        def build() -> Metric:
            return Metric(info, compute)

        build.__module__ = compute.__module__  # the one to blame when a name is taken
        METRICS.register(info.name)(build)
        return compute

    return store
