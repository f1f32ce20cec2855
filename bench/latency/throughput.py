"""How many pairs a second a method registers when it may take several at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from imedbench.core.stages import Clock, WallClock
from imedbench.core.types import Image, ImagePair, Method, Registration
from imedbench.latency.backends import Backend


@runtime_checkable
class BatchMethod(Protocol):
    """A method that can also register several pairs in one call."""

    def register_batch(
        self, fixed: Sequence[Image], moving: Sequence[Image]
    ) -> Sequence[Registration]:
        """Register each moving image onto the fixed image of the same place."""


@dataclass(frozen=True)
class Throughput:
    """Throughput at one batch size.

    Args:
        batch: pairs a call.
        pairs_per_s: over all timed calls.
        calls: number of timed calls.
        failed: why this batch size cannot be done, such as memory; empty if it can.
    """

    batch: int
    pairs_per_s: float
    calls: int
    failed: str = ""


def measure_throughput(
    method: Method,
    pairs: Sequence[ImagePair],
    batches: Sequence[int],
    backend: Backend,
    *,
    calls: int = 10,
    wall: Clock[int] | None = None,
) -> tuple[Throughput, ...]:
    """Throughput by batch size; nothing for a method that takes no batches.

    Args:
        method: prepared and warm.
        pairs: of one size; repeated to fill a batch.
        batches: numbers of pairs a call.
        backend: the device that has to finish.
        calls: timed calls for each batch size, after one untimed.
        wall: the host's clock.
    """
    if not isinstance(method, BatchMethod):
        return ()
    wall = WallClock() if wall is None else wall
    return tuple(_at_batch(method, pairs, batch, backend, calls, wall) for batch in batches)


def _at_batch(
    method: BatchMethod,
    pairs: Sequence[ImagePair],
    batch: int,
    backend: Backend,
    calls: int,
    wall: Clock[int],
) -> Throughput:
    chosen = [pairs[i % len(pairs)] for i in range(batch)]
    fixed, moving = [pair.fixed for pair in chosen], [pair.moving for pair in chosen]
    try:
        method.register_batch(fixed, moving)
        backend.synchronise()
        start = wall.mark()
        for _ in range(calls):
            method.register_batch(fixed, moving)
        backend.synchronise()
        seconds = wall.milliseconds(start, wall.mark()) / 1e3
    except Exception as error:  # a batch too large for the memory must not end the measurement
        return Throughput(batch, float("nan"), 0, f"{type(error).__name__}: {error}")
    return Throughput(batch, batch * calls / seconds, calls)
