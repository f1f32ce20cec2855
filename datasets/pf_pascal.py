"""PF-PASCAL: photographs of like objects with matching keypoints.

No retinas: it is what dense matching networks are commonly tested on (PCK). The folder holds
``JPEGImages`` and the usual pair lists: ``test_pairs_pf_pascal.csv`` (and ``val_…``), with columns
``source_image, target_image, class, XA, YA, XB, YB``, the coordinates separated by semicolons and
counted from 1. The source is the moving image, the target the fixed one.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from imedbench.core.arrays import Points
from imedbench.core.datasets import DatasetInfo, MissingSplit, PairRef, file_fingerprint
from imedbench.core.errors import BadInput, Collector
from imedbench.core.images import read_image
from imedbench.core.registry import DATASETS
from imedbench.core.types import GroundTruth, ImagePair, Split

LISTS = {"train": "val_pairs_pf_pascal.csv", "test": "test_pairs_pf_pascal.csv"}
COLUMNS = ("source_image", "target_image", "class", "XA", "YA", "XB", "YB")


@dataclass(frozen=True, eq=False)
class KeypointPair:
    """One line of a pair list."""

    pair_id: str
    subset: str
    category: str
    moving: Path
    fixed: Path
    moving_points: Points
    fixed_points: Points


@DATASETS.register("pf-pascal")
class PfPascal:
    """The keypoint pairs; the validation list counts as training.

    Args:
        root: the folder that holds ``JPEGImages`` and the pair lists.

    Raises:
        BadInput: naming file and line, when a list or an image is missing or a row is wrong.
    """

    info = DatasetInfo(
        name="pf-pascal",
        summary="PF-PASCAL object photographs with keypoints",
        licence="research use, see the publisher",
        reference="Ham et al., IEEE TPAMI 40(7), 2018",
    )

    def __init__(self, *, root: Path) -> None:
        if not root.is_dir():
            raise BadInput(f"{root}: no such folder")
        self.root = root

    @staticmethod
    def recognises(path: Path) -> bool:
        """Tell whether a folder holds the test list."""
        return (path / LISTS["test"]).is_file()

    @cached_property
    def pairs(self) -> list[KeypointPair]:
        """The pairs of both lists."""
        lists = {subset: self.root / name for subset, name in LISTS.items()}
        if not lists["test"].is_file():
            raise BadInput(f"{lists['test']}: no such file; it comes with the evaluation code")
        return [
            pair
            for subset, path in lists.items()
            if path.is_file()
            for pair in _read_list(path, subset)
        ]

    def refs(self, split: Split) -> Sequence[PairRef]:
        """Return the pairs in the lists' order.

        Raises:
            MissingSplit: for multi-modal: there are photographs only.
        """
        if split == "multi-modal":
            raise MissingSplit("pf-pascal has one modality only; use the split single-modal")
        return [
            PairRef(
                pair_id=pair.pair_id,
                split=split,
                subset=pair.subset,
                group=pair.fixed.stem,
                fixed_modality="photograph",
                moving_modality="photograph",
                note=f"category {pair.category}",
                category=pair.category,
            )
            for pair in self.pairs
        ]

    def fingerprint(self, ref: PairRef) -> str:
        """Tell whether the files of a pair can have changed."""
        pair = next(p for p in self.pairs if p.pair_id == ref.pair_id)
        return file_fingerprint(
            [pair.fixed, pair.moving], ref, pair.moving_points.tolist(), pair.fixed_points.tolist()
        )

    def load(self, ref: PairRef) -> ImagePair:
        """Read one pair.

        Raises:
            BadInput: when an image cannot be read.
        """
        pair = next(p for p in self.pairs if p.pair_id == ref.pair_id)
        return ImagePair(
            pair_id=ref.pair_id,
            fixed=read_image(pair.fixed, ref.fixed_modality),
            moving=read_image(pair.moving, ref.moving_modality),
            truth=GroundTruth(moving_points=pair.moving_points, fixed_points=pair.fixed_points),
            group=ref.group,
            subset=ref.subset,
            note=ref.note,
        )


def _read_list(path: Path, subset: str) -> list[KeypointPair]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        missing = [c for c in COLUMNS if c not in (reader.fieldnames or [])]
        if missing:
            raise BadInput(f"{path}, line 1: no column {', '.join(missing)}")
        mistakes, pairs = Collector(), []
        for row in reader:
            with mistakes:
                pairs.append(_pair(path, subset, reader.line_num, row))
    mistakes.raise_any()
    return pairs


def _pair(path: Path, subset: str, line: int, row: dict[str, str]) -> KeypointPair:
    where = f"{path}, line {line}"
    moving, fixed = (
        path.parent / "JPEGImages" / Path(row[c]).name for c in ("source_image", "target_image")
    )
    moving_points = _points(row["XA"], row["YA"], where)
    fixed_points = _points(row["XB"], row["YB"], where)
    if len(moving_points) != len(fixed_points):
        raise BadInput(
            f"{where}: {len(moving_points)} source but {len(fixed_points)} target points"
        )
    return KeypointPair(
        pair_id=f"{subset}-{line - 1:04d}",
        subset=subset,
        category=row["class"],
        moving=moving,
        fixed=fixed,
        moving_points=moving_points,
        fixed_points=fixed_points,
    )


def _points(x: str, y: str, where: str) -> Points:
    """Coordinates counted from 1, as text, to 0-based pixel centres."""
    try:
        columns = [[float(v) for v in text.split(";") if v] for text in (x, y)]
        points = np.array(columns, np.float64).T - 1
    except ValueError:
        raise BadInput(f"{where}: keypoints are numbers separated by semicolons") from None
    if points.ndim != 2 or len(points) == 0:
        raise BadInput(f"{where}: no keypoints, or not as many x as y")
    return points
