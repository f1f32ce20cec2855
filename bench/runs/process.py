"""Start a worker's process, and make sure that nothing of it outlives the run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from imedbench.runs.environment import (
    thread_environment,
)

MAX_ATTEMPTS = 3  # calls that are ended from outside are tried so often
WATCH_S = 0.2  # between looks at the memory of a process: allocating takes longer than that
MAX_LOG = 10 << 20  # bytes kept of what a method prints
_FROM_OUTSIDE = ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT")
_POSIX = os.name == "posix"


def spawn_worker(
    connection: socket.socket, threads: int, log: Path | None
) -> subprocess.Popen[bytes]:
    """Start the process that serves a connection, in a group of its own: Ctrl-C is for the run."""
    handle = connection.fileno()
    connection.set_inheritable(True)
    program = f"import sys; sys.path[:] = {sys.path!r}"
    program += f"; from imedbench.runs.worker_main import main; main({handle})"
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
            pass_fds=(handle,) if _POSIX else (),
            start_new_session=True,
        )
    finally:
        if output != 2:
            os.close(output)


def watch_group(group: int) -> subprocess.Popen[bytes]:
    """Have a process group killed when this process ends, however it ends.

    A shell waits for the end of a pipe that only this process holds; a worker could not do it
    itself while a method keeps it busy, and its own children would be left.
    """
    script = f"read -r _; kill -s KILL -- -{group}"
    return subprocess.Popen(
        ["sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with its children; its id stays taken until somebody waits for it."""
    if not _POSIX:
        process.kill()
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def signal_name(code: int) -> str:
    """Name what ended a process by its exit code."""
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
