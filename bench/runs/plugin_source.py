"""Where a plugin is written, what it says of itself, and which of its lines an error came from."""

from __future__ import annotations

import inspect
import traceback
from pathlib import Path
from traceback import FrameSummary
from typing import Any

from imedbench.core.registry import (
    DATASETS,
    INTERACTIVE,
    METHODS,
    METRICS,
    PLUGIN_MODULE,
    TRANSLATORS,
    WRAPPERS,
)
from imedbench.core.text import as_text

MAX_TRACE = 20_000  # characters of a traceback that are kept, from its end
_REGISTRIES = (METHODS, METRICS, DATASETS, WRAPPERS, TRANSLATORS)


def read_documentation(factory: Any) -> str:
    """Read all that a class with its bases, a function, or a wrapper with its two parts says."""
    if hasattr(factory, "outer"):
        return read_documentation(factory.outer) + read_documentation(factory.inner)
    classes = inspect.getmro(factory) if inspect.isclass(factory) else (factory,)
    docs = [getattr(part, "__doc__", "") or "" for part in classes if part is not object]
    return "\n".join([*docs, getattr(getattr(factory, "__init__", None), "__doc__", "") or ""])


def find_own_line(error: BaseException) -> FrameSummary | None:
    """Find the innermost line of a plugin that an error came through; of any code, if of none.

    What is a plugin's is told by the modules that have registered one. A function that was handed
    over belongs to ``__main__``.
    """
    homes = {
        INTERACTIVE,
        *(_home(f.__module__) for registry in _REGISTRIES for f in registry.loaded().values()),
    }
    frames = list(traceback.walk_tb(error.__traceback__))
    lines = traceback.extract_tb(error.__traceback__)
    own = [
        line
        for line, (frame, _) in zip(lines, frames, strict=True)
        if (home := _home(str(frame.f_globals.get("__name__")))) in homes
        or home.startswith(PLUGIN_MODULE)
    ]
    return next(reversed(own or lines), None)


def describe(error: BaseException) -> str:
    """Name an exception with its text and the line of the plugin that it came through."""
    line = find_own_line(error)
    where = f" at {Path(line.filename).name}:{line.lineno}" if line else ""
    return f"{type(error).__name__}: {as_text(error)}{where}"


def quote_line(error: BaseException) -> str:
    """Quote the line of the plugin that an error came through, as ``file.py:3: its text``."""
    line = find_own_line(error)
    return f"{Path(line.filename).name}:{line.lineno}: {line.line}" if line else ""


def write_trace(error: BaseException) -> str:
    """Write the whole traceback of an error, fit for any file."""
    text = "".join(traceback.format_exception(error))
    return text[-MAX_TRACE:].encode(errors="backslashreplace").decode()


def describe_kind(answer: Any) -> str:
    """Say what kind of thing a value is, with its shape if it has one."""
    shape = getattr(answer, "shape", None)
    return f"a {type(answer).__name__}" + (f" of shape {tuple(shape)}" if shape else "")


def _home(module: str) -> str:
    """The package that a module belongs to; of imedbench, the room."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "imedbench" else parts[0]
