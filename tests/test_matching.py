"""Topics are queries: any, all, none, near."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tingchao.config.sources import Source
from tingchao.config.topics import Near, Topic
from tingchao.pipeline.grams import fold
from tingchao.pipeline.matching import Matcher, _topic

METRO = Topic(name="metro", title="地铁", any=["地铁", "轨道交通"], none=["跑酷"])
FIRE = Topic(name="fire", title="起火", all=["地铁", "起火"])
CLOSE = Topic(name="close", title="近", near=[Near(words=["车站", "冒烟"], within=5)])
APP = Topic(name="app", title="应用", any=["APP", "i-Go"])


def matched(text: str, *topics: Topic, source: str = "s", sources: tuple[Source, ...] = ()) -> tuple[str, ...]:
    return Matcher(topics, sources).topics(fold(text), source)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("今天地铁很挤", ("metro",)),
        ("轨道交通二号线", ("metro",)),
        ("地铁跑酷更新", ()),
        ("地铁车厢起火", ("metro", "fire")),
        ("厨房起火", ()),
        ("", ()),
    ],
)
def test_any_all_and_none(text: str, names: tuple[str, ...]) -> None:
    assert matched(text, METRO, FIRE) == names


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("车站突然冒烟", True),
        ("冒烟的车站", True),
        ("车站里的人都说没有看到哪里冒烟", False),
        ("车站。车站。车站那边冒烟", True),
        ("只有车站", False),
    ],
)
def test_near_counts_the_characters_between(text: str, holds: bool) -> None:
    assert matched(text, CLOSE) == (("close",) if holds else ())


@pytest.mark.parametrize(
    ("text", "holds"), [("在ａｐｐ上买票", True), ("happy day", False), ("App崩了", True), ("我用i-go出行", True)]
)
def test_latin_words_end_at_their_border_and_width_does_not_matter(text: str, holds: bool) -> None:
    assert matched(text, APP) == (("app",) if holds else ())


def test_latin_words_end_at_their_border_also_near_others_and_where_they_are_shown() -> None:
    near = Topic(name="near", title="近", near=[Near(words=["app", "崩溃"], within=5)])
    assert matched("happy崩溃", near) == ()
    assert matched("happy，app崩溃", near) == ("near",)
    either = Topic(name="either", title="或", any=["app", "地铁"])
    assert Matcher([either], ()).words("either", "happy 地铁") == ("地铁",)
    assert Matcher([either], ()).words("either", "ＡＰＰ和地铁") == ("app", "地铁")


def test_a_source_can_be_limited_to_some_topics() -> None:
    limited = Source(name="local", kind="feed", url="http://127.0.0.1/f", topics=["fire"])
    assert matched("地铁起火", METRO, FIRE, source="local", sources=(limited,)) == ("fire",)
    assert matched("地铁起火", METRO, FIRE, source="other", sources=(limited,)) == ("metro", "fire")


WORDS = st.lists(st.text("地铁火灾aB", min_size=1, max_size=3), min_size=2, max_size=3)
TOPICS = st.builds(
    Topic,
    name=st.just("t"),
    title=st.just("t"),
    any=WORDS,
    all=st.one_of(st.just([]), WORDS),
    none=st.one_of(st.just([]), WORDS),
    near=st.lists(st.builds(Near, words=WORDS, within=st.integers(1, 9)), max_size=1),
)


@given(st.lists(TOPICS, max_size=5), st.booleans(), st.text("地铁火灾aB ", max_size=12))
def test_topics_that_are_not_tested_do_not_match(topics: list[Topic], without_any: bool, text: str) -> None:
    if without_any:
        topics = [topic.model_copy(update={"any": []}) for topic in topics if topic.all or topic.near]
    named = [topic.model_copy(update={"name": f"t{number}"}) for number, topic in enumerate(topics)]
    assert matched(text, *named) == tuple(topic.name for topic in named if _topic(topic)(fold(text)))
