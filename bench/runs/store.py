"""The embedded database of a run: what methods answered and how it scored.

SQLite in write-ahead mode: every row is a transaction of its own, so that a killed process loses at
most the pair in flight, and a report can read while a run writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from imedbench.core.arrays import plain
from imedbench.core.datasets import PairRef
from imedbench.core.errors import BadInput
from imedbench.core.transforms import Transform, from_dict, is_large, to_bytes, to_dict
from imedbench.core.types import SPLITS, MethodInfo, Outcome, Split
from imedbench.runs.database import hold, is_writable, open_database
from imedbench.runs.files import (
    is_whole,
    read_transform,
    remove_all_files,
    remove_row_files,
    transform_file,
    unreadable,
    write_atomically,
)
from imedbench.runs.rows import ROW_COLUMNS, PairHashes, Prediction, Score, read_info

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Prediction", "Score", "Store"]

_IN_A_FILE = "in a file"  # in place of a transform that is too large for the database
_REF_COLUMNS = len(fields(PairRef))
_HASH_COLUMNS = len(fields(PairHashes))
# Much faster than `dataclasses.astuple`, which copies every value.
_ref_values, _hash_values, _score_values = (
    attrgetter(*(field.name for field in fields(kind))) for kind in (PairRef, PairHashes, Score)
)


class Store:
    """The database in a run folder.

    Args:
        folder: the run folder, made if ``create``.
        create: whether to make what is missing.

    Raises:
        BadInput: when there is no database, or one of another version.
    """

    FILE = "results.sqlite"

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        self.folder = folder
        self._db = open_database(folder / self.FILE, create=create)
        self.writable = create or is_writable(folder)

    def close(self) -> None:
        """Close the database."""
        self._db.commit()
        self._db.close()

    @contextmanager
    def only_writer(self) -> Iterator[None]:
        """Hold the run folder for this process alone; see `imedbench.runs.database.hold`."""
        with hold(self.folder):
            try:
                yield
            finally:
                self._db.commit()

    # What a run is meant to cover

    def set_pairs(self, refs: Iterable[PairRef], positions: Iterable[int] | None = None) -> None:
        """Add the pairs that the run covers, or bring what is known of them up to date.

        Args:
            refs: the pairs.
            positions: where each comes in the whole run, if these are a shard of it.
        """
        changes = "subset, group_name, fixed_modality, moving_modality, note, category, position"
        updates = ", ".join(f"{name} = excluded.{name}" for name in changes.split(", "))
        with self._db:
            self._db.executemany(
                f"INSERT INTO pairs VALUES ({'?, ' * _REF_COLUMNS} ?{', NULL' * _HASH_COLUMNS})"
                f" ON CONFLICT (split, pair_id) DO UPDATE SET {updates}",
                (
                    (*_ref_values(ref), i)
                    for i, ref in zip(positions or count(), refs, strict=False)
                ),
            )

    def forget_pairs(self) -> None:
        """Empty the list of pairs, for a run that is to cover others."""
        with self._db:
            self._db.execute("DELETE FROM pairs")

    def forget_everything(self) -> None:
        """Empty the database and delete its files, for a run with other settings."""
        with self._db:
            for table in ("scores", "predictions", "covers", "methods", "pairs"):
                self._db.execute(f"DELETE FROM {table}")
        remove_all_files(self.folder)

    def pairs(self) -> list[PairRef]:
        """Return the pairs the run covers, split by split in the data set's order."""
        rows = self._db.execute("SELECT * FROM pairs ORDER BY split, position")
        return [PairRef(*tuple(row)[:_REF_COLUMNS]) for row in rows]

    def positions(self) -> list[int]:
        """Return where each of `pairs` comes in the whole run."""
        query = "SELECT position FROM pairs ORDER BY split, position"
        return [position for (position,) in self._db.execute(query)]

    def hashes(self) -> dict[tuple[Split, str], PairHashes]:
        """Say what is known of the content of the pairs, by (split, pair id)."""
        rows = self._db.execute("SELECT * FROM pairs WHERE fingerprint IS NOT NULL")
        return {(r["split"], r["pair_id"]): PairHashes(*tuple(r)[_REF_COLUMNS + 1 :]) for r in rows}

    def set_hashes(self, ref: PairRef, hashes: PairHashes) -> None:
        """Keep what a pair was found to consist of, where anything can be kept."""
        if not self.writable:
            return
        # Not committed by itself: it is with the row that comes next, or when all is closed.
        self._db.execute(
            "UPDATE pairs SET fingerprint = ?, images = ?, truth = ?, offers = ?, looks = ?"
            " WHERE split = ? AND pair_id = ?",
            (*_hash_values(hashes), ref.split, ref.pair_id),
        )

    def set_method(
        self, spec: str, info: MethodInfo | None, splits: Sequence[str] = SPLITS
    ) -> None:
        """Add a method to the run, with the splits it is to answer; facts may come later."""
        text = json.dumps(asdict(info)) if info else None
        with self._db:
            self._db.execute(
                "INSERT INTO methods VALUES (?, ?)"
                " ON CONFLICT (spec) DO UPDATE SET info = COALESCE(excluded.info, info)",
                (spec, text),
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO covers VALUES (?, ?)", [(spec, split) for split in splits]
            )

    def methods(self) -> dict[str, MethodInfo | None]:
        """Return the methods of the run by spec, in the order they were asked for."""
        rows = self._db.execute("SELECT * FROM methods ORDER BY rowid")
        return {r["spec"]: read_info(r["info"]) for r in rows}

    def expected(self) -> Iterator[tuple[str, PairRef]]:
        """List every row that a complete run has: each method on the pairs of its splits."""
        covers = {tuple(row) for row in self._db.execute("SELECT method, split FROM covers")}
        pairs = self.pairs()
        for method in self.methods():
            yield from ((method, ref) for ref in pairs if (method, ref.split) in covers)

    # What came out

    def add_prediction(self, row: Prediction) -> None:
        """Store a row; large transforms go to a file first, so that no row names a missing one."""
        text = None
        if row.transform is not None and is_large(row.transform):
            text = _IN_A_FILE
            write_atomically(transform_file(self.folder, row.key), to_bytes(row.transform))
        elif row.transform is not None:
            text = json.dumps(to_dict(row.transform))
        values = {
            **{name: getattr(row, name) for name in ROW_COLUMNS},
            "transform": text,
            "stages": json.dumps(plain(row.stages)),
            "details": json.dumps(plain(row.details)),
        }
        with self._db:
            self._db.execute(
                f"INSERT INTO predictions ({', '.join(values)})"
                f" VALUES ({', '.join('?' * len(values))})",
                tuple(values.values()),
            )

    def predictions(
        self, method: str | None = None, *, swapped: bool = False, transforms: bool = True
    ) -> Iterator[Prediction]:
        """Return the stored rows, in the order they were made.

        Args:
            method: spec of the one whose rows are wanted; None for all.
            swapped: the answers for the pairs the other way round in place of the usual ones.
            transforms: whether they are needed; without them rows are read faster.
        """
        where, values = "swapped = ?", [swapped, method]
        where += " AND method = ?" if method is not None else ""
        rows = self._db.execute(
            f"SELECT * FROM predictions WHERE {where} ORDER BY rowid", values[: 1 + bool(method)]
        )
        for r in rows:
            row = Prediction(
                **{name: r[name] for name in ROW_COLUMNS},
                stages=json.loads(r["stages"]),
                details=json.loads(r["details"]),
            )
            timed_alone = bool(row.timed_alone)
            row = replace(
                row, outcome=Outcome(row.outcome), timed_alone=timed_alone, swapped=swapped
            )
            yield self._with_transform(row, r["transform"], transforms)

    def _with_transform(self, row: Prediction, text: str | None, wanted: bool) -> Prediction:
        """The row with its transform if that is wanted; without a whole file it is no answer."""
        try:
            if text == _IN_A_FILE and not is_whole(file := transform_file(self.folder, row.key)):
                raise unreadable(file)
            return replace(row, transform=self.transform(row.key)) if text and wanted else row
        except BadInput as error:
            return replace(row, outcome=Outcome.UNREADABLE, reason=str(error))

    def damaged_files(self) -> list[Path]:
        """List the transform files that are missing or torn."""
        query = "SELECT key FROM predictions WHERE transform = ?"
        files = [transform_file(self.folder, k) for (k,) in self._db.execute(query, (_IN_A_FILE,))]
        return [file for file in files if not is_whole(file)]

    def transform(self, key: str) -> Transform:
        """Read the transform of one row; BadInput when it has none or its file is damaged."""
        query = "SELECT transform FROM predictions WHERE key = ?"
        (text,) = self._db.execute(query, (key,)).fetchone()
        if text == _IN_A_FILE:
            return read_transform(transform_file(self.folder, key))
        if text is None:
            raise BadInput("its errors were imported, its transform was not")
        return from_dict(json.loads(text))

    def keys(self, method: str) -> dict[tuple[str, str, bool], tuple[str, Outcome]]:
        """Key and outcome of each row of a method, by (split, pair id, swapped)."""
        return {
            (row.split, row.pair_id, swapped): (row.key, row.outcome)
            for swapped in (False, True)
            for row in self.predictions(method, transforms=False, swapped=swapped)
        }

    def remove(self, key: str) -> None:
        """Delete a row, its scores and its files."""
        with self._db:
            self._db.execute("DELETE FROM predictions WHERE key = ?", (key,))
        remove_row_files(self.folder, key)

    # How it scored

    def add_scores(self, scores: Sequence[Score]) -> None:
        """Store scores, in place of older ones of the same prediction and metric."""
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?, ?)",
                map(_score_values, scores),
            )

    def scores(self) -> Iterator[Score]:
        """Return all stored scores."""
        for row in self._db.execute("SELECT * FROM scores"):
            yield Score(**dict(row))

    def read(self, query: str) -> pd.DataFrame:
        """Read the rows of a query as a table, for analyses of many rows at once."""
        import pandas as pd

        return pd.read_sql_query(query, self._db)
