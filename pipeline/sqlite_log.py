"""The Log on one SQLite file: a table a topic, one partition, one transaction a commit."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path

from tingchao.pipeline.batches import BATCH_BYTES, check, fitting, known, timed
from tingchao.pipeline.clock import from_millis, millis
from tingchao.pipeline.log import Batch, Entry, Output
from tingchao.pipeline.records import BACKFILL, COMPACTED, TOPICS
from tingchao.pipeline.sqlite_file import connect, named_errors, rows, transaction

# AUTOINCREMENT: an offset is never given twice, also after the newest entries were trimmed.
_SCHEMA = [
    *(
        f"CREATE TABLE IF NOT EXISTS log_{topic} ("
        "offset INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, at INTEGER NOT NULL, value BLOB NOT NULL)"
        for topic in TOPICS
    ),
    *(f"CREATE INDEX IF NOT EXISTS log_{topic}_key ON log_{topic} (key, offset)" for topic in sorted(COMPACTED)),
    """CREATE TABLE IF NOT EXISTS positions ("group" TEXT, topic TEXT, offset INTEGER NOT NULL,
    PRIMARY KEY ("group", topic)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS state ("group" TEXT, key TEXT, value BLOB NOT NULL,
    PRIMARY KEY ("group", key)) WITHOUT ROWID""",
]
_READ_STEP = 50  # rows
_TRIM_STEP = 5000  # rows a transaction, so that no writer waits long


class SqliteLog:
    """See `log.Log` for what each method promises. One object a thread."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)
        with transaction(self._db):
            for statement in _SCHEMA:
                self._db.execute(statement)

    def reader(self, group: str, topics: Sequence[str]) -> SqliteReader:
        return SqliteReader(self, group, topics)

    def publish(
        self,
        outputs: Sequence[Output],
        at: datetime,
        *,
        group: str = "",
        state: Mapping[str, bytes | None] | None = None,
    ) -> None:
        self.write(outputs, at, group, state or {}, {})

    def write(
        self,
        outputs: Sequence[Output],
        at: datetime,
        group: str,
        state: Mapping[str, bytes | None],
        positions: Mapping[str, int],
    ) -> None:
        """One transaction for all three; what `publish` and a reader's `commit` both are."""
        check(outputs, state)
        with transaction(self._db) as db:
            for topic, lines in _by_topic(outputs, millis(at)).items():
                db.executemany(f"INSERT INTO log_{topic} (key, at, value) VALUES (?, ?, ?)", lines)  # noqa: S608 known names
            db.executemany(
                "INSERT OR REPLACE INTO state VALUES (?, ?, ?)",
                [(group, key, value) for key, value in state.items() if value is not None],
            )
            db.executemany(
                'DELETE FROM state WHERE "group" = ? AND key = ?',
                [(group, key) for key, value in state.items() if value is None],
            )
            db.executemany(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)",
                [(group, topic, offset) for topic, offset in positions.items()],
            )

    def state(self, group: str, prefix: str = "") -> dict[str, bytes]:
        statement = 'SELECT key, value FROM state WHERE "group" = ? AND key >= ? AND key < ?'
        return dict(rows(self._db, statement, (group, prefix, prefix + "\U0010ffff")))

    def states(self, group: str) -> list[dict[str, bytes]]:
        return [self.state(group)]

    def claim(self, group: str, key: str, value: bytes) -> bytes:
        check((), {key: value})
        with transaction(self._db) as db:
            db.execute("INSERT OR IGNORE INTO state VALUES (?, ?, ?)", (group, key, value))
            (standing,) = db.execute('SELECT value FROM state WHERE "group" = ? AND key = ?', (group, key)).fetchone()
        return bytes(standing)

    def scan(self, topic: str, after: int = 0, limit: int = 1000) -> list[Entry]:
        statement = f"SELECT offset, key, at, value FROM log_{known(topic)} WHERE offset > ? ORDER BY offset LIMIT ?"  # noqa: S608 known names
        return [_entry(topic, row) for row in rows(self._db, statement, (after, limit))]

    def scan_fitting(self, topic: str, after: int, limit: int) -> list[Entry]:
        """Like `scan`, but stops soon after the bytes of a batch: long posts are not read only to be read again."""
        statement = f"SELECT offset, key, at, value FROM log_{known(topic)} WHERE offset > ? ORDER BY offset LIMIT ?"  # noqa: S608 known names
        found: list[Entry] = []
        with named_errors():
            cursor = self._db.execute(statement, (after, limit))
            while (part := cursor.fetchmany(_READ_STEP)) and sum(len(one.value) for one in found) <= BATCH_BYTES:
                found += (_entry(topic, row) for row in part)
            cursor.close()
        return found

    def newest(self, topic: str) -> Iterator[Entry]:
        statement = f"SELECT max(offset), key, at, value FROM log_{known(topic)} GROUP BY key ORDER BY 1"  # noqa: S608 known names
        return (_entry(topic, row) for row in rows(self._db, statement))

    def last(self, topic: str) -> Entry | None:
        found = rows(self._db, f"SELECT offset, key, at, value FROM log_{known(topic)} ORDER BY offset DESC LIMIT 1")  # noqa: S608 known names
        return _entry(topic, found[0]) if found else None

    def end(self, topic: str) -> int:
        # sqlite_sequence and not max(offset): the end stays the end when the newest entries were trimmed.
        found = rows(self._db, "SELECT seq FROM sqlite_sequence WHERE name = ?", (f"log_{known(topic)}",))
        return int(found[0][0]) if found else 0

    def position(self, group: str, topic: str) -> int:
        found = rows(self._db, 'SELECT offset FROM positions WHERE "group" = ? AND topic = ?', (group, topic))
        return int(found[0][0]) if found else 0

    def trim(self, before: datetime) -> int:
        return sum(self._trim_topic(topic, millis(before)) for topic in TOPICS)

    def _trim_topic(self, topic: str, before: int) -> int:
        newer = f"AND EXISTS (SELECT 1 FROM log_{topic} n WHERE n.key = o.key AND n.offset > o.offset)"  # noqa: S608 known names
        statement = (
            f"DELETE FROM log_{topic} WHERE offset IN (SELECT offset FROM log_{topic} o WHERE at < ? "  # noqa: S608 known names
            f"{newer if topic in COMPACTED else ''} ORDER BY offset LIMIT {_TRIM_STEP})"
        )
        dropped = 0
        while True:
            with transaction(self._db) as db:
                step = db.execute(statement, (before,)).rowcount
            dropped += step
            if step < _TRIM_STEP:
                return dropped

    def forget(self, topic: str, keys: Sequence[str]) -> None:
        with transaction(self._db) as db:
            db.executemany(f"DELETE FROM log_{known(topic)} WHERE key = ?", [(key,) for key in keys])  # noqa: S608 known names

    def close(self) -> None:
        self._db.close()


