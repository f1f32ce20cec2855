"""Calls in this very process, for debugging: breakpoints are reached, and nothing is guarded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Generic

from imedbench.runs.calls import CallResult, failed_call
from imedbench.runs.environment import limited_threads
from imedbench.runs.services import A, Beat, Q, Settings, set_up


class InProcess(Generic[Q, A]):
    """A service here and now, in the thread that asks.

    What hangs, hangs the run; what kills its process ends it; nothing is timed out.

    Args:
        settings: of the service.
    """

    def __init__(self, settings: Settings[Q, A]) -> None:
        self.settings = settings
        self._context = ExitStack()
        self._service: Callable[[Q, Beat], A] | CallResult | None = None

    def call(self, task: Q) -> A:
        """Answer a question."""
        if self._service is None:
            self._context.enter_context(limited_threads(self.settings.threads))
            self._service = set_up(self.settings)
            if self.settings.warm_up:
                self._answer(task)
        return self._answer(task)

    def close(self) -> None:
        """Give back the number of threads."""
        self._context.close()

    def end(self) -> None:
        """Do nothing: there is no process to end."""

    def _answer(self, task: Q) -> A:
        assert self._service is not None
        if isinstance(self._service, CallResult):
            return self.settings.lost(self._service, 0)
        done: list[None] = []
        try:
            return self._service(task, lambda: done.append(None))
        except (Exception, SystemExit) as error:
            return self.settings.lost(failed_call(error), len(done))
