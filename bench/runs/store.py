"""The embedded database of a run: what methods answered and how it scored.

SQLite in write-ahead mode: every row is a transaction of its own, so that a killed process loses at
most the pair in flight, and a report can read while a run writes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from imedbench.core.datasets import PairRef
from imedbench.core.errors import BadInput
from imedbench.core.transforms import Transform, from_bytes, from_dict, is_large, to_bytes, to_dict
from imedbench.core.types import MethodInfo, Outcome

SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE pairs (
    split TEXT, pair_id TEXT, position INTEGER, subset TEXT, group_name TEXT,
    fixed_modality TEXT, moving_modality TEXT, note TEXT, category TEXT,
    PRIMARY KEY (split, pair_id)
);
CREATE TABLE methods (spec TEXT PRIMARY KEY, position INTEGER, info TEXT);
CREATE TABLE predictions (
    key TEXT PRIMARY KEY,
    method TEXT, split TEXT, pair_id TEXT,
    outcome TEXT, reason TEXT,
    transform TEXT, transform_file TEXT, confidence REAL,
    latency_ms REAL, timed_alone INTEGER, stages TEXT, details TEXT,
    UNIQUE (method, split, pair_id)
);
CREATE TABLE scores (
    prediction TEXT REFERENCES predictions (key) ON DELETE CASCADE,
    metric TEXT, version TEXT, truth TEXT, value REAL, identity REAL,
    PRIMARY KEY (prediction, metric)
);
"""


