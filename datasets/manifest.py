"""Pairs listed in a ``pairs.csv``: the way to bring one's own images.

One row a pair. Needed columns: ``pair_id``, ``fixed``, ``moving`` (paths relative to the file).
Optional ones: ``split`` (train or test), ``fixed_modality``, ``moving_modality``, ``landmarks``
(a CSV of ``moving_x,moving_y,fixed_x,fixed_y``, 0-based pixel centres), ``group`` (eye or patient),
``fixed_vessels`` and ``moving_vessels`` (masks), ``fake_octa`` (the fixed image translated to OCTA,
which makes the single-modal split), ``spacing_um`` and ``note``.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from imedbench.core.arrays import Points
from imedbench.core.datasets import DatasetInfo, MissingSplit, PairRef, file_fingerprint
from imedbench.core.errors import BadInput
from imedbench.core.images import read_image, read_mask
from imedbench.core.registry import DATASETS
from imedbench.core.types import GroundTruth, Image, ImagePair, Split

REQUIRED = ("pair_id", "fixed", "moving")
PATHS = ("fixed", "moving", "landmarks", "fixed_vessels", "moving_vessels", "fake_octa")
OPTIONAL = (
    "split",
    "fixed_modality",
    "moving_modality",
    *PATHS[2:],
    "group",
    "spacing_um",
    "note",
)
LANDMARK_COLUMNS = ("moving_x", "moving_y", "fixed_x", "fixed_y")


@dataclass(frozen=True)
class ManifestRow:
    """One checked line of a ``pairs.csv``.

    Args:
        line: its number in the file, for messages.
        cells: text by column; empty where the column is missing or blank.
    """

    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


@DATASETS.register("manifest")
class Manifest:
    """The data set of one ``pairs.csv``.

    Args:
        root: the file, or the folder that holds a ``pairs.csv``.

    Raises:
        BadInput: naming file and line, when the file is missing or a row is wrong.
    """

    info = DatasetInfo(name="manifest", summary="your own pairs, listed in a pairs.csv")

    def __init__(self, *, root: Path) -> None:
        self.path = root / "pairs.csv" if root.is_dir() else root
        self.folder = self.path.parent
        self.info = replace(self.info, name=self.path.resolve().parent.name)

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether a path is a manifest or a folder with one."""
        return path.suffix == ".csv" or (path / "pairs.csv").is_file()

    @cached_property
    def rows(self) -> list[ManifestRow]:
        """The checked rows."""
        rows = read_manifest(self.path)
        for row in rows:
            _check_row(self.path, row)
        return rows

    def refs(self, split: Split) -> Sequence[PairRef]:
        """The pairs of a split, in the file's order.

        Raises:
            MissingSplit: for single-modal, when no row has a ``fake_octa``.
        """
        single = split == "single-modal"
        rows = [row for row in self.rows if row["fake_octa"]] if single else self.rows
        if not rows:
            raise MissingSplit(
                f"{self.path}: no single-modal pairs, since no row has a fake_octa image"
            )
        return [
            PairRef(
                pair_id=row["pair_id"],
                split=split,
                subset=row["split"] or "test",
                group=row["group"] or row["pair_id"],
                fixed_modality="octa" if single else row["fixed_modality"] or "unknown",
                moving_modality=row["moving_modality"] or "unknown",
                note=row["note"],
            )
            for row in rows
        ]

    def load(self, ref: PairRef) -> ImagePair:
        """Read one pair.

        Raises:
            BadInput: when a file is missing, unreadable or does not fit the images.
        """
        row = self._row(ref)
        column = "fake_octa" if ref.split == "single-modal" else "fixed"
        fixed = read_image(self.folder / row[column], ref.fixed_modality)
        moving = read_image(self.folder / row["moving"], ref.moving_modality)
        self._check_fake(row, fixed)
        return ImagePair(
            pair_id=ref.pair_id,
            fixed=fixed,
            moving=moving,
            truth=self._truth(row, fixed, moving),
            group=ref.group,
            subset=ref.subset,
            note=ref.note,
        )

    def fingerprint(self, ref: PairRef) -> str:
        """Tell whether the files of a pair can have changed."""
        row = self._row(ref)
        files = [self.folder / row[column] for column in PATHS if row[column]]
        return file_fingerprint(files, ref, row["spacing_um"])

    def _row(self, ref: PairRef) -> ManifestRow:
        row = self._by_id.get(ref.pair_id)
        if row is None:
            raise BadInput(f"{self.path}: there is no pair {ref.pair_id!r} any more")
        return row

    @cached_property
    def _by_id(self) -> dict[str, ManifestRow]:
        return {row["pair_id"]: row for row in self.rows}

    def _check_fake(self, row: ManifestRow, fixed: Image) -> None:
        if not row["fake_octa"]:
            return
        original = read_image(self.folder / row["fixed"])
        fake = read_image(self.folder / row["fake_octa"])
        if fake.size != original.size:
            raise BadInput(
                f"{self.folder / row['fake_octa']}: {fake.size[0]}×{fake.size[1]} px, its original"
                f" {original.size[0]}×{original.size[1]}; a translated image keeps the size"
            )

    def _truth(self, row: ManifestRow, fixed: Image, moving: Image) -> GroundTruth:
        moving_points, fixed_points = self._landmarks(row)
        masks = {
            name: read_mask(self.folder / row[name], image.shape) if row[name] else None
            for name, image in (("fixed_vessels", fixed), ("moving_vessels", moving))
        }
        return GroundTruth(
            moving_points=moving_points,
            fixed_points=fixed_points,
            fixed_vessels=masks["fixed_vessels"],
            moving_vessels=masks["moving_vessels"],
            spacing_um=float(row["spacing_um"]) if row["spacing_um"] else None,
        )

    def _landmarks(self, row: ManifestRow) -> tuple[Points | None, Points | None]:
        if not row["landmarks"]:
            return None, None
        return read_landmarks(self.folder / row["landmarks"])


