"""The contract of store.Store: what every backend promises."""

from __future__ import annotations

import csv
import gzip
import itertools
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tingchao.models.han import simplified
from tingchao.pipeline.clock import millis
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.grams import fold
from tingchao.pipeline.query import Query, parse
from tingchao.pipeline.records import Counts, Scored
from tingchao.pipeline.store import Store

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2026, 1, 5, 0, 0, tzinfo=UTC)
Make = Callable[..., Scored]
# Each example of a property is a source of its own: what the examples before it put need not be deleted.
examples = (f"example-{number}" for number in itertools.count())


@pytest.fixture
def backend(store_backend: Any) -> Any:
    """Each kind of store."""
    return store_backend


def found(store: Store, words: str = "", **fields: Any) -> list[str]:
    """Ids of the hits, in their order."""
    return [hit.post.id for hit in store.search(Query(parse(words), **fields))]


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def test_what_was_put_is_found_as_it_was_without_its_voice(store: Store, make_scored: Make) -> None:
    scored = make_scored(
        "p1", "地铁停运", url="https://a.example/1", counts=Counts(likes=3), voice="00ff00ff00ff00ff", topics=["metro"]
    )
    assert store.put([scored]) == ["indexed"]
    (hit,) = store.search(Query(parse("停运")))
    assert hit == msgspec.structs.replace(scored, post=msgspec.structs.replace(scored.post, voice=""))


def test_an_empty_store_and_an_empty_batch(store: Store) -> None:
    assert store.put([]) == []
    assert (found(store), store.count(Query()), store.over_time(Query(), timedelta(hours=1))) == ([], 0, [])
    assert store.delete_before(at(0)) == 0
    assert list(store.rewrite(at(0), list)) == []
    store.refresh()


def test_a_repeated_put_changes_nothing(store: Store, make_scored: Make) -> None:
    batch = [make_scored("p1", "地铁停运"), make_scored("p2", "地铁恢复")]
    assert store.put(batch) == ["indexed", "indexed"]
    before = store.search(Query())
    assert store.put(batch) == ["updated", "updated"]
    assert store.search(Query()) == before
    assert store.count(Query(parse("地铁"))) == 2


def test_a_newer_revision_takes_the_place_of_the_older(store: Store, make_scored: Make) -> None:
    store.put([make_scored("p1", "旧文字", counts=Counts(likes=1), topics=["old"])])
    newer = make_scored("p1", "新文字", minute=5, counts=Counts(likes=9), topics=["new"], negative=0.9)
    assert store.put([newer]) == ["updated"]
    (hit,) = store.search(Query())
    assert (hit.post.text, hit.post.counts.likes, hit.post.fetched_at) == ("新文字", 9, at(5))
    assert (found(store, "旧文"), found(store, "新文")) == ([], ["p1"])
    assert (found(store, topic="old"), found(store, topic="new"), found(store, sentiment="negative")) == (
        [],
        ["p1"],
        ["p1"],
    )


def test_an_older_revision_is_stale_and_changes_nothing(store: Store, make_scored: Make) -> None:
    store.put([make_scored("p1", "新文字", minute=5)])
    before = store.search(Query())
    assert store.put([make_scored("p1", "旧文字", minute=4)]) == ["stale"]
    assert store.search(Query()) == before
    assert found(store, "旧文") == []


def test_revisions_of_one_post_in_one_batch(store: Store, make_scored: Make) -> None:
    batch = [make_scored("p1", f"第{minute}次", minute=minute) for minute in (1, 3, 2)]
    assert store.put(batch) == ["indexed", "updated", "stale"]
    assert [hit.post.text for hit in store.search(Query())] == ["第3次"]


def test_the_same_post_twice_in_one_batch_is_indexed_once(store: Store, make_scored: Make) -> None:
    scored = make_scored("p1", "地铁")
    assert store.put([scored, make_scored("p2"), scored]) == ["indexed", "indexed", "updated"]
    assert (store.count(Query()), found(store, "地铁")) == (2, ["p1"])


