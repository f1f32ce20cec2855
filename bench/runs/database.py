"""The database file of a run folder, and who may write to it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from imedbench.core.errors import BadEnvironment, BadInput, unusable

SCHEMA_VERSION = 3  # raise it with every change of the columns below
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
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        db = _connect(path, create)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA foreign_keys = ON")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0 and create:
            db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
            version = SCHEMA_VERSION
        db.execute("SELECT COUNT(*) FROM sqlite_master")
    except sqlite3.OperationalError as error:
        raise BadEnvironment(f"{path}: cannot be opened ({error})") from error
    except sqlite3.DatabaseError as error:
        raise BadEnvironment(f"{path}: not a database of imedbench ({error})") from error
    except OSError as error:
        raise unusable(folder, "cannot be made or used", error) from error
    if version != SCHEMA_VERSION:
        db.close()
        raise BadInput(
            f"{path}: written by another version of imedbench (schema {version}, this one reads"
            f" {SCHEMA_VERSION}); run again into a new folder"
        )
    return db


def is_writable(folder: Path) -> bool:
    """Tell whether rows can be added to a run folder."""
    return os.access(folder, os.W_OK)


def _connect(path: Path, create: bool) -> sqlite3.Connection:
    if create or is_writable(path.parent):
        db = sqlite3.connect(path)
        if create:
            db.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing; after a power cut the last rows may be missing, and are
        # computed again. Waiting for the disk at every row would cost more than the rest.
        db.execute("PRAGMA synchronous = NORMAL")
        return db
    log = path.with_name(f"{path.name}-wal")
    if log.is_file() and log.stat().st_size:
        raise BadEnvironment(
            f"{path}: the run was not finished and its folder cannot be written to; copy it first"
        )
    # On read-only media SQLite must be told that nobody changes the file meanwhile.
    return sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)


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
        raise unusable(folder / LOCK, "cannot be locked", error) from error
    try:
        yield
    finally:
        lock.release()
