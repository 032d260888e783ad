"""The Store on one SQLite file: a table of posts and an FTS5 index over their grams."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from tingchao.pipeline.clock import from_millis, millis
from tingchao.pipeline.query import All, Expression, Query, Some, Words
from tingchao.pipeline.records import Scored, decode, encode
from tingchao.pipeline.sqlite_file import connect, rows, transaction
from tingchao.pipeline.store import ALIGNED, Bucket, likeliest, searched, steps, without_voice

# `ascii` splits grams at spaces only: all other bytes above 127 belong to a token. The index is contentless: the
# text stands once, in posts.record, and a deletion gives the grams again (SQLite before 3.43 asks for that).
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS posts (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL,
    published INTEGER NOT NULL, source TEXT NOT NULL, sentiment TEXT NOT NULL, topics TEXT NOT NULL,
    given TEXT NOT NULL, record BLOB NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS posts_published ON posts (published DESC, id DESC)",
    "CREATE VIRTUAL TABLE IF NOT EXISTS posts_grams USING fts5 (grams, content='', columnsize=0, tokenize='ascii')",
)
_DELETE_STEP = 2000  # posts a transaction, so that no writer waits long
_REWRITE_STEP = 500


class SqliteStore:
    """See `store.Store` for what each method promises."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)
        with transaction(self._db):
            for statement in _SCHEMA:
                self._db.execute(statement)

    def put(self, batch: Sequence[Scored]) -> list[str]:
        made = [_Made(scored) for scored in batch]  # before the transaction: other writers wait for that
        with transaction(self._db) as db:
            there = _standing(db, batch)
            fresh: dict[str, _Made] = {}  # new ids go in together, which costs a fifth less than one by one
            for one in made:
                if one.scored.post.id not in there:
                    fresh.setdefault(one.scored.post.id, one)
            _insert(db, list(fresh.values()))
            return ["indexed" if fresh.get(one.scored.post.id) is one else _revise(db, one.scored) for one in made]

    def search(self, query: Query) -> list[Scored]:
        where, values = _where(query)
        limit = -1 if query.limit is None else query.limit
        statement = f"SELECT record FROM posts {where} ORDER BY published DESC, id DESC LIMIT ?"  # noqa: S608 our own parts
        return [decode(Scored, record) for (record,) in rows(self._db, statement, (*values, limit))]

    def count(self, query: Query) -> int:
        where, values = _where(replace(query, after=None))
        ((hits,),) = rows(self._db, f"SELECT count(*) FROM posts {where}", values)  # noqa: S608 our own parts
        return int(hits)

    def over_time(self, query: Query, step: timedelta) -> list[Bucket]:
        width = step // timedelta(milliseconds=1)
        where, values = _where(replace(query, after=None))
        # SQLite divides towards zero: the second term makes it the floor, for times before 1970 too.
        statement = (
            f"SELECT (published + ?2) / ?1 - ((published + ?2) % ?1 < 0) AS bucket, count(*) FROM posts {where} "  # noqa: S608 our own parts
            "GROUP BY bucket ORDER BY bucket"
        )
        found: dict[int, int] = dict(rows(self._db, statement, (width, ALIGNED, *values)))
        if not found:
            return []
        numbers = steps(min(found), max(found), step)
        return [Bucket(from_millis(n * width - ALIGNED), found.get(n, 0)) for n in numbers]

    def delete_before(self, when: datetime) -> int:
        dropped = 0
        while True:
            with transaction(self._db) as db:
                old = db.execute(
                    "SELECT number, record FROM posts WHERE published < ?1 AND revision < ?1 LIMIT ?2",
                    (millis(when), _DELETE_STEP),
                ).fetchall()
                for number, record in old:
                    _drop(db, number, decode(Scored, record))
            dropped += len(old)
            if len(old) < _DELETE_STEP:
                return dropped

    def refresh(self) -> None:
        pass  # a committed transaction is seen at once

    def rewrite(self, since: datetime, change: Callable[[Sequence[Scored]], Sequence[Scored]]) -> Iterator[int]:
        query = Query(since=since, limit=_REWRITE_STEP)
        while page := self.search(query):
            self.put(change(page))  # a revision that came meanwhile is newer and stays
            yield len(page)
            query = replace(query, after=(millis(page[-1].post.published_at), page[-1].post.id))

    def close(self) -> None:
        self._db.close()


