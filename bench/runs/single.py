"""One pair of somebody's own images under one method."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from imedbench.core.errors import BadInput
from imedbench.core.registry import METHODS
from imedbench.core.types import Image, Outcome
from imedbench.runs.calls import CallResult, Task
from imedbench.runs.services import WorkerSettings
from imedbench.runs.worker import Worker

MAX_SHOWN = 2000  # bytes of what a method prints


def register_pair(
    fixed: Image, moving: Image, settings: WorkerSettings, timeout_s: float
) -> CallResult:
    """Run a method on two images, in a process of its own.

    Args:
        fixed: the image whose frame is kept.
        moving: the image to align to it.
        settings: which method, and how to set it up.
        timeout_s: longest time the call may take.

    Raises:
        BadInput: for an unknown method or option, or one that declines to be set up.
    """
    METHODS.create(settings.method)
    with (
        TemporaryDirectory() as folder,
        closing(Worker(settings, timeout_s, Path(folder) / "log")) as worker,
    ):
        result = worker.call(Task(fixed, moving, seed=0))
        print(worker.last_output(MAX_SHOWN), end="", file=sys.stderr)
        if worker.setup_failure is not None and result.outcome is Outcome.SKIPPED:
            raise BadInput(f"the method {settings.method!r} cannot be set up: {result.reason}")
    return result
