"""A registration kept as a file, and what it does to images, masks and points."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imedbench.core.decoding import Picture
from imedbench.core.errors import BadInput
from imedbench.core.transforms import Transform, from_dict, warp_image
from imedbench.core.transforms.warp import Interpolation

_OWN_DEPTH = (np.uint8, np.uint16, np.int16, np.float32, np.float64)  # that OpenCV resamples


@dataclass(frozen=True)
class Alignment:
    """A transform with the two images it belongs to.

    Args:
        fixed_from_moving: maps points of the moving image to the fixed one.
        fixed_size: width and height of the fixed image, px.
        moving_size: width and height of the moving image, px.
    """

    fixed_from_moving: Transform
    fixed_size: tuple[int, int]
    moving_size: tuple[int, int]

    def reversed(self) -> Alignment:
        """Return what brings the fixed image onto the moving one."""
        return Alignment(self.fixed_from_moving.inverse(), self.moving_size, self.fixed_size)


def read_alignment(path: Path) -> Alignment:
    """Read the JSON file of a registration.

    Raises:
        BadInput: when it is missing or not what `align` and `register` write.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        transform = facts["fixed_from_moving"]
        fixed, moving = ((int(w), int(h)) for w, h in (facts["fixed_size"], facts["moving_size"]))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{path}: not a transform that imedbench align or register wrote ({error!r})"
        ) from None
    if not isinstance(transform, dict):
        raise BadInput(f"{path}: this registration found no transform")
    return Alignment(from_dict(transform), fixed, moving)


def warp_picture(
    picture: Picture, alignment: Alignment, interpolation: Interpolation = "linear"
) -> NDArray[Any]:
    """Draw a picture of the moving image's frame on the fixed image's grid, at its own depth.

    Args:
        picture: any channel of the moving image.
        alignment: the registration.
        interpolation: ``nearest`` for masks and labels, whose values must not be mixed.

    Returns:
        H×W or H×W×3 of the picture's type; black where the moving image shows nothing.

    Raises:
        BadInput: when the picture is of another size than the moving image.
    """
    pixels = picture.pixels
    size = pixels.shape[1], pixels.shape[0]
    if size != alignment.moving_size:
        there, needed = ("×".join(map(str, s)) for s in (size, alignment.moving_size))
        raise BadInput(f"{there} px, but the transform is of an image of {needed} px")
    working = pixels if pixels.dtype in _OWN_DEPTH else pixels.astype(np.float64)
    shape = alignment.fixed_size[1], alignment.fixed_size[0]
    warped = warp_image(working, alignment.fixed_from_moving.inverse(), shape, interpolation)
    whole = np.rint(warped) if pixels.dtype.kind in "iu" else warped
    return whole.astype(pixels.dtype)


def map_points_file(text: str, alignment: Alignment) -> tuple[str, int]:
    """Map the columns ``x`` and ``y`` of a CSV table; its other columns stay as they are.

    Args:
        text: of the file; 0-based pixel centres of the moving image.
        alignment: the registration.

    Returns:
        The new text, and how many points have no place in the fixed image's plane; their cells are
        empty.

    Raises:
        BadInput: naming the line, when a cell is no number or a column is missing.
    """
    rows = list(csv.reader(io.StringIO(text)))
    header = [name.strip() for name in rows[0]] if rows else []
    if "x" not in header or "y" not in header:
        raise BadInput("line 1: no columns x and y")
    columns = header.index("x"), header.index("y")
    try:
        points = np.array([[float(row[c]) for c in columns] for row in rows[1:] if row])
    except (ValueError, IndexError):
        raise BadInput("x and y must be numbers in every line") from None
    mapped = alignment.fixed_from_moving.apply(points.reshape(-1, 2))
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(header)
    for row, at in zip((row for row in rows[1:] if row), mapped, strict=True):
        for column, value in zip(columns, at, strict=True):
            row[column] = f"{value:.4f}" if np.isfinite(value) else ""
        writer.writerow(row)
    return written.getvalue(), int((~np.isfinite(mapped)).any(1).sum())
