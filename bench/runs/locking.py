"""One writer a run folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imedbench.core.errors import BadInput

FILE = ".lock"


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process alone; a killed process lets go by itself.

    Raises:
        BadInput: when another process holds it.
    """
    with (folder / FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(
                f"{folder}: another process writes its results here; wait for it or give another"
                " --out"
            ) from None
        yield
