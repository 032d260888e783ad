"""Who is the same post."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tingchao.pipeline.grams import fold
from tingchao.pipeline.ids import canonical, post_id, signature

SAME = [
    ("https://news.example/a", "https://NEWS.example:443/a#comments"),
    ("http://news.example/a", " http://news.example.:80/a\n"),
    ("https://news.example/a?id=1&page=2", "https://news.example/a?page=2&id=1"),
    (
        "https://news.example/a?id=1",
        "https://news.example/a?id=1&utm_source=weibo&UTM_Medium=x&spm=1.2&from=singlemessage",
    ),
    ("https://news.example", "https://news.example/"),
    ("https://news.example/a?q=地铁", "https://news.example/a?q=%E5%9C%B0%E9%93%81"),
]
DIFFERENT = [
    ("https://news.example/a", "http://news.example/a"),
    ("https://news.example/a", "https://news.example/A"),
    ("https://news.example/a", "https://news.example:8443/a"),
    ("https://news.example/a?id=1", "https://news.example/a?id=2"),
    ("https://news.example/a?id=1", "https://news.example/a"),
    ("https://news.example/a?id=", "https://news.example/a"),
    # 地铁 and 公交 in GBK, as Tieba writes them: neither is UTF-8
    ("https://tieba.example/f?kw=%B5%D8%CC%FA", "https://tieba.example/f?kw=%B9%AB%BD%BB"),
    # pages of a site that is one script
    ("https://news.example/#/news/1", "https://news.example/#/news/2"),
    ("https://news.example/#!/news/1", "https://news.example/#!/news/2"),
    ("row 1 #a", "row 1 #b"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_urls_of_one_page_have_one_form(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_urls_of_two_pages_have_two_forms(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize("text", ["", "no url", "id:123?from=2", "http://", "http://[broken", "http://a:port/", "a#b"])
def test_what_is_no_url_stays_as_it_is(text: str) -> None:
    assert canonical(f" {text} ") == text


@given(url=st.text() | st.from_regex(r"https?://[a-z.:0-9]{0,9}/[^\s]{0,20}(\?[^\s]{0,20})?(#.{0,9})?", fullmatch=True))
def test_the_canonical_form_of_a_canonical_form_is_itself(url: str) -> None:
    assert canonical(canonical(url)) == canonical(url)


def test_a_post_id_is_128_bits_of_source_and_basis() -> None:
    assert len(bytes.fromhex(post_id("weibo", "1"))) == 16
    assert len({post_id("a", "1"), post_id("a", "2"), post_id("b", "1"), post_id("", "a1"), post_id("a1", "")}) == 5
    assert post_id("weibo", "1") == post_id("weibo", "1")
    assert post_id("weibo", "\ud800")  # a lone surrogate is no reason to stop


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("地铁停运！", "地铁停运", True),
        ("ＭＵ5735 坠毁", "mu5735坠毁", True),
        ("地铁\n 停运", "“地铁”停运。", True),
        ("", "！", True),
        ("地铁停运", "地铁恢复", False),
        ("3号线停运", "4号线停运", False),
    ],
)
def test_signatures_pass_over_spacing_punctuation_case_and_width(one: str, other: str, same: bool) -> None:
    assert (signature(fold(one)) == signature(fold(other))) is same
    assert len(bytes.fromhex(signature(fold(one)))) == 8
