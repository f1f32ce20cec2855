"""The inside of a worker process: set up one method, then answer tasks until the run hangs up."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable

from imedbench.core.errors import ImedbenchError
from imedbench.core.registry import METHODS, load_plugin_file
from imedbench.core.types import Method, Outcome
from imedbench.runs.calls import CallResult, as_text, call_method, failed_call
from imedbench.runs.environment import limited_threads, synchroniser
from imedbench.runs.wire import Answer, Question, WorkerSettings, decode, encode, receive, send

FAILED = 70  # exit code


def main(handle: int) -> None:
    """Serve the run at the other end of a connection.

    Args:
        handle: of the inherited socket.
    """
    try:
        _serve(_connect(handle))
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


def _serve(connection: socket.socket) -> None:
    settings = decode(WorkerSettings, receive(connection))
    process = os.getpid()
    with limited_threads(settings.threads):
        method = _set_up(settings)
        if isinstance(method, CallResult):
            send(connection, encode(Answer(0, method)))
            return
        send(connection, encode(Answer(0, CallResult(Outcome.OK))))
        synchronise = synchroniser(settings.device)
        while os.getpid() == process:
            question = decode(Question, receive(connection))
            message = _answer(method, question, synchronise)
            if os.getpid() == process:
                send(connection, message)


def _answer(method: Method, question: Question, synchronise: Callable[[], object]) -> bytes:
    try:
        result = call_method(method, question.task, synchronise=synchronise)
        return encode(Answer(question.number, result))
    except BaseException as error:  # also SystemExit and the like: they are the method's
        return encode(Answer(question.number, failed_call(error)))


def _set_up(settings: WorkerSettings) -> Method | CallResult:
    """The method, ready for its first call, or why there is none."""
    try:
        for plugin in settings.plugins:
            load_plugin_file(plugin)
        method: Method = METHODS.create(settings.method)
        method.prepare(settings.device)
    except ImedbenchError as error:
        return CallResult(Outcome.SKIPPED, as_text(error))
    except BaseException as error:
        return failed_call(error, "setting it up raised")
    return method
