"""Who makes the calls of a run: this process, worker processes, or the actors of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from typing import Generic, Literal, TypeVar

from imedbench.core.errors import BadEnvironment, BadInput
from imedbench.runs.in_process import InProcess
from imedbench.runs.services import A, Caller, NoPlace, Q, Settings
from imedbench.runs.worker import Worker

Job = TypeVar("Job")
Kind = Literal["processes", "in-process", "ray"]
KINDS: tuple[Kind, ...] = ("processes", "in-process", "ray")


@dataclass(frozen=True)
class Execution:
    """Where the calls of a run are made, and how many at a time.

    Args:
        kind: ``processes`` on this machine; ``in-process``, where a debugger sees them and nothing
            guards the run from them; or ``ray``, actors of a cluster.
        workers: how many processes or actors.
        address: of the Ray cluster; None starts one on this machine.

    Raises:
        BadInput: for what does not fit together.
    """

    kind: Kind = "processes"
    workers: int = 1
    address: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadInput(f"--executor {self.kind}: there is none; say {', '.join(KINDS)}")
        if self.kind == "in-process" and self.workers > 1:
            raise BadInput("--executor in-process makes one call at a time: leave --workers out")
        if self.address is not None and self.kind != "ray":
            raise BadInput("--address is of a Ray cluster: say --executor ray with it")

    @property
    def times_alone(self) -> bool:
        """Whether no other call is made meanwhile, so that times are those of the method."""
        return self.workers == 1 and self.kind != "ray"

    def executor(
        self, make_caller: Callable[[], Caller[Q, A]], threads: int = 1, gpus: int = 0
    ) -> Executor[Q, A]:
        """Return what makes calls in as many places as there are to be.

        Args:
            make_caller: makes one that calls in one place, mostly by `caller`.
            threads: of each.
            gpus: devices that each needs.
        """
        if self.kind == "in-process":
            return Here(make_caller())
        if self.kind == "ray":
            from imedbench.runs.ray_actors import count_places

            # One more would wait for the others to end, with a pair in its hands.
            return Pool(make_caller, lambda: min(self.workers, count_places(self, threads, gpus)))
        return Pool(make_caller, lambda: self.workers)

    def caller(
        self, settings: Settings[Q, A], timeout_s: float, log: Path | None = None, gpus: int = 0
    ) -> Caller[Q, A]:
        """Return what calls a service in one place; nothing is started before its first call.

        Args:
            settings: of the service.
            timeout_s: longest a call may take.
            log: file for what is printed meanwhile.
            gpus: devices that it needs, for a cluster to find them.
        """
        if self.kind == "in-process":
            return InProcess(settings)
        if self.kind == "ray":
            from imedbench.runs.ray_actors import RayWorker

            return RayWorker(settings, timeout_s, self, gpus)
        return Worker(settings, timeout_s, log)


class Executor(AbstractContextManager["Executor[Q, A]"], Generic[Q, A]):
    """Makes calls; used as a context, it leaves no process behind."""

    def results(self, jobs: Iterator[tuple[Job, Q]]) -> Iterator[tuple[Job, A]]:
        """Make the calls of jobs; what is finished comes first.

        Args:
            jobs: each with its question; they are taken only as fast as they can be worked on.
        """
        raise NotImplementedError


class Here(Executor[Q, A]):
    """One call after another, in the thread that asks.

    Args:
        caller: makes them.
    """

    def __init__(self, caller: Caller[Q, A]) -> None:
        self.caller = caller

    def __exit__(self, *_: object) -> None:
        self.caller.close()

    def results(self, jobs: Iterator[tuple[Job, Q]]) -> Iterator[tuple[Job, A]]:
        """Make the calls of jobs in their order."""
        for job, task in jobs:
            yield job, self.caller.call(task)


class Pool(Executor[Q, A]):
    """Calls in several places at a time.

    Args:
        make_caller: makes one that calls in one place.
        count: says how many; it is asked when there is anything to do.
    """

    def __init__(self, make_caller: Callable[[], Caller[Q, A]], count: Callable[[], int]) -> None:
        self._make_caller, self._count = make_caller, count
        self._callers: list[Caller[Q, A]] = []
        self._idle: SimpleQueue[Caller[Q, A] | None] = SimpleQueue()  # None when all are lost
        self._lost: list[Caller[Q, A]] = []

    def __exit__(self, *_: object) -> None:
        for caller in self._callers:
            caller.close()

    def results(self, jobs: Iterator[tuple[Job, Q]]) -> Iterator[tuple[Job, A]]:
        """Make the calls of jobs; at most twice as many are taken as can be made at a time."""
        first = next(jobs, None)
        if first is None:
            return
        size = self._count()
        for _ in range(size):
            self._callers.append(self._make_caller())
            self._idle.put(self._callers[-1])
        # A call that is timed alone has no pair read meanwhile; else the next ones lie ready.
        ahead = 1 if size == 1 else 2 * size
        pending: dict[Future[A], Job] = {}
        threads = ThreadPoolExecutor(size)
        try:
            for job, task in chain([first], jobs):
                pending[threads.submit(self._call, task)] = job
                if len(pending) == ahead:
                    yield from _finished(pending)
            while pending:
                yield from _finished(pending)
        except BaseException:  # Ctrl-C for the second time, or a full disk: nobody waits for more
            threads.shutdown(wait=False, cancel_futures=True)
            for caller in self._callers:
                caller.end()
            raise
        finally:
            threads.shutdown()

    def _call(self, task: Q) -> A:
        """Ask whoever is idle; a question of one that has no place any more goes to another."""
        while (caller := self._idle.get()) is not None:
            try:
                answer = caller.call(task)
            except NoPlace:
                self._lost.append(caller)
                if len(self._lost) == len(self._callers):
                    self._idle.put(None)
            except BaseException:
                self._idle.put(caller)
                raise
            else:
                self._idle.put(caller)
                return answer
        self._idle.put(None)
        raise BadEnvironment("no machine has room for a worker any more; run again to go on")


def _finished(pending: dict[Future[A], Job]) -> Iterator[tuple[Job, A]]:
    done, _ = wait(pending, return_when=FIRST_COMPLETED)
    for future in done:
        yield pending.pop(future), future.result()
