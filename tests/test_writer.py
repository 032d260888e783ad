"""The writer of an opening post becomes a voice, and his name stays nowhere."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from local_site import item, listing, rss

from tingchao.crawlers.article import Article
from tingchao.crawlers.lines import CREDIT
from tingchao.crawlers.metadata import Metadata
from tingchao.crawlers.visit import Answer
from tingchao.crawlers.writer import without_name, writer
from tingchao.pipeline.records import Dead, Fetch, Post

NAME = "鹭溪老渔翁"
LD = json.dumps({"@type": "DiscussionForumPosting", "headline": "今早水面有雾", "author": {"name": NAME}})
SAID = "雾挺大，能见度也就五十米，钓鱼的朋友注意脚下。"
POST = f'<div class="message">{SAID}</div>'
REPLY = (
    '<div class="reply"><a class="username" rel="author" href="/u/9">早班车的风</a><p>知道了，谢谢楼主提醒。</p></div>'
)


def page(head: str = "", post: str = POST, after: str = REPLY) -> str:
    head = f"<title>今早水面有雾 - 潮声论坛</title>{head}"
    return f"<html><head>{head}</head><body><h1>今早水面有雾</h1>{post}{after}</body></html>"


@pytest.mark.parametrize(
    "markup",
    [
        page(f'<meta name="author" content="{NAME}">'),
        page(f'<meta property="article:author" content="{NAME}">'),
        page(f'<script type="application/ld+json">{LD}</script>'),
        page(post=f'<a rel="author nofollow" href="/u/1">{NAME}</a>{POST}'),
        page(post=f'<div itemprop="author"><img><span itemprop="name">{NAME}</span> 注册会员</div>{POST}'),
        page(post=f'<div itemprop="author"><meta itemprop="name" content="{NAME}"></div>{POST}'),
        page(post=f'<div class="authi"><a href="u-1.html">{NAME}</a></div><p class="authi">发表于 3-4 22:05</p>{POST}'),
        page(post=f'<p class="author">by <a class="username-coloured" href="#">{NAME}</a> » 2021-3-4 22:05</p>{POST}'),
        page(post=f'<td class="author"><span>楼主：{NAME}</span></td>{POST}'),
        page(post=f'<article data-author="{NAME}">{POST}</article>'),
        page(post=f'<span class="by-line"></span><span class="p_author_name">{NAME}</span>{POST}'),
        page(post=f'<div class="info"><span class="nickname">{NAME}</span></div><p>{SAID}</p>'),
        # What the software or the site says of itself in meta elements is no writer.
        page('<meta name="author" content="Discuz! Team and Comsenz UI Team">', f'<b class="poster">{NAME}</b>{POST}'),
        page('<meta property="og:site_name" content="潮声论坛"><meta name="author" content="潮声论坛">',
             f'<b class="user-name">{NAME}</b>{POST}'),
    ],
)  # fmt: skip
def test_the_writer_is_found_in_many_layouts(markup: str) -> None:
    assert writer(markup.encode()) == NAME


@pytest.mark.parametrize(
    "markup",
    [
        page(),  # only the writer of a reply is named
        page('<meta name="author" content="Discuz! Team and Comsenz UI Team">'),
        page('<meta property="og:site_name" content="潮声论坛"><meta name="author" content="潮声论坛">'),
        page(post=f'<span class="author">发表于 2021-3-4 22:05</span><span class="username">登录</span>{POST}'),
        page(post=f'<span class="author">2031</span><a rel="author" href="#">只看该作者</a>{POST}'),
        page(f'<meta name="author" content="{"很长的一句话" * 20}">'),
        page('<meta name="author" content="潮声论坛">'),  # as at the end of <title>
        page('<meta name="author" content="name, email@mail.example">'),
        page(post=f'<span class="author">未知 责任编辑：云小编</span>{POST}'),
        '<nav><a class="username" href="/me">早班车的风</a></nav>' + page(after=""),
        "",
        "\0\0",
    ],
)
def test_what_is_no_writer_is_not_taken(markup: str) -> None:
    assert writer(markup.encode()) is None


def test_the_reader_s_charset_holds() -> None:
    markup = page(f'<meta charset="gbk"><meta name="author" content="{NAME}">')
    assert writer(markup.encode("gbk"), "text/html") == NAME


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.text(max_size=40))
def test_any_bytes_and_names_are_read(body: bytes, name: str) -> None:
    assert writer(body) is None or len(body) > 0
    found = writer(page(f'<meta name="author" content="{name}">').encode("utf-8", "replace"))
    assert found is None or 0 < len(found) <= 40


def test_no_record_and_no_value_between_has_a_field_for_it() -> None:
    names = {field.name for kind in (Article, Metadata) for field in fields(kind)}
    names |= {field.name for kind in (Answer, Post, Fetch, Dead) for field in msgspec.structs.fields(kind)}
    assert not names & {"author", "authors", "writer", "writers", "nickname", "nick", "user", "by"}


# The whole way


def thread(title: str, said: str, by: str) -> str:
    return f"""<html><head><title>{title} - 潮声论坛</title><meta name="author" content="{by}"></head><body>
