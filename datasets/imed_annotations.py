"""The text files in which the IMED collection keeps its annotations."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Points
from imedbench.core.errors import BadInput
from imedbench.core.transforms import Affine, Transform
from imedbench.core.types import Image

ANNOTATED_SIZE = 256  # px; matrices and landmarks are given on images of this size


def annotation_files(root: Path, number: str) -> list[Path]:
    """Say where the matrix either way and the landmarks of a pair are, if they are there."""
    return [
        root / "GT_OCTA_to_CF" / f"{number}_OCTA_to_CF_affine.txt",
        root / "GT_CF_to_OCTA" / f"{number}_CF_to_OCTA_affine.txt",
        root / "Ground_Truth_Ts" / f"{number}Fundus_OCTA_points.txt",
    ]


def read_transform(root: Path, number: str) -> Transform | None:
    """Read the map from OCTA to CF at the annotated size, given in either direction."""
    direct, reverse, _ = annotation_files(root, number)
    if direct.is_file():
        return read_affine(direct)
    return read_affine(reverse).inverse() if reverse.is_file() else None


def read_points(root: Path, number: str) -> tuple[Points, Points] | None:
    """Read CF and OCTA points at the annotated size, N×2 px each."""
    path = annotation_files(root, number)[2]
    if not path.is_file():
        return None
    table = read_numbers(path, 4)
    return table[:, :2], table[:, 2:]


def read_affine(path: Path) -> Affine:
    """Read an affine matrix.

    Raises:
        BadInput: when the file holds none, or one that no two images of an eye are related by.
    """
    matrix = read_numbers(path, 3)[:2]
    if np.abs(matrix).max() > 1e6 or not 0.01 < abs(np.linalg.det(matrix[:, :2])) < 100:
        raise BadInput(f"{path}: this matrix maps no eye onto an image of it; write it anew")
    return Affine(matrix)


def read_numbers(path: Path, columns: int) -> NDArray[np.float64]:
    """Read the first columns of a text file of numbers, at least two rows.

    Raises:
        BadInput: naming the line that is wrong.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    rows = []
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        cells = re.split(r"[,\s]+", text.strip(" \t,"))[:columns]
        try:
            rows.append([float(cell) for cell in cells])
        except ValueError:
            raise BadInput(f"{path}, line {line}: not {columns} numbers") from None
        if len(cells) < columns or not np.isfinite(rows[-1]).all():
            raise BadInput(f"{path}, line {line}: not {columns} numbers")
    if len(rows) < 2:
        raise BadInput(f"{path}: expected at least two rows of {columns} numbers")
    return np.array(rows)


def enlargement(image: Image) -> Affine:
    """Map annotated pixel coordinates to those of the image as stored."""
    return Affine(np.diag([image.size[0] / ANNOTATED_SIZE, image.size[1] / ANNOTATED_SIZE, 1.0]))
