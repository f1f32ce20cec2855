"""What was found out about pairs of files, kept between runs: looking again takes long."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from imedbench.core.datasets import file_fingerprint
from imedbench.core.translation import cache_folder


class MirrorMemory:
    """Which files of a folder mirror each other, as long as they do not change.

    Args:
        root: the folder; each has a file of its own in the cache.
    """

    def __init__(self, root: Path) -> None:
        name = hashlib.sha256(str(root.resolve()).encode(errors="replace")).hexdigest()[:16]
        self.path = cache_folder() / "mirrors" / f"{name}.json"
        self._known: dict[str, bool] = {}
        with suppress(OSError, ValueError, RecursionError):  # absent or damaged: look again
            content = json.loads(self.path.read_bytes())
            self._known = {str(k): v for k, v in dict(content).items() if isinstance(v, bool)}
        self._asked: dict[str, bool] = {}

    def ask(self, first: Path, second: Path, look: Callable[[], bool]) -> bool:
        """Say whether two files mirror each other.

        Args:
            first: one file.
            second: the other.
            look: finds it out.
        """
        key = file_fingerprint([first, second])
        answer = self._known[key] if key in self._known else look()
        self._asked[key] = answer
        return answer

    def keep(self) -> None:
        """Write down what was asked, if anything is new and the cache can be written to."""
        if self._asked == self._known:
            return
        unfinished = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps(self._asked))
            unfinished.replace(self.path)
