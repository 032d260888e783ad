"""One SQLite file for log, state and store: how it is opened, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tingchao.config.language import Said
from tingchao.pipeline.errors import Refused, Retry

BUSY_SECONDS = 10  # a commit of another process takes milliseconds; a back-up copy may take some seconds
_PRAGMAS = (
    "journal_mode = WAL",
    # FULL: a commit survives a power failure; measured with batches of 500 it costs a few percent.
    "synchronous = FULL",
    # The default of -2000 (2 MB) reads index pages again and again at some 100,000 posts; 16 MB do not.
    "cache_size = -16000",
    "journal_size_limit = 67108864",
    # What is deleted is overwritten where it stood: the keys of voices must not stay readable in the file. FAST does
    # so without further writes (pages that fall free as a whole keep their old bytes until they are used again).
    "secure_delete = FAST",
)
# What an error of SQLite says about the world around: (beginning of its name, key of the words, seconds to wait).
_OUTSIDE = (
    (("SQLITE_BUSY", "SQLITE_LOCKED"), "locked", 1.0),
    (("SQLITE_FULL",), "full", 5.0),
    (("SQLITE_CORRUPT", "SQLITE_NOTADB"), "damaged", 60.0),
    (("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PROTOCOL", "SQLITE_PERM"), "other", 5.0),
)
# At the start there is nothing to wait for; the key of the words for it.
_WRONG_FILE = {"SQLITE_NOTADB": "not_a_database", "SQLITE_CANTOPEN": "not_opened", "SQLITE_READONLY": "read_only"}


def connect(path: Path) -> sqlite3.Connection:
    """A connection in write-ahead mode that makes each commit durable.

    Raises Refused when the file is not a database or cannot be opened, Retry when it is locked.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except (sqlite3.DatabaseError, OSError) as err:
        raise _refused(path, err) from err
    try:
        for pragma in _PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
    except sqlite3.DatabaseError as err:
        db.close()
        if (found := _retry(err)) is not None and not _name(err).startswith(tuple(_WRONG_FILE)):
            raise found from err
        raise _refused(path, err) from err
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing. Raises Retry, with the cause by name, when the file is locked or the disk full."""
    with named_errors():
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def rows(db: sqlite3.Connection, statement: str, values: tuple[object, ...] = ()) -> list[Any]:
    """All rows of a query. Raises Retry like `transaction`."""
    with named_errors():
        return db.execute(statement, values).fetchall()


@contextmanager
def named_errors() -> Iterator[None]:
    """Errors of the file as Retry, with the cause by name; others go through."""
    try:
        yield
    except sqlite3.DatabaseError as err:
        if (found := _retry(err)) is not None:
            raise found from err
        raise


def _retry(err: sqlite3.DatabaseError) -> Retry | None:
    """What to look at on the machine; None for a wrong statement: that is a bug, and waiting would hide it.

    Whether somebody tries again, only the caller knows: the message does not say so.
    """
    name = _name(err)
    for beginnings, key, after in _OUTSIDE:
        if name.startswith(beginnings):
            return Retry(Said(f"error.sqlite.{key}", error=err, busy=BUSY_SECONDS, name=name), after)
    return None


def _name(err: sqlite3.Error) -> str:
    return getattr(err, "sqlite_errorname", "")


def _refused(path: Path, err: Exception) -> Refused:
    keys = [key for name, key in _WRONG_FILE.items() if isinstance(err, sqlite3.Error) and _name(err).startswith(name)]
    cause = Said(f"error.sqlite.{keys[0]}") if keys else getattr(err, "strerror", None) or err
    return Refused(Said("error.database", file=path, error=cause))
