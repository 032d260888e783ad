"""What readers found becomes masked Posts; what cannot be one is refused with its reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tingchao.pipeline.clock import BEIJING
from tingchao.pipeline.errors import Poison
from tingchao.pipeline.intake import SOURCE_LIMIT, TEXT_LIMIT, TITLE_LIMIT, URL_LIMIT, Intake, Raw
from tingchao.pipeline.log import VALUE_LIMIT, Log, output
from tingchao.pipeline.records import Counts, Post, decode, encode

NOW = datetime(2026, 1, 5, 4, 0, tzinfo=UTC)
PERSONAL = "电话138-1234-5678，证11010519491231002X，信zhang@example.com，车京A12345，@张三 说"
MASKED = "电话[手机号]，证[身份证号]，信[邮箱]，车[车牌]，@某人 说"
SECRETS = ["138-1234-5678", "11010519491231002X", "zhang@example.com", "京A12345", "张三"]


@pytest.fixture
def intake(log: Log) -> Intake:
    return Intake(log)


def raw(**fields: Any) -> Raw:
    return Raw(**{"source": "weibo", "text": "地铁停运", "basis": "1", "fetched_at": NOW, **fields})


def test_a_post_holds_what_was_found(intake: Intake) -> None:
    at = NOW.astimezone(BEIJING) - timedelta(hours=1)
    post = intake.post(
        raw(
            title=" 标题 ",
            url="https://a.example/1",
            kind="forum",
            published_at=at,
            counts=Counts(likes=3),
            flags=("no_zone",),
        )
    )
    assert (post.source, post.kind, post.title, post.text, post.url) == (
        "weibo",
        "forum",
        "标题",
        "地铁停运",
        "https://a.example/1",
    )
    assert (post.published_at, post.fetched_at, post.counts, post.flags) == (at, NOW, Counts(likes=3), ("no_zone",))
    assert (post.published_at.tzinfo, post.fetched_at.tzinfo) == (UTC, UTC)


def test_personal_data_is_masked_in_every_field_and_the_author_is_gone(backend: Any, log: Log, intake: Intake) -> None:
    post = intake.post(
        raw(
            source=f"来源{PERSONAL}",
            title=PERSONAL,
            text=PERSONAL,
            kind=PERSONAL,
            author="独一无二的作者",
            basis=PERSONAL,
            url="https://a.example/x?tel=138-1234-5678&m=zhang%40example.com&who=%40张三",
        )
    )
    assert (post.title, post.text) == (MASKED, MASKED)
    log.publish([output("posts", post.id, post)], NOW)
    stored = backend.stored()
    for secret in [*SECRETS, "独一无二的作者", "zhang%40example.com"]:
        assert secret.encode() not in encode(post)
        assert secret.encode() not in stored
    assert "author" not in Post.__struct_fields__


def test_the_same_url_is_the_same_post_and_a_basis_goes_before_it(intake: Intake) -> None:
    def ident(**fields: Any) -> str:
        return intake.post(raw(**{"basis": "", **fields})).id

    page = ident(url="https://a.example/1")
    assert ident(url="https://A.example:443/1?utm_source=x#top", text="new", title="t") == page
    assert ident(url="https://a.example/2") != page
    assert ident(url="https://a.example/1", source="other") != page
    assert ident(url="https://a.example/1", basis="id 7") == ident(url="https://a.example/2", basis="id 7") != page
    long = "https://a.example/" + "x" * URL_LIMIT
    assert ident(url=long + "1") != ident(url=long + "2")  # also where the address itself is cut


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"text": "", "title": ""}, "post.empty"),
        ({"text": " \n\t\0", "title": "\u3000"}, "post.empty"),
        ({"basis": "", "url": ""}, "post.no_basis"),
        ({"basis": "", "url": " "}, "post.no_basis"),
    ],
)
def test_what_cannot_be_a_post_is_poison(intake: Intake, fields: dict[str, str], reason: str) -> None:
    with pytest.raises(Poison) as caught:
        intake.post(raw(**fields))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("published", "stands", "flags"),
    [
        (None, NOW, ("no_time",)),
        (NOW - timedelta(days=400), NOW - timedelta(days=400), ()),
        (NOW, NOW, ()),
        (NOW + timedelta(seconds=40), NOW, ()),  # clocks differ
        (NOW + timedelta(hours=2), NOW, ("future",)),
        (datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=12))), NOW, ("no_time",)),
        (datetime(1, 1, 1, tzinfo=BEIJING), NOW, ("no_time",)),
        (datetime(2026, 1, 5, 11, 30, tzinfo=BEIJING), NOW - timedelta(minutes=30), ()),
    ],
)
def test_the_time_of_publication(
    intake: Intake, published: datetime | None, stands: datetime, flags: tuple[str, ...]
) -> None:
    post = intake.post(raw(published_at=published))
    assert (post.published_at, post.flags) == (stands, flags)


def test_texts_are_cut_and_say_so(intake: Intake) -> None:
    post = intake.post(
        raw(text="地铁" * 200_000, title="题" * 5000, url="https://a.example/" + "x" * 9000, source="源" * 500)
    )
    assert post.flags == ("no_time", "cut") or post.flags == ("cut", "no_time")
    assert TEXT_LIMIT - 3 < len(post.text.encode()) <= TEXT_LIMIT
    assert (len(post.title), len(post.url), len(post.source)) == (TITLE_LIMIT, URL_LIMIT, SOURCE_LIMIT)
    assert "cut" not in intake.post(raw(text="地" * (TEXT_LIMIT // 3))).flags


@pytest.mark.parametrize("place", range(1, 12))
def test_a_number_where_the_text_is_cut_does_not_survive_by_half(intake: Intake, place: int) -> None:
    post = intake.post(
        raw(text="a" * (TEXT_LIMIT - place) + "，13812345678", title="题" * (TITLE_LIMIT - place) + "13812345678")
    )
    assert "138" not in post.text
    assert "138" not in post.title


@pytest.mark.parametrize("piece", ["\1", '"', "\\", "\n", "\0", "\ud800", "😡", "@a ", "\x1f\x7f", "<", "\u2028"])
def test_whatever_stands_in_a_text_its_record_goes_into_the_log(log: Log, intake: Intake, piece: str) -> None:
    # JSON writes a control character as six bytes: 256 KB of them would not go into any log.
    post = intake.post(
        raw(text="地铁" + piece * 1_000_000, title="题" + piece * 2000, url="https://a.example/" + piece * 3000)
    )
    value = encode(post)
    assert len(value) < VALUE_LIMIT - 64 * 1024  # with room for scores
    log.publish([output("posts", post.id, post)], NOW)
    assert decode(Post, log.scan("posts")[0].value) == post


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(), title=st.text(), url=st.text(), source=st.text(), author=st.none() | st.text(), basis=st.text())
def test_anything_is_a_post_or_poison(log: Log, **fields: Any) -> None:
    try:
        post = Intake(log).post(raw(**fields))
    except Poison:
        return
    assert decode(Post, encode(post)) == post
