"""What a latency measurement is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from imedbench.core.errors import BadInput
from imedbench.core.resize import fitted_size, resize
from imedbench.core.types import Image, ImagePair

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class LatencySettings:
    """A latency measurement.

    Args:
        repeats: timed calls of each method.
        budget_s: stop after this many seconds of timed rounds, even with fewer repeats.
        min_repeats: timed calls of each method even beyond the budget.
        warmup: untimed calls at least.
        max_warmup: untimed calls at most, if they do not settle before.
        threads: of the numerical libraries.
        precision: of learned methods; other than ``fp32`` by torch's autocast.
        size: longer side of the images in px; None leaves them as they are.
        seed: of the order of calls and, before each call, of the methods' random numbers.

    Raises:
        BadInput: when a setting makes no sense.
    """

    repeats: int = 100
    budget_s: float = 300.0
    min_repeats: int = 5
    warmup: int = 10
    max_warmup: int = 50
    threads: int = 1
    precision: Precision = "fp32"
    size: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (self.repeats, self.min_repeats, self.warmup, self.threads)
        if min(counts) < 1 or self.max_warmup < self.warmup or self.budget_s <= 0:
            raise BadInput("latency: repeats, warm-up, threads and budget must be positive")
        if self.precision not in PRECISIONS:
            raise BadInput(f"latency: precision is one of {', '.join(PRECISIONS)}")
        if self.size is not None and self.size < 16:
            raise BadInput("latency: images need a size of at least 16 px")


def resized(pair: ImagePair, size: int | None) -> ImagePair:
    """Resize both images to ``size`` px on the longer side; leave out the ground truth."""
    bare = replace(pair, truth=type(pair.truth)())
    if size is None:
        return bare
    return replace(bare, fixed=_resized(pair.fixed, size), moving=_resized(pair.moving, size))


def _resized(image: Image, size: int) -> Image:
    return Image(resize(image.pixels, fitted_size(image.size, size)), image.modality)
