"""Who makes the calls of a run: worker processes, as many as asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, TypeVar

from imedbench.runs.calls import CallResult, Task
from imedbench.runs.worker import Worker

Job = TypeVar("Job")


class WorkerPool(Generic[Job]):
    """Worker processes of one method; used as a context, it leaves none behind.

    Args:
        make_worker: makes one; processes start when they are first needed.
        size: how many.
    """

    def __init__(self, make_worker: Callable[[], Worker], size: int) -> None:
        self.size = size
        self._workers = [make_worker() for _ in range(size)]
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def __enter__(self) -> WorkerPool[Job]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.close()

    def results(self, jobs: Iterator[tuple[Job, Task]]) -> Iterator[tuple[Job, CallResult]]:
        """Make the calls; what is finished comes first.

        No more tasks are taken than there are workers, so that pairs are read as they are needed.
        """
        pending: dict[Future[CallResult], Job] = {}
        pool = ThreadPoolExecutor(self.size)
        try:
            for job, task in jobs:
                pending[pool.submit(self._call, task)] = job
                if len(pending) == self.size:
                    yield from _finished(pending)
            while pending:
                yield from _finished(pending)
        except BaseException:  # Ctrl-C for the second time, or a full disk: nobody waits for more
            for worker in self._workers:
                worker.end()
            raise
        finally:
            pool.shutdown()

    def _call(self, task: Task) -> CallResult:
        worker = self._idle.get()
        try:
            return worker.call(task)
        finally:
            self._idle.put(worker)


def _finished(pending: dict[Future[CallResult], Job]) -> Iterator[tuple[Job, CallResult]]:
    done, _ = wait(pending, return_when=FIRST_COMPLETED)
    for future in done:
        yield pending.pop(future), future.result()