def read_manifest(path: Path) -> list[ManifestRow]:
    """Read a ``pairs.csv`` and check its header, ids and numbers.

    Raises:
        BadInput: naming file and line.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file; give a pairs.csv or the folder that holds one")
    header, rows = _read_table(path)
    _check_header(path, header)
    if not rows:
        raise BadInput(f"{path}: no pairs, only a header")
    _check_unique(path, rows)
    return rows


def read_landmarks(path: Path) -> tuple[Points, Points]:
    """Read a landmark file.

    Returns:
        Moving and fixed points, N×2 px each.

    Raises:
        BadInput: naming file and line.
    """
    header, rows = _read_table(path)
    missing = [c for c in LANDMARK_COLUMNS if c not in header]
    if missing:
        raise BadInput(
            f"{path}, line 1: no column {', '.join(missing)}; the header is"
            f" {','.join(LANDMARK_COLUMNS)}"
        )
    if not rows:
        raise BadInput(f"{path}: no landmarks, only a header")
    table = np.array([_four_numbers(path, row) for row in rows])
    return table[:, :2].copy(), table[:, 2:].copy()


def _four_numbers(path: Path, row: ManifestRow) -> list[float]:
    try:
        numbers = [float(row[column]) for column in LANDMARK_COLUMNS]
    except ValueError:
        raise BadInput(f"{path}, line {row.line}: not four numbers") from None
    if not np.isfinite(numbers).all():
        raise BadInput(f"{path}, line {row.line}: coordinates must be finite")
    return numbers


def _read_table(path: Path) -> tuple[list[str], list[ManifestRow]]:
    """The header and the lines of a CSV file, without blanks round the cells."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            header = [name.strip() for name in next(reader, [])]
            rows = []
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise BadInput(
                        f"{path}, line {reader.line_num}: {len(cells)} cells, the header has"
                        f" {len(header)}"
                    )
                stripped = (cell.strip() for cell in cells)
                rows.append(ManifestRow(reader.line_num, dict(zip(header, stripped, strict=True))))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: not a CSV file in UTF-8 ({error})") from error
    return header, rows


def _check_header(path: Path, header: Sequence[str]) -> None:
    missing = [column for column in REQUIRED if column not in header]
    if missing:
        raise BadInput(f"{path}, line 1: no column {', '.join(missing)}")
    unknown = [column for column in header if column not in (*REQUIRED, *OPTIONAL)]
    if unknown:
        raise BadInput(
            f"{path}, line 1: unknown column {', '.join(unknown)}; known are"
            f" {', '.join((*REQUIRED, *OPTIONAL))}"
        )
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise BadInput(f"{path}, line 1: column {', '.join(twice)} is there twice")


def _check_unique(path: Path, rows: list[ManifestRow]) -> None:
    seen: dict[str, int] = {}
    for row in rows:
        first = seen.setdefault(row["pair_id"], row.line)
        if first != row.line:
            raise BadInput(
                f"{path}, line {row.line}: pair_id {row['pair_id']!r} is already used in line"
                f" {first}"
            )


def _check_row(path: Path, row: ManifestRow) -> None:
    def wrong(what: str) -> BadInput:
        return BadInput(f"{path}, line {row.line}: {what}")

    for column in REQUIRED:
        if not row[column]:
            raise wrong(f"{column} is empty")
    if row["split"] not in ("", "train", "test"):
        raise wrong(f"split is {row['split']!r}; say train or test")
    for column in PATHS:
        if row[column] and not (path.parent / row[column]).is_file():
            raise wrong(f"{column} {row[column]} does not exist beside the file")
    if row["spacing_um"]:
        try:
            positive = 0 < float(row["spacing_um"]) < np.inf
        except ValueError:
            positive = False
        if not positive:
            raise wrong(f"spacing_um is {row['spacing_um']!r}, not a positive number")
