"""DICOM images: ophthalmic photographs and en face images of tomography."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imedbench.core.decoding import MAX_PIXELS, Picture, chosen_page, too_large
from imedbench.core.errors import BadInput

if TYPE_CHECKING:
    from pydicom import Dataset

_SQUARE = 0.01  # largest difference of a pixel's sides, as a share, that passes for a square


def read_dicom(path: Path, content: bytes, page: int | None) -> Picture:
    """Read a frame of a DICOM file.

    Args:
        path: for messages.
        content: of the file.
        page: the frame, counted from 1; needed where there are several.

    Returns:
        Grey levels as they are stored, bright for bright, or RGB.

    Raises:
        BadInput: when it holds no image, or one that is too large, broken or compressed in a way
            that needs a further package.
    """
    import pydicom
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    data = pydicom.dcmread(io.BytesIO(content))
    if "PixelData" not in data:
        raise BadInput(
            f"{path}: this DICOM file ({data.get('Modality', 'no modality')}) has no image"
        )
    if data.Rows * data.Columns > MAX_PIXELS:
        raise too_large(path)
    frames = int(data.get("NumberOfFrames") or 1)
    number = chosen_page(path, page, frames) - 1
    try:
        pixels = pixel_array(data, index=number)  # colours come as RGB
    except (RuntimeError, NotImplementedError, ValueError, AttributeError) as error:
        first = str(error).splitlines()[0]
        raise BadInput(f"{path}: its pixels cannot be decoded ({first})") from error
    notes = [f"DICOM {data.get('Modality', 'image')}, {data.BitsStored} bits"]
    bits = int(data.BitsStored)
    if data.PhotometricInterpretation == "MONOCHROME1":
        pixels = ((1 << bits) - 1 - pixels).astype(pixels.dtype)
        notes.append("stored as a negative, turned over")
    elif data.PhotometricInterpretation == "PALETTE COLOR":
        pixels = np.asarray(apply_color_lut(pixels, data))
    spacing, said = _spacing_um(data, number)
    signed = data.get("PixelRepresentation") == 1
    return Picture(pixels, "; ".join([*notes, *said]), None if signed else bits, spacing)


def _spacing_um(data: Dataset, frame: int) -> tuple[float | None, list[str]]:
    """Size of a pixel, and a remark where there is none that can be used."""
    stored = _pixel_spacing(data, frame)
    if stored is None:
        return None, ["no PixelSpacing"]
    down, across = (1000 * float(value) for value in stored)
    if down <= 0 or across <= 0 or abs(down - across) > _SQUARE * max(down, across):
        return None, [f"its pixels are {across:g}×{down:g} µm, which are no squares: no spacing"]
    return across, [f"pixels of {across:g} µm"]


def _pixel_spacing(data: Dataset, frame: int) -> Any:
    """The tag PixelSpacing (mm down, mm across) of the file, of all frames or of one."""
    if data.get("PixelSpacing"):
        return data.PixelSpacing
    shared = data.get("SharedFunctionalGroupsSequence") or []
    each = data.get("PerFrameFunctionalGroupsSequence") or []
    for group in [*shared, *each[frame : frame + 1]]:
        for measures in group.get("PixelMeasuresSequence") or []:
            if measures.get("PixelSpacing"):
                return measures.PixelSpacing
    return None
