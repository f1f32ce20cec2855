"""Several pairs in one call, for methods and devices that gain by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from imedbench.core.errors import ContractError
from imedbench.core.methods import BatchMethod, PairToRegister
from imedbench.core.randomness import seed_everything
from imedbench.core.stages import WallClock
from imedbench.core.types import Method, Outcome, Registration
from imedbench.runs.calls import CallResult, Task, call_method, judge
from imedbench.runs.environment import synchroniser
from imedbench.runs.services import Beat, Caller, WorkerSettings

Tasks = tuple[Task, ...]
Results = tuple[CallResult, ...]
BATCH = "batch"  # name of the detail that says how many pairs shared a row's time
_NO_ANSWER = (Outcome.CRASH, Outcome.OUT_OF_MEMORY)  # of a pair in a batch: it is asked alone


@dataclass(frozen=True)
class BatchSettings:
    """How a method that works on several pairs at once is set up.

    Args:
        single: how it is set up to work on one.
    """

    single: WorkerSettings

    @property
    def threads(self) -> int:
        """For the numerical libraries."""
        return self.single.threads

    @property
    def warm_up(self) -> bool:
        """Whether the first question of a process is asked twice."""
        return self.single.warm_up

    @property
    def memory_gib(self) -> float | None:
        """Most memory its process may take."""
        return self.single.memory_gib

    def kinds(self) -> tuple[type[Tasks], type[Results]]:
        """Return the types of questions and answers."""
        return Tasks, Results

    def start(self) -> Callable[[Tasks, Beat], Results]:
        """Set up the method."""
        method = self.single.ready_method()
        synchronise = synchroniser(self.single.device)
        return lambda tasks, beat: _call(method, tasks, beat, synchronise)

    def lost(self, cause: CallResult, beats: int) -> Results:
        """Return what became of the worker: one result, also for many pairs."""
        return (cause,)


class Batches:
    """Calls a method with several pairs at once, and with one at a time where that fails.

    Args:
        together: calls it with all of them.
        alone: calls it with one.
    """

    def __init__(self, together: Caller[Tasks, Results], alone: Caller[Task, CallResult]) -> None:
        self.together, self.alone = together, alone

    def call(self, tasks: Tasks) -> Results:
        """Register some pairs."""
        results = self.together.call(tasks)
        if len(results) == len(tasks):
            return results
        # The process has died, and with it all answers; which pair it was is found one by one. A
        # cluster may have no room for both.
        self.together.close()
        results = tuple(map(self.alone.call, tasks))
        self.alone.close()
        return results

    def close(self) -> None:
        """End the workers."""
        self.together.close()
        self.alone.close()

    def end(self) -> None:
        """End the workers from another thread, for good."""
        self.together.end()
        self.alone.end()


class OneByOne:
    """Calls a method with one pair at a time.

    Args:
        alone: calls it.
    """

    def __init__(self, alone: Caller[Task, CallResult]) -> None:
        self.alone = alone

    def call(self, tasks: Tasks) -> Results:
        """Register some pairs."""
        return tuple(map(self.alone.call, tasks))

    def close(self) -> None:
        """End the worker."""
        self.alone.close()

    def end(self) -> None:
        """End the worker from another thread, for good."""
        self.alone.end()


def call_batch(
    method: BatchMethod, tasks: Sequence[Task], synchronise: Callable[[], object] = lambda: None
) -> Results:
    """Call a method once with several pairs and judge each answer.

    A row's time is its share of the call's, and its details say so.

    Args:
        method: set up already.
        tasks: the pairs and their seeds.
        synchronise: returns when the device has done all its work.

    Raises:
        ContractError: when there is not one answer a pair; else whatever the method raises.
    """
    clock = WallClock()
    seed_everything(tasks[0].seed)
    synchronise()
    start = clock.mark()
    pairs = [PairToRegister(task.fixed, task.moving, task.seed) for task in tasks]
    answers: list[Registration] = list(method.register_batch(pairs))
    synchronise()
    latency_ms = clock.milliseconds(start, clock.mark()) / len(tasks)
    if len(answers) != len(tasks):
        raise ContractError(f"register_batch gave {len(answers)} answers for {len(tasks)} pairs")
    judged = [
        judge(answer, task.fixed, task.moving) for answer, task in zip(answers, tasks, strict=True)
    ]
    return tuple(
        replace(result, latency_ms=float(latency_ms), details={**result.details, BATCH: len(tasks)})
        for result in judged
    )


def _call(method: Method, tasks: Tasks, beat: Beat, synchronise: Callable[[], object]) -> Results:
    """Answer all tasks, those that the batch has no answer to by a call of their own."""
    results: list[CallResult] = []
    if len(tasks) > 1 and isinstance(method, BatchMethod):
        try:
            results = list(call_batch(method, tasks, synchronise))
        except Exception:  # a call of its own tells which pair it was, and how
            beat()
    for index, task in enumerate(tasks):
        if index >= len(results) or results[index].outcome in _NO_ANSWER:
            alone = call_method(method, task, synchronise=synchronise)
            results[index : index + 1] = [alone]
            beat()
    return tuple(results)
