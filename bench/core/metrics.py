"""What a metric is given and what it declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imedbench.core.registry import METRICS
from imedbench.core.transforms import Transform, inside, resample, sampling_map
from imedbench.core.types import GroundTruth, ImagePair, Mask, Split

Need = Literal["landmarks", "spacing", "single-modal"]


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


VesselReader = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class RegisteredPair:
    """One pair under one transform, with what metrics look at computed once and only if asked.

    Args:
        pair: the images and what is known of them.
        split: the split the pair was taken from.
        fixed_from_moving: the transform to judge.
        read_vessels: reference segmenter for images without a vessel mask: uint8 pixels →
            float32 H×W in [0, 1].
    """

    def __init__(
        self,
        pair: ImagePair,
        split: Split,
        fixed_from_moving: Transform,
        read_vessels: VesselReader,
    ) -> None:
        self.pair = pair
        self.split = split
        self.fixed_from_moving = fixed_from_moving
        self._read_vessels = read_vessels

    @property
    def truth(self) -> GroundTruth:
        """What is known of the pair."""
        return self.pair.truth

    @cached_property
    def moving_from_fixed(self) -> Transform:
        """The inverse transform."""
        return self.fixed_from_moving.inverse()

    @cached_property
    def sampling_map(self) -> NDArray[np.float32]:
        """Where each fixed pixel looks in the moving image, H×W×2 px."""
        return sampling_map(self.moving_from_fixed, self.pair.fixed.shape)

    @cached_property
    def overlap(self) -> Mask:
        """Fixed pixels inside both images' fields of view, bool H×W."""
        from imedbench.core.polarity import field_of_view

        where = self.sampling_map
        moving_view = field_of_view(self.pair.moving.pixels).astype(np.uint8)
        seen = resample(moving_view, where, "nearest").astype(bool)
        return field_of_view(self.pair.fixed.pixels) & seen & inside(where, moving_view.shape)

    @cached_property
    def fixed_grey(self) -> NDArray[np.float32]:
        """Fixed image, H×W in [0, 1]."""
        return np.float32(1 / 255) * self.pair.fixed.grey().astype(np.float32)

    @cached_property
    def warped_grey(self) -> NDArray[np.float32]:
        """Moving image on the fixed grid, H×W in [0, 1]."""
        grey = self.pair.moving.grey().astype(np.float32)
        return np.float32(1 / 255) * resample(grey, self.sampling_map)

    @cached_property
    def fixed_vessels(self) -> NDArray[np.float32]:
        """Vessel map of the fixed image, H×W in [0, 1]."""
        mask = self.truth.fixed_vessels
        if mask is not None:
            return mask.astype(np.float32)
        return self._read_vessels(self.pair.fixed.pixels)

    @cached_property
    def warped_vessels(self) -> NDArray[np.float32]:
        """Vessel map of the moving image on the fixed grid, H×W in [0, 1]."""
        mask = self.truth.moving_vessels
        vessels = (
            self._read_vessels(self.pair.moving.pixels)
            if mask is None
            else mask.astype(np.float32)
        )
        return resample(vessels, self.sampling_map)


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
    """Decorator that registers a function as a metric under ``info.name``.

    Example:
        >>> @register_metric(MetricInfo("example_overlap", "share of the image both show"))
        ... def example_overlap(case: RegisteredPair) -> float:
        ...     return float(case.overlap.mean())
    """

    def store(
        compute: Callable[[RegisteredPair], float],
    ) -> Callable[[RegisteredPair], float]:
        METRICS.register(info.name)(lambda: Metric(info, compute))
        return compute

    return store
