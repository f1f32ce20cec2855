"""Image and mask files as the 8 bits that methods see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Mask, Pixels
from imedbench.core.decoding import Picture, read_picture
from imedbench.core.errors import BadInput
from imedbench.core.types import Image

MIN_SIDE = 2  # px; a line of pixels has no second dimension to align
_DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras fill of the 16 of a file


def read_image(path: Path, modality: str = "unknown") -> Image:
    """Read a picture as uint8, grey or RGB.

    Sixteen-bit files are scaled by the bits that they use (8, 10, 12, 14 or 16), floats by 0 … 1 or
    their own range; transparency is dropped; a colour file whose three channels are equal comes out
    grey; a camera's EXIF orientation is applied; colour profiles are converted to sRGB.

    Args:
        path: of a PNG, TIFF, JPEG or another file that Pillow or OpenCV reads, or a DICOM file;
            ``scan.tif#2`` is the second page of a TIFF or frame of a DICOM file.
        modality: goes into the image.

    Raises:
        BadInput: when the file is missing, not a picture, too large or one of several pages.
    """
    picture = read_picture(path)
    pixels, scaling = to_8_bits(picture)
    if min(pixels.shape[:2]) < MIN_SIDE:
        raise BadInput(f"{path}: {_wh(pixels.shape)} px; an image needs {MIN_SIDE} px a side")
    note = "; ".join(filter(None, (picture.note, scaling)))
    if pixels.ndim == 3 and _is_grey(pixels[::16, ::16]) and _is_grey(pixels):
        pixels = pixels[..., 0]
    return Image(np.ascontiguousarray(pixels), modality, note, picture.spacing_um)


def _is_grey(pixels: Pixels) -> bool:
    return bool((pixels == pixels[..., :1]).all())


def to_8_bits(picture: Picture) -> tuple[Pixels, str]:
    """Scale the values of a picture to 0 … 255.

    Returns:
        uint8 pixels, and what was taken for granted; empty for nothing.
    """
    pixels = picture.pixels
    if pixels.dtype == np.uint8 and picture.bits in (None, 8):
        return pixels, ""
    if pixels.dtype.kind in "ui" and pixels.min() >= 0 and pixels.max() < 1 << 16:
        used = next(depth for depth in _DEPTHS if int(pixels.max()) < 1 << depth)
        bits = max(picture.bits or used, int(pixels.max()).bit_length())
        said = "" if picture.bits or bits == 16 else f"16-bit file, {bits} bits used"
        return _scaled(pixels, 0, (1 << bits) - 1), said
    finite = np.isfinite(pixels)
    low, high = (float(f(pixels[finite])) for f in (np.min, np.max)) if finite.any() else (0, 1)
    if low >= 0 and high <= 1:
        low, high = 0, 1
    kind = f"{pixels.dtype} file, {low:g} … {high:g} shown as 0 … 255"
    lost = "" if finite.all() else f"; {(~finite).sum()} values are not finite and shown as black"
    return _scaled(np.where(finite, pixels, low), low, high), kind + lost


def _scaled(pixels: NDArray[Any], low: float, high: float) -> Pixels:
    factor = 255 / (high - low) if high > low else 0.0
    return ((pixels - low) * factor).round().clip(0, 255).astype(np.uint8)


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
        pixels: uint8, uint16, bool or (TIFF) float32, H×W or H×W×3 RGB.

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


def _wh(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}×{shape[0]}"
