"""Write a data set as files, with the ``pairs.csv`` that this and other tools read."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from imedbench.core.arrays import Points
from imedbench.core.datasets import Dataset
from imedbench.core.errors import BadInput
from imedbench.core.images import write_image
from imedbench.core.pairs_file import FILE, LANDMARK_COLUMNS, write_pairs
from imedbench.core.progress import NullProgress, Progress
from imedbench.core.types import ImagePair
from imedbench.datasets.imed import FAKE_FOLDER

FOLDERS = ("images", "vessels", "landmarks", FAKE_FOLDER)


def write_dataset(dataset: Dataset, folder: Path, progress: Progress | None = None) -> Path:
    """Write the pairs of both splits of a data set in the format of `imedbench.core.pairs_file`.

    The fixed images of the single-modal split go into the folder ``fake_OCTA`` under the names
    that the IMED folders use, and into the column ``fake_octa``.

    Args:
        dataset: whose splits show the same pairs.
        folder: made if missing; must be empty.
        progress: is told of every pair.

    Returns:
        The written ``pairs.csv``.

    Raises:
        BadInput: when the folder is not empty or cannot be made, or a pair cannot be read.
    """
    progress = progress or NullProgress()
    refs = dataset.refs("single-modal")
    originals = {ref.pair_id: ref for ref in dataset.refs("multi-modal")}
    _prepare(folder)
    progress.begin(len(refs))
    rows = []
    for number, ref in enumerate(refs, 1):
        pair, single = dataset.load(originals[ref.pair_id]), dataset.load(ref)
        # An id that would leave the folder names no file.
        name = ref.pair_id if re.fullmatch(r"\w[\w.-]*", ref.pair_id) else str(number)
        rows.append(_write_pair(folder, name, pair, single))
        progress.row("writing", ref.pair_id)
    write_pairs(folder / FILE, rows)
    return folder / FILE


def _prepare(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder}: exists and is not an empty folder; name another")
    try:
        for part in FOLDERS:
            (folder / part).mkdir(parents=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be made ({error.strerror})") from error


def _write_pair(folder: Path, name: str, pair: ImagePair, single: ImagePair) -> dict[str, str]:
    """Write the files of one pair; returns its row."""
    truth = pair.truth
    pictures = {
        "fixed": (f"images/{name}_fixed.png", pair.fixed.pixels),
        "moving": (f"images/{name}_moving.png", pair.moving.pixels),
        "fake_octa": (f"{FAKE_FOLDER}/{name}fake.png", single.fixed.pixels),
        "fixed_vessels": (f"vessels/{name}_fixed.png", truth.fixed_vessels),
        "moving_vessels": (f"vessels/{name}_moving.png", truth.moving_vessels),
    }
    row = {
        "pair_id": pair.pair_id,
        "subset": pair.subset,
        "fixed_modality": pair.fixed.modality,
        "moving_modality": pair.moving.modality,
        "group": pair.group,
        "spacing_um": f"{truth.spacing_um:.6g}" if truth.spacing_um else "",
        "note": single.note,
    }
    for column, (path, pixels) in pictures.items():
        if pixels is not None:
            write_image(folder / path, pixels)
            row[column] = path
    if truth.moving_points is not None and truth.fixed_points is not None:
        row["landmarks"] = f"landmarks/{name}.csv"
        write_landmarks(folder / row["landmarks"], truth.moving_points, truth.fixed_points)
    return row


def write_landmarks(path: Path, moving: Points, fixed: Points) -> None:
    """Write a landmark file of moving and fixed points, N×2 px each."""
    table, header = np.hstack([moving, fixed]), ",".join(LANDMARK_COLUMNS)
    np.savetxt(path, table, fmt="%.4f", delimiter=",", header=header, comments="")
