"""Write synthetic pairs as a manifest, so that other programs can use them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from imedbench.core.arrays import Points
from imedbench.core.errors import BadInput
from imedbench.core.images import write_image
from imedbench.core.types import ImagePair
from imedbench.datasets.synthetic.benchmark import Synthetic

COLUMNS = (
    "pair_id",
    "split",
    "fixed",
    "moving",
    "fixed_modality",
    "moving_modality",
    "landmarks",
    "group",
    "fixed_vessels",
    "moving_vessels",
    "fake_octa",
    "spacing_um",
    "note",
)


def write_manifest(dataset: Synthetic, folder: Path) -> Path:
    """Make every pair of a synthetic set and write it in the manifest format.

    The matching image of the single-modal split goes into the column ``fake_octa``.

    Args:
        dataset: which pairs.
        folder: made if missing; must be empty.

    Returns:
        The written ``pairs.csv``.

    Raises:
        BadInput: when the folder is not empty or cannot be made.
    """
    _prepare(folder)
    rows = []
    singles = {ref.pair_id: ref for ref in dataset.refs("single-modal")}
    for ref in dataset.refs("multi-modal"):
        pair, single = dataset.load(ref), dataset.load(singles[ref.pair_id])
        rows.append(_write_pair(folder, pair, single))
    path = folder / "pairs.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def _prepare(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder}: exists and is not an empty folder; name another")
    try:
        for part in ("images", "vessels", "landmarks"):
            (folder / part).mkdir(parents=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be made ({error.strerror})") from error


def _write_pair(folder: Path, pair: ImagePair, single: ImagePair) -> dict[str, str]:
    """Write the files of one pair; returns its row."""
    truth, name = pair.truth, pair.pair_id
    pictures = {
        "fixed": (f"images/{name}_fixed.png", pair.fixed.pixels),
        "moving": (f"images/{name}_moving.png", pair.moving.pixels),
        "fake_octa": (f"images/{name}_fake_octa.png", single.fixed.pixels),
        "fixed_vessels": (f"vessels/{name}_fixed.png", truth.fixed_vessels),
        "moving_vessels": (f"vessels/{name}_moving.png", truth.moving_vessels),
    }
    row = {
        "pair_id": name,
        "split": pair.subset,
        "fixed_modality": pair.fixed.modality,
        "moving_modality": pair.moving.modality,
        "group": pair.group,
        "spacing_um": f"{truth.spacing_um:.6g}",
        "note": pair.note,
    }
    for column, (path, pixels) in pictures.items():
        assert pixels is not None
        write_image(folder / path, pixels)
        row[column] = path
    row["landmarks"] = f"landmarks/{name}.csv"
    _write_landmarks(folder / row["landmarks"], truth.moving_points, truth.fixed_points)
    return row


def _write_landmarks(path: Path, moving: Points | None, fixed: Points | None) -> None:
    assert moving is not None
    assert fixed is not None
    np.savetxt(
        path,
        np.hstack([moving, fixed]),
        fmt="%.4f",
        delimiter=",",
        header="moving_x,moving_y,fixed_x,fixed_y",
        comments="",
    )
