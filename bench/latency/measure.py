"""The whole measurement: prepare, warm up, rounds, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import nan
from typing import Any

from imedbench.core.arrays import plain
from imedbench.core.errors import BadInput, Declined
from imedbench.core.stages import Clock, WallClock
from imedbench.core.types import ImagePair, Method, Outcome
from imedbench.latency.calls import TimedCall, Warmup, shuffled_rounds, timed_call, warm_up
from imedbench.latency.device import (
    Backend,
    HostMemory,
    autocast,
    machine_load,
    stated_threads,
)
from imedbench.latency.settings import LatencySettings, resized
from imedbench.latency.summary import MemoryUse, MethodLatency, summarise
from imedbench.runs.environment import limited_threads


@dataclass(frozen=True)
class LatencyReport:
    """Latency of several methods, measured together on one device.

    Args:
        device: ``cpu`` or ``cuda``; figures of the two never share a column.
        settings: what was asked for.
        threads: threads that each numerical library said it used.
        rounds: timed rounds done, fewer than asked for if the budget ran out.
        load_before: processes that waited for a core in the minute before; others than this one
            make figures worthless.
        methods: figures in the order given.
        calls: every timed call by method.
    """

    device: str
    settings: LatencySettings
    threads: Mapping[str, int]
    rounds: int
    load_before: float | None
    methods: tuple[MethodLatency, ...]
    calls: Mapping[str, tuple[TimedCall, ...]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON, which knows no NaN: what is undefined becomes None."""
        values: dict[str, Any] = plain(asdict(self))
        return values


def measure_latency(
    methods: Mapping[str, Method],
    pairs: Sequence[ImagePair],
    backend: Backend,
    settings: LatencySettings | None = None,
    *,
    wall: Clock[int] | None = None,
    host_memory: HostMemory | None = None,
) -> LatencyReport:
    """Measure the latency of methods, in this process and alone.

    Args:
        methods: by name, not prepared yet.
        pairs: images to register; their ground truth is not handed on.
        backend: the device and its clock.
        settings: how much to measure, and how.
        wall: the host's clock.
        host_memory: the host's memory counter.

    Raises:
        BadInput: without methods or pairs.
    """
    if not methods or not pairs:
        raise BadInput("latency needs at least one method and one pair")
    settings = settings or LatencySettings()
    bench = _Bench(backend, settings, wall or WallClock(), host_memory or HostMemory())
    bare = [resized(pair, settings.size) for pair in pairs]
    load = machine_load()
    with limited_threads(settings.threads), autocast(settings.precision, backend.device):
        prepared = {name: bench.prepare(method) for name, method in methods.items()}
        with limited_threads(settings.threads):  # again: methods brought libraries of their own
            warm = {name: bench.warm_up(one, bare) for name, one in prepared.items()}
            rounds, calls = bench.rounds(warm, bare)
            figures = [bench.figures(name, one, calls[name], bare) for name, one in warm.items()]
            threads = stated_threads()
    return LatencyReport(
        device=backend.device,
        settings=settings,
        threads=threads,
        rounds=rounds,
        load_before=load,
        methods=tuple(figures),
        calls={name: tuple(of_method) for name, of_method in calls.items()},
    )


@dataclass(frozen=True)
class _Prepared:
    """A method that is ready for its first call, or has declined."""

    method: Method
    device_memory: float | None
    declined: str = ""


@dataclass(frozen=True)
class _Warm:
    """A method that has been called before, or has declined."""

    prepared: _Prepared
    warmup: Warmup

    @property
    def declined(self) -> bool:
        return self.warmup.first.outcome is Outcome.SKIPPED


@dataclass(frozen=True)
class _Bench:
    """What all steps of a measurement share."""

    backend: Backend
    settings: LatencySettings
    wall: Clock[int]
    host_memory: HostMemory

    def call(self, method: Method, pair: ImagePair) -> TimedCall:
        return timed_call(method, pair, self.backend, self.wall, self.settings.seed)

    def prepare(self, method: Method) -> _Prepared:
        before = self.backend.device_memory()
        try:
            method.prepare(self.backend.device)
        except Declined as error:
            return _Prepared(method, None, str(error))
        self.backend.synchronise()
        return _Prepared(method, _growth(before, self.backend.device_memory()))

    def warm_up(self, prepared: _Prepared, pairs: Sequence[ImagePair]) -> _Warm:
        if prepared.declined:
            first = TimedCall(pairs[0].pair_id, nan, Outcome.SKIPPED, reason=prepared.declined)
            return _Warm(prepared, Warmup(first, 0, steady=False))
        warmup = warm_up(
            lambda pair: self.call(prepared.method, pair),
            pairs,
            self.settings.warmup,
            self.settings.max_warmup,
        )
        return _Warm(prepared, warmup)

    def rounds(
        self, warm: Mapping[str, _Warm], pairs: Sequence[ImagePair]
    ) -> tuple[int, dict[str, list[TimedCall]]]:
        calls: dict[str, list[TimedCall]] = {name: [] for name in warm}
        ready = [name for name, one in warm.items() if not one.declined]
        beginning, done = self.wall.mark(), 0
        for each in shuffled_rounds(ready, pairs, self.settings.repeats, self.settings.seed):
            spent_s = self.wall.milliseconds(beginning, self.wall.mark()) / 1e3
            if spent_s > self.settings.budget_s and done >= self.settings.min_repeats:
                break
            for name, pair in each:
                calls[name].append(self.call(warm[name].prepared.method, pair))
            done += 1
        return done, calls

    def figures(
        self, name: str, one: _Warm, calls: Sequence[TimedCall], pairs: Sequence[ImagePair]
    ) -> MethodLatency:
        if one.declined:
            return summarise(name, one.warmup, calls, MemoryUse(None, None, None))
        return summarise(name, one.warmup, calls, self.memory(one, pairs[0]))

    def memory(self, one: _Warm, pair: ImagePair) -> MemoryUse:
        """Memory of one warm call, apart from the timed ones, which watching would slow down."""
        self.backend.start_device_peak()
        self.host_memory.start_peak()
        host, device = self.host_memory.now(), self.backend.device_memory()
        self.call(one.prepared.method, pair)
        return MemoryUse(
            host_call=_growth(host, self.host_memory.peak()),
            device_prepared=one.prepared.device_memory,
            device_call=_growth(device, self.backend.device_peak()),
        )


def _growth(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else max(0.0, after - before)
