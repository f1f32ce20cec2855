"""Where results may be written: nothing of a user's is overwritten by accident."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imedbench.core.errors import BadInput
from imedbench.runs.files import write_atomically

WRITTEN = ".imedbench"  # names the files of a folder that were written there


def check_target(
    path: Path, *, force: bool = False, inputs: Iterable[Path] = (), root: Path | None = None
) -> None:
    """Make sure that a file may be written.

    Args:
        path: the file.
        force: whether it may replace another one.
        inputs: files that are never replaced.
        root: folder that the file must lie in once links are followed.

    Raises:
        BadInput: when it must not.
    """
    for source in inputs:
        if path.exists() and source.exists() and path.samefile(source):
            raise BadInput(f"{path}: is an input, which is never overwritten; name another --out")
    if path.is_symlink():
        raise BadInput(f"{path}: is a link; remove it, or name another --out")
    if root is not None and not path.parent.resolve().is_relative_to(root.resolve()):
        raise BadInput(f"{path}: a link leads out of {root}; name another --out")
    if path.is_dir():
        raise BadInput(f"{path}: is a folder; name a file")
    if path.exists() and not force:
        raise BadInput(f"{path}: is there already; --force replaces it")


def claim(folder: Path, names: Collection[str], own: Iterable[Path], *, force: bool) -> None:
    """Make sure that pages and tables may be written into a folder, and remember that they were.

    What was written there before is written again without asking; a stranger's file is not. In a
    run's own folder every such file is the run's.

    Args:
        folder: made if it is missing.
        names: of the files that are written next.
        own: folders of the runs that they are about.
        force: whether strangers' files are replaced.

    Raises:
        BadInput: when one of them must not be written, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be made ({error.strerror})") from error
    if any(folder.resolve().is_relative_to(run.resolve()) for run in own):
        return
    record = folder / WRITTEN
    known = set(record.read_text(encoding="utf-8").splitlines()) if record.is_file() else set()
    for name in names:
        check_target(folder / name, force=force or name in known)
    write_file(record, "\n".join([*sorted(known.union(names)), ""]).encode())


def encode_picture(path: Path, pixels: NDArray[Any]) -> bytes:
    """Encode a picture at its own depth in the format of the file's ending.

    Args:
        path: with an ending that can hold the depth: ``.png`` 8 and 16 bits, ``.tif`` floats too.
        pixels: H×W or H×W×3 RGB.

    Raises:
        BadInput: when the ending names no format or not one of that depth.
    """
    import cv2

    deep = pixels.dtype not in (np.uint8, np.uint16)
    if deep and path.suffix.lower() not in (".tif", ".tiff"):
        raise BadInput(f"{path}: {pixels.dtype} pixels need a .tif file")
    if pixels.dtype == np.uint16 and path.suffix.lower() not in (".png", ".tif", ".tiff"):
        raise BadInput(f"{path}: 16-bit pixels need a .png or .tif file")
    stored = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    try:
        return cv2.imencode(path.suffix, np.ascontiguousarray(stored))[1].tobytes()
    except cv2.error:
        raise BadInput(f"{path}: no picture format has this ending; use .png or .tif") from None


def write_file(path: Path, content: bytes) -> None:
    """Write a file in full or not at all.

    Raises:
        BadInput: when the folder cannot be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{path.parent}: cannot be made ({error.strerror})") from error
    try:
        write_atomically(path, content)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror})") from error
