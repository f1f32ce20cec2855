"""What Python code does beside its work: files it writes, addresses it connects to."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from imedbench.core.translation import cache_folder

# Asked once, for asking opens files, which the watch below would see and ask again.
_IDLE = (tempfile.gettempdir(), os.devnull, "/dev/", "/proc/")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True, eq=False)
class _Watch:
    """What is found, and where files may be written: manifests keep fake OCTA in our cache."""

    allowed: tuple[str, ...]
    events: list[str] = field(default_factory=list)


_watchers: list[_Watch] = []
_listening: list[bool] = []


@contextlib.contextmanager
def watch_side_effects() -> Iterator[list[str]]:
    """Collect, in words, what is written outside temporary folders and what goes to the network.

    Only what Python itself opens is seen; a library's own C code is not.
    """
    if not _listening:
        sys.addaudithook(_on_event)  # cannot be taken away again; it is idle unless watched
        _listening.append(True)
    watch = _Watch((*_IDLE, str(cache_folder())))
    _watchers.append(watch)
    try:
        yield watch.events
    finally:
        _watchers.remove(watch)


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watchers:
        return
    if event in ("socket.connect", "socket.getaddrinfo"):
        _watchers[-1].events.append("uses the network; what it needs must be there before")
    if event == "open" and isinstance(arguments[0], str):
        path, mode, flags = arguments
        writes = any(c in (mode or "") for c in "wax+") or bool((flags or 0) & _WRITES)
        watch = _watchers[-1]
        if writes and not path.startswith(watch.allowed) and "__pycache__" not in path:
            watch.events.append(f"writes {path}; a plugin returns what it has to say")
