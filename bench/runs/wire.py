"""How a run and its worker processes speak: whole messages over a socket, each with a deadline.

What a worker sends is data and no code: it is decoded into checked types and nothing is unpickled,
so that a method can neither hang nor end the process that stores its answers.
"""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, TypeVar, get_origin

import msgspec
import numpy as np
from numpy.typing import NDArray

from imedbench.core.transforms import Transform, from_parts, to_parts

T = TypeVar("T")
_MARK = b"imed"
_HEADER = struct.Struct(">4sQ")
MAX_MESSAGE = 1 << 30  # bytes: a dense transform of 8000×8000 px is half of that


@dataclass(frozen=True)
class Opening:
    """What a process is to do: the name of a service, and its settings."""

    service: str
    settings: msgspec.Raw


@dataclass(frozen=True)
class Question:
    """What is asked, with the number by which its answer is known."""

    number: int
    content: msgspec.Raw


@dataclass(frozen=True)
class Answer:
    """What came of the question of that number; number 0 says how setting up went."""

    number: int
    content: msgspec.Raw


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
    """Write a question, an answer or settings as a message."""
    return msgspec.msgpack.encode(value, enc_hook=_to_plain)


def nested(value: Any) -> msgspec.Raw:
    """Write what goes into a message as its content."""
    return msgspec.Raw(encode(value))


def decode(kind: type[T], content: bytes | bytearray | msgspec.Raw) -> T:
    """Read a message as what it must be.

    Raises:
        Garbled: when it is something else.
    """
    try:
        return msgspec.msgpack.decode(content, type=kind, dec_hook=_from_plain)
    except Exception as error:  # bytes of a stranger's making may fail in any way
        name = getattr(kind, "__name__", kind)
        raise Garbled(f"its process sent what is no {name} ({error})") from error


def _to_plain(value: Any) -> Any:
    if isinstance(value, Transform):
        return to_parts(value)
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError(f"an array of {value.dtype} cannot be sent")
        content = np.ascontiguousarray(value).reshape(-1).view(np.uint8).data
        return value.dtype.str, value.shape, content
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _from_plain(kind: Any, value: Any) -> Any:
    if get_origin(kind) is np.ndarray:
        return _array(value)
    if kind is Transform:
        outline, arrays = value
        return from_parts(outline, {name: _array(parts) for name, parts in arrays.items()})
    return kind(value)


def _array(parts: Any) -> NDArray[Any]:
    dtype, shape, content = parts
    # A copy, for a method may write into what it is given.
    return np.ndarray(tuple(shape), np.dtype(dtype), buffer=content).copy()
