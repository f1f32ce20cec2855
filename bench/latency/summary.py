"""Timed calls in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imedbench.analysis.statistics import Interval, quantile_interval
from imedbench.core.types import Outcome
from imedbench.latency.calls import TimedCall, Warmup

REPEATS_FOR_P99 = 1000


@dataclass(frozen=True)
class Quantiles:
    """Quantiles of a time in ms, each with its interval between two order statistics.

    Args:
        n: number of calls.
        p50: median.
        p90: time that nine calls of ten keep.
        p95: time that nineteen calls of twenty keep.
        p99: None for fewer than 1,000 calls, which cannot tell it.
    """

    n: int
    p50: Interval
    p90: Interval
    p95: Interval
    p99: Interval | None


@dataclass(frozen=True)
class MemoryUse:
    """Memory in MiB; None where the system does not tell.

    Args:
        host_call: most resident memory during a call, beyond that before it; of the processes
            that the method started, too.
        device_prepared: device memory that preparing the method took: its weights.
        device_call: most device memory during a call, beyond that before it.
    """

    host_call: float | None
    device_prepared: float | None
    device_call: float | None


@dataclass(frozen=True)
class MethodLatency:
    """A method's latency.

    Args:
        name: the method.
        first_call_ms: the very first call, apart from all others.
        warmup_calls: number of untimed calls.
        steady: whether times had settled after them; without, the figures drift.
        registered: times of calls that found a transform.
        failed: times of calls that did not, apart: an early exit looks fast.
        outcomes: number of timed calls by outcome.
        reasons: number of failed calls by reason.
        stages: median ms by stage over the calls that found a transform.
        memory: of one warm call.
        skipped: why the method was not timed at all; empty if it was.
    """

    name: str
    first_call_ms: float
    warmup_calls: int
    steady: bool
    registered: Quantiles
    failed: Quantiles
    outcomes: dict[str, int]
    reasons: dict[str, int]
    stages: dict[str, float]
    memory: MemoryUse
    skipped: str = ""


def quantiles(times: Sequence[float]) -> Quantiles:
    """Quantiles of times in ms, as far as their number allows."""
    values = np.asarray(times, np.float64)
    p50, p90, p95 = (quantile_interval(values, q) for q in (0.5, 0.9, 0.95))
    p99 = quantile_interval(values, 0.99) if values.size >= REPEATS_FOR_P99 else None
    return Quantiles(values.size, p50, p90, p95, p99)


def summarise(
    name: str, warmup: Warmup, calls: Sequence[TimedCall], memory: MemoryUse
) -> MethodLatency:
    """Return a method's figures from its timed calls."""
    good = [call for call in calls if call.outcome is Outcome.OK]
    bad = [call for call in calls if call.outcome is not Outcome.OK]
    return MethodLatency(
        name=name,
        first_call_ms=warmup.first.milliseconds,
        warmup_calls=warmup.calls,
        steady=warmup.steady,
        registered=quantiles([call.milliseconds for call in good]),
        failed=quantiles([call.milliseconds for call in bad]),
        outcomes=dict(Counter(call.outcome.value for call in calls)),
        reasons=dict(Counter(call.reason for call in bad)),
        stages=_median_stages(good),
        memory=memory,
        skipped=warmup.first.reason if warmup.first.outcome is Outcome.SKIPPED else "",
    )


def _median_stages(calls: Sequence[TimedCall]) -> dict[str, float]:
    """Median by stage; a call that does not enter a stage spends 0 ms in it."""
    names = dict.fromkeys(name for call in calls for name in call.stages)
    return {
        name: float(np.median([call.stages.get(name, 0.0) for call in calls])) for name in names
    }
