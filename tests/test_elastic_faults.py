"""What goes wrong with a real Elasticsearch: each has a name, loses nothing, and all goes on when the cause is gone."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from backends import Elastic

from tingchao.pipeline import elastic_layout, elastic_rewrite, elastic_store, index
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.elastic_layout import setup
from tingchao.pipeline.elastic_store import ElasticStore
from tingchao.pipeline.errors import Poison, Refused, Retry
from tingchao.pipeline.log import output
from tingchao.pipeline.query import Query, parse
from tingchao.pipeline.records import Scored
from tingchao.pipeline.sqlite_log import SqliteLog
from tingchao.pipeline.stage import Runner

pytestmark = pytest.mark.real
START = datetime(2026, 1, 5, 0, 0, tzinfo=UTC)
KEEP = timedelta(days=180)  # of posts
Make = Callable[..., Scored]


def january(elastic: Any) -> str:
    return f"{elastic.settings.prefix}-posts-2026-01"


def ids(store: ElasticStore) -> list[str]:
    store.refresh()
    return sorted(hit.post.id for hit in store.search(Query(limit=None)))


def reason_of(call: Callable[[], object]) -> str:
    with pytest.raises(Retry) as caught:
        call()
    assert str(caught.value).startswith(caught.value.reason)
    return caught.value.reason


class Chain:
    """The stage `index` on a log of its own."""

    def __init__(self, folder: Path, store: ElasticStore) -> None:
        self.log, self.clock = SqliteLog(folder / "log.db"), ManualClock(START)
        self._runner = Runner(index.plan(store), self.log, self.clock)

    def publish(self, posts: Sequence[Scored]) -> None:
        self.log.publish([output("scored", one.post.id, one) for one in posts], self.clock.now())

    def step(self) -> bool:
        self.clock.move(timedelta(minutes=1))
        return self._runner.step()

    def work_off(self) -> None:
        """Until all is read; a server that has just come back may still refuse for a while."""
        until = time.monotonic() + 60
        while self.log.position("index", "scored") < self.log.end("scored") and time.monotonic() < until:
            if not self.step():
                time.sleep(0.2)

    def dead(self) -> list[str]:
        return [msgspec.json.decode(entry.value)["reason"] for entry in self.log.newest("dead")]


@pytest.fixture
def chain(tmp_path: Path, elastic: Any) -> Chain:
    return Chain(tmp_path, elastic.store())


# What an operator or another program does to the indices


def test_before_setup_posts_wait(elastic: Any, make_scored: Make) -> None:
    store, template = elastic.store(), f"{elastic.settings.prefix}-posts"
    elastic.client.indices.delete_index_template(name=template)
    with pytest.raises(Retry, match="run `tingchao setup`"):
        store.put([make_scored("p1")])
    assert elastic.indices() == []
    setup(elastic.client, elastic.settings, KEEP)
    assert store.put([make_scored("p1")]) == ["indexed"]


@pytest.mark.parametrize("block", ["read_only_allow_delete", "write", "read_only"])
def test_a_blocked_index_is_waited_for(elastic: Any, make_scored: Make, block: str) -> None:
    # read_only_allow_delete is what the flood stage of a full disk sets, and lifts.
    store = elastic.store()
    store.put([make_scored("p1", "地铁")])
    (name,) = elastic.indices()
    elastic.client.indices.put_settings(index=name, settings={f"index.blocks.{block}": True})
    assert reason_of(lambda: store.put([make_scored("p2")])) == "elasticsearch.blocked"
    assert [hit.post.id for hit in store.search(Query(parse("地铁")))] == ["p1"]
    elastic.client.indices.put_settings(index=name, settings={f"index.blocks.{block}": None})
    assert store.put([make_scored("p2")]) == ["indexed"]
    assert ids(store) == ["p1", "p2"]


def test_an_index_that_is_deleted_under_us_is_made_anew(elastic: Any, make_scored: Make) -> None:
    store = elastic.store()
    store.put([make_scored("p1")])
    elastic.client.indices.delete(index=f"{january(elastic)}-1")
    assert reason_of(lambda: store.put([make_scored("p2")])) == "elasticsearch.missing"
    assert store.put([make_scored("p2")]) == ["indexed"]
    assert ids(store) == ["p2"]
    (mappings,) = elastic.client.indices.get_mapping(index=january(elastic)).body.values()
    assert mappings["mappings"]["dynamic"] == "strict"


def test_a_mapping_that_changed_under_us_is_named_and_nothing_dies(
    elastic: Any, chain: Chain, make_scored: Make
) -> None:
    month = january(elastic)
    fields = {"published_at": {"type": "boolean"}, "id": {"type": "keyword"}}
    aliases = {month: {}, f"{elastic.settings.prefix}-posts": {}}
    elastic.client.indices.create(index=f"{month}-1", aliases=aliases, mappings={"dynamic": True, "properties": fields})
    elastic.client.indices.put_mapping(index=f"{month}-1", dynamic=True)
    chain.publish([make_scored("p1", "地铁")])
    assert not chain.step()
    assert chain.dead() == []
    with pytest.raises(Retry, match=r"field published_at is boolean, expected date"):
        elastic.store().put([make_scored("p1", "地铁")])
    with pytest.raises(Refused, match=f"{month}-1"):
        setup(elastic.client, elastic.settings, KEEP)
    elastic.client.indices.delete(index=f"{month}-1")
    assert not chain.step()  # the index that it knew is gone
    assert chain.step()
    assert chain.dead() == []
    assert ids(elastic.store()) == ["p1"]


def test_a_field_that_the_mapping_does_not_know_waits_for_setup(
    elastic: Any, chain: Chain, make_scored: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An older version set the cluster up; this one writes a field more.
    older = {name: form for name, form in elastic_layout.PROPERTIES.items() if name != "model"}
    with monkeypatch.context() as before:
        before.setattr(elastic_layout, "LAYOUT", 0)
        before.setattr(elastic_layout, "MAPPINGS", {**elastic_layout.MAPPINGS, "properties": older})
        elastic.client.indices.delete_index_template(name=f"{elastic.settings.prefix}-posts")
        setup(elastic.client, elastic.settings, KEEP)
        elastic_layout.make_month(elastic.client, elastic_layout.Names(elastic.settings.prefix), january(elastic))
    chain.publish([make_scored(f"p{n}") for n in range(3)])
    assert not chain.step()
    assert reason_of(lambda: elastic.store().put([make_scored("p1")])) == "elasticsearch.mapping"
    assert setup(elastic.client, elastic.settings, KEEP) == [f"{january(elastic)}-1"]
    assert chain.step()
    assert (chain.dead(), ids(elastic.store())) == ([], ["p0", "p1", "p2"])


def test_setup_may_run_again_and_refuses_a_cluster_of_a_newer_version(
    elastic: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert setup(elastic.client, elastic.settings, KEEP) == setup(elastic.client, elastic.settings, KEEP) == []
    monkeypatch.setattr(elastic_layout, "LAYOUT", elastic_layout.LAYOUT - 1)
    with pytest.raises(Refused, match="update it"):
        setup(elastic.client, elastic.settings, KEEP)


# Documents


def test_only_the_bad_value_dies(elastic: Any, chain: Chain, make_scored: Make) -> None:
    posts = [make_scored(f"p{n}", "地铁") for n in range(5)]
    bad = [make_scored("long source", source="长" * 20_000), make_scored("i" * 600), make_scored("")]
    old = datetime(1969, 5, 1, tzinfo=UTC)
    chain.publish([*posts[:2], *bad, *posts[2:], make_scored("old", published_at=old, fetched_at=old)])
    assert chain.step()
    assert sorted(chain.dead()) == ["store.document", "store.id", "store.id", "store.revision"]
    assert ids(elastic.store()) == [one.post.id for one in posts]
    with pytest.raises(Poison) as caught:
        elastic.store().put([make_scored("p9", source="秘密" * 20_000)])
    assert "秘密" not in str(caught.value)


def test_what_is_large_or_strange_is_kept(elastic: Any, make_scored: Make) -> None:
    texts = {"long": "长" * 250_000, "run": "a" * 250_000, "control": "\x00\x1f\u2028", "astral": "𠮷𠮷𝒜🚇" * 1000}
    store = elastic.store()
    store.put([make_scored(name, text, url="data:," + "b" * 40_000) for name, text in texts.items()])
    assert {hit.post.id: hit.post.text for hit in store.search(Query())} == texts
    assert [hit.post.id for hit in store.search(Query(parse("𠮷")))] == ["astral"]
    store.put([make_scored(f"x{n}", "长" * 250_000) for n in range(30)])  # 45 MB: several requests
    assert store.count(Query(parse("长长长"))) == 31


# Who writes where


def test_a_partition_that_changes_hands_doubles_no_post(elastic: Any, tmp_path: Path, make_scored: Make) -> None:
    # Its first holder dies a moment after a put, before any search could see it; the post comes again next month.
    first = ElasticStore(elastic.settings)
    first.put([make_scored("p1", "第一次", minute=0)])
    second = Chain(tmp_path, ElasticStore(elastic.settings))
    second.publish([make_scored("p1", "第二次", minute=40 * 1440)])
    assert second.step()
    assert elastic.indices() == [f"{january(elastic)}-1"]
    first.refresh()
    (hit,) = first.search(Query())
    assert (hit.post.text, hit.post.published_at) == ("第二次", START)


def test_what_was_put_lately_is_remembered_within_bounds(
    elastic: Any, make_scored: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elastic_store, "_RECENT", 10)
    store = ElasticStore(elastic.settings)
    for n in range(30):
        store.put([make_scored(f"p{n}", minute=0)])
        assert store.put([make_scored(f"p{n}", minute=40 * 1440)]) == ["updated"]
        assert len(store._recent) <= 10
    assert elastic.indices() == [f"{january(elastic)}-1"]


def test_a_slower_writer_never_overwrites_what_is_newer(elastic: Any, make_scored: Make) -> None:
    slow, quick = ElasticStore(elastic.settings), elastic.store()
    slow.put([make_scored("other")])
    quick.put([make_scored("p1", "新", minute=5)])
    slow._standing = lambda _: {}  # type: ignore[method-assign]  # it looked before the other one wrote
    assert slow.put([make_scored("p1", "旧", minute=1), make_scored("p2")]) == ["stale", "indexed"]
    assert [hit.post.text for hit in quick.search(Query(parse("新 OR 旧")))] == ["新"]


def test_writers_of_one_month_may_begin_together(elastic: Any, make_scored: Make) -> None:
    stores = [ElasticStore(elastic.settings) for _ in range(4)]
    errors: list[Exception] = []

    def write(number: int) -> None:
        try:
            for n in range(5):
                stores[number].put([make_scored(f"p{number}-{n}", minute=n * 45 * 1440)])
        except Retry as err:
            errors.append(err)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert (len(ids(elastic.store())), len(elastic.indices())) == (20, 5)


# A rewrite that is broken off


def test_a_rewrite_that_was_broken_off_is_begun_again(elastic: Any, make_scored: Make) -> None:
    store = elastic.store()
    store.put([make_scored(f"p{n:04}", "地铁", minute=n) for n in range(1200)])

    def break_off(page: Sequence[Scored]) -> Sequence[Scored]:
        if page[0].post.id > "p0400":
            raise KeyboardInterrupt
        return [msgspec.structs.replace(one, model="half") for one in page]

    with pytest.raises(KeyboardInterrupt):
        list(store.rewrite(START, break_off))
    assert {hit.model for hit in store.search(Query(limit=None))} == {""}
    assert sum(store.rewrite(START, lambda page: [msgspec.structs.replace(one, model="new") for one in page])) == 1200
    assert elastic.indices() == [f"{january(elastic)}-2"]
    assert {hit.model for hit in store.search(Query(limit=None))} == {"new"}
    assert store.put([make_scored("p0001", "公交", minute=9999), make_scored("q")]) == ["updated", "indexed"]
    assert sum(store.rewrite(START, lambda page: page)) == 1201
    assert elastic.indices() == [f"{january(elastic)}-3"]


def test_setup_lifts_the_block_of_a_rewrite_that_was_killed(elastic: Any, make_scored: Make) -> None:
    store = elastic.store()
    store.put([make_scored("p1")])
    elastic.client.indices.add_block(index=f"{january(elastic)}-1", block="write")
    with pytest.raises(Retry, match="after a replay that was killed run `tingchao setup`"):
        store.put([make_scored("p2")])
    setup(elastic.client, elastic.settings, KEEP)
    assert store.put([make_scored("p2")]) == ["indexed"]


def test_posts_put_in_the_very_moment_of_the_change_are_not_lost(
    elastic: Any, make_scored: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, writer = elastic.store(), ElasticStore(elastic.settings)
    store.put([make_scored(f"p{n}", minute=n) for n in range(20)])
    refused: list[str] = []
    move = elastic_rewrite._move

    def put_just_before(copying: Any, old: str, new: str) -> None:
        try:
            writer.put([make_scored("late")])
        except Retry as err:
            refused.append(err.reason)
        move(copying, old, new)

    monkeypatch.setattr(elastic_rewrite, "_move", put_just_before)
    assert sum(store.rewrite(START, lambda page: page)) == 20
    assert refused == ["elasticsearch.blocked"]
    assert writer.put([make_scored("late")]) == ["indexed"]
    assert len(ids(store)) == 21


def test_two_rewrites_at_a_time_lose_nothing(elastic: Any, make_scored: Make) -> None:
    store, other = elastic.store(), ElasticStore(elastic.settings)
    store.put([make_scored(f"p{n:04}", minute=n) for n in range(1100)])
    first = store.rewrite(START, lambda page: page)
    next(first)
    assert sum(other.rewrite(START, lambda page: [msgspec.structs.replace(one, model="new") for one in page])) == 1100
    assert reason_of(lambda: list(first)) in {"elasticsearch.missing", "elasticsearch.busy"}  # its shards are gone
    assert store.count(Query()) == 1100
    assert store.put([make_scored("p0001", minute=9999)]) == ["updated"]


# The server itself


@pytest.fixture
def own(own_elasticsearch: Any) -> Iterator[Any]:
    made = Elastic(urls=[f"http://127.0.0.1:{own_elasticsearch.port}"])
    yield made
    own_elasticsearch.start()
    made.close()


def test_a_server_that_is_stopped_is_waited_for(own: Any, own_elasticsearch: Any, make_scored: Make) -> None:
    store = own.store()
    store.put([make_scored("p1", "地铁")])
    own_elasticsearch.stop()
    for call in (
        lambda: store.put([make_scored("p2")]),
        lambda: store.search(Query(parse("地铁"))),
        lambda: store.search(Query(limit=None)),
        lambda: store.count(Query()),
        store.refresh,
        lambda: store.delete_before(START),
    ):
        assert reason_of(call) == "elasticsearch.unreachable"
    own_elasticsearch.start()
    assert store.put([make_scored("p2", "地铁")]) == ["indexed"]
    assert ids(store) == ["p1", "p2"]


def test_a_server_that_does_not_answer_is_waited_for(own: Any, own_elasticsearch: Any, make_scored: Make) -> None:
    store = own.store()
    store.put([make_scored("p1")])
    hasty = ElasticStore(own.settings.model_copy(update={"timeout": timedelta(seconds=1)}))
    group = own_elasticsearch._numbers()["pid"]
    os.killpg(group, signal.SIGSTOP)
    try:
        assert reason_of(lambda: hasty.put([make_scored("p2")])) == "elasticsearch.timeout"
    finally:
        os.killpg(group, signal.SIGCONT)
    assert store.put([make_scored("p2")])[0] in {"indexed", "updated"}  # the first try may have arrived
    assert ids(store) == ["p1", "p2"]


def test_a_server_killed_in_the_middle_of_puts_loses_nothing_that_was_acknowledged(
    own: Any, own_elasticsearch: Any, tmp_path: Path, make_scored: Make
) -> None:
    chain = Chain(tmp_path, own.store())
    chain.publish([make_scored(f"p{n:05}", f"第{n}号停运", minute=n) for n in range(6000)])
    for _ in range(3):
        assert chain.step()
    killer = threading.Timer(0.2, own_elasticsearch.stop, (signal.SIGKILL,))
    killer.start()
    stepped = 0
    while chain.step():
        stepped += 1
    killer.join()
    assert stepped < 9, "it was killed too late to prove anything"
    own_elasticsearch.start()
    chain.work_off()
    assert chain.dead() == []
    assert ids(own.store()) == [f"p{n:05}" for n in range(6000)]
