"""Calls by the actors of a Ray cluster: each holds a worker process on its machine.

The actor guards its worker as the run does on one machine, so that a method that hangs or dies is
judged in the same way everywhere. What Ray adds is the machine: an actor that is lost, with its
machine or alone, is replaced and asked again.
"""

from __future__ import annotations

import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from imedbench.core.errors import BadEnvironment, BadInput
from imedbench.core.types import Outcome
from imedbench.runs.calls import CallResult
from imedbench.runs.services import A, NoPlace, Q, Settings
from imedbench.runs.worker import MAX_ATTEMPTS, Worker

if TYPE_CHECKING:
    from imedbench.runs.executors import Execution

ROOM_S = 60.0  # that one whose machine is gone waits for room on another
SLACK_S = 60.0  # for the cluster itself, beside what the calls may take


class RayWorker(Generic[Q, A]):
    """A service in an actor, which is made when it is first called.

    Args:
        settings: of the service.
        timeout_s: longest a call may take.
        execution: which cluster.
        gpus: devices that the actor reserves.
    """

    def __init__(
        self, settings: Settings[Q, A], timeout_s: float, execution: Execution, gpus: int
    ) -> None:
        self.settings, self.timeout_s, self.gpus = settings, timeout_s, gpus
        self._ray = connect(execution, settings.threads)
        self._actor: Any = None
        self._ended = False
        # The worker may be set up, warmed up and ended from outside, so often; then it answers.
        self._longest_s = MAX_ATTEMPTS * 12 * timeout_s + SLACK_S

    def call(self, task: Q) -> A:
        """Ask a question; an actor that is lost is replaced, `MAX_ATTEMPTS` in all.

        Raises:
            NoPlace: when the machine of a lost one is gone, and the others are full.
        """
        ray, causes = self._ray, list[str]()
        while len(causes) < MAX_ATTEMPTS and not self._ended:
            try:
                if self._actor is None:
                    self._actor = self._make_actor(ROOM_S if causes else None)
                answer: A = ray.get(self._actor.call.remote(task), timeout=self._longest_s)
                return answer
            except ray.exceptions.GetTimeoutError:
                causes.append(f"its actor did not answer within {self._longest_s:g} s")
            except ray.exceptions.RayError as error:
                causes.append(f"its actor was lost ({type(error).__name__})")
            self.close()
        last = causes[-1] if causes else "the run was ended"
        lost = CallResult(Outcome.CRASH, f"{last}, {len(causes)} times")
        return self.settings.lost(lost, 0)

    def close(self) -> None:
        """End the actor and its process; a further call makes another."""
        if self._actor is not None and self._ray.is_initialized():
            self._ray.kill(self._actor)
        self._actor = None

    def end(self) -> None:
        """End the actor from another thread, for good."""
        self._ended = True
        if self._actor is not None:
            self._ray.kill(self._actor)

    def _make_actor(self, longest_s: float | None = None) -> Any:
        """A new actor, once the cluster has room for it: that may take long and is no fault.

        In place of a lost one it may take so many seconds: this run's own actors may fill what is
        left of the cluster, and would wait for each other.
        """
        actor_class = self._ray.remote(num_cpus=self.settings.threads, num_gpus=self.gpus)(_Actor)
        actor = actor_class.remote(self.settings, self.timeout_s)
        try:
            self._ray.get(actor.ready.remote(), timeout=longest_s)
        except self._ray.exceptions.GetTimeoutError as error:
            self._ray.kill(actor)
            raise NoPlace from error
        return actor


class _Actor(Generic[Q, A]):
    """What lives in the cluster; it ends with its process group when the actor does."""

    def __init__(self, settings: Settings[Q, A], timeout_s: float) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="imedbench-")
        log = Path(self._folder.name) / "log"
        self._worker = Worker(settings, timeout_s, log)

    def ready(self) -> None:
        """Return as soon as the actor is there."""

    def call(self, task: Q) -> A:
        """Ask the worker."""
        return self._worker.call(task)


def connect(execution: Execution, threads: int) -> Any:
    """Connect to the cluster, or start one on this machine, unless that is done already.

    Returns:
        The module `ray`.

    Raises:
        BadInput: when Ray is not installed.
        BadEnvironment: when it cannot be reached.
    """
    try:
        ray: Any = import_module("ray")
    except ImportError as error:
        raise BadInput("--executor ray: needs Ray; pip install 'imedbench[ray]'") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a run tells nobody about itself
    if not ray.is_initialized():
        options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False}
        if execution.address is None:
            options["num_cpus"] = execution.workers * threads
        try:
            ray.init(address=execution.address, logging_level="ERROR", **options)
        except Exception as error:  # it says by a bare Exception that this machine is too busy
            ray.shutdown()
            where = execution.address or "this machine"
            raise BadEnvironment(f"--executor ray: no cluster at {where} ({error})") from error
    return ray


def count_places(execution: Execution, threads: int, gpus: int) -> int:
    """Return how many workers the cluster has room for at a time.

    Raises:
        BadInput: when it is none.
    """
    places = 0
    for node in connect(execution, threads).nodes():
        has = node["Resources"] if node["Alive"] else {}
        by_card = [has.get("GPU", 0) // gpus] if gpus else []
        places += int(min(has.get("CPU", 0) // threads, *by_card, 10**6))
    if not places:
        wanted = f"{threads} CPU" + f" and {gpus} GPU" * bool(gpus)
        raise BadInput(f"--executor ray: no machine of the cluster has {wanted} for a worker")
    return places
