"""A query finds the same hits, in the same order, in SQLite and in Elasticsearch: real posts, hundreds of queries."""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tingchao.pipeline.clock import millis
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.query import Query, parse
from tingchao.pipeline.records import Scored
from tingchao.pipeline.sqlite_store import SqliteStore
from tingchao.pipeline.store import Store

pytestmark = [pytest.mark.real, pytest.mark.shared]
START = datetime(2025, 12, 20, tzinfo=UTC)
FILES = (
    "cctv_weibo2020/posts.csv.gz",
    "smp2020_ewect/dev_virus.csv.gz",
    "weibo_hot_titles/daily_titles_2021_2022.csv.gz",
    "crisislex26/dev_tweets.csv.gz",
)
POSTS = 6000
ODD = [
    "火",
    "A火",
    '"line 火"',
    '"3 月"',
    "3月",
    '"第1 次"',
    "ＩＰｈｏｎｅ",
    "新冠",
    '"新冠 疫情"',
    "疫情？",
    "#疫情#",
    "【北京】",
    "武漢",
    "5735",
    "http",
    "t.co",
    "https://t.co/abc",
    "@someone",
    "it's",
    "😡",
    "地铁😡停运",
    "100%",
    "a_b",
    "C++",
    "「上海」",
    "上海、北京",
    "上海 OR 北京 -疫情",
    "(上海 OR 北京) (疫情 OR 病毒) -(视频 OR 加油)",
    '"武汉加油" OR "中国加油"',
    "NOT 疫情 武汉",
    "+武汉 -加油",
    "flood AND rescue",
    "flood OR FIRE",
    '"#prayfor"',
    "RT -rt",
    "々",
    "〇",
    "ﬁre",
    "Ｆｉｒｅ",
    "é",
    "ʼ",
    "a" * 300,
    "的 了 是",
    "人 人 人",
    '"人人人"',
    "甲" * 40,
]


@pytest.fixture(scope="module")
def posts(shared: Path, make_scored: Callable[..., Scored]) -> list[Scored]:
    """Real texts in four months, several a minute, with sources, topics, signals and moods by turns."""
    draw = random.Random(20261122)
    texts = [text for name in FILES for text in draw.sample(_texts(shared / "data" / name), POSTS // len(FILES))]
    draw.shuffle(texts)
    moods = [{"negative": 0.8}, {"positive": 0.9}, {"neutral": 0.1, "negative": 0.1, "positive": 0.1}, {}]
    return [
        make_scored(
            f"{draw.getrandbits(64):016x}",
            text[20:],
            title=text[:20] if n % 3 else "",
            published_at=START + timedelta(minutes=n // 4 * 100, milliseconds=n % 2),
            source=f"source-{n % 7}",
            topics=[f"topic-{n % 5}", "all"][: n % 3],
            given=("safety", "outage")[: n % 4],
            **moods[n % len(moods)],
        )
        for n, text in enumerate(texts)
    ]


def _texts(file: Path) -> list[str]:
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines)
        return sorted({row.get("text") or row.get("content") or row.get("title") or "" for row in rows} - {""})


@pytest.fixture(scope="module")
def stores(
    posts: list[Scored], tmp_path_factory: pytest.TempPathFactory, elastic_of_file: Any
) -> Iterator[tuple[Store, Store]]:
    embedded, cluster = SqliteStore(tmp_path_factory.mktemp("contract") / "posts.db"), elastic_of_file.store()
    for start in range(0, len(posts), 1000):
        batch = posts[start : start + 1000]
        assert embedded.put(batch) == cluster.put(batch)
    yield embedded, cluster
    embedded.close()


def pieces(posts: list[Scored], draw: random.Random) -> Iterator[str]:
    """What people look for: characters, words, parts of sentences and combinations of them, from real posts."""

    def piece(least: int, most: int) -> str:
        while True:
            post = draw.choice(posts).post
            text = f"{post.title}{post.text}"
            size = draw.randint(least, most)
            start = draw.randrange(max(1, len(text) - size))
            if found := text[start : start + size].strip(' "“”\\+-!:^~*?[]{}()/（）－&|'):
                return found.replace('"', " ")

    for _ in range(60):
        yield piece(1, 1)
        yield piece(2, 2)
        yield f'"{piece(3, 12)}"'
        yield f'"{piece(1, 3)}" "{piece(1, 2)}"'
        yield f'"{piece(1, 2)}" OR "{piece(2, 4)}"'
        yield f'"{piece(1, 1)}" -"{piece(1, 2)}" -"{piece(2, 2)}"'
        yield f'("{piece(1, 2)}" OR "{piece(1, 2)}") ("{piece(1, 1)}" OR ("{piece(1, 1)}" -"{piece(1, 1)}"))'


def test_hundreds_of_queries_find_the_same_on_both(stores: tuple[Store, Store], posts: list[Scored]) -> None:
    draw = random.Random(5)
    words = {"topic": ["", "", "all", "topic-3", "topic"], "signal": ["", "", "safety"], "source": ["", "", "source-2"]}
    asked = found = 0
    for text in [*ODD, *pieces(posts, draw)]:
        try:
            expression = parse(text)
        except Refused:
            continue
        filters: dict[str, Any] = {name: draw.choice(values) for name, values in words.items()} if asked % 3 else {}
        if asked % 5 == 0:
            filters |= {"since": START + timedelta(days=draw.randrange(40)), "until": START + timedelta(days=80)}
        if asked % 7 == 0:
            filters["sentiment"] = draw.choice(["negative", "neutral", "positive"])
        query = Query(expression, limit=draw.choice([3, 50, None]), **filters)
        here, there = ([hit.post.id for hit in store.search(query)] for store in stores)
        assert here == there, query
        assert stores[0].count(query) == stores[1].count(query), query
        asked, found = asked + 1, found + bool(here)
    assert asked >= 400
    assert found >= 200, "queries that find nothing prove little"


def test_the_next_page_begins_where_the_last_one_ended_on_both(stores: tuple[Store, Store]) -> None:
    for text in ("", "人", "疫情 OR 武汉"):
        after, pages = None, 0
        while True:
            query = Query(parse(text), limit=97, after=after)
            here, there = (store.search(query) for store in stores)
            assert here == there
            pages += 1
            if not here or pages > 8:
                break
            after = (millis(here[-1].post.published_at), here[-1].post.id)
        whole = Query(parse(text), limit=700, after=after)
        assert [hit.post.id for hit in stores[0].search(whole)] == [hit.post.id for hit in stores[1].search(whole)]


@pytest.mark.parametrize("step", [timedelta(minutes=7), timedelta(hours=1), timedelta(days=1), timedelta(days=31)])
def test_counts_over_time_are_the_same_on_both(stores: tuple[Store, Store], step: timedelta) -> None:
    for text in ("", "的", "上海 OR flood"):
        here, there = (store.over_time(Query(parse(text)), step) for store in stores)
        assert here == there
        assert sum(bucket.posts for bucket in here) == stores[0].count(Query(parse(text))) > 0
