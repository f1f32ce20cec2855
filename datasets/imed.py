"""The IMED CF–OCTA collection in the folders it is kept in.

``CF_train`` and ``CF_ts`` hold ``112Fundus.png``, ``OCTA_train`` and ``OCTA_ts`` hold
``112OCTA.png``. The annotations are made on 256×256 copies of the images: ``GT_OCTA_to_CF`` has a
matrix a pair, ``Ground_Truth_Ts`` rows of ``CF_x CF_y OCTA_x OCTA_y``. Neighbouring ids are one eye
seen twice, the second time mirrored and annotated anew; both get the same group. CF is fixed, OCTA
moving. A folder ``fake_OCTA`` with ``112fake.png``, translations of the CF, makes the single-modal
split.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Points
from imedbench.core.datasets import DatasetInfo, MissingSplit, PairRef, file_fingerprint
from imedbench.core.errors import BadInput
from imedbench.core.images import read_image
from imedbench.core.registry import DATASETS
from imedbench.core.transforms import Affine, Transform
from imedbench.core.types import GroundTruth, Image, ImagePair, Split

ANNOTATED_SIZE = 256  # px; matrices and landmarks are given on images of this size
FOLDERS = {"train": ("CF_train", "OCTA_train"), "test": ("CF_ts", "OCTA_ts")}
_MIRROR_CORRELATION = 0.9  # of an image with its neighbour's mirror image: two eyes stay below 0.8
_GRID = np.stack(np.meshgrid(np.linspace(20, 235, 6), np.linspace(20, 235, 6)), -1).reshape(-1, 2)


class ImedFiles(NamedTuple):
    """Where the files of one pair are."""

    number: str
    subset: str
    fixed: Path
    moving: Path


@DATASETS.register("imed")
class Imed:
    """The IMED collection.

    Args:
        root: the folder that holds ``CF_train``, ``OCTA_train``, ``CF_ts`` and ``OCTA_ts``.

    Raises:
        BadInput: when the folder holds none of them, or an image lacks its partner.
    """

    info = DatasetInfo(
        name="imed",
        summary="colour fundus and OCTA of the macula, affine annotations",
        licence="not public",
    )

    def __init__(self, *, root: Path) -> None:
        self.root = root
        if not root.is_dir():
            raise BadInput(f"{root}: no such folder")

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether a folder looks like the collection."""
        return (path / "CF_ts").is_dir() or (path / "CF_train").is_dir()

    @cached_property
    def files(self) -> list[ImedFiles]:
        """The pairs' files, by number."""
        found: list[ImedFiles] = []
        for subset, (cf, octa) in FOLDERS.items():
            fixed = _numbered(self.root / cf, "Fundus.png")
            moving = _numbered(self.root / octa, "OCTA.png")
            alone = sorted(fixed.keys() ^ moving.keys())
            if alone:
                there, lacking = (moving, cf) if alone[0] in moving else (fixed, octa)
                raise BadInput(f"{there[alone[0]]}: its partner in {lacking} is missing")
            found += [ImedFiles(n, subset, fixed[n], moving[n]) for n in sorted(fixed, key=int)]
        if not found:
            raise BadInput(f"{self.root}: no CF_train/*Fundus.png or CF_ts/*Fundus.png in it")
        return found

    @cached_property
    def groups(self) -> dict[str, str]:
        """The eye of each pair, by number: a mirrored neighbour belongs to the same eye."""
        groups: dict[str, str] = {}
        before: ImedFiles | None = None
        for files in self.files:
            same = before is not None and _follows(before, files) and _is_mirror(before, files)
            groups[files.number] = groups[before.number] if same and before else files.number
            before = None if same else files
        return groups

    def refs(self, split: Split) -> Sequence[PairRef]:
        """The pairs of a split, by number.

        Raises:
            MissingSplit: for single-modal, when there is no folder ``fake_OCTA``.
        """
        single = split == "single-modal"
        files = [f for f in self.files if not single or self._fake(f.number).is_file()]
        if not files:
            raise MissingSplit(
                f"{self.root}: no single-modal pairs, since there is no fake_OCTA/NNNfake.png"
            )
        return [
            PairRef(
                pair_id=f.number,
                split=split,
                subset=f.subset,
                group=f"eye-{self.groups[f.number]}",
                fixed_modality="octa" if single else "cf",
                moving_modality="octa",
            )
            for f in files
        ]

    def load(self, ref: PairRef) -> ImagePair:
        """Read one pair with its matrix or landmarks, if it has any.

        Raises:
            BadInput: when a file is not an image or an annotation does not hold numbers.
        """
        files = self._pair_files(ref)
        single = ref.split == "single-modal"
        fixed_path = self._fake(ref.pair_id) if single else files.fixed
        fixed = read_image(fixed_path, ref.fixed_modality)
        moving = read_image(files.moving, ref.moving_modality)
        return ImagePair(
            pair_id=ref.pair_id,
            fixed=fixed,
            moving=moving,
            truth=self._truth(ref.pair_id, fixed, moving),
            group=ref.group,
            subset=ref.subset,
        )

    def fingerprint(self, ref: PairRef) -> str:
        """Tell whether the files of a pair can have changed."""
        pair = self._pair_files(ref)
        files = [pair.fixed, pair.moving, *self._annotations(ref.pair_id)]
        return file_fingerprint([*files, self._fake(ref.pair_id)], ref)

    def _annotations(self, number: str) -> list[Path]:
        """Where the matrix either way and the landmarks of a pair are, if they are there."""
        return [
            self.root / "GT_OCTA_to_CF" / f"{number}_OCTA_to_CF_affine.txt",
            self.root / "GT_CF_to_OCTA" / f"{number}_CF_to_OCTA_affine.txt",
            self.root / "Ground_Truth_Ts" / f"{number}Fundus_OCTA_points.txt",
        ]

    def _pair_files(self, ref: PairRef) -> ImedFiles:
        for files in self.files:
            if files.number == ref.pair_id:
                return files
        raise BadInput(f"{self.root}: there is no pair {ref.pair_id!r} any more")

    def remarks(self) -> list[str]:
        """What somebody who checks the data should know."""
        mirrored = [n for n, eye in self.groups.items() if n != eye]
        if not mirrored:
            return ["no mirrored copies found: every pair counts as an eye of its own"]
        pairs = ", ".join(f"{self.groups[n]}/{n}" for n in mirrored)
        return [f"mirror images of one eye, kept in one group: {pairs}"]

    def _fake(self, number: str) -> Path:
        return self.root / "fake_OCTA" / f"{number}fake.png"

    def _truth(self, number: str, fixed: Image, moving: Image) -> GroundTruth:
        to_fixed, to_moving = _enlargement(fixed), _enlargement(moving)
        transform = self._transform(number)
        landmarks = self._landmarks(number)
        if landmarks is None and transform is not None:
            # A matrix alone still says where points go: a grid stands for the landmarks.
            landmarks = transform.apply(_GRID), _GRID
        if landmarks is None:
            return GroundTruth()
        return GroundTruth(
            fixed_points=to_fixed.apply(landmarks[0]), moving_points=to_moving.apply(landmarks[1])
        )

    def _transform(self, number: str) -> Transform | None:
        """CF from OCTA at the annotated size."""
        direct, reverse, _ = self._annotations(number)
        if direct.is_file():
            return Affine(_numbers(direct, 3)[:2])
        return Affine(_numbers(reverse, 3)[:2]).inverse() if reverse.is_file() else None

    def _landmarks(self, number: str) -> tuple[Points, Points] | None:
        """CF and OCTA points at the annotated size."""
        path = self._annotations(number)[2]
        if not path.is_file():
            return None
        table = _numbers(path, 4)
        return table[:, :2], table[:, 2:]


