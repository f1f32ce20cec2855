"""The inside of a worker process: set up one service, then answer until the run hangs up."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import Any

from imedbench.core.types import Outcome
from imedbench.runs.calls import CallResult, failed_call
from imedbench.runs.environment import limited_threads
from imedbench.runs.process import Beats
from imedbench.runs.services import Beat, Settings, set_up
from imedbench.runs.wire import Answer, Opening, Question, decode, encode, nested, receive, send

FAILED = 70  # exit code


def main(handle: int, beats: int) -> None:
    """Serve the run at the other end of a connection.

    Args:
        handle: of the inherited socket.
        beats: of the inherited count.
    """
    try:
        _serve(_connect(handle), Beats(beats))
    except (EOFError, OSError):
        os._exit(0)  # the run is gone
    except BaseException:
        traceback.print_exc()
    os._exit(FAILED)  # what a method left behind, threads or exit handlers, must not hold it up


def _connect(handle: int) -> socket.socket:
    connection = socket.socket(fileno=handle)
    connection.set_inheritable(False)
    if hasattr(os, "register_at_fork"):
        # A copy that a method forks off must neither answer in its place nor hold the line open.
        os.register_at_fork(after_in_child=connection.close)
    return connection


def _serve(connection: socket.socket, beats: Beats) -> None:
    settings = _settings(decode(Opening, receive(connection)))
    process = os.getpid()
    with limited_threads(settings.threads):
        service = set_up(settings)
        if isinstance(service, CallResult):
            send(connection, encode(Answer(0, nested(service))))
            return
        send(connection, encode(Answer(0, nested(CallResult(Outcome.OK)))))
        while os.getpid() == process:
            question = decode(Question, receive(connection))
            message = _answer(settings, service, question, beats)
            if os.getpid() == process:
                send(connection, message)


def _settings(opening: Opening) -> Settings[Any, Any]:
    module, _, name = opening.service.partition(":")
    kind: type[Settings[Any, Any]] = getattr(import_module(module), name)
    return decode(kind, opening.settings)


def _answer(
    settings: Settings[Any, Any],
    service: Callable[[Any, Beat], Any],
    question: Question,
    beats: Beats,
) -> bytes:
    asked, _ = settings.kinds()
    try:
        result = service(decode(asked, question.content), beats.beat)
        return encode(Answer(question.number, nested(result)))
    except BaseException as error:  # also SystemExit and the like: they are the method's
        lost = settings.lost(failed_call(error), beats.count)
        return encode(Answer(question.number, nested(lost)))
