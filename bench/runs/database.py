"""The database file of a run folder, and who may write to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from imedbench.core.errors import BadInput

SCHEMA_VERSION = 2
LOCK = ".lock"
_SCHEMA = """
CREATE TABLE pairs (
    pair_id TEXT, split TEXT, subset TEXT, group_name TEXT,
    fixed_modality TEXT, moving_modality TEXT, note TEXT, category TEXT, position INTEGER,
    fingerprint TEXT, images TEXT, truth TEXT, offers TEXT, looks TEXT,
    PRIMARY KEY (split, pair_id)
);
CREATE TABLE methods (spec TEXT PRIMARY KEY, info TEXT);
CREATE TABLE covers (method TEXT, split TEXT, PRIMARY KEY (method, split));
CREATE TABLE predictions (
    key TEXT PRIMARY KEY,
    method TEXT, split TEXT, pair_id TEXT, swapped INTEGER,
    outcome TEXT, reason TEXT,
    transform TEXT, confidence REAL, latency_ms REAL, timed_alone INTEGER,
    stages TEXT, details TEXT,
    UNIQUE (method, split, pair_id, swapped)
);
CREATE TABLE scores (
    prediction TEXT REFERENCES predictions (key) ON DELETE CASCADE,
    metric TEXT, version TEXT, truth TEXT, value REAL, identity REAL, reason TEXT,
    PRIMARY KEY (prediction, metric)
);
"""


def open_database(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open the database of a run.

    Args:
        path: the file.
        create: whether to make what is missing, its folder too.

    Raises:
        BadInput: when there is none, or it is no database of this version.
    """
    folder = path.parent
    if not create and not path.is_file():
        raise BadInput(f"{folder}: no run here (there is no {path.name})")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing; after a power cut the last rows may be missing, and are
        # computed again. Waiting for the disk at every row would cost more than the rest.
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA foreign_keys = ON")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0 and create:
            db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
            version = SCHEMA_VERSION
    except sqlite3.DatabaseError as error:
        raise BadInput(f"{path}: not a database of imedbench ({error})") from error
    except OSError as error:
        raise BadInput(f"{folder}: cannot be made or used ({error.strerror})") from error
    if version != SCHEMA_VERSION:
        db.close()
        raise BadInput(
            f"{path}: written by another version of imedbench (schema {version}, this one reads"
            f" {SCHEMA_VERSION}); run again into a new folder"
        )
    return db


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process alone; a killed process lets go by itself.

    Raises:
        BadInput: when another process holds it.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise BadInput(
            f"{folder}: another process writes its results here; wait for it or give another --out"
        ) from None
    except OSError as error:
        raise BadInput(f"{folder / LOCK}: cannot be locked ({error.strerror})") from error
    try:
        yield
    finally:
        lock.release()
