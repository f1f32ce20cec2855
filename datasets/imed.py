"""The IMED CF–OCTA collection in the folders it is kept in.

``CF_train`` and ``CF_ts`` hold ``112Fundus.png``, ``OCTA_train`` and ``OCTA_ts`` hold
``112OCTA.png``. The annotations are made on 256×256 copies of the images: ``GT_OCTA_to_CF`` has a
matrix a pair, ``Ground_Truth_Ts`` rows of ``CF_x CF_y OCTA_x OCTA_y``. Neighbouring ids are one eye
seen twice, the second time mirrored and annotated anew; both get the same group. CF is fixed, OCTA
moving. In the single-modal split the CF is shown as OCTA: by ``fake_OCTA/112fake.png`` where there
is such a file, else by a translation made for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imedbench.core.datasets import DatasetInfo, PairRef, file_fingerprint
from imedbench.core.errors import BadInput, Collector, Mistakes
from imedbench.core.images import read_image
from imedbench.core.registry import DATASETS
from imedbench.core.resize import resize
from imedbench.core.translation import FakeOcta
from imedbench.core.types import GroundTruth, Image, ImagePair, Split
from imedbench.datasets.imed_annotations import (
    ANNOTATED_SIZE,
    annotation_files,
    enlargement,
    read_points,
    read_transform,
)
from imedbench.datasets.mirrors import MirrorMemory

FOLDERS = {"train": ("CF_train", "OCTA_train"), "test": ("CF_ts", "OCTA_ts")}
FAKE_FOLDER = "fake_OCTA"
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
        transfer_weights: file of a generator that translates; the shipped one by default.

    Raises:
        BadInput: when the folder holds none of them, or an image lacks its partner.
    """

    info = DatasetInfo(
        name="imed",
        summary="colour fundus and OCTA of the macula, affine annotations",
        licence="not public",
    )

    def __init__(self, *, root: Path, transfer_weights: Path | None = None) -> None:
        self.root = root
        if not root.is_dir():
            raise BadInput(f"{root}: no such folder")
        self.translate = FakeOcta(transfer_weights)
        self.info = replace(self.info, translator=self.translate.info)

    @staticmethod
    def recognises(path: Path) -> bool:
        """Tell whether a folder looks like the collection."""
        return (path / "CF_ts").is_dir() or (path / "CF_train").is_dir()

    @cached_property
    def files(self) -> dict[str, ImedFiles]:
        """The files of the pairs that have both images, by number."""
        return self._found[0]

    @cached_property
    def _found(self) -> tuple[dict[str, ImedFiles], list[str]]:
        """The pairs' files by number, and what is wrong with the others."""
        found: dict[str, ImedFiles] = {}
        mistakes = Collector()
        for subset, (cf, octa) in FOLDERS.items():
            fixed = _numbered(self.root / cf, "Fundus.png", mistakes)
            moving = _numbered(self.root / octa, "OCTA.png", mistakes)
            for n in sorted(fixed.keys() ^ moving.keys()):
                there, lacking = (moving, cf) if n in moving else (fixed, octa)
                mistakes.add(f"{there[n]}: its partner in {lacking} is missing")
            for n in sorted(fixed.keys() & moving.keys(), key=int):
                if n in found:
                    mistakes.add(f"{fixed[n]}: the number is in {found[n].fixed.parent.name} too")
                found.setdefault(n, ImedFiles(n, subset, fixed[n], moving[n]))
        if not found and not mistakes.messages:
            mistakes.add(f"{self.root}: no CF_train/*Fundus.png or CF_ts/*Fundus.png in it")
        return found, mistakes.messages

    @cached_property
    def groups(self) -> dict[str, str]:
        """The eye of each pair, by number: a mirrored neighbour belongs to the same eye."""
        groups: dict[str, str] = {}
        before: ImedFiles | None = None
        memory = MirrorMemory(self.root)
        for files in self.files.values():
            same = (
                before is not None and _follows(before, files) and _mirrors(memory, before, files)
            )
            groups[files.number] = groups[before.number] if same and before else files.number
            before = None if same else files
        memory.keep()
        return groups

    def refs(self, split: Split) -> Sequence[PairRef]:
        """Return the pairs of a split, by number.

        Raises:
            Mistakes: when an image lacks its partner or a file has a wrong name.
        """
        single = split == "single-modal"
        refs = [
            PairRef(
                pair_id=f.number,
                split=split,
                subset=f.subset,
                group=f"eye-{self.groups[f.number]}",
                fixed_modality="octa" if single else "cf",
                moving_modality="octa",
                note=self.translate.info.note if single and self._fake(f.number) is None else "",
            )
            for f in self.files.values()
        ]
        if self._found[1]:
            raise Mistakes(self._found[1], refs)
        return refs

    def load(self, ref: PairRef) -> ImagePair:
        """Read one pair with its matrix or landmarks, if it has any.

        Raises:
            BadInput: when a file is not an image or an annotation does not hold numbers.
        """
        if ref.pair_id not in self.files:
            raise BadInput(f"{self.root}: there is no pair {ref.pair_id!r} any more")
        files, mistakes = self.files[ref.pair_id], Collector()
        truth = GroundTruth()
        with mistakes:
            fixed = self._fixed(files, ref)
        with mistakes:
            moving = read_image(files.moving, ref.moving_modality)
        if not mistakes.messages:
            with mistakes:
                truth = self._truth(ref.pair_id, fixed, moving)
        mistakes.raise_any()
        return ImagePair(
            pair_id=ref.pair_id,
            fixed=fixed,
            moving=moving,
            truth=truth,
            group=ref.group,
            subset=ref.subset,
            note=ref.note,
        )

    def source_files(self, ref: PairRef) -> tuple[Path, Path]:
        """Name the files of the fixed and the moving image of the multi-modal split."""
        files = self.files[ref.pair_id]
        return files.fixed, files.moving

    def fingerprint(self, ref: PairRef) -> str:
        """Tell whether the files of a pair, or what translates them, can have changed."""
        files, fake = self.files[ref.pair_id], self._fake(ref.pair_id)
        read = [files.fixed, files.moving, *annotation_files(self.root, ref.pair_id)]
        return file_fingerprint([*read, *([fake] if fake else [])], ref)

    def remarks(self) -> list[str]:
        """Say what somebody who checks the data should know."""
        mirrored = [n for n, eye in self.groups.items() if n != eye]
        if not mirrored:
            return ["no mirrored copies found: every pair counts as an eye of its own"]
        pairs = ", ".join(f"{self.groups[n]}/{n}" for n in mirrored)
        return [f"mirror images of one eye, kept in one group: {pairs}"]

    def _fixed(self, files: ImedFiles, ref: PairRef) -> Image:
        """The CF image, for the single-modal split in the look of OCTA."""
        if ref.split == "multi-modal":
            return read_image(files.fixed, "cf")
        fake = self._fake(files.number)
        return read_image(fake, "octa") if fake else self.translate(read_image(files.fixed, "cf"))

    def _fake(self, number: str) -> Path | None:
        """The translation that the user brings."""
        path = self.root / FAKE_FOLDER / f"{number}fake.png"
        return path if path.is_file() else None

    def _truth(self, number: str, fixed: Image, moving: Image) -> GroundTruth:
        to_fixed, to_moving = enlargement(fixed), enlargement(moving)
        transform = read_transform(self.root, number)
        landmarks = read_points(self.root, number)
        if landmarks is None and transform is not None:
            # A matrix alone still says where points go: a grid stands for the landmarks.
            there = transform.apply(_GRID)
            inside = ((there >= 0) & (there < ANNOTATED_SIZE)).all(1)
            landmarks = there[inside], _GRID[inside]
        if landmarks is None:
            return GroundTruth()
        return GroundTruth(
            fixed_points=to_fixed.apply(landmarks[0]), moving_points=to_moving.apply(landmarks[1])
        )