class SqliteReader:
    """One reader a group: the file has one partition, and `roles.py` lets one process hold it."""

    def __init__(self, log: SqliteLog, group: str, topics: Sequence[str]) -> None:
        self._log, self._group = log, group
        self._topics = [topic for topic in topics if topic not in BACKFILL]
        self._backfill = [topic for topic in topics if topic in BACKFILL]
        self._at = {topic: log.position(group, topic) for topic in topics}

    def read(self, limit: int) -> Batch | None:
        entries = self._merged(self._topics, limit) or self._merged(self._backfill, limit)
        return Batch(0, entries) if entries else None

    def _merged(self, topics: Sequence[str], limit: int) -> list[Entry]:
        waiting = [timed(self._log.scan_fitting(topic, self._at[topic], limit)) for topic in topics]
        merged = heapq.merge(*waiting, key=lambda timed: timed[0])  # stable: equal times in the order of the topics
        return list(islice(fitting(entry for _, entry in merged), limit))

    def state(self, partition: int) -> dict[str, bytes]:  # noqa: ARG002 one partition
        return self._log.state(self._group)

    def owns(self, partition: int, key: str) -> bool:  # noqa: ARG002 one partition
        return True

    def commit(self, batch: Batch, outputs: Sequence[Output], state: Mapping[str, bytes | None], at: datetime) -> None:
        positions = {entry.topic: entry.offset for entry in batch.entries}
        self._log.write(outputs, at, self._group, state, positions)
        self._at |= positions

    def partitions(self) -> Sequence[int]:
        return (0,)

    def moved(self) -> frozenset[int]:
        return frozenset()

    def close(self) -> None:
        """Nothing is held."""


def _entry(topic: str, row: tuple[int, str, int, bytes]) -> Entry:
    offset, key, at, value = row
    return Entry(topic, 0, offset, key, from_millis(at), value)


def _by_topic(outputs: Sequence[Output], at: int) -> dict[str, list[tuple[str, int, bytes]]]:
    found: dict[str, list[tuple[str, int, bytes]]] = {}
    for out in outputs:
        found.setdefault(known(out.topic), []).append((out.key, at, out.value))
    return found
