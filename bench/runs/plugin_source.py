"""Where a plugin is written, what it says of itself, and which of its lines an error came from."""

from __future__ import annotations

import inspect
import traceback
from pathlib import Path
from typing import Any


def find_source(factory: Any) -> str:
    """Find the file that a class or function is written in; empty for none."""
    try:
        return inspect.getsourcefile(inspect.unwrap(factory)) or ""
    except TypeError:
        return ""


def read_documentation(factory: Any) -> str:
    """Read all that a class with its bases, or a function, says of itself."""
    classes = inspect.getmro(factory) if inspect.isclass(factory) else (factory,)
    docs = [getattr(part, "__doc__", "") or "" for part in classes if part is not object]
    return "\n".join([*docs, getattr(getattr(factory, "__init__", None), "__doc__", "") or ""])


def find_own_line(error: BaseException, file: str) -> str:
    """Find the innermost line of the author's file, or of any file, that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == file] or list(frames)[-1:]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}: {own[-1].line}" if own else ""


def describe_kind(answer: Any) -> str:
    """Say what kind of thing a value is, with its shape if it has one."""
    shape = getattr(answer, "shape", None)
    return f"a {type(answer).__name__}" + (f" of shape {tuple(shape)}" if shape else "")