def _numbered(folder: Path, ending: str, mistakes: Collector) -> dict[str, Path]:
    """The files of a folder that are a number and the ending, by number."""
    files = {file.name.removesuffix(ending): file for file in sorted(folder.glob(f"*{ending}"))}
    for number, file in files.items():
        if not number.isdecimal():
            mistakes.add(f"{file}: expected a number before {ending}")
    return {number: file for number, file in files.items() if number.isdecimal()}


def _follows(first: ImedFiles, second: ImedFiles) -> bool:
    consecutive = int(second.number) == int(first.number) + 1
    return consecutive and first.subset == second.subset


def _mirrors(memory: MirrorMemory, first: ImedFiles, second: ImedFiles) -> bool:
    return memory.ask(first.moving, second.moving, lambda: _is_mirror(first, second))


def _is_mirror(first: ImedFiles, second: ImedFiles) -> bool:
    """Whether two OCTA images are each other's mirror image, along either axis."""
    try:
        a, b = (resize(read_image(f.moving).grey(), (128, 128)) for f in (first, second))
    except BadInput:  # reading the pair itself will say so
        return False
    flips = (b[:, ::-1], b[::-1], b[::-1, ::-1])
    best = max(float(np.corrcoef(a.ravel(), flip.ravel())[0, 1]) for flip in flips)
    return best > _MIRROR_CORRELATION