def test_the_first_revision_fixes_the_time_of_publication(store: Store, make_scored: Make) -> None:
    # A page that says 刚刚 says it at every fetch.
    store.put([make_scored("p1", "刚刚", minute=0)])
    store.put([make_scored("p1", "刚刚", minute=60)])
    store.put([make_scored("p1", "刚刚", minute=120)])
    (hit,) = store.search(Query())
    assert (hit.post.published_at, hit.post.fetched_at) == (at(0), at(120))
    assert (found(store, since=at(1)), found(store, until=at(1))) == ([], ["p1"])


def test_a_post_stays_where_it_was_first_published(store: Store, make_scored: Make) -> None:
    # In Beijing 2026-02 begins at 16:00 UTC of January 31st; a page without a time gives that of the fetch.
    end = datetime(2026, 1, 31, 16, 0, tzinfo=UTC)
    before, after = end - timedelta(microseconds=1), end + timedelta(minutes=9)
    store.put([make_scored("p1", "刚刚", published_at=before, fetched_at=before), make_scored("p2", published_at=end)])
    assert store.put([make_scored("p1", "地铁", published_at=after, fetched_at=after)]) == ["updated"]
    assert store.put([make_scored("p1", "公交", published_at=end, fetched_at=end)]) == ["stale"]
    (second, first) = store.search(Query())
    assert (first.post.id, first.post.text, first.post.published_at) == ("p1", "地铁", before)
    assert second.post.id == "p2"
    assert store.count(Query()) == 2


def test_revisions_of_one_post_in_one_batch_across_months(store: Store, make_scored: Make) -> None:
    days = [make_scored("p1", f"第{day}天", minute=day * 1440) for day in (0, 40, 80, 20)]
    assert store.put(days) == ["indexed", "updated", "updated", "stale"]
    assert store.put(days) == ["stale", "stale", "updated", "stale"]
    (hit,) = store.search(Query())
    assert (hit.post.text, hit.post.published_at, hit.post.fetched_at) == ("第80天", at(0), at(80 * 1440))


def test_no_voice_is_in_any_stored_byte(backend: Any, store: Store, make_scored: Make) -> None:
    voices = [f"{number:04x}feedbeefc0de" for number in range(40)]
    store.put([make_scored(f"p{n}", "地铁停运", voice=voice) for n, voice in enumerate(voices)])
    store.put([make_scored(f"p{n}", "地铁恢复", minute=1, voice=voice) for n, voice in enumerate(voices)])
    stored = backend.stored()
    assert "地铁恢复".encode() in stored
    assert not [voice for voice in voices if voice.encode() in stored or bytes.fromhex(voice) in stored]


# Words


CONTEXTS = ["{}", "今天{}了", "，{}。", "{}{}", "在北京{}发生", "A{}B", "2026{}7", "\n{}\n", "「{}」", "人{}人{}人"]


@pytest.mark.parametrize("word", ["感染", "中毒", "地铁", "停运", "一一", "𠮷野", "々木", "〇七"])
def test_a_word_of_two_characters_is_found_in_any_context(store: Store, make_scored: Make, word: str) -> None:
    store.put([make_scored(f"p{n:02}", context.replace("{}", word)) for n, context in enumerate(CONTEXTS)])
    store.put([make_scored("other", f"{word[0]}、{word[1]}"), make_scored("reverse", f"甲{word[0]}乙{word[1]}丙")])
    assert sorted(found(store, word)) == [f"p{n:02}" for n in range(len(CONTEXTS))]


def test_a_single_character_is_found_wherever_it_stands(store: Store, make_scored: Make) -> None:
    texts = {"first": "火灾", "last": "着火", "middle": "大火灾", "alone": "火", "latin": "a火b", "none": "水灾"}
    store.put([make_scored(name, text) for name, text in texts.items()])
    assert sorted(found(store, "火")) == ["alone", "first", "last", "latin", "middle"]


def test_latin_words_are_whole_and_have_no_case_or_width(store: Store, make_scored: Make) -> None:
    texts = {
        "lower": "买了iphone手机",
        "upper": "IPHONE 15",
        "wide": "ｉＰｈｏｎｅ",
        "longer": "iphones",
        "number": "mu5735坠毁",
    }
    store.put([make_scored(name, text) for name, text in texts.items()])
    assert sorted(found(store, "iPhone")) == ["lower", "upper", "wide"]
    assert found(store, "MU5735") == ["number"]
    assert found(store, "5735") == []
    assert found(store, "Iphone手机") == ["lower"]


