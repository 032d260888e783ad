"""What goes wrong with a source becomes one clear record; the other sources do not notice."""

from __future__ import annotations

import gzip
import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from local_site import NOON, STORY, Desk, Page, article, free_port, item, listing, rss

from tingchao.alerts import sources
from tingchao.crawlers import outcome
from tingchao.crawlers.entries import plain, read_feed
from tingchao.pipeline.errors import Poison
from tingchao.pipeline.records import TICK_KEY, Candidate, Fetch, decode
from tingchao.pipeline.stage import Runner

LOGIN = (
    "<html><head><title>用户登录</title></head><body><form>请先登录后查看<input name='u'>"
    "<input type='password' name='p'></form></body></html>"
)
ENTITIES = (
    "<?xml version='1.0'?><!DOCTYPE rss [<!ENTITY a 'lol'>"
    + "".join(f"<!ENTITY {name} '{f'&{before};' * 10}'>" for before, name in pairwise("abcdefghij"))
    + f"]>{rss(item('&j;', '&j;', '/n/1')).partition('?>')[2]}"
)
ENTITY = f"<!DOCTYPE rss [<!ENTITY a '{'停水' * 50_000}'>]>" + rss(item("&a;" * 1000, "x")).partition("?>")[2]
BOMB = gzip.compress(b"<rss>" + b"\0" * 60_000_000)
MEGA = 1024 * 1024


@pytest.fixture
def desk(tmp_path: Path, site: Any):
    made = Desk(tmp_path, site, timeout="0.5s", page_limit=8 * MEGA)
    yield made
    made.log.close()


def short_body(handler: BaseHTTPRequestHandler):
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b"<rss><channel>")
    handler.close_connection = True


