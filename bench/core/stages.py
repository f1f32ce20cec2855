"""Name the stages of a method, so that whoever times it can say where the time goes.

A plugin writes ``with stage("maps"):`` round a part of its work. Nothing is measured, and next to
nothing is spent, until somebody collects.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Generic, Protocol, TypeVar

Mark = TypeVar("Mark")


class Clock(Protocol[Mark]):
    """Marks moments and tells the time between two of them.

    The two are apart because a GPU's clock can mark a moment at once but only tells the time
    between two once the device has reached both.
    """

    def mark(self) -> Mark:
        """Mark the present moment."""

    def milliseconds(self, start: Mark, end: Mark) -> float:
        """Time from one mark to the other, in ms."""


class WallClock:
    """The host's monotonic clock."""

    def mark(self) -> int:
        """Mark the present moment, in ns."""
        return time.perf_counter_ns()

    def milliseconds(self, start: int, end: int) -> float:
        """Time from one mark to the other, in ms."""
        return (end - start) / 1e6


class StageTimes(Generic[Mark]):
    """The stages that ran while it was collecting.

    Args:
        clock: marks the beginning and the end of each stage.
    """

    def __init__(self, clock: Clock[Mark]) -> None:
        self._clock = clock
        self._open: list[str] = []
        self._spans: list[tuple[str, Mark, Mark]] = []
        self._told: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage; one that ends by an exception is kept too."""
        self._open.append(name)
        path = "/".join(self._open)
        start = self._clock.mark()
        try:
            yield
        finally:
            self._spans.append((path, start, self._clock.mark()))
            self._open.pop()

    def add(self, name: str, milliseconds: float) -> None:
        """Add a stage that something else has timed, inside the one that is open."""
        path = "/".join([*self._open, name])
        self._told[path] = self._told.get(path, 0.0) + milliseconds

    @property
    def milliseconds(self) -> dict[str, float]:
        """Time by stage in ms; repeats add up, nested ones are named ``outer/inner``.

        An outer stage includes its inner ones. With a GPU clock, synchronise before reading.
        """
        totals = dict(self._told)
        for path, start, end in self._spans:
            totals[path] = totals.get(path, 0.0) + self._clock.milliseconds(start, end)
        return totals


_collector: ContextVar[StageTimes[Any] | None] = ContextVar("imedbench_stages", default=None)
_NOBODY_COLLECTS = nullcontext()


def stage(name: str) -> AbstractContextManager[None]:
    """Return a context that names the work inside it.

    Args:
        name: a short plain word, such as ``maps``, ``matching`` or ``estimate``.

    Returns:
        A context manager; stages may nest and repeat.

    Example:
        >>> with collect_stages() as times:
        ...     with stage("maps"):
        ...         pass
        >>> list(times.milliseconds)
        ['maps']
    """
    collector = _collector.get()
    return _NOBODY_COLLECTS if collector is None else collector.stage(name)


def add_stage(name: str, milliseconds: float) -> None:
    """Tell of a stage that was timed elsewhere, by another program say.

    Args:
        name: as for `stage`.
        milliseconds: that it took.
    """
    collector = _collector.get()
    if collector is not None:
        collector.add(name, milliseconds)


@contextmanager
def collect_stages(clock: Clock[Any] | None = None) -> Iterator[StageTimes[Any]]:
    """Collect the times of the stages entered inside this context, in this thread.

    Args:
        clock: what marks the moments; the host's clock by default.

    Yields:
        The times, read by ``.milliseconds`` once the work is done.
    """
    times: StageTimes[Any] = StageTimes(WallClock() if clock is None else clock)
    token = _collector.set(times)
    try:
        yield times
    finally:
        _collector.reset(token)