def test_a_phrase_stands_side_by_side(store: Store, make_scored: Make) -> None:
    texts = {
        "together": "三号线地铁停运了",
        "apart": "地铁三号线停运",
        "latin": "line three is down",
        "mixed": "down is line three",
    }
    store.put([make_scored(name, text) for name, text in texts.items()])
    assert found(store, '"地铁停运"') == ["together"]
    assert found(store, "地铁停运") == ["together"]
    assert sorted(found(store, "地铁 停运")) == ["apart", "together"]
    assert found(store, '"line three is"') == ["latin"]
    assert sorted(found(store, "line three is")) == ["latin", "mixed"]


def test_or_without_and_brackets(store: Store, make_scored: Make) -> None:
    texts = {"1": "地铁停运", "2": "公交停运", "3": "地铁广告", "4": "公交 ad", "5": "天气"}
    store.put([make_scored(name, text) for name, text in texts.items()])

    def hits(words: str) -> list[str]:
        return sorted(found(store, words))

    assert hits("地铁 OR 公交") == ["1", "2", "3", "4"]
    assert hits("地铁 -广告") == hits("地铁 NOT 广告") == hits("地铁 AND NOT 广告") == ["1"]
    assert hits("(地铁 OR 公交) 停运") == hits("（地铁 OR 公交） 停运") == hits("停运 AND (地铁 || 公交)") == ["1", "2"]
    assert hits("(地铁 OR 公交) -(广告 OR ad)") == ["1", "2"]
    assert hits("天气 OR (公交 -停运)") == ["4", "5"]
    assert hits("+地铁 +停运") == ["1"]


def test_traditional_and_simplified_characters_find_each_other(store: Store, make_scored: Make) -> None:
    texts = {"simple": "地铁停运了", "traditional": "地鐵停運了", "typhoon": "颱風登陸", "other": "公交停驶"}
    store.put([make_scored(name, text) for name, text in texts.items()])
    for word in ("地铁", "地鐵", "铁", "鐵", '"地铁停运"', "地鐵停運"):
        assert sorted(found(store, word)) == ["simple", "traditional"], word
    assert found(store, "台风") == found(store, "颱風") == found(store, "台风 登陆") == ["typhoon"]
    assert found(store, "停 -地鐵") == ["other"]


def test_the_longest_queries_are_answered(store: Store, make_scored: Make) -> None:
    store.put([make_scored("p1", "发" * 1000)])
    assert found(store, "发" * 1000) == found(store, " ".join("发" * 500)) == ["p1"]
    assert found(store, " ".join(["后台"] * 333)) == []


def test_title_and_text_are_both_searched_but_no_word_spans_them(store: Store, make_scored: Make) -> None:
    store.put([make_scored("p1", "铁路通车", title="新建地")])
    assert found(store, "建地") == found(store, "通车") == ["p1"]
    assert found(store, "地铁") == []


def test_words_of_the_index_language_are_words(store: Store, make_scored: Make) -> None:
    # FTS5 and Lucene have words and signs of their own; a text may hold any of them.
    store.put([make_scored("p1", 'AND "OR" NOT NEAR(a b) grams:x ^ * - + (停运) it\'s 100% a_b')])
    for words in ('"and"', "near", "grams", "停运*", '"near(a b)"', '"it\'s 100%"', "a_b", '"* ^"停运'):
        assert found(store, words) == ["p1"], words


def test_odd_characters_are_kept_and_searched_around(store: Store, make_scored: Make) -> None:
    texts = {
        "emoji": "地铁🚇停运😡😡",
        "nul": "地铁\0停运",
        "empty": "",
        "kana": "ありがとう東京",
        "wide": "地铁　停运",
    }
    store.put([make_scored(name, text) for name, text in texts.items()])
    assert sorted(found(store, "地铁 停运")) == ["emoji", "nul", "wide"]
    assert found(store, "東京") == ["kana"]
    assert len(found(store)) == 5


