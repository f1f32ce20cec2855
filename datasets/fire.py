"""FIRE: pairs of colour fundus photographs with ten control points each.

As published: ``Images/S01_1.jpg`` and ``Images/S01_2.jpg`` with
``Ground Truth/control_points_S01_1_2.txt``, whose rows are ``x1 y1 x2 y2``. Categories by the first
letter: S, large overlap; P, small overlap; A, changed anatomy. The first image is fixed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from imedbench.core.arrays import Points
from imedbench.core.datasets import DatasetInfo, MissingSplit, PairRef, file_fingerprint
from imedbench.core.errors import BadInput
from imedbench.core.images import read_image
from imedbench.core.registry import DATASETS
from imedbench.core.types import GroundTruth, ImagePair, Split

BAD_PAIRS = {"P37_1_2": "its control points are wrong"}
"""Left out by every published evaluation."""

_NAME = re.compile(r"control_points_(([SPA])\d+)_(\d)_(\d)\.txt")


@dataclass(frozen=True)
class FirePair:
    """The files of one pair."""

    pair_id: str
    category: str
    group: str
    fixed: Path
    moving: Path
    points: Path


@DATASETS.register("fire")
class Fire:
    """The FIRE pairs, each named like ``S01_1_2`` with its category first.

    Args:
        root: the folder with ``Images`` and ``Ground Truth``.
        include_bad: keep the pair whose control points are known to be wrong.

    Raises:
        BadInput: when the folder holds no control points.
    """

    info = DatasetInfo(
        name="fire",
        summary="FIRE colour fundus photographs, ten control points a pair",
        licence="research use, see the publisher",
        reference="Hernandez-Matas et al., Modeling and Artificial Intelligence in"
        " Ophthalmology 1(4), 2017",
    )

    def __init__(self, *, root: Path, include_bad: bool = False) -> None:
        if not root.is_dir():
            raise BadInput(f"{root}: no such folder")
        self.root, self.include_bad = root, include_bad

    @staticmethod
    def recognises(path: Path) -> bool:
        """Tell whether a folder is laid out as published."""
        return (path / "Images").is_dir() and (path / "Ground Truth").is_dir()

    @cached_property
    def pairs(self) -> dict[str, FirePair]:
        """The pairs by name, without the known bad one."""
        files = sorted((self.root / "Ground Truth").glob("control_points_*.txt"))
        if not files:
            raise BadInput(f"{self.root}: no 'Ground Truth/control_points_*.txt' in it")
        pairs = {pair.pair_id: pair for pair in map(self._pair, files)}
        return {n: p for n, p in pairs.items() if self.include_bad or n not in BAD_PAIRS}

    def refs(self, split: Split) -> Sequence[PairRef]:
        """Return the pairs by name, each with its category.

        Raises:
            MissingSplit: for multi-modal: FIRE has photographs only.
        """
        if split == "multi-modal":
            raise MissingSplit("fire has one modality only; use the split single-modal")
        return [
            PairRef(
                pair_id=pair.pair_id,
                split=split,
                subset="test",
                group=pair.group,
                fixed_modality="cf",
                moving_modality="cf",
                category=pair.category,
            )
            for pair in self.pairs.values()
        ]

    def fingerprint(self, ref: PairRef) -> str:
        """Tell whether the files of a pair can have changed."""
        pair = self.pairs[ref.pair_id]
        return file_fingerprint([pair.fixed, pair.moving, pair.points], ref)

    def load(self, ref: PairRef) -> ImagePair:
        """Read one pair.

        Raises:
            BadInput: when a file is no picture or does not hold control points.
        """
        pair = self.pairs[ref.pair_id]
        fixed_points, moving_points = read_control_points(pair.points)
        return ImagePair(
            pair_id=ref.pair_id,
            fixed=read_image(pair.fixed, "cf"),
            moving=read_image(pair.moving, "cf"),
            truth=GroundTruth(moving_points=moving_points, fixed_points=fixed_points),
            group=ref.group,
            subset=ref.subset,
            note=ref.note,
        )

    def remarks(self) -> list[str]:
        """Say what somebody who checks the data should know."""
        counts = {c: sum(p.category == c for p in self.pairs.values()) for c in "SPA"}
        parts = ", ".join(f"{n} {category}" for category, n in counts.items())
        left_out = "" if self.include_bad else "; P37_1_2 left out: " + BAD_PAIRS["P37_1_2"]
        return [f"categories: {parts}{left_out}"]

    def _pair(self, path: Path) -> FirePair:
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise BadInput(f"{path}: expected a name like control_points_S01_1_2.txt")
        scene, category, first, second = match.groups()
        fixed, moving = (self.root / "Images" / f"{scene}_{n}.jpg" for n in (first, second))
        return FirePair(f"{scene}_{first}_{second}", category, scene, fixed, moving, path)


def read_control_points(path: Path) -> tuple[Points, Points]:
    """Points of the first and of the second image, N×2 px each.

    Raises:
        BadInput: when the file does not hold rows of four numbers.
    """
    try:
        table = np.array([[float(c) for c in line.split()] for line in _lines(path)])
    except ValueError as error:
        raise BadInput(f"{path}: {error}; expected rows of x1 y1 x2 y2") from None
    if table.ndim != 2 or table.shape[1] != 4 or not np.isfinite(table).all():
        raise BadInput(f"{path}: expected rows of four numbers, x1 y1 x2 y2")
    return table[:, :2].copy(), table[:, 2:].copy()


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.strip()]
