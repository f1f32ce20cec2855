"""Keep the pictures and matches that methods make, for the report to draw."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imedbench.core.images import read_image, write_image
from imedbench.core.types import Diagnostics, Matches

FOLDER = "diagnostics"
_MATCHES = "matches.npz"


def save_diagnostics(run: Path, key: str, diagnostics: Diagnostics) -> None:
    """Write a row's pictures as PNG and its matches as one array file.

    Args:
        run: the run folder.
        key: the prediction's.
        diagnostics: what the method returned; nothing is written if it holds nothing to draw.
    """
    folder = run / FOLDER / key
    if diagnostics.matches is not None or diagnostics.images:
        folder.mkdir(parents=True, exist_ok=True)
    for name, image in diagnostics.images.items():
        write_image(folder / f"{name}.png", image)
    if diagnostics.matches is not None:
        buffer = io.BytesIO()
        matches = diagnostics.matches
        np.savez_compressed(
            buffer, moving=matches.moving, fixed=matches.fixed, inliers=matches.inliers
        )
        (folder / _MATCHES).write_bytes(buffer.getvalue())


def remove_diagnostics(run: Path, key: str) -> None:
    """Delete what was kept of a row."""
    shutil.rmtree(run / FOLDER / key, ignore_errors=True)


def load_matches(run: Path, key: str) -> Matches | None:
    """The matches of a row, if it has any."""
    path = run / FOLDER / key / _MATCHES
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as stored:
        return Matches(stored["moving"], stored["fixed"], stored["inliers"])


def load_pictures(run: Path, key: str) -> dict[str, NDArray[np.uint8]]:
    """The pictures of a row by name, RGB or grey."""
    files = sorted((run / FOLDER / key).glob("*.png"))
    return {file.stem: read_image(file).pixels for file in files}
