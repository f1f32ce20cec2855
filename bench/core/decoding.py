"""Image files decoded at their own depth, with what had to be taken for granted."""

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

from imedbench.core.errors import BadInput

MAX_PIXELS = 100_000_000  # 10,000 × 10,000: an 8-bit colour image of it takes 300 MB
EXPORTS = (".vol", ".e2e", ".fda")  # of OCT devices
DICOM_MARK = b"DICM"  # after 128 bytes for other programs
_ORIENTATION = 0x0112  # EXIF tag
_PAGE = re.compile(r"(?P<file>.+)#(?P<page>\d+)")
_QUIET = threading.Lock()  # two threads that put the terminal back would swap it


@dataclass(frozen=True, eq=False)
class Picture:
    """What an image file holds, at its own depth.

    Args:
        pixels: H×W grey or H×W×3 RGB; integers or floats.
        note: what reading the file took for granted; empty for nothing.
        bits: how many bits of an integer type its values use; None where the file does not say.
        spacing_um: size of a pixel in µm, where the file says so.
    """

    pixels: NDArray[Any]
    note: str = ""
    bits: int | None = None
    spacing_um: float | None = None


def read_picture(path: Path) -> Picture:
    """Read a picture at its own depth, upright.

    Raises:
        BadInput: when the file is missing, not a picture, too large or one of several pages.
    """
    import PIL.Image

    file, page = split_page(path)
    if not os.path.isfile(file):  # unlike Path.is_file, for any name at all
        raise BadInput(f"{path}: no such file")
    if file.suffix.lower() in EXPORTS:
        from imedbench.core.vendor import read_export

        return read_export(path, file, page)
    try:
        content = file.read_bytes()
        if content[128:132] == DICOM_MARK:
            from imedbench.core.dicom import read_dicom

            return read_dicom(path, content, page)
        return _decoded(path, content, page)
    except BadInput:
        raise
    except PIL.UnidentifiedImageError:
        return Picture(_by_opencv(path, content, page))
    except PIL.Image.DecompressionBombError:
        raise too_large(path) from None
    except Exception as error:  # a damaged file makes the decoders raise anything
        cause = getattr(error, "strerror", None) or (str(error).splitlines() or [repr(error)])[0]
        raise BadInput(f"{path}: not a picture that can be read ({cause})") from error


def split_page(path: Path) -> tuple[Path, int | None]:
    """Split ``scan.tif#2`` into the file and the number of the page, counted from 1.

    A file that has such a name itself is that file.
    """
    match = _PAGE.fullmatch(str(path))
    if match is None or os.path.isfile(path):
        return path, None
    return Path(match["file"]), int(match["page"])


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Keep off the terminal what Pillow warns of: what matters of it raises, or is checked here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


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


def _decoded(path: Path, content: bytes, page: int | None) -> Picture:
    """Decode by Pillow, which names what is wrong with a file instead of printing it."""
    import PIL.Image

    with _quiet_pillow(), PIL.Image.open(io.BytesIO(content)) as opened:
        pages = getattr(opened, "n_frames", 1) if opened.format == "TIFF" else 1
        opened.seek(chosen_page(path, page, pages) - 1)
        if opened.width * opened.height > MAX_PIXELS:
            raise too_large(path)
        if opened.mode == "RGB" and ";16" in str(opened.tile):  # Pillow has no deep colour
            pixels, profile = _by_opencv(path, content, page), ""
        else:
            opened, profile = _in_srgb(opened)
            pixels = _channels(opened)
        # Asked for only now: Pillow itself turns a TIFF upright when it loads it.
        orientation = int(opened.getexif().get(_ORIENTATION, 1))
    upright = _upright(pixels, orientation)
    turned = "" if orientation == 1 else "turned upright as its EXIF tag says"
    return Picture(upright, "; ".join(filter(None, (turned, profile))))


def _in_srgb(opened: Any) -> tuple[Any, str]:
    """A colour picture in the sRGB space, and what was done to it for that."""
    import PIL.ImageCms

    stored = opened.info.get("icc_profile")
    if not stored or opened.mode != "RGB":
        return opened, ""
    try:
        profile = PIL.ImageCms.ImageCmsProfile(io.BytesIO(stored))
        name = PIL.ImageCms.getProfileDescription(profile).strip() or "without a name"
        if "srgb" in name.lower():
            return opened, ""
        srgb = PIL.ImageCms.createProfile("sRGB")
        converted = PIL.ImageCms.profileToProfile(opened, profile, srgb)
    except (OSError, PIL.ImageCms.PyCMSError) as error:
        return opened, f"its colour profile cannot be used ({error}) and was left out"
    return converted, f"colour profile {name} converted to sRGB"


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
    pixels = np.asarray(pages[chosen_page(path, page, len(pages)) - 1])
    if pixels.ndim == 2:
        return pixels
    return pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3][..., ::-1]


def chosen_page(path: Path, page: int | None, pages: int) -> int:
    """Tell which page to read, counted from 1.

    Raises:
        BadInput: when there are several and none was named, or it is not there.
    """
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


def too_large(path: Path) -> BadInput:
    """Say that an image is larger than what is read."""
    return BadInput(
        f"{path}: more than {MAX_PIXELS // 1_000_000} million pixels, which is the limit; make the"
        " image smaller"
    )
