"""Image and mask files."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Mask
from imedbench.core.errors import BadInput
from imedbench.core.types import Image

MIN_SIDE = 8  # px; no method finds anything in less
MAX_PIXELS = 1 << 27  # 11,585 px a side: a run then stays below some 10 GiB
# OpenCV reads its limit when it is imported.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
_QUIET = threading.Lock()  # two threads that put the terminal back would swap it


def read_image(path: Path, modality: str = "unknown") -> Image:
    """Read a picture as uint8, grey or RGB.

    Sixteen-bit files are scaled to eight bits; transparency is dropped; a colour file whose three
    channels are equal comes out grey.

    Args:
        path: any file OpenCV reads.
        modality: goes into the image.

    Raises:
        BadInput: when the file is missing or not a picture.
    """
    import cv2

    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    try:
        # Read by Python, so that any path works and OpenCV prints no warning of its own.
        content = np.fromfile(path, np.uint8)
        with _quiet_libraries():
            pixels = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    except (OSError, cv2.error) as error:
        cause = _refusal(error) if isinstance(error, cv2.error) else error.strerror
        raise BadInput(f"{path}: cannot be read ({cause})") from error
    if pixels is None:
        raise BadInput(f"{path}: not a picture that can be read; give a PNG, TIFF or JPEG file")
    if min(pixels.shape[:2]) < MIN_SIDE:
        raise BadInput(f"{path}: {_wh(pixels.shape)} px; {MIN_SIDE} px a side are the least")
    if pixels.dtype == np.uint16:
        pixels = (pixels / 257).round().astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise BadInput(f"{path}: {pixels.dtype} pixels; convert the file to 8 or 16 bits a channel")
    if pixels.ndim == 3:
        pixels = pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3][..., ::-1]
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    return Image(np.ascontiguousarray(pixels), modality)


def _refusal(error: Exception) -> str:
    if "MAX_IMAGE_PIXELS" in str(error):
        return f"more than {MAX_PIXELS} pixels, set OPENCV_IO_MAX_IMAGE_PIXELS to allow it"
    return "OpenCV refuses it"


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep off the terminal what libpng and libtiff print past OpenCV's own log."""
    with _QUIET, open(os.devnull, "wb") as nowhere:
        terminal = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def read_mask(path: Path, shape: tuple[int, int] | None = None) -> Mask:
    """Read a mask: white where it holds.

    Args:
        path: a picture of two grey levels.
        shape: height and width it must have, if known.

    Raises:
        BadInput: when the file is missing, not a picture or of another size.
    """
    grey = read_image(path).grey()
    mask: Mask = grey > 127
    if grey.any() and not mask.any():
        raise BadInput(f"{path}: its brightest pixel is {grey.max()}; a mask holds 0 and 255")
    if shape is not None and mask.shape != shape:
        raise BadInput(
            f"{path}: the mask is {_wh(mask.shape)} but its image {_wh(shape)}; they must agree"
        )
    return mask


def _wh(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}×{shape[0]}"


def write_image(path: Path, pixels: NDArray[Any]) -> None:
    """Write a picture; the format follows the file's ending.

    Args:
        path: in a folder that exists.
        pixels: uint8 or bool, H×W or H×W×3 RGB.

    Raises:
        BadInput: when the folder cannot be written to or the ending names no format.
    """
    import cv2

    values = pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels
    stored = values[..., ::-1] if values.ndim == 3 else values
    try:
        _, encoded = cv2.imencode(path.suffix, np.ascontiguousarray(stored))
        path.write_bytes(encoded.tobytes())
    except cv2.error:
        raise BadInput(f"{path}: no picture format has this ending; use .png") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror})") from error
