"""How a run and its worker processes speak: whole messages over a socket, each with a deadline.

What a worker sends is data and no code: it is decoded into checked types and nothing is unpickled,
so that a method can neither hang nor end the process that stores its answers.
"""

from __future__ import annotations

import io
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, TypeVar, get_origin

import msgspec
import numpy as np

from imedbench.core.transforms import Transform, from_bytes, to_bytes
from imedbench.runs.calls import CallResult, Task

T = TypeVar("T")
_MARK = b"imed"
_HEADER = struct.Struct(">4sQ")
MAX_MESSAGE = 1 << 30  # bytes: a dense transform of 8000×8000 px is half of that


@dataclass(frozen=True)
class WorkerSettings:
    """How a method is set up.

    Args:
        method: its spec, ``name:option=value``.
        plugins: files to load first.
        device: ``cpu`` or ``cuda``.
        threads: for the numerical libraries.
        warm_up: whether the first call of a process is made twice and its second answer counts:
            the first one allocates and compiles.
    """

    method: str
    plugins: Sequence[Path] = ()
    device: str = "cpu"
    threads: int = 1
    warm_up: bool = True


@dataclass(frozen=True)
class Question:
    """A task with the number by which its answer is known."""

    number: int
    task: Task


@dataclass(frozen=True)
class Answer:
    """What came of the question of that number; number 0 says how setting up went."""

    number: int
    result: CallResult


class Garbled(Exception):
    """The other side sent what is no message, or not the one that was due."""


def send(connection: socket.socket, content: bytes, deadline: float | None = None) -> None:
    """Send one message.

    Args:
        connection: to the other process.
        content: at most `MAX_MESSAGE` bytes.
        deadline: on the clock of `time.monotonic`; None waits for ever.

    Raises:
        TimeoutError: when the other side has not taken it by then.
        OSError: when the other side is gone.
        ValueError: when the message is too long.
    """
    if len(content) > MAX_MESSAGE:
        raise ValueError(f"{len(content)} bytes, {MAX_MESSAGE} are the most that can be sent")
    connection.settimeout(_left(deadline))
    connection.sendall(_HEADER.pack(_MARK, len(content)))
    connection.settimeout(_left(deadline))
    connection.sendall(content)


def receive(connection: socket.socket, deadline: float | None = None) -> bytearray:
    """Wait for one message.

    Raises:
        TimeoutError: when it is not there in full by the deadline.
        EOFError: when the other side has hung up.
        Garbled: when what comes is no message.
    """
    mark, size = _HEADER.unpack(_exactly(connection, _HEADER.size, deadline))
    if mark != _MARK or size > MAX_MESSAGE:
        raise Garbled("its process sent what is no message")
    return _exactly(connection, size, deadline)


def _exactly(connection: socket.socket, size: int, deadline: float | None) -> bytearray:
    content = bytearray(size)
    view, done = memoryview(content), 0
    while done < size:
        connection.settimeout(_left(deadline))
        count = connection.recv_into(view[done:])
        if not count:
            raise EOFError
        done += count
    return content


def _left(deadline: float | None) -> float | None:
    """Seconds to a deadline; a socket takes 0 for never waiting, so it is not given."""
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def encode(value: Any) -> bytes:
    """Write tasks, answers or settings as a message."""
    return msgspec.msgpack.encode(value, enc_hook=_to_plain)


def decode(kind: type[T], content: bytes | bytearray) -> T:
    """Read a message as what it must be.

    Raises:
        Garbled: when it is something else.
    """
    try:
        return msgspec.msgpack.decode(content, type=kind, dec_hook=_from_plain)
    except Exception as error:  # bytes of a stranger's making may fail in any way
        raise Garbled(f"its process sent what is no {kind.__name__} ({error})") from error


def _to_plain(value: Any) -> Any:
    if isinstance(value, Transform):
        return to_bytes(value)
    if isinstance(value, np.ndarray):
        buffer = io.BytesIO()
        np.save(buffer, value, allow_pickle=False)
        return buffer.getbuffer()
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _from_plain(kind: Any, value: Any) -> Any:
    if get_origin(kind) is np.ndarray:
        return np.load(io.BytesIO(value), allow_pickle=False)
    return from_bytes(value) if kind is Transform else kind(value)