def endless(handler: BaseHTTPRequestHandler):
    """50 MB in pieces, without saying so before; the other side hangs up."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for _ in range(50):
        handler.wfile.write(b"%x\r\n%s\r\n" % (MEGA, b" " * MEGA))


def silent(_handler: BaseHTTPRequestHandler):
    threading.Event().wait(1)


def no_http(handler: BaseHTTPRequestHandler):
    handler.wfile.write(b"\x00\x01\x02 this is no answer\r\n\r\n")
    handler.close_connection = True


def moved(to: str):
    return Page(status=302, headers={"Location": to})


BAD = {
    "not xml": (Page("a line of text, and nothing else"), "not_a_feed", "纯文本"),
    "nothing": (Page(b""), "not_a_feed", "空内容"),
    "other json": (Page(json.dumps({"rows": []}), kind="application/json"), "not_a_feed", "JSON"),
    "html": (Page(article("海城新闻", STORY)), "not_a_feed", "HTML"),
    "html with a feed in a script": (
        Page(article("海城新闻", STORY).replace("<body>", "<body><script>x = '<rss version=2.0>'</script>")),
        "not_a_feed",
        "HTML",
    ),
    "pdf": (
        Page(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(range(256)) * 9, kind="application/pdf"),
        "not_a_feed",
        "PDF",
    ),
    "picture": (Page(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9, kind="image/png"), "not_a_feed", "image/png"),
    "entity bomb": (Page(ENTITIES), "not_a_feed", "实体"),
    "one long entity": (Page(ENTITY), "not_a_feed", "实体"),
    "no entries, and cut": (Page(rss().removesuffix("</channel></rss>")), "empty", "没有"),
    "404": (Page("nothing here", 404), "status", "404"),
    "429": (Page("slow down", 429, headers={"Retry-After": "3600"}), "status", "429"),
    "500": (Page("broken", 500), "status", "500"),
    "503": (Page("busy", 503), "status", "503"),
    "time-out": (Page(act=silent), "timeout", "超时"),
    "redirect loop": (moved("/bad"), "redirects", "重定向"),
    "redirect to a file": (moved("file:///etc/passwd"), "astray", "file:"),
    "redirect to nowhere": (Page(status=302), "astray", "空内容"),
    "short body": (Page(act=short_body), "broken", "不完整"),
    "no http": (Page(act=no_http), "failed", "失败"),
    "50 MB": (Page(b" " * 50 * MEGA), "too_large", "page_limit"),
    "50 MB unsaid": (Page(act=endless), "too_large", "page_limit"),
    "gzip bomb": (Page(BOMB, headers={"Content-Encoding": "gzip"}), "too_large", "page_limit"),
    "broken gzip": (Page(b"\x1f\x8b\x08nonsense", headers={"Content-Encoding": "gzip"}), "unpacked", "压缩数据"),
    "no gzip": (Page(rss(), headers={"Content-Encoding": "gzip"}), "unpacked", "压缩数据"),
    "no brotli": (Page(rss(), headers={"Content-Encoding": "br"}), "unpacked", "压缩数据"),
    "no zstd": (Page(rss(), headers={"Content-Encoding": "zstd"}), "unpacked", "压缩数据"),
    "no deflate": (Page(rss(), headers={"Content-Encoding": "deflate"}), "unpacked", "压缩数据"),
    "log-in page": (Page(LOGIN), "login", "登录"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_feed_is_one_clear_record_and_the_rest_unharmed(desk: Any, site: Any, name: str):
    page, expected, said = BAD[name]
    site["/bad"] = page
    site["/good"] = rss(item("停水", "明天停水", "/n/1"))
    desk.source("bad", "feed", "/bad")
    desk.source("good", "feed", "/good")

    fetches = desk.visit()

    assert fetches["bad"].outcome == expected
    assert fetches["bad"].message.startswith("bad: ")
    assert said in fetches["bad"].message
    assert "\n" not in fetches["bad"].message
    waiting = name == "429"  # the site is one: while it wants to be left alone, its other feed waits too
    assert [fetch.source for fetch in desk.fetches()].count("bad") == 1
    assert len(desk.posts()) == 1 or waiting
    assert desk.dead() == []


EMPTY = {
    "RSS": Page(rss(), kind="text/xml"),
    "RSS as HTML": Page(rss()),
    "Atom": Page("<feed xmlns='http://www.w3.org/2005/Atom'><title>海城</title></feed>", kind="application/atom+xml"),
    "JSON Feed": Page('{"version": "https://jsonfeed.org/version/1.1", "items": []}', kind="application/feed+json"),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_whole_feed_without_entries_has_nothing_new(desk: Any, site: Any, name: str):
    site["/feed"] = EMPTY[name]
    desk.source("water", "feed", "/feed")

    fetch = desk.visit()["water"]

    assert (fetch.outcome, fetch.items) == ("ok", 0)


def test_who_waits_at_the_gate_is_not_sent_after_a_429(desk: Any, site: Any):
    for n in range(4):
        site[f"/{n}"] = Page("slow down", 429, headers={"Retry-After": "3600"})
        desk.source(f"feed{n}", "feed", f"/{n}")

    desk.visit()

    assert sum(site.counts().get(f"/{n}", 0) for n in range(4)) == 1


LIST = listing(("/bad", "海城地铁二号线突发故障停运"), ("/good", "海城自来水公司发布停水通知"))
BAD_ARTICLES = {
    name: BAD[name] for name in ["404", "500", "time-out", "redirect loop", "short body", "50 MB unsaid"]
} | {
    "log-in page": (Page(LOGIN), "login", "登录"),
    "empty": (Page("<html><body></body></html>"), "title_only", "只有标题"),
    "picture": (Page(b"\x89PNG", kind="image/png"), "not_a_page", "image/png"),
    "sent home": (moved("/"), "gone", "首页"),
    "deep": (Page("<div>" * 100_000), "title_only", "只有标题"),
}


@pytest.mark.parametrize("name", BAD_ARTICLES)
def test_a_bad_article_is_one_clear_record_and_the_others_are_read(desk: Any, site: Any, name: str):
    page, expected, said = BAD_ARTICLES[name]
    site["/list"], site["/bad"], site["/good"] = LIST, page, article("海城自来水公司发布停水通知", STORY)
    site["/"] = article("海城新闻网", STORY)
    desk.source("news", "site", "/list")

    own = desk.visit()["news"]

    (bad,) = [fetch for fetch in desk.fetches() if fetch.url.endswith("/bad")]
    assert (bad.source, bad.outcome) == ("news", expected)
    assert said in bad.message
    assert bad.message.endswith("/bad)")
    titles = [post.title for post in desk.posts()]
    # Of an empty article the list's title is worth a post; of what is not there nothing is.
    assert titles.count("海城地铁二号线突发故障停运") == (1 if expected == "title_only" else 0)
    assert "海城自来水公司发布停水通知" in titles
    assert own.outcome == "ok"
    assert desk.fetches()[-1].url == site.url + "/list"  # the visit's own record stands for the source


UNREAD = {
    "log-in pages": (Page(LOGIN), "login", 0),
    "robots.txt": (Page(article("", STORY)), "robots", 0),
    "no text": (Page("<html><body></body></html>"), "title_only", 0),
    "404": (Page("nothing here", 404), "status", 404),
    "astray": (moved("file:///etc/passwd"), "astray", 302),
    "to nowhere": (Page(status=302), "astray", 302),
}


def links(*numbers: int) -> Page:
    rows = [(f"/a/{n}", f"海城市民热线第{n}号来信办理情况公布") for n in numbers]
    return Page(listing(*rows), etag=f'"{numbers}"')


@pytest.mark.parametrize("name", UNREAD)
def test_a_site_none_of_whose_new_articles_can_be_read_fails(desk: Any, site: Any, name: str):
    page, expected, status = UNREAD[name]
    source = desk.source("news", "site", "/list", every="10m")
    watching = Runner(sources.plan(desk.settings), desk.log, desk.clock)
    if expected == "robots":
        site["/robots.txt"] = Page("User-agent: *\nDisallow: /a/", kind="text/plain")

    def visit(number: int) -> Fetch:
        site["/list"] = links(*range(3 * number, 3 * number + 3))
        fetch: Fetch = desk.visit()["news"]
        desk.clock.move(source.every)
        while watching.step():
            pass
        return fetch

    for number in range(100):
        site[f"/a/{number}"] = page
    first, *others = [visit(number) for number in (0, 1, 1, 1, 2)]
    assert (first.outcome, first.status) == (expected, status)
    assert "列表读得到" in first.message
    assert {fetch.outcome for fetch in others} == {expected}, "also where nothing was new"
    told = [decode(Candidate, one.value) for one in desk.log.scan("candidates", 0, 100) if one.key != TICK_KEY]
    assert [one.reason.kind for one in told] == ["source_failing"]
    site["/a/30"] = article("海城市民热线第30号来信办理情况公布", STORY)
    site["/robots.txt"] = Page(status=404)
    assert visit(10).outcome == "ok", "one of them was read"
    assert visit(10).outcome in {"ok", "unchanged"}


def test_single_articles_that_fail_among_others_do_not_make_a_site_fail(desk: Any, site: Any):
    desk.source("news", "site", "/list", every="10m")
    site["/a/0"] = article("海城市民热线第0号来信办理情况公布", STORY)
    outcomes = []
    for number in (0, 1, 2, 2, 3, 4, 4):
        site["/list"] = links(*range(number + 1))
        desk.clock.move(timedelta(minutes=1))
        outcomes.append(desk.visit()["news"].outcome)
    assert outcomes == ["ok", "status", "status", "ok", "status", "status", "ok"]


def test_a_failed_article_is_tried_again_ever_more_rarely_and_read_once_it_works(desk: Any, site: Any):
    site["/list"], site["/bad"] = Page(LIST, etag='"same"'), Page("broken", 500)
    site["/good"] = article("海城自来水公司发布停水通知", STORY)
    desk.source("news", "site", "/list", every="10m")
    for _ in range(13):
        desk.visit()
        desk.clock.move(timedelta(minutes=10))
    assert site.counts()["/bad"] == 4  # at 0, 10, 30 and 70 minutes, not 13 times
    site["/bad"] = article("海城地铁二号线突发故障停运", STORY)
    desk.clock.move(timedelta(hours=3))
    desk.visit()

    assert sorted(post.url.removeprefix(site.url) for post in desk.posts()) == ["/bad", "/good"]


def test_no_server_and_no_name_are_offline(desk: Any):
    desk.source("refused", "feed", f"http://127.0.0.1:{free_port()}/feed")
    desk.source("nameless", "site", "http://no-such-host.invalid/list")

    for fetch in desk.visit().values():
        assert (fetch.outcome, fetch.message) == ("offline", f"{fetch.source}: 无法连接")


def test_a_bug_in_reading_one_source_is_a_record_too(
    desk: Any, site: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("tingchao.crawlers.site.list_links", lambda *_: 1 / 0)
    site["/list"], site["/feed"] = LIST, rss(item("停水", "明天停水", "/n/1"))
    desk.source("news", "site", "/list")
    desk.source("water", "feed", "/feed")

    fetches = desk.visit()

    assert (fetches["news"].outcome, fetches["water"].outcome) == ("error", "ok")
    assert "ZeroDivisionError" in fetches["news"].message
    assert "crawl.bug" in capfd.readouterr().out


def test_an_entry_with_nothing_to_say_is_set_aside_without_its_content(desk: Any, site: Any):
    site["/feed"] = rss(item("", "", "/n/1"), item("停水", "明天停水", "/n/2"))
    desk.source("water", "feed", "/feed")
    desk.visit()
    desk.visit()

    (dead,) = desk.dead()
    assert (dead.stage, dead.reason, dead.origin, dead.value) == ("crawl", "post.empty", f"{site.url}/n/1", "")
    assert len(desk.posts()) == 1


def test_a_site_that_goes_down_in_the_middle_is_given_up_until_the_next_visit(desk: Any, site: Any):
    links = [(f"/a/{n}", f"海城市民热线第{n}号来信办理情况公布") for n in range(9)]
    site["/list"] = Page(listing(*links), etag='"same"')
    for path, title in links:
        site[path] = Page(article(title, STORY), 200 if path == "/a/0" else 502)
    desk.source("news", "site", "/list", every="1m")
    desk.visit()
    asked = sum(site.counts()[path] for path, _ in links)
    for path, title in links[1:]:
        site[path] = article(title, f"{title}。" * 5)
    desk.clock.move(timedelta(minutes=3))
    desk.visit()

    assert asked <= 5  # one that worked, three that did not, and one that was already asked for
    assert len(desk.posts()) == len({post.id for post in desk.posts()}) == 9


def test_a_site_that_answers_in_between_is_not_given_up(desk: Any, site: Any):
    links = [(f"/a/{n}", f"海城市民热线第{n}号来信办理情况公布") for n in range(9)]
    site["/list"] = listing(*links)
    for path, title in links:
        site[path] = Page(article(title, STORY), etag=f'"{path}"')
    desk.source("news", "site", "/list", every="1m")
    desk.visit()
    for number, (path, _) in enumerate(links):
        if number % 2 == 0:
            site[path] = Page("", 502)
    desk.clock.move(timedelta(days=9))
    desk.visit()

    assert min(site.counts()[path] for path, _ in links) >= 2, "an unchanged page says that the site is there"


def test_a_post_of_a_megabyte_is_cut_and_goes_through(desk: Any, site: Any):
    items = [{"id": "1", "content_text": '"\\' * 500_000}, {"id": "2", "content_text": "明天停水"}]
    feed = {"version": "https://jsonfeed.org/version/1", "items": items}
    site["/feed"] = Page(json.dumps(feed), kind="application/json")
    desk.source("water", "feed", "/feed")

    assert desk.visit()["water"].items == 2
    assert [post.flags for post in desk.posts()] == [("cut", "no_time"), ("no_time",)]


def test_a_record_that_no_log_takes_is_told_and_the_rest_published(
    desk: Any, site: Any, monkeypatch: pytest.MonkeyPatch
):
    site_of_one = article("海城地铁二号线突发故障停运", STORY)
    site["/list"], site["/bad"], site["/good"] = LIST, site_of_one, article("海城自来水公司发布停水通知", STORY)
    desk.source("news", "site", "/list")
    publish = type(desk.log).publish

    def picky(log: Any, outputs: Any, *rest: Any, **state: Any) -> None:
        if any(b"/bad" in out.value for out in outputs):
            raise Poison("record.too_large", "no")
        publish(log, outputs, *rest, **state)

    monkeypatch.setattr(type(desk.log), "publish", picky)

    assert desk.visit()["news"].outcome == "error"
    assert [post.url for post in desk.posts()] == [f"{site.url}/good"]


def test_every_outcome_has_a_line_in_both_languages():
    for name in [*dict.fromkeys(outcome.NAMES)]:
        trouble = outcome.Trouble(name, 500, "x")
        for language in ("zh", "en"):
            assert outcome.line(language, "news", trouble, NOON, NOON, items=0).startswith("news: ")


def test_markup_becomes_lines():
    assert plain("<p>甲 &amp; 乙</p><ul><li>丙<li>丁</ul><style>x</style>") == "甲 & 乙\n丙\n丁"
    assert plain("3 < 5 &amp; 7") == "3 < 5 & 7"
    assert plain("甲<script>x()</script>乙<br/>丙") == "甲乙\n丙"


def test_a_feed_cut_in_the_middle_gives_what_it_has():
    whole = rss(*(item(f"通知 {n}", "明天停水", f"/n/{n}") for n in range(5))).encode()
    feed = read_feed(whole[: len(whole) * 3 // 4], "http://a/feed", "text/xml", NOON)
    assert [entry.title for entry in feed.entries][:3] == ["通知 0", "通知 1", "通知 2"]
