"""The files of a run folder beside its database, written so that none is ever seen half done."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imedbench.core.errors import BadInput, unusable
from imedbench.core.images import read_image
from imedbench.core.transforms import Transform, from_bytes
from imedbench.core.types import Matches

DIAGNOSTICS = "diagnostics"
TRANSFORMS = "transforms"
_MATCHES = "matches.npz"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is there in full or not at all, also after a power cut.

    Raises:
        BadInput: when the system refuses; a `BadEnvironment` for a full disk and the like.
    """
    unfinished = path.with_name(f"{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise unusable(path, "cannot be written", error) from error


def transform_file(run: Path, key: str) -> Path:
    """Tell where the transform of a row is kept if it is a large one."""
    return run / TRANSFORMS / f"{key}.npz"


def is_whole(path: Path) -> bool:
    """Tell whether a transform's file is there to its end; cheap enough to ask of every row."""
    return path.is_file() and zipfile.is_zipfile(path)


def unreadable(path: Path, cause: object = "missing or torn") -> BadInput:
    """Make the error for the file of a transform that is of no use."""
    return BadInput(f"{path}: cannot be read ({cause}); the same run command computes it again")


def read_transform(path: Path) -> Transform:
    """Read a large transform.

    Raises:
        BadInput: when the file is missing or damaged.
    """
    try:
        return from_bytes(path.read_bytes())
    except Exception as error:  # a torn archive may fail in any way
        raise unreadable(path, error) from error


def save_diagnostics(run: Path, key: str, pictures: dict[str, bytes], matches: bytes) -> None:
    """Write a row's pictures and its matches.

    Args:
        run: the run folder.
        key: the prediction's.
        pictures: PNG files by name.
        matches: the content of an ``.npz`` file; empty for none.
    """
    if not pictures and not matches:
        return
    folder = run / DIAGNOSTICS / key
    for name, content in pictures.items():
        write_atomically(folder / f"{name}.png", content)
    if matches:
        write_atomically(folder / _MATCHES, matches)


def remove_row_files(run: Path, key: str) -> None:
    """Delete what was kept of a row."""
    shutil.rmtree(run / DIAGNOSTICS / key, ignore_errors=True)
    transform_file(run, key).unlink(missing_ok=True)


def remove_all_files(run: Path) -> None:
    """Delete what was kept of every row."""
    for name in (DIAGNOSTICS, TRANSFORMS):
        shutil.rmtree(run / name, ignore_errors=True)


def load_matches(run: Path, key: str) -> Matches | None:
    """Return the matches of a row, if it has any.

    They are only shown, nothing is computed from them: a damaged file counts as none.
    """
    path = run / DIAGNOSTICS / key / _MATCHES
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            return Matches(stored["moving"], stored["fixed"], stored["inliers"])
    except Exception:  # there is none, or a torn archive, which may fail in any way
        return None


def load_pictures(run: Path, key: str) -> dict[str, NDArray[np.uint8]]:
    """Return the pictures of a row by name, RGB or grey; damaged ones are left out."""
    found = {}
    for file in sorted((run / DIAGNOSTICS / key).glob("*.png")):
        with suppress(BadInput):
            found[file.stem] = read_image(file).pixels
    return found


def log_file(run: Path, method: str) -> Path:
    """Tell where what a method prints is kept."""
    return run / "logs" / f"{slug(method)}.log"


def slug(text: str) -> str:
    """Turn a spec into a file name of its own: readable, short, and no two alike.

    Example:
        >>> slug("sift:ratio=0.7")
        'sift-ratio-0.7-42f9bc'
    """
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:60]
    if readable == text:
        return readable
    return f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
