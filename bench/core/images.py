"""Image and mask files: read at their own depth, or as the 8 bits that methods see."""

from __future__ import annotations

import io
import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Mask
from imedbench.core.errors import BadInput
from imedbench.core.types import Image

MAX_PIXELS = 100_000_000  # 10,000 × 10,000: an 8-bit colour image of it takes 300 MB
_DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras fill of the 16 of a file
_ORIENTATION = 0x0112  # EXIF tag
_PAGE = re.compile(r"(?P<file>.+)#(?P<page>\d+)")


@dataclass(frozen=True, eq=False)
class Picture:
    """What an image file holds, at its own depth.

    Args:
        pixels: H×W grey or H×W×3 RGB; uint8, uint16, int32 or float.
        note: what reading the file took for granted; empty for nothing.
    """

    pixels: NDArray[Any]
    note: str = ""


_QUIET = threading.Lock()  # two threads that put the terminal back would swap it


def read_image(path: Path, modality: str = "unknown") -> Image:
    """Read a picture as uint8, grey or RGB.

    Sixteen-bit files are scaled by the bits that they use (8, 10, 12, 14 or 16); transparency is
    dropped; a colour file whose three channels are equal comes out grey; a camera's EXIF
    orientation is applied.

    Args:
        path: of a PNG, TIFF, JPEG or another file that Pillow or OpenCV reads; ``scan.tif#2`` is
            the second page of a TIFF.
        modality: goes into the image.

    Raises:
        BadInput: when the file is missing, not a picture, too large or one of several pages.
    """
    picture = read_picture(path)
    pixels, note = picture.pixels, picture.note
    if pixels.dtype in (np.uint16, np.int32) and pixels.min() >= 0 and pixels.max() < 1 << 16:
        bits = next(depth for depth in _DEPTHS if int(pixels.max()) < 1 << depth)
        pixels = (pixels * (255 / ((1 << bits) - 1))).round().astype(np.uint8)
        note = _joined(note, f"16-bit file, {bits} bits used" if bits < 16 else "")
    if pixels.dtype != np.uint8:
        raise BadInput(f"{path}: {pixels.dtype} pixels; convert the file to 8 or 16 bits a channel")
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    return Image(np.ascontiguousarray(pixels), modality, note)


def read_picture(path: Path) -> Picture:
    """Read a picture at its own depth, upright.

    Raises:
        BadInput: when the file is missing, not a picture, too large or one of several pages.
    """
    import PIL.Image

    file, page = split_page(path)
    if not file.is_file():
        raise BadInput(f"{path}: no such file")
    try:
        content = file.read_bytes()
        return _decoded(path, content, page)
    except BadInput:
        raise
    except PIL.UnidentifiedImageError:
        return Picture(_by_opencv(path, content, page))
    except PIL.Image.DecompressionBombError:
        raise _too_large(path) from None
    except Exception as error:  # a damaged file makes the decoders raise anything
        cause = getattr(error, "strerror", None) or (str(error).splitlines() or [repr(error)])[0]
        raise BadInput(f"{path}: not a picture that can be read ({cause})") from error


def split_page(path: Path) -> tuple[Path, int | None]:
    """Split ``scan.tif#2`` into the file and the number of the page, counted from 1.

    A file that has such a name itself is that file.
    """
    match = _PAGE.fullmatch(str(path))
    if match is None or path.is_file():
        return path, None
    return Path(match["file"]), int(match["page"])


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


def write_image(path: Path, pixels: NDArray[Any]) -> None:
    """Write a picture; the format follows the file's ending.

    Args:
        path: in a folder that exists.
        pixels: uint8, uint16 or bool, H×W or H×W×3 RGB.

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


def _decoded(path: Path, content: bytes, page: int | None) -> Picture:
    """Decode by Pillow, which names what is wrong with a file instead of printing it."""
    import PIL.Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)  # the limit is below
        opened = PIL.Image.open(io.BytesIO(content))
    with opened:
        pages = getattr(opened, "n_frames", 1) if opened.format == "TIFF" else 1
        opened.seek(_chosen(path, page, pages) - 1)
        if opened.width * opened.height > MAX_PIXELS:
            raise _too_large(path)
        if opened.mode == "RGB" and ";16" in str(opened.tile):  # Pillow has no deep colour
            pixels = _by_opencv(path, content, page)
        else:
            pixels = _channels(opened)
        # Asked for only now: Pillow itself turns a TIFF upright when it loads it.
        orientation = int(opened.getexif().get(_ORIENTATION, 1))
    upright = _upright(pixels, orientation)
    return Picture(upright, "" if orientation == 1 else "turned upright as its EXIF tag says")


def _channels(opened: Any) -> NDArray[Any]:
    """The grey or RGB channels of a picture opened by Pillow."""
    mode: str = opened.mode
    if mode in ("LA", "La", "1"):
        opened = opened.convert("L")
    elif mode not in ("L", "F", "RGB") and not mode.startswith("I"):
        opened = opened.convert("RGB")
    pixels = np.asarray(opened)
    return pixels.astype(pixels.dtype.newbyteorder("="))


def _by_opencv(path: Path, content: bytes, page: int | None) -> NDArray[Any]:
    """Decode what Pillow cannot: 16 bits or floats a colour channel."""
    import cv2

    stored = np.frombuffer(content, np.uint8)
    with _quiet_libraries():
        found, pages = cv2.imdecodemulti(stored, cv2.IMREAD_UNCHANGED) if len(stored) else (0, ())
    if not found or not pages:
        raise BadInput(f"{path}: not a picture that can be read; give a PNG, TIFF or JPEG file")
    pixels = np.asarray(pages[_chosen(path, page, len(pages)) - 1])
    if pixels.ndim == 2:
        return pixels
    return pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3][..., ::-1]


def _chosen(path: Path, page: int | None, pages: int) -> int:
    """The page to read, counted from 1."""
    file, _ = split_page(path)
    if page is None and pages > 1:
        raise BadInput(f"{path}: {pages} pages; say which one, {file.name}#1 … {file.name}#{pages}")
    if page is not None and not 1 <= page <= pages:
        raise BadInput(f"{path}: there is no page {page}, the file has {pages}")
    return page or 1


def _upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn and mirror as one of the eight EXIF orientations says."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels[::-1] if orientation in (3, 4, 7, 8) else pixels


def _too_large(path: Path) -> BadInput:
    return BadInput(
        f"{path}: more than {MAX_PIXELS // 1_000_000} million pixels, which is the limit; make the"
        " image smaller"
    )


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _wh(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}×{shape[0]}"
