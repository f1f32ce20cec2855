"""A process of its own for each method: what hangs or dies there is one row, not the run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from imedbench.core.errors import Declined, ImedbenchError
from imedbench.core.registry import METHODS, load_plugin_file
from imedbench.core.stages import collect_stages
from imedbench.core.types import Image, Method, Outcome, Registration

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_STARTING = threading.Lock()  # one process at a time: they inherit this one's environment


@dataclass(frozen=True)
class WorkerSettings:
    """How a method is set up.

    Args:
        method: its spec, ``name:option=value``.
        plugins: files to load first.
        device: ``cpu`` or ``cuda``.
        threads: for the numerical libraries.
    """

    method: str
    plugins: Sequence[Path] = ()
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class Task:
    """One call of a method: what it may see, and the seed of its random numbers."""

    fixed: Image
    moving: Image
    seed: int


@dataclass(frozen=True)
class CallResult:
    """What came of a task.

    Args:
        outcome: ``ok`` here means that there is a registration; whether it is degenerate is
            judged elsewhere.
        registration: what the method returned, if it returned.
        reason: why there is none.
        latency_ms: wall time of the call.
        stages: ms by stage.
    """

    outcome: Outcome
    registration: Registration | None = None
    reason: str = ""
    latency_ms: float | None = None
    stages: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SetupFailure:
    """A method that could not be set up: it declined (``skipped``) or failed (``crash``)."""

    outcome: Outcome
    reason: str


class Worker:
    """A method in a child process, started when it is first called.

    Args:
        settings: how to set it up.
        timeout_s: longest a call may take, and ten times that for setting up.
    """

    def __init__(self, settings: WorkerSettings, timeout_s: float) -> None:
        self.settings, self.timeout_s = settings, timeout_s
        self._process: SpawnProcess | None = None
        self._setup_failure: SetupFailure | None = None

    def call(self, task: Task) -> CallResult:
        """Run the method on a pair; a call that hangs or dies costs the process, not the run.

        The first call of a process is made twice, and its second answer counts: the first one
        allocates and compiles.
        """
        if self._process is None and self._setup_failure is None:
            self._setup_failure = self._start()
            if self._setup_failure is None:
                warm_up = self._ask(task)
                if self._process is None:
                    return warm_up
        if self._setup_failure is not None:
            return CallResult(self._setup_failure.outcome, reason=self._setup_failure.reason)
        return self._ask(task)

    def _ask(self, task: Task) -> CallResult:
        """One call; without an answer the process is ended."""
        try:
            self._connection.send(task)
            if self._connection.poll(self.timeout_s):
                answer: CallResult = self._connection.recv()
                return answer
            outcome, reason = Outcome.TIMEOUT, f"no answer within {self.timeout_s:g} s"
        except (EOFError, OSError):
            outcome, reason = self._cause_of_death()
        self.close()
        return CallResult(outcome, reason=reason)

    def close(self) -> None:
        """End the process; a further call starts another."""
        if self._process is None:
            return
        self._connection.close()
        self._process.join(0.2)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process = None

    def _start(self) -> SetupFailure | None:
        context = multiprocessing.get_context("spawn")
        self._connection, child = context.Pipe()
        self._process = context.Process(target=_serve, args=(child, self.settings), daemon=True)
        with _child_environment(self.settings.threads):
            self._process.start()
        child.close()
        try:
            if self._connection.poll(10 * self.timeout_s):
                reply: SetupFailure | None = self._connection.recv()
            else:
                reply = SetupFailure(Outcome.CRASH, f"not set up within {10 * self.timeout_s:g} s")
        except (EOFError, OSError):
            reply = SetupFailure(*self._cause_of_death())
        if reply is not None:
            self.close()
        return reply

    def _cause_of_death(self) -> tuple[Outcome, str]:
        assert self._process is not None
        self._process.join(5)
        code = self._process.exitcode
        # Linux ends a process that takes the last memory by this signal; nobody else sends it.
        if code == -signal.SIGKILL:
            return Outcome.OUT_OF_MEMORY, "the process was killed, most likely for its memory"
        cause = signal.Signals(-code).name if code and code < 0 else f"exit {code}"
        return Outcome.CRASH, f"the process died ({cause})"


@contextmanager
def _child_environment(threads: int) -> Iterator[None]:
    """What a child inherits from the moment it is started in.

    The numerical libraries read their number of threads once, when they are imported. Ctrl-C is
    for the parent, which closes the pipe.
    """
    with _STARTING:
        before = dict(os.environ)
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
        resource_tracker.ensure_running()  # starting it would lift the mask again
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for name in _THREAD_VARIABLES:
                if name in before:
                    os.environ[name] = before[name]
                else:
                    del os.environ[name]


def _serve(connection: Connection, settings: WorkerSettings) -> None:
    """Set up a method and answer tasks until the other side hangs up."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.dup2(2, 1)  # what a method prints must not get into what the command prints
    try:
        method = _set_up(settings)
        connection.send(None)
    except ImedbenchError as error:
        connection.send(SetupFailure(Outcome.SKIPPED, str(error)))
        return
    except Exception as error:
        connection.send(SetupFailure(Outcome.CRASH, f"setting it up raised {_described(error)}"))
        return
    while True:
        try:
            task: Task = connection.recv()
        except (EOFError, OSError):
            return
        _send(connection, call_method(method, task, settings.device))


