"""One SQLite file for log, state and store: how it is opened, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tingchao.pipeline.errors import Refused, Retry

BUSY_SECONDS = 10  # a commit of another process takes milliseconds; a back-up copy may take some seconds


def connect(path: Path) -> sqlite3.Connection:
    """A connection in write-ahead mode that makes each commit durable.

    Raises Refused when the file is not a database or cannot be opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit survives a power failure; measured with batches of 500 it costs a few percent.
        db.execute("PRAGMA synchronous = FULL")
        # The default of -2000 (2 MB) reads index pages again and again at some 100,000 posts; 16 MB do not.
        db.execute("PRAGMA cache_size = -16000")
        db.execute("PRAGMA journal_size_limit = 67108864")
    except (sqlite3.DatabaseError, OSError) as err:
        raise Refused(f"database {path}: {err}; give another file with --db, or move this one away") from err
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing. Raises Retry, with the cause by name, when the file is locked or the disk full."""
    try:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    except sqlite3.OperationalError as err:
        raise retry(err) from err


def retry(err: sqlite3.OperationalError) -> Retry:
    """The error in words: which setting or what on the machine to look at."""
    name = getattr(err, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Retry(f"database is locked by another program for more than {BUSY_SECONDS} s; still trying", 1.0)
    if name.startswith("SQLITE_FULL"):
        return Retry("the disk of the database is full; free some space, nothing is lost; still trying", 5.0)
    return Retry(f"database: {err} ({name}); still trying", 5.0)
