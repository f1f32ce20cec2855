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

from imedbench.core.text import as_text
from imedbench.core.types import Outcome
from imedbench.runs.calls import CallResult, Task
from imedbench.runs.environment import (
    memory_limit,
    memory_of,
    oom_kills,
)
from imedbench.runs.process import kill_group, signal_name, spawn_worker, watch_group
from imedbench.runs.wire import (
    Answer,
    Garbled,
    Question,
    WorkerSettings,
    decode,
    encode,
    receive,
    send,
)

MAX_ATTEMPTS = 3  # calls that are ended from outside are tried so often
WATCH_S = 0.2  # between looks at the memory of a process: allocating takes longer than that
MAX_LOG = 10 << 20  # bytes kept of what a method prints
_FROM_OUTSIDE = ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT")
_POSIX = os.name == "posix"


class _Interrupted(Exception):
    """The process was ended or disturbed by something other than the pair it worked on."""


class Worker:
    """A method in a child process, started when it is first called.

    Args:
        settings: how to set it up.
        timeout_s: longest a call may take, from the first byte sent to the last one received, and
            ten times that for setting up.
        log: file that what the method prints is added to; the terminal's stderr if left out.
    """

    def __init__(self, settings: WorkerSettings, timeout_s: float, log: Path | None = None) -> None:
        self.settings, self.timeout_s, self.log = settings, timeout_s, log
        limit = settings.memory_gib
        self._memory = memory_limit() if limit is None else limit * 2**30
        self.setup_failure: CallResult | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._ended = threading.Event()

    def call(self, task: Task) -> CallResult:
        """Run the method on a pair; a call that hangs or dies costs the process, not the run.

        A process that something else ended is no answer: the call is made again, `MAX_ATTEMPTS`
        times in all.
        """
        causes: list[str] = []
        while len(causes) < MAX_ATTEMPTS and not self._ended.is_set():
            try:
                return self._call_once(task)
            except _Interrupted as interruption:
                causes.append(str(interruption))
        last = causes[-1] if causes else "the run was ended"
        return CallResult(Outcome.CRASH, f"{last}, {len(causes)} times")

    def close(self) -> None:
        """End the process and all that it started; a further call starts another."""
        if self._process is None:
            return
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None
        self._connection.close()
        kill_group(self._process)
        self._process.wait()
        self._process = None

    def end(self) -> None:
        """End the process from another thread, for good: the call in flight gets no answer."""
        self._ended.set()
        process = self._process
        if process is not None:
            kill_group(process)

    def _call_once(self, task: Task) -> CallResult:
        if self._process is None and self.setup_failure is None:
            started = self._start()
            if started.outcome is not Outcome.OK:
                self.setup_failure = started
            elif self.settings.warm_up:
                warm_up = self._ask(task)
                if self._process is None:
                    return warm_up
        return self.setup_failure or self._ask(task)

    def _ask(self, task: Task) -> CallResult:
        self._number += 1
        return self._exchange(Question(self._number, task), self.timeout_s)

    def _exchange(self, message: Question | WorkerSettings, timeout_s: float) -> CallResult:
        """Send a message and wait for its answer; without one the process is ended."""
        deadline, kills = time.monotonic() + timeout_s, oom_kills()
        try:
            send(self._connection, encode(message), deadline)
            self._wait(deadline)
            answer = decode(Answer, receive(self._connection, deadline))
            if answer.number != self._number:
                raise Garbled("its process answered what it was not asked")
            self._trim_log()
            return answer.result
        except MemoryError as error:
            self.close()
            return CallResult(Outcome.OUT_OF_MEMORY, str(error))
        except TimeoutError:
            self.close()
            return CallResult(Outcome.TIMEOUT, f"no answer within {timeout_s:g} s")
        except Garbled as error:
            self.close()
            raise _Interrupted(str(error)) from error
        except (EOFError, OSError):
            return self._cause_of_death(oom_killed=oom_kills() > kills)

    def _wait(self, deadline: float) -> None:
        """Wait for the beginning of an answer, with an eye on the memory of the process.

        Raises:
            MemoryError: when it takes more than it may.
            TimeoutError: when there is no answer by the deadline.
        """
        assert self._process is not None
        while not select.select([self._connection], [], [], WATCH_S)[0]:
            if memory_of(self._process.pid) > self._memory:
                raise MemoryError(f"the process took more than {self._memory / 2**30:.3g} GiB")
            if time.monotonic() > deadline:
                raise TimeoutError

    def _start(self) -> CallResult:
        self._number = 0
        self._connection, child = socket.socketpair()
        with child:
            self._process = spawn_worker(child, self.settings.threads, self.log)
        if _POSIX:
            self._watcher = watch_group(self._process.pid)
        result = self._exchange(self.settings, 10 * self.timeout_s)
        if result.outcome is Outcome.TIMEOUT:
            return CallResult(Outcome.CRASH, f"not set up within {10 * self.timeout_s:g} s")
        if result.outcome is not Outcome.OK:
            self.close()
        return result

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
        if self.log is not None and self.log.stat().st_size > MAX_LOG:
            with self.log.open("r+b") as log:
                log.seek(-MAX_LOG // 10, os.SEEK_END)
                tail = log.read()
                log.seek(0)
                log.write(tail)
                log.truncate()
