"""One timed call, the way to a steady state, and the shuffled rounds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from imedbench.core.stages import Clock
from imedbench.core.types import ImagePair, Method, Outcome
from imedbench.latency.device import Backend
from imedbench.runs.calls import Task, call_method

STEADY_WINDOW = 5  # calls
STEADY_TOLERANCE = 0.05


@dataclass(frozen=True)
class TimedCall:
    """One call of a method.

    Args:
        pair_id: the pair.
        milliseconds: from images in host memory to the answer in host memory.
        outcome: what became of it; a failed call's time is kept, an early exit looks fast.
        stages: ms by stage.
        reason: why it failed.
    """

    pair_id: str
    milliseconds: float
    outcome: Outcome
    stages: dict[str, float] = field(default_factory=dict)
    reason: str = ""


def timed_call(
    method: Method,
    pair: ImagePair,
    backend: Backend,
    wall: Clock[int] | None = None,
    seed: int = 0,
) -> TimedCall:
    """Call a method once and time it to the moment its answer is ready on the host.

    Args:
        method: prepared for the backend's device.
        pair: the images.
        backend: the device that has to finish.
        wall: the host's clock.
        seed: of the method's random numbers.
    """
    result = call_method(
        method,
        Task(pair.fixed, pair.moving, seed),
        synchronise=backend.synchronise,
        wall=wall,
        stage_clock=backend.stage_clock,
    )
    assert result.latency_ms is not None
    return TimedCall(pair.pair_id, result.latency_ms, result.outcome, result.stages, result.reason)


@dataclass(frozen=True)
class Warmup:
    """The calls before the timed ones.

    Args:
        first: the very first call, which allocates and compiles.
        calls: number of untimed calls, the first included.
        steady: whether their times had settled when they ended.
    """

    first: TimedCall
    calls: int
    steady: bool


def warm_up(
    call: Callable[[ImagePair], TimedCall],
    pairs: Sequence[ImagePair],
    min_calls: int,
    max_calls: int,
) -> Warmup:
    """Call until times settle: two windows of calls whose medians agree within 5 %.

    The same pair is taken throughout, so that only the method can settle; then each other size of
    images is called once, for what is allocated or compiled by size.

    Args:
        call: times a method on a pair.
        pairs: those that will be timed.
        min_calls: number of calls before they may count as settled.
        max_calls: number of calls after which to give up.
    """
    calls = [call(pairs[0])]
    if calls[0].outcome is Outcome.SKIPPED:
        return Warmup(calls[0], 1, steady=False)
    while len(calls) < min_calls or (len(calls) < max_calls and not _settled(calls)):
        calls.append(call(pairs[0]))
    sizes = {(pairs[0].fixed.size, pairs[0].moving.size)}
    others = 0
    for pair in pairs[1:]:
        size = (pair.fixed.size, pair.moving.size)
        if size not in sizes:
            sizes.add(size)
            call(pair)
            others += 1
    return Warmup(calls[0], len(calls) + others, _settled(calls))


def _settled(calls: Sequence[TimedCall]) -> bool:
    times = [call.milliseconds for call in calls[1:]]  # the first call is never like the others
    if len(times) < 2 * STEADY_WINDOW:
        return False
    late = median(times[-STEADY_WINDOW:])
    early = median(times[-2 * STEADY_WINDOW : -STEADY_WINDOW])
    return abs(late - early) <= STEADY_TOLERANCE * early


def shuffled_rounds(
    methods: Sequence[str], pairs: Sequence[ImagePair], rounds: int, seed: int
) -> Iterator[list[tuple[str, ImagePair]]]:
    """Shuffle calls into rounds: in each, every method once, all on one pair, in an own order.

    A slow drift of the machine so falls on all methods alike, and no method always follows the
    same other.

    Args:
        methods: their names.
        pairs: taken in turn, in a new order each time through.
        rounds: number of rounds.
        seed: of the orders.
    """
    rng = random.Random(seed)
    waiting: list[ImagePair] = []
    for _ in range(rounds):
        if not waiting:
            waiting = list(pairs)
            rng.shuffle(waiting)
        pair = waiting.pop()
        order = list(methods)
        rng.shuffle(order)
        yield [(name, pair) for name in order]
