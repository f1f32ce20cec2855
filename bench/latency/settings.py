"""What a latency measurement is asked for, and the surroundings that it sets."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from imedbench.core.errors import BadInput
from imedbench.core.types import Image, ImagePair

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class LatencySettings:
    """A latency measurement.

    Args:
        repeats: timed calls of each method.
        budget_s: stop after this many seconds of timed rounds, even with fewer repeats.
        least_repeats: timed calls of each method even beyond the budget.
        warmup: untimed calls at least.
        most_warmup: untimed calls at most, if they do not settle before.
        threads: of the numerical libraries.
        precision: of learned methods; other than ``fp32`` by torch's autocast.
        size: longer side of the images in px; None leaves them as they are.
        batches: batch sizes whose throughput to measure, where a method takes batches.
        seed: of the order of calls and, before each call, of the methods' random numbers.

    Raises:
        BadInput: when a setting makes no sense.
    """

    repeats: int = 100
    budget_s: float = 300.0
    least_repeats: int = 5
    warmup: int = 10
    most_warmup: int = 50
    threads: int = 1
    precision: Precision = "fp32"
    size: int | None = None
    batches: tuple[int, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (self.repeats, self.least_repeats, self.warmup, self.threads, *self.batches)
        if min(counts) < 1 or self.most_warmup < self.warmup or self.budget_s <= 0:
            raise BadInput(
                "latency: repeats, warm-up, threads, batches and budget must be positive"
            )
        if self.precision not in PRECISIONS:
            raise BadInput(f"latency: precision is one of {', '.join(PRECISIONS)}")
        if self.size is not None and self.size < 16:
            raise BadInput("latency: images need a size of at least 16 px")


def refuse_parallel(workers: int) -> None:
    """Latency is measured alone: other workers would share caches, memory and cores.

    Raises:
        BadInput: for more than one worker.
    """
    if workers != 1:
        raise BadInput(f"latency is measured with one worker, not {workers}: leave out --workers")


def resized(pair: ImagePair, size: int | None) -> ImagePair:
    """The pair with the longer side of each image at ``size`` px; without its ground truth."""
    bare = replace(pair, truth=type(pair.truth)())
    if size is None:
        return bare
    return replace(bare, fixed=_resized(pair.fixed, size), moving=_resized(pair.moving, size))


def _resized(image: Image, size: int) -> Image:
    import cv2

    width, height = image.size
    scale = size / max(width, height)
    new_size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return Image(
        np.asarray(cv2.resize(image.pixels, new_size, interpolation=method)), image.modality
    )


@contextlib.contextmanager
def autocast(precision: Precision, device: str) -> Iterator[None]:
    """Run torch's eligible operations in a lower precision; ``fp32`` changes nothing."""
    if precision == "fp32":
        yield
        return
    import torch

    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    with torch.autocast(device, dtype=dtype):
        yield


THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextlib.contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Hold the numerical libraries to a number of threads.

    Those loaded already are told, those loaded inside find it in the environment.
    """
    import cv2
    from threadpoolctl import threadpool_limits

    torch: Any = sys.modules.get("torch")
    before = cv2.getNumThreads(), torch.get_num_threads() if torch else 0
    environment = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    cv2.setNumThreads(threads)
    if torch:
        torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        cv2.setNumThreads(before[0])
        if torch:
            torch.set_num_threads(before[1])
        for name, value in environment.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def stated_threads() -> dict[str, int]:
    """The number of threads that each loaded library says it uses."""
    import cv2
    from threadpoolctl import threadpool_info

    stated = {str(pool["prefix"]): int(pool["num_threads"]) for pool in threadpool_info()}
    torch: Any = sys.modules.get("torch")
    return (
        stated
        | {"opencv": cv2.getNumThreads()}
        | ({"torch": int(torch.get_num_threads())} if torch else {})
    )


def seed_methods(seed: int) -> None:
    """Seed every generator a method may draw from, so that repeats do the same work."""
    import random

    import cv2

    random.seed(seed)
    np.random.seed(seed)
    cv2.setRNGSeed(seed)
    torch: Any = sys.modules.get("torch")
    if torch:
        torch.manual_seed(seed)


def machine_load() -> float | None:
    """Processes that waited for a core over the last minute; None where the system has no count."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
