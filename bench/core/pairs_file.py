"""The file format of a set of pairs: ``pairs.csv`` and its landmark files.

One row a pair. Needed columns: ``pair_id``, ``fixed``, ``moving`` (paths relative to the file;
``scan.tif#2`` is a page of a TIFF). Optional ones: ``subset`` (train or test; older files call it
``split``), ``fixed_modality``, ``moving_modality``, ``landmarks`` (a CSV of
``moving_x,moving_y,fixed_x,fixed_y``, 0-based pixel centres), ``group`` (eye or patient),
``fixed_vessels`` and ``moving_vessels`` (masks), ``fake_octa`` (the fixed image translated to OCTA,
for the single-modal split), ``spacing_um`` and ``note``.
"""

from __future__ import annotations

import csv
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imedbench.core.arrays import Points
from imedbench.core.decoding import split_page
from imedbench.core.errors import BadInput, Collector

FILE = "pairs.csv"
REQUIRED = ("pair_id", "fixed", "moving")
PATHS = ("fixed", "moving", "landmarks", "fixed_vessels", "moving_vessels", "fake_octa")
COLUMNS = (
    *("pair_id", "subset", "fixed", "moving", "fixed_modality", "moving_modality", *PATHS[2:]),
    *("group", "spacing_um", "note"),
)
LANDMARK_COLUMNS = ("moving_x", "moving_y", "fixed_x", "fixed_y")
OLD_NAMES = {"split": "subset"}


@dataclass(frozen=True)
class PairRow:
    """One line of a ``pairs.csv`` or of a landmark file.

    Args:
        line: its number in the file, for messages.
        cells: text by column; empty where the column is missing or blank.
    """

    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


def read_pairs(path: Path, subset: str | None = None) -> list[PairRow]:
    """Read a ``pairs.csv`` and check all of its cells.

    Args:
        path: the file, or the folder that holds it.
        subset: ``train`` or ``test``: other rows are neither checked nor returned.

    Raises:
        BadInput: naming file and line, or when the subset has no pairs.
        Mistakes: when several rows are wrong; the others are its ``rest``.
    """
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise BadInput(f"{path}: no such file; give a pairs.csv or the folder that holds one")
    header, rows = _read_table(path)
    _check_header(path, header)
    if not rows:
        raise BadInput(f"{path}: no pairs, only a header")
    if subset is not None:
        rows = [row for row in rows if row["subset"] == subset]
        if not rows:
            raise BadInput(f"{path}: no {subset} pairs; the column subset names them")
    mistakes, first_lines, good = Collector(), dict[str, int](), list[PairRow]()
    for row in rows:
        wrong = list(_mistakes(path.parent, row, first_lines))
        mistakes.messages += [f"{path}, line {row.line}: {what}" for what in wrong]
        good += [] if wrong else [row]
    mistakes.raise_any(good)
    return good


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
    mistakes, numbers = Collector(), []
    for row in rows:
        with mistakes:
            numbers.append(_four_numbers(path, row))
    mistakes.raise_any()
    table = np.array(numbers)
    return table[:, :2].copy(), table[:, 2:].copy()


def write_pairs(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write a ``pairs.csv`` with every column."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def _four_numbers(path: Path, row: PairRow) -> list[float]:
    try:
        numbers = [float(row[column]) for column in LANDMARK_COLUMNS]
    except ValueError:
        raise BadInput(f"{path}, line {row.line}: not four numbers") from None
    if not np.isfinite(numbers).all():
        raise BadInput(f"{path}, line {row.line}: coordinates must be finite")
    return numbers


def _read_table(path: Path) -> tuple[list[str], list[PairRow]]:
    """The header and the lines of a CSV file, without blanks round the cells."""
    mistakes, rows = Collector(), []
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            header = [OLD_NAMES.get(name.strip(), name.strip()) for name in next(reader, [])]
            for cells in filter(None, reader):
                if len(cells) != len(header):
                    what = f"{len(cells)} cells, the header has {len(header)}"
                    mistakes.add(f"{path}, line {reader.line_num}: {what}")
                    continue
                stripped = (cell.strip() for cell in cells)
                rows.append(PairRow(reader.line_num, dict(zip(header, stripped, strict=True))))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: not a CSV file in UTF-8 ({error})") from error
    mistakes.raise_any()
    return header, rows


def _check_header(path: Path, header: Sequence[str]) -> None:
    missing = [column for column in REQUIRED if column not in header]
    if missing:
        raise BadInput(f"{path}, line 1: no column {', '.join(missing)}")
    unknown = [column for column in header if column not in COLUMNS]
    if unknown:
        raise BadInput(
            f"{path}, line 1: unknown column {', '.join(unknown)}; known are {', '.join(COLUMNS)}"
        )
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise BadInput(f"{path}, line 1: column {', '.join(twice)} is there twice")


def _mistakes(folder: Path, row: PairRow, first_lines: dict[str, int]) -> Iterable[str]:
    """What is wrong with a row; notes the line of its pair id."""
    yield from (f"{column} is empty" for column in REQUIRED if not row[column])
    for column in COLUMNS:
        if any(unicodedata.category(letter) == "Cc" for letter in row[column]):
            yield f"{column} {row[column]!r} holds a control character such as a line break"
    first = first_lines.setdefault(row["pair_id"], row.line)
    if first != row.line:
        yield f"pair_id {row['pair_id']!r} is already used in line {first}"
    if row["subset"] not in ("", "train", "test"):
        yield f"subset is {row['subset']!r}; say train or test"
    for column in PATHS:
        if row[column] and not os.path.isfile(split_page(folder / row[column])[0]):
            yield f"{column} {row[column]} does not exist beside the file"
    if row["spacing_um"] and not _is_positive(row["spacing_um"]):
        yield f"spacing_um is {row['spacing_um']!r}, not a positive number"


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < np.inf
    except ValueError:
        return False
