"""Keep the pictures and matches that methods make, for the report to draw."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
    import cv2

    folder = run / FOLDER / key
    if diagnostics.matches is not None or diagnostics.images:
        folder.mkdir(parents=True, exist_ok=True)
    for name, image in diagnostics.images.items():
        pixels = image.astype(np.uint8) * 255 if image.dtype == bool else image
        stored = pixels[..., ::-1] if pixels.ndim == 3 else pixels
        _, encoded = cv2.imencode(".png", np.ascontiguousarray(stored))
        (folder / f"{name}.png").write_bytes(encoded.tobytes())
    if diagnostics.matches is not None:
        buffer = io.BytesIO()
        matches = diagnostics.matches
        np.savez_compressed(
            buffer, moving=matches.moving, fixed=matches.fixed, inliers=matches.inliers
        )
        (folder / _MATCHES).write_bytes(buffer.getvalue())


def load_matches(run: Path, key: str) -> Matches | None:
    """The matches of a row, if it has any."""
    path = run / FOLDER / key / _MATCHES
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as stored:
        return Matches(stored["moving"], stored["fixed"], stored["inliers"])


def load_pictures(run: Path, key: str) -> dict[str, NDArray[np.uint8]]:
    """The pictures of a row by name, RGB or grey."""
    import cv2

    pictures: dict[str, NDArray[np.uint8]] = {}
    for path in sorted((run / FOLDER / key).glob("*.png")):
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        pictures[path.stem] = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    return pictures
