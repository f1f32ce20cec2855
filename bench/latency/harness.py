"""The whole measurement: prepare, warm up, rounds, memory, throughput, notes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import nan
from typing import Any

from imedbench.core.errors import BadInput, Declined
from imedbench.core.stages import Clock, WallClock
from imedbench.core.types import ImagePair, Method, Outcome
from imedbench.latency.backends import Backend, HostMemory
from imedbench.latency.calls import TimedCall, Warmup, shuffled_rounds, timed_call, warm_up
from imedbench.latency.nvml import CardNotes, card_notes
from imedbench.latency.settings import (
    LatencySettings,
    autocast,
    limited_threads,
    machine_load,
    resized,
    seed_methods,
)
from imedbench.latency.summary import MemoryUse, MethodLatency, summarise
from imedbench.latency.throughput import measure_throughput


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
        card_before: notes on the graphics card; None on the host or without NVML.
        card_after: the same at the end.
        methods: figures in the order given.
        calls: every timed call by method.
    """

    device: str
    settings: LatencySettings
    threads: Mapping[str, int]
    rounds: int
    load_before: float | None
    card_before: CardNotes | None
    card_after: CardNotes | None
    methods: tuple[MethodLatency, ...]
    calls: Mapping[str, tuple[TimedCall, ...]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


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
    load, card_before = machine_load(), _notes(backend)
    with limited_threads(settings.threads) as threads, autocast(settings.precision, backend.device):
        started = {name: bench.start(method, bare) for name, method in methods.items()}
        rounds, calls = bench.rounds(started, bare)
        figures = [bench.figures(name, one, calls[name], bare) for name, one in started.items()]
    return LatencyReport(
        device=backend.device,
        settings=settings,
        threads=threads,
        rounds=rounds,
        load_before=load,
        card_before=card_before,
        card_after=_notes(backend),
        methods=tuple(figures),
        calls={name: tuple(of_method) for name, of_method in calls.items()},
    )


def _notes(backend: Backend) -> CardNotes | None:
    return card_notes(os.getpid()) if backend.device == "cuda" else None


@dataclass(frozen=True)
class _Started:
    """A method that is prepared and warm, or has declined."""

    method: Method
    warmup: Warmup
    device_prepared: float | None

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
        seed_methods(self.settings.seed)
        return timed_call(method, pair, self.backend, self.wall)

    def start(self, method: Method, pairs: Sequence[ImagePair]) -> _Started:
        before = self.backend.device_memory()
        try:
            method.prepare(self.backend.device)
        except Declined as error:
            refused = TimedCall(pairs[0].pair_id, nan, Outcome.SKIPPED, reason=str(error))
            return _Started(method, Warmup(refused, 0, steady=False), None)
        self.backend.synchronise()
        prepared = _growth(before, self.backend.device_memory())
        warmup = warm_up(
            lambda pair: self.call(method, pair),
            pairs,
            self.settings.warmup,
            self.settings.most_warmup,
        )
        return _Started(method, warmup, prepared)

    def rounds(
        self, started: Mapping[str, _Started], pairs: Sequence[ImagePair]
    ) -> tuple[int, dict[str, list[TimedCall]]]:
        calls: dict[str, list[TimedCall]] = {name: [] for name in started}
        ready = [name for name, one in started.items() if not one.declined]
        beginning, done = self.wall.mark(), 0
        for each in shuffled_rounds(ready, pairs, self.settings.repeats, self.settings.seed):
            spent_s = self.wall.milliseconds(beginning, self.wall.mark()) / 1e3
            if spent_s > self.settings.budget_s and done >= self.settings.least_repeats:
                break
            for name, pair in each:
                calls[name].append(self.call(started[name].method, pair))
            done += 1
        return done, calls

    def figures(
        self, name: str, one: _Started, calls: Sequence[TimedCall], pairs: Sequence[ImagePair]
    ) -> MethodLatency:
        if one.declined:
            return summarise(name, one.warmup, calls, MemoryUse(None, None, None))
        throughput = measure_throughput(
            one.method, pairs[:1], self.settings.batches, self.backend, wall=self.wall
        )
        return summarise(name, one.warmup, calls, self.memory(one, pairs[0]), throughput)

    def memory(self, one: _Started, pair: ImagePair) -> MemoryUse:
        """Memory of one warm call, apart from the timed ones, which watching would slow down."""
        self.backend.start_device_peak()
        self.host_memory.start_peak()
        host, device = self.host_memory.now(), self.backend.device_memory()
        self.call(one.method, pair)
        return MemoryUse(
            host_call=_growth(host, self.host_memory.peak()),
            device_prepared=one.device_prepared,
            device_call=_growth(device, self.backend.device_peak()),
        )


def _growth(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else max(0.0, after - before)
