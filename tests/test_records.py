"""The records on the wire: typed, immutable, with a version, readable by the next and the previous program."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tingchao.pipeline import records
from tingchao.pipeline.errors import Poison
from tingchao.pipeline.records import (
    COMPACTED,
    TOPICS,
    VERSION,
    Counts,
    Post,
    Record,
    Scored,
    Tick,
    decode,
    encode,
    in_one_line,
)

KINDS = [*TOPICS.values(), Tick]
NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TIME = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))]))
COUNT = st.none() | st.integers(0, 10**12)
POSTS = st.builds(
    Post,
    id=TEXT,
    source=TEXT,
    text=TEXT,
    title=TEXT,
    published_at=TIME,
    fetched_at=TIME,
    counts=st.builds(Counts, likes=COUNT, reads=COUNT),
    voice=TEXT,
    flags=st.lists(TEXT, max_size=3).map(tuple),
)


@given(post=POSTS)
def test_a_post_comes_back_as_it_was(post: Post) -> None:
    assert decode(Post, encode(post)) == post


def test_a_scored_post_comes_back_as_it_was(make_scored: Callable[..., Scored]) -> None:
    scored = make_scored("p", "地铁停运", topics=["metro"], given=("safety",))
    assert decode(Scored, encode(scored)) == scored


def test_every_record_carries_its_version(make_post: Callable[..., Post]) -> None:
    # Left out as a default, it would be read as the next program's version.
    for record in (make_post(), Tick(at=NOW)):
        assert json.loads(encode(record))["v"] == VERSION
    assert decode(Tick, encode(msgspec.structs.replace(Tick(at=NOW), v=VERSION - 1))).v == VERSION - 1


@pytest.mark.parametrize("version", [VERSION + 1, VERSION - 2, 99])
def test_another_version_is_poison_that_says_what_to_do(version: int) -> None:
    with pytest.raises(Poison, match=f"version {version}.*update") as caught:
        decode(Tick, encode(Tick(v=version, at=NOW)))
    assert caught.value.reason == "record.version"


def test_unknown_fields_are_ignored() -> None:
    assert decode(Tick, b'{"v":1,"at":"2026-01-05T08:00:00Z","new":{"a":[1,null]}}') == Tick(at=NOW)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[]",
        b'{"v":1}',
        b'{"v":"1","at":"2026-01-05T08:00:00Z"}',
        b'{"v":1,"at":"2026-01-05T08:00:00"}',
        b'{"v":1,"at":"yesterday"}',
        b'{"v":1,"at":"2026-01-05T08:00:00Z"',
        b'\xff{"v":1,"at":"2026-01-05T08:00:00Z"}',
        b'{"v":1,"at":"2026-01-05T08:00:00Z","x":"\\ud800"}',
        b'{"v":1,"at":' + b"[" * 50_000,
    ],
)
def test_what_is_no_such_record_is_poison(value: bytes) -> None:
    with pytest.raises(Poison, match="expected a Tick") as caught:
        decode(Tick, value)
    assert caught.value.reason == "record.malformed"


@given(value=st.binary(max_size=60) | st.text(max_size=40).map(lambda text: json.dumps(text).encode()))
def test_any_bytes_are_a_record_or_poison(value: bytes) -> None:
    for kind in KINDS:
        with pytest.raises(Poison):
            decode(kind, value)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_records_are_frozen_and_know_no_person(kind: type[Record]) -> None:
    assert kind.__struct_config__.frozen
    for name in kind.__struct_fields__:
        assert not {"author", "user", "nick", "nickname", "name", "uid", "profile", "screen_name"} & set(
            name.split("_")
        )


def test_every_time_in_every_record_must_have_a_zone() -> None:
    structs = [one for one in vars(records).values() if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    for struct in structs:
        if struct.__module__ == records.__name__:
            for name, hint in get_type_hints(struct, include_extras=True).items():
                assert "datetime" not in str(hint) or "tz=True" in str(hint), f"{struct.__name__}.{name}"


def test_every_field_that_was_added_has_a_default() -> None:
    # These were there in version 1. A field without a default would make the records of yesterday unreadable.
    first = {
        "Post": {"id", "source", "published_at", "fetched_at"},
        "Scored": {"post", "scores"},
        "Mention": {"topic", "id", "published_at", "fetched_at", "source", "voice", "scores"},
        "Tick": {"at"},
        "Command": {"id", "alert", "action"},
        "Fetch": {"source", "url", "at", "outcome"},
        "Dead": {"id", "stage", "reason", "error", "at"},
    }
    for kind in KINDS:
        if kind.__name__ in first:
            required = {field.name for field in msgspec.structs.fields(kind) if field.required}
            assert required == first[kind.__name__]


def test_topics_are_those_of_the_design() -> None:
    assert TOPICS.keys() >= {"posts", "scored", "mentions", "candidates", "commands", "alerts", "dead"}
    assert TOPICS.keys() >= COMPACTED


def test_a_later_fetch_is_a_greater_revision(make_post: Callable[..., Any]) -> None:
    revisions = [make_post(minute=minute).revision for minute in (0, 0.00002, 1, 60)]
    assert revisions == sorted(set(revisions))


@pytest.mark.parametrize(
    ("title", "text", "said"),
    [
        ("地铁停运", "地铁停运\n 三号线  不开", "地铁停运 三号线 不开"),
        ("地铁停运", "三号线不开", "地铁停运 三号线不开"),
        ("", "三号线\t不开\n", "三号线 不开"),
        ("地铁停运", "", "地铁停运"),
    ],
)
def test_a_post_in_one_line_has_its_title_once(title: str, text: str, said: str) -> None:
    assert in_one_line(title, text) == said
