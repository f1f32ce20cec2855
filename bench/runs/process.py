"""Start a worker's process, and make sure that nothing of it outlives the run."""

from __future__ import annotations

import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

from imedbench.runs.environment import thread_environment

_POSIX = os.name == "posix"


class Beats:
    """A count that a worker raises and the run reads, also after the worker's death.

    Args:
        handle: of the count to share; a new one if left out.
    """

    def __init__(self, handle: int | None = None) -> None:
        self.handle = _shared_memory() if handle is None else handle
        self._memory = mmap.mmap(self.handle, 8)

    @property
    def count(self) -> int:
        """How often it was raised since it was reset."""
        return int.from_bytes(self._memory[:8], "little")

    def beat(self) -> None:
        """Raise the count."""
        self._memory[:8] = (self.count + 1).to_bytes(8, "little")

    def reset(self) -> None:
        """Begin again with 0."""
        self._memory[:8] = bytes(8)

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
        os.close(self.handle)


def _shared_memory() -> int:
    if hasattr(os, "memfd_create"):  # no disk, which may be full
        handle = os.memfd_create("imedbench")
    else:
        with tempfile.TemporaryFile() as file:
            handle = os.dup(file.fileno())
    os.truncate(handle, 8)
    return handle


def spawn_worker(
    connection: socket.socket, beats: Beats, threads: int, log: Path | None
) -> subprocess.Popen[bytes]:
    """Start the process that serves a connection, in a group of its own: Ctrl-C is for the run."""
    handle = connection.fileno()
    connection.set_inheritable(True)
    program = f"import sys; sys.path[:] = {sys.path!r}"
    program += f"; from imedbench.runs.worker_main import main; main({handle}, {beats.handle})"
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
    # What a method prints must not get into what the command prints.
    output = 2 if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        return subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **thread_environment(threads)},
            close_fds=_POSIX,
            pass_fds=(handle, beats.handle) if _POSIX else (),
            start_new_session=True,
        )
    finally:
        if output != 2:
            os.close(output)


def watch_group(group: int) -> subprocess.Popen[bytes]:
    """Have a process group killed when this process ends, however it ends.

    A shell waits for the end of a pipe that only this process holds; a worker could not do it
    itself while a method keeps it busy, and its own children would be left. Children that began a
    group of their own are looked up first, where Linux lists them.
    """
    below = "below() { for c in $(cat /proc/$1/task/*/children 2>/dev/null); do below $c;"
    below += " echo $c; done; }"
    script = f"{below}; read -r _; kill -s KILL -- -{group} $(below {group})"
    return subprocess.Popen(
        ["sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with its children; its id stays taken until somebody waits for it."""
    children: list[psutil.Process] = []
    with suppress(psutil.Error):
        # Some begin a group of their own.
        children = psutil.Process(process.pid).children(recursive=True)
    if _POSIX:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    for child in children:
        with suppress(psutil.Error):
            child.kill()


def signal_name(code: int) -> str:
    """Name what ended a process by its exit code."""
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