def _numbered(folder: Path, ending: str) -> dict[str, Path]:
    """The files of a folder that are a number and the ending, by number."""
    files = {file.name.removesuffix(ending): file for file in folder.glob(f"*{ending}")}
    for number, file in files.items():
        if not number.isdecimal():
            raise BadInput(f"{file}: expected a number before {ending}")
    return files


def _numbers(path: Path, columns: int) -> NDArray[np.float64]:
    """The first columns of a text file of numbers, at least two rows."""
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


def _enlargement(image: Image) -> Affine:
    """Annotated pixel coordinates to those of the image as stored."""
    return Affine(np.diag([image.size[0] / ANNOTATED_SIZE, image.size[1] / ANNOTATED_SIZE, 1.0]))


def _follows(first: ImedFiles, second: ImedFiles) -> bool:
    consecutive = int(second.number) == int(first.number) + 1
    return consecutive and first.subset == second.subset


def _is_mirror(first: ImedFiles, second: ImedFiles) -> bool:
    """Whether two OCTA images are each other's mirror image, along either axis."""
    import cv2

    a, b = (
        cv2.resize(read_image(f.moving).grey(), (128, 128), interpolation=cv2.INTER_AREA)
        for f in (first, second)
    )
    flips = (b[:, ::-1], b[::-1], b[::-1, ::-1])
    best = max(float(np.corrcoef(a.ravel(), flip.ravel())[0, 1]) for flip in flips)
    return best > _MIRROR_CORRELATION
