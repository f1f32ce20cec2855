"""Pairs listed in a ``pairs.csv``: the way to bring one's own images.

The format is described at `imedbench.core.pairs_file`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from imedbench.core.arrays import Mask
from imedbench.core.datasets import DatasetInfo, MissingSplit, PairRef, file_fingerprint
from imedbench.core.errors import BadInput, Collector, Mistakes
from imedbench.core.images import read_image, read_mask
from imedbench.core.pairs_file import FILE, PATHS, PairRow, read_landmarks, read_pairs
from imedbench.core.registry import DATASETS
from imedbench.core.translation import FakeOcta
from imedbench.core.types import GroundTruth, Image, ImagePair, Split


@DATASETS.register("manifest")
class Manifest:
    """The data set of one ``pairs.csv``.

    Its single-modal split shows OCTA with OCTA: the colour fundus of a pair is translated, unless
    its row names a ``fake_octa`` image.

    Args:
        root: the file, or the folder that holds a ``pairs.csv``.
        transfer_weights: file of a generator that translates; the shipped one by default.

    Raises:
        BadInput: naming file and line, when the file is missing or a row is wrong.
    """

    info = DatasetInfo(name="manifest", summary="your own pairs, listed in a pairs.csv")

    def __init__(self, *, root: Path, transfer_weights: Path | None = None) -> None:
        self.path = root / FILE if root.is_dir() else root
        self.folder = self.path.parent
        self.translate = FakeOcta(transfer_weights)
        self.info = replace(
            self.info, name=self.path.resolve().parent.name, translator=self.translate.info
        )

    @staticmethod
    def recognises(path: Path) -> bool:
        """Tell whether a path is a manifest or a folder with one."""
        return path.suffix == ".csv" or (path / FILE).is_file()

    @cached_property
    def _read(self) -> tuple[dict[str, PairRow], Sequence[str]]:
        """The rows that are right, by pair id, and what is wrong with the others."""
        mistakes: Sequence[str] = ()
        try:
            rows: Sequence[PairRow] = read_pairs(self.path)
        except Mistakes as error:
            rows, mistakes = error.rest, error.messages
        return {row["pair_id"]: row for row in rows}, mistakes

    def refs(self, split: Split) -> Sequence[PairRef]:
        """Return the pairs of a split, in the file's order.

        Raises:
            MissingSplit: for single-modal, when no row has a ``fake_octa`` or is of colour fundus
                (``cf``) and OCTA (``octa``).
            Mistakes: when rows are wrong.
        """
        rows, mistakes = self._read
        refs = self._refs(split, list(rows.values()))
        if mistakes:
            raise Mistakes(mistakes, refs)
        if not refs:
            raise MissingSplit(
                f"{self.path}: no single-modal pairs, since no row has a fake_octa image or"
                " fixed_modality cf and moving_modality octa"
            )
        return refs

    def _refs(self, split: Split, rows: Sequence[PairRow]) -> list[PairRef]:
        single = split == "single-modal"
        return [
            PairRef(
                pair_id=row["pair_id"],
                split=split,
                subset=row["subset"] or "test",
                group=row["group"] or row["pair_id"],
                fixed_modality="octa" if single else row["fixed_modality"] or "unknown",
                moving_modality=row["moving_modality"] or "unknown",
                note=self._note(row) if single else row["note"],
            )
            for row in rows
            if not single or row["fake_octa"] or _is_cf_octa(row)
        ]

    def _note(self, row: PairRow) -> str:
        made = "" if row["fake_octa"] else self.translate.info.note
        return "; ".join(filter(None, (row["note"], made)))

    def load(self, ref: PairRef) -> ImagePair:
        """Read one pair.

        Raises:
            BadInput: when a file is missing, unreadable or does not fit the images.
        """
        row = self._read[0].get(ref.pair_id)
        if row is None:
            raise BadInput(f"{self.path}: there is no pair {ref.pair_id!r} any more")
        mistakes = Collector()
        truth = GroundTruth()
        with mistakes:
            moving = read_image(self.folder / row["moving"], ref.moving_modality)
        with mistakes:
            fixed = self._fixed(row, ref)
        if not mistakes.messages:
            with mistakes:
                truth = self._truth(row, fixed, moving)
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

    def fingerprint(self, ref: PairRef) -> str:
        """Tell whether the files of a pair, or what translates them, can have changed."""
        row = self._read[0][ref.pair_id]
        files = [self.folder / row[column] for column in PATHS if row[column]]
        return file_fingerprint(files, ref, row["spacing_um"])

    def source_files(self, ref: PairRef) -> tuple[Path, Path]:
        """Name the files of the fixed and the moving image of the multi-modal split."""
        row = self._read[0][ref.pair_id]
        return self.folder / row["fixed"], self.folder / row["moving"]

    def _fixed(self, row: PairRow, ref: PairRef) -> Image:
        """The fixed image, for the single-modal split in the look of OCTA."""
        original = read_image(self.folder / row["fixed"], row["fixed_modality"] or "unknown")
        if ref.split == "multi-modal":
            return original
        if not row["fake_octa"]:
            return self.translate(original)
        fake = read_image(self.folder / row["fake_octa"], ref.fixed_modality)
        if fake.size != original.size:
            raise BadInput(
                f"{self.folder / row['fake_octa']}: {fake.size[0]}×{fake.size[1]} px, its original"
                f" {original.size[0]}×{original.size[1]}; a translated image keeps the size"
            )
        return fake

    def _truth(self, row: PairRow, fixed: Image, moving: Image) -> GroundTruth:
        mistakes, masks = Collector(), dict[str, Mask]()
        moving_points = fixed_points = None
        if row["landmarks"]:
            with mistakes:
                moving_points, fixed_points = read_landmarks(self.folder / row["landmarks"])
        for name, image in (("fixed_vessels", fixed), ("moving_vessels", moving)):
            if row[name]:
                with mistakes:
                    masks[name] = read_mask(self.folder / row[name], image.shape)
        mistakes.raise_any()
        return GroundTruth(
            moving_points=moving_points,
            fixed_points=fixed_points,
            fixed_vessels=masks.get("fixed_vessels"),
            moving_vessels=masks.get("moving_vessels"),
            spacing_um=float(row["spacing_um"]) if row["spacing_um"] else fixed.spacing_um,
        )


def _is_cf_octa(row: PairRow) -> bool:
    return (row["fixed_modality"].lower(), row["moving_modality"].lower()) == ("cf", "octa")
