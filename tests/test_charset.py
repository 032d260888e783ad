"""Bytes become text whatever the page declares."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tingchao.crawlers.charset import decode

SIMPLE = "中华人民共和国国务院关于做好今年防汛工作的通知，各地要认真落实。"
TRADITIONAL = "中華民國的環保局昨日公布最新的空氣品質監測數據，這是今年第三次。"


def page(declared: str, text: str) -> str:
    return f'<html><head><meta http-equiv="Content-Type" content="text/html; charset={declared}"></head><p>{text}</p>'


@pytest.mark.parametrize(
    ("written", "declared", "header", "text", "name"),
    [
        ("utf-8", "utf-8", "", SIMPLE, "utf-8"),
        ("utf-8", "gbk", "text/html; charset=gb2312", SIMPLE, "utf-8"),
        ("gbk", "gb2312", "", SIMPLE, "gb18030"),
        ("gbk", "utf-8", "text/html; charset=utf-8", SIMPLE, "gb18030"),
        ("gbk", "iso-8859-1", "text/html; charset=ISO-8859-1", SIMPLE, "gb18030"),
        ("gbk", "big5", "", SIMPLE, "gb18030"),
        ("gb18030", "gb2312", "", SIMPLE + "镕㐂𠮷", "gb18030"),
        ("gb18030", "no-such-charset", "", SIMPLE, "gb18030"),
        ("big5", "big5", "", TRADITIONAL, "big5"),
        ("big5", "utf-8", "", TRADITIONAL, "big5"),
        ("big5", "gb2312", "text/html", TRADITIONAL, "big5"),
        ("utf-16", "utf-8", "", SIMPLE, "utf-16-le"),
        ("utf-16-be", "gbk", "", SIMPLE, "utf-16-be"),
        ("cp1252", "iso-8859-1", "", "Où est l’école ? Là-bas, près de la forêt.", "windows-1252"),
        ("shift_jis", "shift_jis", "", "これは日本語のページです。よろしくお願いします。", "shift_jis"),
        ("euc-kr", "euc-kr", "", "이것은 한국어 문서입니다. 오늘의 소식을 전합니다.", "euc-kr"),
    ],
)
def test_the_bytes_count_more_than_the_declaration(
    written: str, declared: str, header: str, text: str, name: str
) -> None:
    markup = page(declared, text)
    assert decode(markup.encode(written), header) == (markup, name)


def test_a_byte_order_mark_decides_and_goes() -> None:
    text, name = decode(codecs.BOM_UTF8 + page("gbk", SIMPLE).encode())
    assert (text, name) == (page("gbk", SIMPLE), "utf-8")


def test_a_page_cut_inside_a_character_stays_utf8() -> None:
    body = page("utf-8", SIMPLE * 20).encode()[:-6]
    text, name = decode(body)
    assert name == "utf-8"
    assert SIMPLE in text


def test_a_gbk_page_with_a_broken_byte_stays_gbk() -> None:
    body = page("gbk", SIMPLE * 20).encode("gbk").replace("防汛".encode("gbk"), b"\xff\xb7\xc0", 1)
    text, name = decode(body)
    assert name == "gb18030"
    assert text.count(SIMPLE) >= 18


def test_nuls_go() -> None:
    assert decode(b"<p>a\x00b</p>")[0] == "<p>ab</p>"


@given(st.binary(max_size=4000), st.text(max_size=40))
def test_any_bytes_give_text_and_a_known_charset(body: bytes, header: str) -> None:
    text, name = decode(body, header)
    assert isinstance(text, str)
    assert codecs.lookup(name)


@given(st.text(alphabet="的一是在不了有和人这中大为上个国我以要他时来用们", min_size=12, max_size=200))
def test_common_chinese_survives_gbk_without_a_declaration(text: str) -> None:
    assert decode(f"<p>{text}</p>".encode("gbk")) == (f"<p>{text}</p>", "gb18030")