@dataclass(frozen=True)
class Prediction:
    """What became of one pair under one method: always a row, also for a failure.

    Args:
        key: content hash of everything the answer depends on.
        method: spec of the method, ``name:option=value``.
        split: split of the pair.
        pair_id: id of the pair.
        outcome: what happened.
        reason: why it is not ``ok``.
        transform: what the method returned, also where that is degenerate.
        confidence: the method's own, in [0, 1].
        latency_ms: wall time of the call.
        timed_alone: whether no other worker ran meanwhile.
        stages: ms by stage.
        details: the diagnostics' numbers.
    """

    key: str
    method: str
    split: str
    pair_id: str
    outcome: Outcome
    reason: str = ""
    transform: Transform | None = None
    confidence: float | None = None
    latency_ms: float | None = None
    timed_alone: bool = True
    stages: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """One metric of one prediction.

    Args:
        prediction: key of the prediction.
        metric: its name.
        version: the metric's.
        truth: hash of the ground truth it was computed with.
        value: None where the pair failed or the metric is undefined.
        identity: what the same pair scores left as it is: what a failure is charged.
    """

    prediction: str
    metric: str
    version: str
    truth: str
    value: float | None
    identity: float | None


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
        self.path = folder / self.FILE
        if not create and not self.path.is_file():
            raise BadInput(f"{folder}: no run here (there is no {self.FILE})")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Worker threads write under the runner's lock, hence one connection for all of them.
            self._db = sqlite3.connect(self.path, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            # A killed process loses nothing; after a power cut the last rows may be missing, and
            # are computed again. Waiting for the disk at every row would cost more than the rest.
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._open_schema()
        except sqlite3.DatabaseError as error:
            raise BadInput(f"{self.path}: not a database of imedbench ({error})") from error
        except OSError as error:
            raise BadInput(f"{folder}: cannot be made or used ({error.strerror})") from error

    def _open_schema(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == SCHEMA_VERSION:
            return
        if version != 0:
            raise BadInput(
                f"{self.path}: written by another version of imedbench (schema {version}, this one"
                f" reads {SCHEMA_VERSION}); run again into a new folder"
            )
        self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    # What a run is meant to cover

    def set_pairs(self, refs: Iterable[PairRef]) -> None:
        """Add the pairs that the run covers, or bring what is known of them up to date."""
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO pairs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        *(r.split, r.pair_id, i, r.subset, r.group),
                        *(r.fixed_modality, r.moving_modality, r.note, r.category),
                    )
                    for i, r in enumerate(refs)
                ),
            )

    def forget_pairs(self) -> None:
        """Empty the list of pairs, for a run that is to cover others."""
        with self._db:
            self._db.execute("DELETE FROM pairs")

    def forget_everything(self) -> None:
        """Empty the database, for a run with other settings."""
        with self._db:
            for table in ("scores", "predictions", "methods", "pairs"):
                self._db.execute(f"DELETE FROM {table}")

    def pairs(self) -> list[PairRef]:
        """The pairs the run covers, split by split in the data set's order."""
        rows = self._db.execute("SELECT * FROM pairs ORDER BY split, position")
        return [
            PairRef(
                r["pair_id"],
                r["split"],
                r["subset"],
                r["group_name"],
                r["fixed_modality"],
                r["moving_modality"],
                r["note"],
                r["category"],
            )
            for r in rows
        ]

    def set_method(self, spec: str, info: MethodInfo | None) -> None:
        """Add a method to the run; its facts may come later, when it has been loaded."""
        text = json.dumps(asdict(info)) if info else None
        with self._db:
            self._db.execute(
                "INSERT INTO methods VALUES (?, (SELECT COUNT(*) FROM methods), ?)"
                " ON CONFLICT (spec) DO UPDATE SET info = COALESCE(excluded.info, info)",
                (spec, text),
            )

    def methods(self) -> dict[str, MethodInfo | None]:
        """The methods of the run by spec, in the order they were asked for."""
        rows = self._db.execute("SELECT * FROM methods ORDER BY position")
        return {r["spec"]: _info(r["info"]) for r in rows}

    # What came out

    def add_prediction(self, row: Prediction) -> None:
        """Store a row; large transforms go to a file first, so that no row names a missing one."""
        text, file = None, None
        if row.transform is not None and is_large(row.transform):
            file = f"transforms/{row.key}.npz"
            _write_atomically(self.folder / file, to_bytes(row.transform))
        elif row.transform is not None:
            text = json.dumps(to_dict(row.transform))
        values = (
            *(row.key, row.method, row.split, row.pair_id, row.outcome, row.reason),
            *(text, file, row.confidence, row.latency_ms, row.timed_alone),
            *(json.dumps(row.stages), json.dumps(row.details)),
        )
        with self._db:
            self._db.execute(
                f"INSERT INTO predictions VALUES ({', '.join('?' * len(values))})", values
            )

    def predictions(self, method: str | None = None) -> Iterator[Prediction]:
        """The stored rows, of one method or of all, in the order they were made."""
        where, values = ("", ()) if method is None else ("WHERE method = ?", (method,))
        for r in self._db.execute(f"SELECT * FROM predictions {where} ORDER BY rowid", values):
            yield Prediction(
                key=r["key"],
                method=r["method"],
                split=r["split"],
                pair_id=r["pair_id"],
                outcome=Outcome(r["outcome"]),
                reason=r["reason"],
                transform=self._transform(r),
                confidence=r["confidence"],
                latency_ms=r["latency_ms"],
                timed_alone=bool(r["timed_alone"]),
                stages=json.loads(r["stages"]),
                details=json.loads(r["details"]),
            )

    def keys(self, method: str) -> dict[tuple[str, str], tuple[str, Outcome]]:
        """Key and outcome of each row of a method, by (split, pair id)."""
        rows = self._db.execute(
            "SELECT split, pair_id, key, outcome FROM predictions WHERE method = ?",
            (method,),
        )
        return {(s, p): (key, Outcome(outcome)) for s, p, key, outcome in rows}

    def remove(self, key: str) -> None:
        """Delete a row, its scores and its files."""
        with self._db:
            self._db.execute("DELETE FROM predictions WHERE key = ?", (key,))
        (self.folder / f"transforms/{key}.npz").unlink(missing_ok=True)

    # How it scored

    def add_scores(self, scores: Iterable[Score]) -> None:
        """Store scores, in place of older ones of the same prediction and metric."""
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?)",
                ((s.prediction, s.metric, s.version, s.truth, s.value, s.identity) for s in scores),
            )

    def scores(self) -> Iterator[Score]:
        """All stored scores."""
        for row in self._db.execute("SELECT * FROM scores"):
            yield Score(**dict(row))

    def _transform(self, row: sqlite3.Row) -> Transform | None:
        if row["transform_file"]:
            return from_bytes((self.folder / row["transform_file"]).read_bytes())
        return from_dict(json.loads(row["transform"])) if row["transform"] else None


def _info(text: str | None) -> MethodInfo | None:
    if text is None:
        return None
    facts: dict[str, Any] = json.loads(text)
    lists = {name: tuple(value) for name, value in facts.items() if isinstance(value, list)}
    return MethodInfo(**{**facts, **lists})


def _write_atomically(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_bytes(content)
    unfinished.replace(path)
