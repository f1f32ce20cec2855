"""A process of its own for each method: what hangs or dies there is one row, not the run."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from imedbench.core.text import as_text
from imedbench.core.types import Outcome
from imedbench.runs.calls import CallResult
from imedbench.runs.environment import (
    memory_limit,
    memory_of,
    oom_kills,
)
from imedbench.runs.process import Beats, kill_group, signal_name, spawn_worker, watch_group
from imedbench.runs.services import A, Q, Settings
from imedbench.runs.wire import (
    Answer,
    Garbled,
    Opening,
    Question,
    decode,
    encode,
    nested,
    receive,
    send,
)

MAX_ATTEMPTS = 3  # calls that are ended from outside are tried so often
WATCH_S = 0.2  # between looks at the memory of a process: allocating takes longer than that
MAX_LOG = 10 << 20  # bytes kept of what a method prints
_FROM_OUTSIDE = ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT")
_POSIX = os.name == "posix"
T = TypeVar("T")


class _Interrupted(Exception):
    """The process was ended or disturbed by something other than what it worked on."""


class _Lost(Exception):
    """There is no answer, and this is why."""

    def __init__(self, cause: CallResult) -> None:
        super().__init__(cause.reason)
        self.cause = cause


class Worker(Generic[Q, A]):
    """A service in a child process, started when it is first called.

    Args:
        settings: of the service.
        timeout_s: longest a call may take, from the first byte sent to the last one received, and
            ten times that for setting up. A service that beats has that time for each step.
        log: file that what the method prints is added to; the terminal's stderr if left out.
    """

    def __init__(self, settings: Settings[Q, A], timeout_s: float, log: Path | None = None) -> None:
        self.settings, self.timeout_s, self.log = settings, timeout_s, log
        limit = settings.memory_gib
        self._memory = memory_limit() if limit is None else limit * 2**30
        self.setup_failure: CallResult | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._number = self._beaten = 0
        self._ended = threading.Event()

    def call(self, task: Q) -> A:
        """Ask a question; a call that hangs or dies costs the process, not the run.

        A process that something else ended is no answer: the question is asked again,
        `MAX_ATTEMPTS` times in all.
        """
        causes: list[str] = []
        self._beaten = 0
        try:
            while len(causes) < MAX_ATTEMPTS and not self._ended.is_set():
                try:
                    return self._call_once(task)
                except _Interrupted as interruption:
                    causes.append(str(interruption))
            last = causes[-1] if causes else "the run was ended"
            raise _Lost(CallResult(Outcome.CRASH, f"{last}, {len(causes)} times"))
        except _Lost as lost:
            return self.settings.lost(lost.cause, self._beaten)

    def close(self) -> None:
        """End the process and all that it started; a further call starts another."""
        if self._process is None:
            return
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None
        # First, while it is there to name its children: without a connection it ends by itself.
        kill_group(self._process)
        self._process.wait()
        self._connection.close()
        self._process = None
        self._beaten = self._beats.count
        self._beats.close()

    def end(self) -> None:
        """End the process from another thread, for good: the call in flight gets no answer."""
        self._ended.set()
        process = self._process
        if process is not None:
            kill_group(process)

    def _call_once(self, task: Q) -> A:
        if self._process is None and self.setup_failure is None:
            self._start()
            if self.setup_failure is None and self.settings.warm_up:
                self._ask(task)
        if self.setup_failure is not None:
            raise _Lost(self.setup_failure)
        return self._ask(task)

    def _ask(self, task: Q) -> A:
        self._number += 1
        self._beats.reset()
        question = encode(Question(self._number, nested(task)))
        return self._exchange(question, self.settings.kinds()[1], self.timeout_s)

    def _exchange(self, message: bytes, kind: type[T], timeout_s: float) -> T:
        """Send a message and wait for its answer; without one the process is ended."""
        deadline, kills = time.monotonic() + timeout_s, oom_kills()
        try:
            send(self._connection, message, deadline)
            deadline = self._wait(deadline, timeout_s)
            answer = decode(Answer, receive(self._connection, deadline))
            if answer.number != self._number:
                raise Garbled("its process answered what it was not asked")
            self._trim_log()
            return decode(kind, answer.content)
        except MemoryError as error:
            self.close()
            raise _Lost(CallResult(Outcome.OUT_OF_MEMORY, str(error))) from error
        except TimeoutError as error:
            self.close()
            reason = f"no answer within {timeout_s:g} s"
            raise _Lost(CallResult(Outcome.TIMEOUT, reason)) from error
        except Garbled as error:
            self.close()
            raise _Interrupted(str(error)) from error
        except (EOFError, OSError) as error:
            cause = self._cause_of_death(oom_killed=oom_kills() > kills)
            raise _Lost(cause) from error

    def _wait(self, deadline: float, timeout_s: float) -> float:
        """Wait for the beginning of an answer, with an eye on the memory of the process.

        Returns:
            The deadline, later by every step that was done meanwhile.

        Raises:
            MemoryError: when it takes more than it may.
            TimeoutError: when there is no answer by the deadline.
        """
        assert self._process is not None
        beats = self._beats.count
        while not select.select([self._connection], [], [], WATCH_S)[0]:
            self._trim_log()
            if memory_of(self._process.pid) > self._memory:
                raise MemoryError(f"the process took more than {self._memory / 2**30:.3g} GiB")
            if self._beats.count != beats:
                beats, deadline = self._beats.count, time.monotonic() + timeout_s
            if time.monotonic() > deadline:
                raise TimeoutError
        return deadline

    def _start(self) -> None:
        """Start the process and set it up; a failure to do so is kept for every question."""
        self._number = 0
        self._beats = Beats()
        self._connection, child = socket.socketpair()
        with child:
            self._process = spawn_worker(child, self._beats, self.settings.threads, self.log)
        if _POSIX:
            self._watcher = watch_group(self._process.pid)
        kind = type(self.settings)
        service = f"{kind.__module__}:{kind.__qualname__}"
        try:
            opening = encode(Opening(service, nested(self.settings)))
            result = self._exchange(opening, CallResult, 10 * self.timeout_s)
        except _Lost as lost:
            result = lost.cause
        if result.outcome is Outcome.TIMEOUT:
            result = CallResult(Outcome.CRASH, f"not set up within {10 * self.timeout_s:g} s")
        if result.outcome is not Outcome.OK:
            self.close()
            self.setup_failure = result

    def _cause_of_death(self, *, oom_killed: bool) -> CallResult:
        """What ended the process, or why it no longer answers."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        code = self._process.returncode
        self.close()
        if code is None:
            return CallResult(Outcome.CRASH, f"the process hung up{self._last_words()}")
        cause = signal_name(code) if code < 0 else f"exit {code}"
        if cause == "SIGKILL" and oom_killed:
            return CallResult(Outcome.OUT_OF_MEMORY, "the system ended the process for its memory")
        if cause in _FROM_OUTSIDE:
            raise _Interrupted(f"the process was ended ({cause})")
        return CallResult(Outcome.CRASH, f"the process died ({cause}){self._last_words()}")

    def last_output(self, size: int) -> str:
        """Return the end of what the method printed, at most so many bytes of it."""
        if self.log is None or not self.log.is_file():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - size))
            return log.read().decode(errors="replace")

    def _last_words(self) -> str:
        text = as_text(self.last_output(300))
        return f"; it printed: {text}" if text else ""

    def _trim_log(self) -> None:
        """Keep the end of a log that a talkative method has filled."""
        if self.log is None:
            return
        with suppress(OSError):  # a log that is gone or cannot be rewritten costs no pair
            if self.log.stat().st_size > MAX_LOG:
                with self.log.open("r+b") as log:
                    log.seek(-MAX_LOG // 10, os.SEEK_END)
                    tail = log.read()
                    log.seek(0)
                    log.write(tail)
                    log.truncate()
