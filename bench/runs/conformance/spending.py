"""What a call takes of time and memory, and an end to one that takes for ever."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Stopped(BaseException):
    """A call was ended for its time; not an `Exception`, which a plugin may catch."""


@dataclass
class Spent:
    """What one call took.

    Args:
        seconds: of wall time.
        gib: of memory beyond what the process held before.
    """

    seconds: float = 0.0
    gib: float = 0.0


@contextlib.contextmanager
def metered() -> Iterator[Spent]:
    """Measure what is done meanwhile; what it took is there afterwards, also if it raised."""
    spent = Spent()
    _forget_peak()
    before, start = _peak(), time.perf_counter()
    try:
        yield spent
    finally:
        spent.seconds = time.perf_counter() - start
        spent.gib = (_peak() - before) / 2**30


@contextlib.contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Raise `Stopped` in what is done meanwhile when it takes longer, where that is possible.

    It is in the main thread of a POSIX system, and between two lines of Python.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _forget_peak() -> None:
    """Let the system measure the largest memory anew; only Linux can."""
    with contextlib.suppress(OSError):
        _RESET.write_text("5")


def _peak() -> int:
    """Most memory that this process has held since then, bytes."""
    with contextlib.suppress(OSError, StopIteration):
        lines = _STATUS.read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