<div id="hd"><a href="/">首页</a> <a href="/list">城市杂谈</a></div><h1 class="subject">{title}</h1>
<table class="post"><tr><td class="author"><a href="#" rel="author">{by}</a></td><td class="content">
<div class="info">发表于 <em>2026-3-1 11:20</em></div><div class="message">{said}</div></td></tr></table>
<div class="tools"><a href="#">回复</a> <a href="#">收藏</a></div>
<div id="ft">Powered by 潮声论坛 | 站点统计 | 举报</div></body></html>"""


def test_two_posts_of_one_writer_have_one_voice_and_the_name_is_nowhere(
    desk: Any, site: Any, capfd: pytest.CaptureFixture[str]
):
    posts = [
        ("今早水面有雾气很大", "雾挺大的。", NAME),
        ("小区门口路灯又坏了", "没人修。", "豆浆不加糖"),
        ("下午钓鱼的有几位", "等你们。", NAME),
    ]
    site["/list"] = listing(*((f"/t/{n}", title) for n, (title, _, _) in enumerate(posts)))
    for number, post in enumerate(posts):
        site[f"/t/{number}"] = thread(*post)
    desk.source("forum", "site", "/list", posts="forum", articles=r"/t/\d+$")

    desk.visit()

    found = {post.title: post for post in desk.posts()}
    assert [found[title].text for title, _, _ in posts] == [said for _, said, _ in posts]
    voices = [found[title].voice for title, _, _ in posts]
    assert voices[0] == voices[2] != voices[1]
    told = repr((desk.posts(), desk.fetches(), desk.dead(), desk.log.state("crawl", "")))
    desk.log.close()
    stored = b"".join(path.read_bytes() for path in desk.path.parent.iterdir())
    assert "雾挺大的".encode() in stored
    for name in (NAME, "豆浆不加糖"):
        for written in (name.encode(), name.encode("gbk"), name.encode("utf-16-le"), json.dumps(name)[1:-1].encode()):
            assert written not in stored
        assert name not in told
        assert name not in "".join(capfd.readouterr())


def test_a_title_without_text_has_its_writer_s_voice_too(desk: Any, site: Any):
    site["/list"] = listing(("/t/0", "今早水面有雾气很大"), ("/t/1", "小区门口路灯又坏了"))
    site["/t/0"] = thread("今早水面有雾气很大", "", NAME)
    site["/t/1"] = thread("小区门口路灯又坏了", "", "豆浆不加糖")
    desk.source("forum", "site", "/list", articles=r"/t/\d+$")

    desk.visit()

    assert {post.text for post in desk.posts()} == {""}
    assert len({post.voice for post in desk.posts()}) == 2


def test_a_bug_in_the_reading_of_names_is_told_without_them(
    desk: Any, site: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def broken(*_: object) -> str:
        raise ValueError(NAME)

    monkeypatch.setattr("tingchao.crawlers.base.writer", broken)
    site["/list"] = listing(("/t/0", "今早水面有雾气很大"), ("/t/1", "小区门口路灯又坏了"))
    site["/t/0"] = thread("今早水面有雾气很大", "雾挺大的。", NAME)
    site["/t/1"] = thread("小区门口路灯又坏了", "没人修。", NAME)
    desk.source("forum", "site", "/list", articles=r"/t/\d+$")

    assert desk.visit()["forum"].outcome == "error"
    assert NAME not in repr(desk.fetches()) + "".join(capfd.readouterr())


def test_the_authors_of_a_feed_s_entries_are_voices(desk: Any, site: Any):
    def by(name: str) -> str:
        return f"<dc:creator xmlns:dc='http://purl.org/dc/elements/1.1/'>{name}</dc:creator>"

    site["/feed"] = rss(
        item("水", "停水了。", "/n/1", more=by(NAME))
        + item("电", "停电了。", "/n/2", more=by(NAME))
        + item("气", "停气了。", "/n/3", more=by("豆浆不加糖"))
    )
    desk.source("feed", "feed", "/feed")

    desk.visit()

    voices = {post.title: post.voice for post in desk.posts()}
    assert voices["水"] == voices["电"] != voices["气"]


def test_the_writer_s_name_in_title_and_text_becomes_somebody(desk: Any, site: Any):
    title = f"{NAME}：今早水面有雾气很大"
    site["/list"] = listing(("/t/0", title), ("/t/1", "小区门口路灯又坏了"))
    site["/t/0"] = thread(title, f"我是{NAME}，雾挺大的，钓鱼的朋友注意脚下。", NAME)
    site["/t/1"] = thread("小区门口路灯又坏了", "没人修，走夜路的邻居都摔了。", "豆浆不加糖")
    desk.source("forum", "site", "/list", articles=r"/t/\d+$")

    desk.visit()

    found = {post.title: post.text for post in desk.posts()}
    assert found["某人：今早水面有雾气很大"] == "我是某人，雾挺大的，钓鱼的朋友注意脚下。"
    assert found["小区门口路灯又坏了"] == "没人修，走夜路的邻居都摔了。"


@pytest.mark.parametrize(
    ("text", "name", "left"),
    [
        ("鹭溪老渔翁说", NAME, "某人说"),
        ("一个人", "人", "一个人"),
        ("an 在 Shanghai，An", "an", "某人 在 Shanghai，An"),
        ("a.b(c 来了", "a.b(c", "某人 来了"),
        ("停水。\n作者：张小三。没人管", None, "停水。\n作者：某人。没人管"),
        ("作者：张小三", "", "作者：某人"),
        ("本书作者：这个问题我们已经说过很多次了", None, "本书作者：这个问题我们已经说过很多次了"),
        ("作者：这个问题我们已经说过很多次了", None, "作者：这个问题我们已经说过很多次了"),
    ],
)
def test_a_name_is_replaced_as_a_word(text: str, name: str | None, left: str):
    assert without_name(text, name) == left


@pytest.mark.parametrize(
    "line",
    ["文/张三", "摄影／李四", "文 | 张三 图 | 李四", "图/文 张三", "作者：张三", "（记者 张三 通讯员 李四）",
     "（海城日报记者张三）", "(通讯员 李四)"],
)  # fmt: skip
def test_a_line_that_is_only_a_credit_is_known(line: str):
    assert CREDIT.match(line)


@pytest.mark.parametrize(
    "line",
    ["文/理科分数线公布，考生可查询。", "文化/旅游", "记者 张三 报道了停水。", "停水三天（记者 张三）",
     "（记者在现场看到，水已经退了）", "文明城市"],
)  # fmt: skip
def test_a_sentence_is_no_credit(line: str):
    assert not CREDIT.match(line)