def _send(connection: Connection, reply: CallResult) -> None:
    try:
        connection.send(reply)
    except BrokenPipeError:
        sys.exit()  # the parent is gone
    except Exception as error:  # a plugin may return what cannot leave its process
        reason = f"its answer cannot be sent: {_described(error)}"
        connection.send(CallResult(Outcome.CRASH, reason=reason))


def _end_with_parent() -> None:
    """Leave no process behind that hangs in a method when its parent was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _set_up(settings: WorkerSettings) -> Method:
    import cv2

    cv2.setNumThreads(settings.threads)
    for plugin in settings.plugins:
        load_plugin_file(plugin)
    method: Method = METHODS.create(settings.method)
    method.prepare(settings.device)
    return method


def call_method(method: Method, task: Task, device: str) -> CallResult:
    """Call a method once, timed, and turn whatever happens into an answer.

    Args:
        method: set up already.
        task: the pair and the seed.
        device: the one whose work must have ended when the clock stops.
    """
    _seed_everything(task.seed)
    try:
        with collect_stages() as times:
            start = time.perf_counter()
            result: Any = method.register(task.fixed, task.moving)
            _wait_for(device)
            latency_ms = 1e3 * (time.perf_counter() - start)
    except Declined as error:
        return CallResult(Outcome.SKIPPED, reason=str(error))
    except MemoryError as error:
        return CallResult(Outcome.OUT_OF_MEMORY, reason=_described(error))
    except Exception as error:
        # torch's own out-of-memory error is known by name: torch may not be imported here.
        out_of_memory = type(error).__name__ == "OutOfMemoryError"
        outcome = Outcome.OUT_OF_MEMORY if out_of_memory else Outcome.CRASH
        return CallResult(outcome, reason=_described(error))
    if not isinstance(result, Registration):
        reason = f"it returned {type(result).__name__}, not a Registration"
        return CallResult(Outcome.CRASH, reason=reason)
    outcome = Outcome.NO_TRANSFORM if result.fixed_from_moving is None else Outcome.OK
    return CallResult(outcome, result, result.reason, latency_ms, times.milliseconds)


def _wait_for(device: str) -> None:
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def _seed_everything(seed: int) -> None:
    import random

    import cv2
    import numpy as np

    random.seed(seed)
    np.random.seed(seed)
    cv2.setRNGSeed(seed)
    if "torch" in sys.modules:
        import torch

        torch.manual_seed(seed)


def _described(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" at {Path(last[0].filename).name}:{last[0].lineno}" if last else ""
    return f"{type(error).__name__}: {error}{where}"
