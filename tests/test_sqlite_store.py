"""What only the store in one SQLite file promises: to the post when it ages, and all or nothing of a batch."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tingchao.pipeline.errors import Retry
from tingchao.pipeline.query import Query, parse
from tingchao.pipeline.records import Scored
from tingchao.pipeline.sqlite_store import SqliteStore
from tingchao.pipeline.store import Store

START = datetime(2026, 1, 5, 0, 0, tzinfo=UTC)
Make = Callable[..., Scored]


def found(store: Store, words: str = "", **fields: Any) -> list[str]:
    """Ids of the hits, in their order."""
    return [hit.post.id for hit in store.search(Query(parse(words), **fields))]


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def test_delete_before_removes_posts_and_what_the_words_point_to(store: Store, make_scored: Make) -> None:
    store.put([make_scored(f"p{n}", f"地铁第{n}次停运", minute=n) for n in range(10)])
    assert store.delete_before(at(6)) == 6
    assert found(store) == found(store, "停运") == ["p9", "p8", "p7", "p6"]
    assert (store.count(Query(parse("地铁"))), store.delete_before(at(6))) == (4, 0)
    # Numbers of deleted posts are given again: nothing may be left that leads to the wrong post.
    store.put([make_scored(f"q{n}", "公交改线", minute=20 + n) for n in range(10)])
    assert found(store, "停运") == ["p9", "p8", "p7", "p6"]
    assert store.delete_before(at(100)) == 14
    store.put([make_scored("r", "天气", minute=200)])
    assert (found(store, "公交"), found(store, "天气")) == ([], ["r"])


def test_what_was_fetched_lately_is_kept_however_old_it_is(store: Store, make_scored: Make) -> None:
    # Somebody reads in the posts of 2020: they must not be gone within the hour.
    store.put([make_scored("read today", "地铁", minute=10, published_at=at(-9999)), make_scored("old", minute=-9999)])
    assert store.delete_before(at(0)) == 1
    assert found(store) == ["read today"]
    assert store.delete_before(at(11)) == 1
    assert found(store, "地铁") == []


def test_deleting_many_thousand_posts(store: Store, make_scored: Make) -> None:
    store.put([make_scored(f"p{n}", "地铁停运", minute=n) for n in range(5000)])
    assert store.delete_before(at(4500)) == 4500
    assert store.count(Query(parse("停运"))) == 500


def test_locked_is_retry_and_search_goes_on(backend: Any, store: Store, make_scored: Make) -> None:
    store.put([make_scored("p1", "地铁停运")])
    with backend.locked():
        for write in (lambda: store.put([make_scored("p2", "停运")]), lambda: store.delete_before(at(9))):
            with pytest.raises(Retry, match="locked"):
                write()
        assert found(store, "停运") == ["p1"]
    store.put([make_scored("p2", "停运")])
    assert sorted(found(store, "停运")) == ["p1", "p2"]


def test_a_full_disk_is_retry_and_nothing_is_half_written(backend: Any, store: Store, make_scored: Make) -> None:
    store.put([make_scored("p1", "地铁停运")])
    batch = [make_scored(f"q{n}", "公交改线" * 3000) for n in range(8)]
    with backend.full():
        with pytest.raises(Retry, match="full"):
            store.put(batch)
        assert (found(store), found(store, "公交")) == (["p1"], [])
    assert store.put(batch) == ["indexed"] * 8
    assert store.count(Query(parse("改线"))) == 8


def test_kill_in_the_middle_of_puts_keeps_what_was_acknowledged(
    backend: Any, store: Store, make_scored: Make, child: Callable[[str], subprocess.Popen[str]]
) -> None:
    code = """
import sys
import msgspec
from tingchao.pipeline.records import Scored, decode
model = decode(Scored, sys.stdin.readline().encode())
for number in range(100_000):
    text = f"第{number}号停运"
    posts = [msgspec.structs.replace(model.post, id=f"{number:06}-{part}", text=text) for part in range(3)]
    store.put([msgspec.structs.replace(model, post=post) for post in posts])
    print(number, flush=True)
"""
    writer = child(code)
    writer.stdin.write(msgspec.json.encode(make_scored()).decode() + "\n")
    writer.stdin.flush()
    for _ in range(25):
        writer.stdout.readline()
    writer.kill()
    last = max([24, *map(int, writer.communicate()[0].split())])
    stood = sorted(found(store, limit=None))
    assert stood == [f"{number:06}-{part}" for number in range(len(stood) // 3) for part in range(3)]
    assert last < len(stood) // 3 <= last + 2
    assert sorted(found(backend.store(), "停运", limit=None)) == stood
    assert found(store, f"第{last}号") == [f"{last:06}-{part}" for part in (2, 1, 0)]


def test_a_wrong_statement_is_seen_and_not_waited_for(store: SqliteStore, make_scored: Make) -> None:
    store._db.execute("DROP TABLE posts")
    with pytest.raises(Exception, match="no such table") as caught:
        store.put([make_scored()])
    assert not isinstance(caught.value, Retry)