HAN = st.text(st.sampled_from("地铁停运火灾人大一二三𠮷々"), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.text(max_size=6), word=HAN, after=st.text(max_size=6), data=st.data())
def test_every_run_of_han_characters_of_a_text_is_found(
    store: Store, make_scored: Make, before: str, word: str, after: str, data: st.DataObject
) -> None:
    clean = (before + word + after).encode("utf-8", "ignore").decode()
    start = data.draw(st.integers(0, len(word) - 1))
    end = data.draw(st.integers(start + 1, len(word)))
    name = next(examples)
    store.put([make_scored(name, clean, source=name)])
    assert found(store, word[start:end], source=name) == [name]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(HAN, min_size=1, max_size=12), words=st.lists(HAN.map(lambda text: text[:3]), min_size=1, max_size=6)
)
def test_search_agrees_with_looking_for_the_word_in_each_text(
    store: Store, make_scored: Make, texts: list[str], words: list[str]
) -> None:
    name = next(examples)
    store.put([make_scored(f"{name}-{n:02}", text, source=name) for n, text in enumerate(texts)])
    for word in words:
        assert sorted(found(store, word, limit=None, source=name)) == [
            f"{name}-{n:02}" for n, text in enumerate(texts) if word in text
        ]


def _simple(text: str) -> str:
    return "".join(simplified().get(character, character) for character in text)


@pytest.mark.shared
def test_search_agrees_with_looking_for_the_word_in_real_titles(store: Store, make_scored: Make, shared: Path) -> None:
    with gzip.open(shared / "data/weibo_hot_titles/daily_titles_2021_2022.csv.gz", "rt", encoding="utf-8") as file:
        titles = sorted({row["title"] for row in csv.DictReader(file)})
    draw = random.Random(20260105)
    titles = draw.sample(titles, 5_000)
    store.put([make_scored(f"p{n:05}", title=title) for n, title in enumerate(titles)])
    folded = [_simple(fold(title)) for title in titles]
    words = ["感染", "中毒", "地铁", "火", "确诊", "地震", "学"]
    while len(words) < 300:
        title = draw.choice(folded)
        start, size = draw.randrange(len(title)), draw.choice([1, 2, 2, 2, 3, 4])
        piece = title[start : start + size]
        if len(piece) == size and all("\u4e00" <= character <= "\u9fff" for character in piece):
            words.append(piece)
    for word in words:
        assert found(store, word, limit=None) == [
            f"p{n:05}" for n, title in reversed(list(enumerate(folded))) if word in title
        ]


# Order, pages, times and filters