def _standing(db: sqlite3.Connection, batch: Sequence[Scored]) -> set[str]:
    ids = msgspec.json.encode([scored.post.id for scored in batch]).decode()
    found = db.execute("SELECT id FROM posts WHERE id IN (SELECT value FROM json_each(?))", (ids,))
    return {name for (name,) in found}


class _Made:
    """A scored post with its row and grams."""

    def __init__(self, scored: Scored) -> None:
        self.scored, self.row, self.grams = scored, _row(scored), searched(scored.post)


def _insert(db: sqlite3.Connection, fresh: Sequence[_Made]) -> None:
    (last,) = db.execute("SELECT coalesce(max(number), 0) FROM posts").fetchone()
    numbered = list(enumerate(fresh, last + 1))
    posts = [(number, *one.row) for number, one in numbered]
    db.executemany("INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", posts)
    texts = [(number, one.grams) for number, one in numbered]
    db.executemany("INSERT INTO posts_grams (rowid, grams) VALUES (?, ?)", texts)


def _revise(db: sqlite3.Connection, scored: Scored) -> str:
    """Put a post whose id stands already."""
    post = scored.post
    number, revision, record = db.execute(
        "SELECT number, revision, record FROM posts WHERE id = ?", (post.id,)
    ).fetchone()
    if revision > post.revision:
        return "stale"
    standing = decode(Scored, record)
    _drop(db, number, standing)
    # The first revision fixes the time of publication: a page that says 刚刚 says it at every fetch.
    first = msgspec.structs.replace(post, published_at=standing.post.published_at)
    _insert(db, [_Made(msgspec.structs.replace(scored, post=first))])
    return "updated"


def _drop(db: sqlite3.Connection, number: int, scored: Scored) -> None:
    db.execute(
        "INSERT INTO posts_grams (posts_grams, rowid, grams) VALUES ('delete', ?, ?)", (number, searched(scored.post))
    )
    db.execute("DELETE FROM posts WHERE number = ?", (number,))


def _row(scored: Scored) -> tuple[object, ...]:
    post, scores = scored.post, scored.scores
    return (
        post.id,
        post.revision,
        millis(post.published_at),
        post.source,
        likeliest(scores),
        _listed(scored.topics),
        _listed(scores.given),
        encode(without_voice(scored)),
    )


def _listed(names: Sequence[str]) -> str:
    """`|a|b|`: each name can be found with its borders."""
    return "".join(f"|{name}" for name in names) + "|"


def _where(query: Query) -> tuple[str, tuple[object, ...]]:
    tests: list[tuple[str, object]] = []
    if query.expression is not None:
        tests.append(("number IN (SELECT rowid FROM posts_grams WHERE posts_grams MATCH ?)", _match(query.expression)))
    if query.since is not None:
        tests.append(("published >= ?", millis(query.since)))
    if query.until is not None:
        tests.append(("published < ?", millis(query.until)))
    if query.topic:
        tests.append(("instr(topics, ?)", _listed([query.topic])))
    if query.signal:
        tests.append(("instr(given, ?)", _listed([query.signal])))
    if query.sentiment:
        tests.append(("sentiment = ?", query.sentiment))
    if query.source:
        tests.append(("source = ?", query.source))
    if query.after is not None:
        tests.append(("(published, id) < (?, ?)", query.after))
    values = [value for _, one in tests for value in (one if isinstance(one, tuple) else (one,))]
    return ("WHERE " + " AND ".join(test for test, _ in tests) if tests else ""), tuple(values)


def _match(expression: Expression) -> str:
    """The expression in FTS5's own language; tokens hold letters and digits only, quoted all the same."""
    match expression:
        case Words(tokens, prefix):
            return '"' + " ".join(tokens) + '"' + ("*" if prefix else "")
        case Some(parts):
            return "(" + " OR ".join(_match(part) for part in parts) + ")"
        case All(parts, none):
            wanted = "(" + " AND ".join(_match(part) for part in parts) + ")"
            return wanted if not none else f"({wanted} NOT ({' OR '.join(_match(part) for part in none)}))"
