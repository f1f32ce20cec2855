"""What a worker can be asked to do: set up once from settings, then asked again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from imedbench.core.errors import ImedbenchError
from imedbench.core.registry import METHODS, load_plugin_file
from imedbench.core.text import as_text
from imedbench.core.types import Method, Outcome
from imedbench.runs.calls import CallResult, Task, call_method, failed_call
from imedbench.runs.environment import synchroniser

Q = TypeVar("Q")  # a question
A = TypeVar("A")  # its answer
Q_contra = TypeVar("Q_contra", contravariant=True)
A_co = TypeVar("A_co", covariant=True)
Beat = Callable[[], None]  # called at every step of a long answer: each has the time of a call


class Settings(Protocol[Q, A_co]):
    """How a worker is set up; sent to it as data, so every field must be plain."""

    @property
    def threads(self) -> int:
        """For the numerical libraries."""

    @property
    def warm_up(self) -> bool:
        """Whether the first question of a process is asked twice and the second answer counts."""

    @property
    def memory_gib(self) -> float | None:
        """Most memory its process may take; None for nearly all the machine has."""

    def kinds(self) -> tuple[type[Q], type[A_co]]:
        """Return the types of questions and answers."""

    def start(self) -> Callable[[Q, Beat], A_co]:
        """Set up, in the worker, and return what answers; may raise anything."""

    def lost(self, cause: CallResult, beats: int) -> A_co:
        """Make the answer to a question that got none.

        Args:
            cause: what became of the worker.
            beats: steps that it had done.
        """


class NoPlace(Exception):
    """There is no place left where a caller could call; others may have one."""


class Caller(Protocol[Q_contra, A_co]):
    """Something that answers questions one at a time, whatever happens to whoever works on them."""

    def call(self, task: Q_contra) -> A_co:
        """Answer a question.

        Raises:
            NoPlace: when its machine is gone and no other has room for it.
        """

    def close(self) -> None:
        """End what was started; a further call starts it again."""

    def end(self) -> None:
        """End it from another thread, for good: the call in flight gets no answer."""


def set_up(settings: Settings[Q, A]) -> Callable[[Q, Beat], A] | CallResult:
    """Start a service, or say why it cannot be started."""
    try:
        return settings.start()
    except ImedbenchError as error:
        return CallResult(Outcome.SKIPPED, as_text(error))
    except BaseException as error:
        return failed_call(error, "setting it up raised")


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
        memory_gib: most memory its process may take; None for nearly all the machine has.
    """

    method: str
    plugins: Sequence[Path] = ()
    device: str = "cpu"
    threads: int = 1
    warm_up: bool = True
    memory_gib: float | None = None

    def kinds(self) -> tuple[type[Task], type[CallResult]]:
        """Return the types of questions and answers."""
        return Task, CallResult

    def start(self) -> Callable[[Task, Beat], CallResult]:
        """Set up the method."""
        method, synchronise = self.ready_method(), synchroniser(self.device)
        return lambda task, beat: call_method(method, task, synchronise=synchronise)

    def ready_method(self) -> Method:
        """Build the method and prepare it."""
        for plugin in self.plugins:
            load_plugin_file(plugin)
        method: Method = METHODS.create(self.method)
        method.prepare(self.device)
        return method

    def lost(self, cause: CallResult, beats: int) -> CallResult:
        """Return what became of the worker: it is what became of the pair."""
        return cause