def test_newest_first_then_by_id_in_pages_without_gap_or_repeat(store: Store, make_scored: Make) -> None:
    posts = [make_scored(f"p{n:02}", "地铁", minute=n // 4) for n in range(30)]
    random.Random(1).shuffle(posts)
    store.put(posts)
    expected = [f"p{n:02}" for n in sorted(range(30), key=lambda n: (n // 4, n), reverse=True)]
    assert found(store, limit=None) == found(store, "地铁", limit=100) == expected
    pages, after = [], None
    while page := store.search(Query(parse("地铁"), limit=7, after=after)):
        pages += [hit.post.id for hit in page]
        after = (millis(page[-1].post.published_at), page[-1].post.id)
    assert pages == expected
    assert len(found(store)) == 20
    assert found(store, limit=0) == []


def test_count_is_of_all_hits_whatever_the_page(store: Store, make_scored: Make) -> None:
    store.put([make_scored(f"p{n}", "地铁" if n % 2 else "公交", minute=n) for n in range(9)])
    query = Query(parse("地铁"), limit=1, after=(millis(at(5)), "p5"))
    assert store.count(query) == 4
    assert sum(bucket.posts for bucket in store.over_time(query, timedelta(minutes=1))) == 4


def test_since_is_inclusive_and_until_is_not(store: Store, make_scored: Make) -> None:
    store.put([make_scored(f"p{n}", minute=n) for n in range(5)])
    assert found(store, since=at(1), until=at(3)) == ["p2", "p1"]
    assert found(store, since=at(3)) == ["p4", "p3"]
    assert found(store, until=at(1)) == ["p0"]
    assert found(store, since=at(2), until=at(2)) == []


def test_filters_hold_together(store: Store, make_scored: Make) -> None:
    store.put(
        [
            make_scored("1", "地铁", topics=["metro", "rain"], given=("safety", "outage"), negative=0.9, neutral=0.1),
            make_scored("2", "地铁", minute=1, topics=["metro-2"], given=("safety",), source="news"),
            make_scored("3", "公交", minute=2, topics=["metro"], positive=0.95),
            make_scored("4", "地铁", minute=3),
        ]
    )
    assert found(store, topic="metro") == ["3", "1"]
    assert found(store, topic="metro-2") == ["2"]
    assert found(store, topic="met") == found(store, topic="metro|rain2") == []
    assert found(store, signal="safety") == ["2", "1"]
    assert found(store, sentiment="negative") == ["1"]
    assert found(store, sentiment="neutral") == ["4", "2"]
    assert found(store, sentiment="positive") == ["3"]
    assert found(store, source="news") == ["2"]
    assert found(store, source="new") == []
    assert found(store, "地铁", topic="metro", signal="safety", sentiment="negative", source="weibo", since=at(0)) == [
        "1"
    ]
    assert found(store, "地铁", topic="metro", signal="outage", source="news") == []


def test_over_time_counts_each_step_also_the_empty_ones(store: Store, make_scored: Make) -> None:
    store.put([make_scored(f"p{n}", "地铁", minute=minute) for n, minute in enumerate([1, 59.999, 60, 185, 190])])
    store.put([make_scored("other", "公交", minute=600)])
    buckets = store.over_time(Query(parse("地铁")), timedelta(hours=1))
    assert [(bucket.start, bucket.posts) for bucket in buckets] == [(at(0), 2), (at(60), 1), (at(120), 0), (at(180), 2)]
    assert store.over_time(Query(parse("火灾")), timedelta(hours=1)) == []


def test_a_day_begins_at_midnight_in_beijing(store: Store, make_scored: Make) -> None:
    midnight = datetime(2026, 3, 1, 16, 0, tzinfo=UTC)
    store.put([make_scored(f"p{n}", published_at=midnight + timedelta(minutes=n)) for n in (-1, 0, 1439, 1440)])
    buckets = store.over_time(Query(), timedelta(days=1))
    assert [(bucket.start - midnight, bucket.posts) for bucket in buckets] == [
        (timedelta(days=-1), 1),
        (timedelta(0), 2),
        (timedelta(days=1), 1),
    ]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    times=st.lists(
        st.integers(-20_000_000, 20_000_000).map(lambda s: EPOCH + timedelta(seconds=s)), min_size=1, max_size=8
    ),
    hours=st.integers(1, 50),
)
def test_over_time_puts_each_post_into_its_step_on_both_sides_of_the_epoch(
    store: Store, make_scored: Make, times: list[datetime], hours: int
) -> None:
    name = next(examples)
    store.put([make_scored(f"{name}-{n}", published_at=when, source=name) for n, when in enumerate(times)])
    step = timedelta(hours=hours)
    buckets = store.over_time(Query(source=name), step)
    for bucket in buckets:
        assert (bucket.start - EPOCH + timedelta(hours=8)) % step == timedelta(0)
        assert bucket.posts == sum(bucket.start <= when < bucket.start + step for when in times)
    assert sum(bucket.posts for bucket in buckets) == len(times)


def test_over_time_refuses_more_steps_than_anyone_can_look_at(store: Store, make_scored: Make) -> None:
    # One post that is dated 1970 by mistake would make 29 million minutes.
    store.put([make_scored("epoch", published_at=EPOCH), make_scored("now")])
    with pytest.raises(Refused, match="longer steps"):
        store.over_time(Query(), timedelta(minutes=1))
    assert len(store.over_time(Query(since=at(-60)), timedelta(minutes=1))) == 1


# Ageing, reopening, trouble


def test_months_that_are_over_are_deleted_unless_something_was_read_in_since(store: Store, make_scored: Make) -> None:
    days = {"may 1": -250, "may 2": -249, "june, read today": -200, "july": -170, "now": 1}
    for name, day in days.items():
        fetched = at(60) if "today" in name else at(day * 1440)
        store.put([make_scored(name, "地铁停运", minute=day * 1440, fetched_at=fetched)])
    assert store.delete_before(at(-180 * 1440)) == 2
    assert found(store, "停运") == ["now", "july", "june, read today"]
    assert store.delete_before(at(-180 * 1440)) == 0
    assert store.delete_before(datetime(2027, 1, 1, tzinfo=UTC)) == 3
    assert (store.count(Query()), found(store, "地铁")) == (0, [])
    assert store.put([make_scored("may 1", "地铁恢复", minute=-250 * 1440)]) == ["indexed"]
    assert (found(store, "恢复"), found(store, "停运")) == (["may 1"], [])


def test_rewriting_changes_what_was_published_since(store: Store, make_scored: Make) -> None:
    posts = [make_scored(f"p{n:04}", f"地铁第{n}次", minute=n * 60) for n in range(1200)]
    store.put(posts)

    def change(page: Sequence[Scored]) -> list[Scored]:
        scores = msgspec.structs.replace(page[0].scores, negative=0.9, neutral=0.05, positive=0.05)
        return [msgspec.structs.replace(one, scores=scores, model="new") for one in page]

    assert sum(store.rewrite(at(100 * 60), change)) == 1100
    assert (store.count(Query()), store.count(Query(sentiment="negative"))) == (1200, 1100)
    assert found(store, sentiment="neutral", limit=1) == ["p0099"]
    hits = store.search(Query(limit=None))
    assert [hit.post for hit in hits] == [one.post for one in reversed(posts)]
    assert {hit.model for hit in hits if hit.scores.negative == 0.9} == {"new"}
    # Later revisions find what was rewritten.
    assert store.put([make_scored("p1000", "公交", minute=999_999)]) == ["updated"]
    assert store.count(Query()) == 1200
    store.refresh()


def test_what_is_put_while_all_is_rewritten_stands_afterwards(store: Store, make_scored: Make) -> None:
    store.put([make_scored(f"p{n:04}", "地铁", minute=n) for n in range(1100)])
    news = iter([make_scored("p0001", "新版", minute=9000), make_scored("p1099", "新版", minute=9000)])
    more = iter([make_scored("later", "新文", minute=8000), make_scored("even later", "新文", minute=8001)])

    def change(page: Sequence[Scored]) -> list[Scored]:
        for one in (next(news, None), next(more, None)):
            if one is not None:
                store.put([one])
        return [msgspec.structs.replace(one, model="new") for one in page]

    assert sum(store.rewrite(at(0), change)) >= 1100
    assert store.count(Query()) == 1102
    assert sorted(found(store, "新版")) == ["p0001", "p1099"]
    assert found(store, "新文") == ["even later", "later"]


def test_posts_survive_reopening(backend: Any, store: Store, make_scored: Make) -> None:
    store.put([make_scored("p1", "地铁停运")])
    store.close()
    assert found(backend.store(), "停运") == ["p1"]


@pytest.mark.parametrize(
    "shape", ["(丁 OR ({} 乙 -戊))", "({})", "(甲 -(丁 {}))", "(甲 OR {})", "({} 乙)", "(丁 OR {})"]
)
def test_a_query_is_refused_or_answered_however_deep_it_is(store: Store, make_scored: Make, shape: str) -> None:
    store.put([make_scored("p1", "甲乙丙")])
    deep, answered = "甲", 0
    with suppress(Refused):
        while answered < 1000:
            deep = shape.format(deep)
            assert found(store, deep) == ["p1"]
            answered += 1
    assert 8 <= answered < 1000


def test_a_query_of_many_words_is_answered(store: Store, make_scored: Make) -> None:
    store.put([make_scored("p1", "甲乙丙")])
    assert found(store, "甲 " * 400) == ["p1"]
    assert found(store, " OR ".join("丁戊己庚甲" * 30)) == ["p1"]
    assert found(store, "甲 " + " ".join(f"-{word}" for word in "丁戊己庚" * 40)) == ["p1"]
