"""A page becomes a post: feeds, sites, one page; what is fetched again and what is not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from local_site import NOON, STORY, Page, article, item, listing, rss
from typer.testing import CliRunner

from tingchao.config.settings import load
from tingchao.crawlers.base import SourceSpider
from tingchao.crawlers.run import crawl_once, kinds
from tingchao.crawlers.site import site_of
from tingchao.crawlers.visit import Answer
from tingchao.pipeline.cli import app
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.intake import Raw
from tingchao.pipeline.records import Counts
from tingchao.pipeline.sqlite_log import SqliteLog

ROOT = Path(__file__).resolve().parent.parent


ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title><entry><title>停水通知</title>
<link href="/n/1"/><id>urn:1</id><updated>2026-03-01T03:00:00Z</updated><published>2026-03-01T10:00:00+08:00</published>
<author><name>王五</name></author>
<content type="html">&lt;p&gt;明天&lt;/p&gt;&lt;p&gt;停水&lt;/p&gt;</content></entry></feed>"""
RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="x"><title>t</title></channel>
<item rdf:about="y"><title>停水通知</title><link>/n/1</link><description>明天&lt;br&gt;停水</description>
<dc:date>2026-03-01T10:00:00+08:00</dc:date></item></rdf:RDF>"""
JSON_FEED = json.dumps(
    {
        "version": "https://jsonfeed.org/version/1.1",
        "items": [
            {
                "id": 1,
                "url": "/n/1",
                "title": "停水通知",
                "content_html": "<p>明天</p><script>x()</script><p>停水</p>",
                "date_published": "2026-03-01T10:00:00+08:00",
                "authors": [{"name": "王五"}],
            }
        ],
    }
)
RSS = rss(item("停水通知", "&lt;div&gt;明天&lt;/div&gt;停水", "/n/1", "2026-03-01 10:00:00"))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (RSS, "application/rss+xml"),
        (RSS, "text/html"),
        (ATOM, "application/atom+xml"),
        (RDF, "text/xml"),
        (JSON_FEED, "application/feed+json"),
        (RSS.replace("utf-8", "gb18030").encode("gb18030"), "text/xml"),
        (RSS.encode(), "text/xml; charset=gb2312"),  # declared wrongly
        (RSS.replace("utf-8", "iso-8859-1").encode(), "application/xml"),  # declared wrongly too
        (RSS.encode("gb18030"), "application/xml"),  # declares utf-8
        (RSS.encode("gb18030"), "text/xml; charset=utf-8"),
        (RSS.replace(" encoding='utf-8'", "").encode("gb18030"), "text/xml"),
        (RSS.replace("utf-8", "gb2312").encode("gb18030"), "text/xml; charset=iso-8859-1"),
    ],
)
def test_an_entry_of_each_kind_of_feed_becomes_a_post(desk: Any, site: Any, body: str | bytes, kind: str):
    site["/feed"] = Page(body, kind=kind)
    desk.source("water", "feed", "/feed", posts="notice")

    fetch = desk.visit()["water"]

    (post,) = desk.posts()
    assert (post.title, post.text, post.kind) == ("停水通知", "明天\n停水", "notice")
    assert post.url == f"{site.url}/n/1"
    assert post.published_at == datetime(2026, 3, 1, 2, 0, tzinfo=UTC)  # without a zone, Beijing's time is meant
    assert post.fetched_at == NOON
    assert (fetch.outcome, fetch.items, fetch.status, fetch.at) == ("ok", 1, 200, NOON)
    assert desk.heard == [post]


def test_a_feed_in_big5_that_declares_utf8_is_read(desk: Any, site: Any):
    said = "環保局昨日公布最新的空氣品質監測數據，這是今年第三次。"
    site["/feed"] = Page(rss(item("空氣品質", said, "/n/1")).encode("big5"), kind="text/xml; charset=utf-8")
    desk.source("air", "feed", "/feed")

    fetch = desk.visit()["air"]

    assert [(post.title, post.text) for post in desk.posts()] == [("空氣品質", said)]
    assert fetch.charset == "big5"


def test_an_unchanged_feed_gives_no_posts(desk: Any, site: Any):
    site["/feed"] = Page(RSS, etag='"1"')
    desk.source("water", "feed", "/feed")

    assert desk.visit()["water"].items == 1
    assert desk.visit()["water"].outcome == "unchanged"
    site["/feed"] = Page(RSS, etag='"2"')  # the feed was written anew with the same entry
    assert (desk.visit()["water"].outcome, len(desk.posts())) == ("ok", 1)
    assert [status for path, status in site.asked if path == "/feed"] == [200, 304, 200]


def test_a_new_and_a_changed_entry_are_published_and_the_others_not(desk: Any, site: Any):
    site["/feed"] = Page(ATOM)
    desk.source("water", "feed", "/feed")
    desk.visit()
    desk.clock.move(timedelta(minutes=10))
    site["/feed"] = Page(ATOM.replace("03:00:00Z", "03:30:00Z"))

    assert desk.visit()["water"].items == 1

    first, second = desk.posts()
    assert first.id == second.id
    assert second.revision > first.revision


def test_entries_without_links_or_with_one_link_for_all_stay_apart(desk: Any, site: Any):
    same = "<guid isPermaLink='false'>{}</guid>"
    site["/shared"] = rss(*(item(f"地震 {n}", "速报", "/home", more=same.format(n)) for n in range(3)))
    site["/none"] = rss(*(item(f"地震 {n}", "速报", more=same.format(n)) for n in range(3)))
    desk.source("shared", "feed", "/shared")
    desk.source("none", "feed", "/none")
    desk.visit()
    site["/shared"] = rss(item("地震 2", "速报", "/home", more=same.format(2)))  # the others have gone
    desk.visit()

    assert len(desk.posts()) == len({post.id for post in desk.posts()}) == 6


def test_an_entry_that_stands_twice_changes_no_ids(desk: Any, site: Any):
    old = [item(f"停水 {n}", "通知", f"/n/{n}", more=f"<guid>urn:{n}</guid>") for n in range(3)]
    site["/feed"] = rss(*old)
    desk.source("water", "feed", "/feed")
    desk.visit()
    desk.visit()
    new = item("停水 3", "通知", "/n/3", more="<guid>urn:3</guid>")
    site["/feed"] = rss(new, new, *old)
    assert desk.visit()["water"].items == 1
    site["/feed"] = rss(new, *old)
    assert desk.visit()["water"].items == 0

    assert len(desk.posts()) == len({post.id for post in desk.posts()}) == 4


def test_entries_that_share_a_link_leave_the_others_alone(desk: Any, site: Any):
    old = [item(f"停水 {n}", "通知", f"/n/{n}", more=f"<guid>urn:{n}</guid>") for n in range(3)]
    site["/feed"] = rss(*old)
    desk.source("water", "feed", "/feed")
    desk.visit()
    new = [item(f"地震 {n}", "速报", "/home", more=f"<guid>urn:x{n}</guid>") for n in range(2)]
    site["/feed"] = rss(*new, *old)
    assert desk.visit()["water"].items == 2


def test_full_text_fetches_the_article_of_a_summary_only(desk: Any, site: Any):
    whole = (
        "<content:encoded xmlns:content='http://purl.org/rss/1.0/modules/content/'>"
        + "全文" * 60
        + "</content:encoded>"
    )
    site["/feed"] = rss(
        item("故障", "短", "/a"), item("全文", "短", "/b", more=whole), item("没了", "只有摘要", "/gone")
    )
    site["/a"] = article("海城地铁二号线故障", STORY)
    desk.source("plain", "feed", "/feed")
    desk.source("full", "feed", "/feed", options={"full_text": True})

    desk.visit()

    texts = {(post.source, post.title): post.text for post in desk.posts()}
    assert texts["plain", "故障"] == "短"
    assert texts["full", "海城地铁二号线故障"] == STORY
    assert texts["full", "全文"] == "全文" * 60
    assert texts["full", "没了"] == "只有摘要"  # the article is gone, what the feed says of it stays
    assert site.counts()["/b"] == 0


def site_of_two(site: Any):
    site["/list"] = listing(("/a/1", "海城地铁二号线突发故障停运"), ("/a/2", "海城自来水公司发布停水通知"))
    site["/a/1"] = Page(article("海城地铁二号线突发故障停运", STORY), etag='"a1"')
    site["/a/2"] = article(
        "海城自来水公司发布停水通知",
        "因管网检修，三月二日八时至十八时，新华路沿线停水，请居民提前储水，不便之处敬请谅解。",
    )


def test_the_articles_behind_a_list_become_posts(desk: Any, site: Any):
    site_of_two(site)
    desk.source("news", "site", "/list")

    fetch = desk.visit()["news"]

    posts = {post.title: post for post in desk.posts()}
    post = posts["海城地铁二号线突发故障停运"]
    assert (post.text, post.url) == (STORY, f"{site.url}/a/1")
    assert post.published_at == datetime(2026, 3, 1, 3, 30, tzinfo=UTC)
    assert len(posts) == fetch.items == 2
    assert fetch.robots == "allowed: robots.txt 404"
    assert all(agent.startswith("Tingchao/") for agent in site.agents)


def test_only_new_articles_are_fetched_on_the_next_visit(desk: Any, site: Any):
    site_of_two(site)
    desk.source("news", "site", "/list")
    desk.visit()
    site["/list"] = listing(("/a/3", "海城气象台发布暴雨橙色预警信号"), ("/a/1", "海城地铁二号线突发故障停运"))
    site["/a/3"] = article("海城气象台发布暴雨橙色预警信号", STORY)

    assert desk.visit()["news"].items == 1
    assert site.counts()["/a/1"] == 1


def test_a_changed_article_is_the_same_post_in_a_newer_revision(desk: Any, site: Any):
    site_of_two(site)
    desk.source("news", "site", "/list", every="10m")
    desk.visit()
    desk.clock.move(timedelta(minutes=45))
    unchanged = desk.visit()["news"]
    site["/a/1"] = Page(article("海城地铁二号线突发故障停运", STORY + "\n目前全线已恢复正常运营秩序。"), etag='"a2"')
    desk.clock.move(timedelta(hours=2))

    changed = desk.visit()["news"]

    assert (unchanged.items, changed.items) == (0, 1)
    assert [status for path, status in site.asked if path == "/a/1"] == [200, 304, 200]
    first, second = (post for post in desk.posts() if post.url.endswith("/a/1"))
    assert first.id == second.id
    assert second.revision > first.revision
    assert "恢复正常运营" in second.text


def test_what_a_limit_left_is_fetched_next_time_although_the_list_is_unchanged(desk: Any, site: Any):
    links = [(f"/a/{n}", f"海城市民热线第{n}号来信办理情况公布") for n in range(7)]
    site["/list"] = Page(listing(*links), etag='"same"')
    for path, title in links:
        site[path] = article(title, STORY)
    desk.source("news", "site", "/list", limit=3)

    assert [desk.visit()["news"].items for _ in range(4)] == [3, 3, 1, 0]
    assert len({post.id for post in desk.posts()}) == 7


def test_a_regular_expression_chooses_the_articles(desk: Any, site: Any):
    site["/list"] = "<a href='/x/9'>广告</a><div><a href='/news/5.html'>短讯</a></div><a href='/news/'>更多</a>"
    site["/news/5.html"] = article("海城短讯", STORY)
    desk.source("news", "site", "/list", articles=r"/news/\d+\.html$")

    assert desk.visit()["news"].items == 1
    assert site.counts() == {"/robots.txt": 1, "/list": 1, "/news/5.html": 1}


def test_addresses_are_relative_to_the_base_that_a_page_names(desk: Any, site: Any):
    site["/list"] = "<base href='/2026/'><a href='#top'>回到顶部</a><a href='news/5.html'>短讯</a>"
    site["/2026/news/5.html"] = article("海城短讯", STORY)
    desk.source("news", "site", "/list", articles=r"/news/\d+\.html$|/list$")

    assert desk.visit()["news"].items == 1
    assert site.counts() == {"/robots.txt": 1, "/list": 1, "/2026/news/5.html": 1}


@pytest.mark.parametrize(
    ("url", "home"),
    [
        ("https://news.example.com.cn/a", "example.com.cn"),
        ("https://www.example.cn:8443/", "example.cn"),
        ("https://metro.news.sh.cn/", "news.sh.cn"),  # sh.cn is of a whole province
        ("https://desk.github.io/", "desk.github.io"),
        ("http://127.0.0.1:8000/x", "127.0.0.1"),
        ("http://[::1]:8000/x", "::1"),
        ("http://localhost./x", "localhost"),
    ],
)
def test_hosts_of_one_site_share_its_name(url: str, home: str):
    assert site_of(url) == home


def test_a_page_in_gbk_and_a_day_without_a_time(desk: Any, site: Any):
    page = article("海城市场监管局通报抽检结果", STORY, when="2026年2月27日").replace("utf-8", "gbk")
    site["/a"] = Page(page.encode("gbk"), kind="text/html")
    site["/today"] = article("海城市场监管局通报抽检结果", STORY, when="2026年3月1日")

    fetch = desk.visit(url=f"{site.url}/a")["127-0-0-1"]
    desk.visit(url=f"{site.url}/today")

    old, today = desk.posts()
    assert (old.title, old.flags, fetch.charset[:2]) == ("海城市场监管局通报抽检结果", ("date_only",), "gb")
    assert old.published_at == datetime(2026, 2, 26, 16, 0, tzinfo=UTC)
    assert (today.published_at, today.flags) == (NOON, ("no_time",))


def test_the_charset_of_a_source_is_that_of_its_list_not_of_an_article(desk: Any, site: Any):
    site["/list"] = listing(("/old", "海城地铁二号线突发故障停运"), ("/new", "海城自来水公司发布停水通知"))
    site["/new"] = article("海城自来水公司发布停水通知", STORY)
    site["/old"] = Page(site.pages["/new"].body.decode().replace("utf-8", "gbk").encode("gbk"), kind="text/html")
    desk.source("news", "site", "/list")

    assert desk.visit()["news"].charset == "utf-8"
    assert len(desk.posts()) == 2


def test_one_page_is_read_on_an_empty_database_every_time_it_is_asked_for(desk: Any, site: Any):
    site["/a"] = Page(article("海城地铁二号线故障", STORY), etag='"x"')
    site["/feed"] = RSS
    url = f"{site.url}/a"

    for _ in range(2):
        assert desk.visit(url=url)["127-0-0-1"].outcome == "ok"
        assert [(post.title, post.text, post.url) for post in desk.heard] == [("海城地铁二号线故障", STORY, url)]
    assert desk.visit(url=f"{site.url}/feed")["127-0-0-1"].items == 1
    assert len({post.id for post in desk.posts()}) == 2


def test_an_empty_address_visits_nothing(tmp_path: Path, site: Any):
    (tmp_path / "sources.toml").write_text(
        f"[[source]]\nname = 'water'\nkind = 'feed'\nurl = '{site.url}/feed'\ntopics = ['*']\n"
    )
    arguments = ["crawl", "--url", "", "--config", str(tmp_path), "--db", str(tmp_path / "a.db")]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, Refused)
    assert site.asked == []


def test_an_address_in_capitals_is_an_address(desk: Any, site: Any):
    site["/A"] = article("海城地铁二号线故障", STORY)
    desk.visit(url=site.url.replace("http", "HTTP") + "/A")
    assert [(post.title, post.url) for post in desk.heard] == [("海城地铁二号线故障", f"{site.url}/A")]


def test_a_page_with_a_title_alone_says_so(desk: Any, site: Any):
    site["/a"] = article("海城地铁二号线故障", "")
    fetch = desk.visit(url=f"{site.url}/a")["127-0-0-1"]
    assert [(post.title, post.flags) for post in desk.heard] == [("海城地铁二号线故障", ("title_only",))]
    assert fetch.outcome == "title_only"
    assert "只有标题" in fetch.message


def test_a_page_that_speaks_of_feeds_is_a_page(desk: Any, site: Any):
    page = article("海城地铁二号线故障", STORY)
    site["/script"] = page.replace("<body>", "<body><script>feed = '<rss version=2.0>'</script>")
    site["/element"] = page.replace("<h1>", "<channel></channel><h1>")
    site["/comment"] = "<!-- <html> --><!-- a feed -->" + rss(item("停水", "明天停水", "/n/1"))
    titles = []
    for path in ("/script", "/element", "/comment"):
        desk.visit(url=site.url + path)
        titles += [post.title for post in desk.heard]
    assert titles == ["海城地铁二号线故障", "海城地铁二号线故障", "停水"]


def test_the_frame_of_a_site_is_remembered(desk: Any, site: Any):
    site_of_two(site)
    desk.source("news", "site", "/list")
    desk.visit()

    (key,) = desk.log.state("crawl", "frame/")
    assert key == "frame/" + site.url.removeprefix("http://")


class Numbers(SourceSpider):
    """A kind of source of one's own: this is all that it takes."""

    name = "numbers"

    def read(self, answer: Answer) -> Iterator[Raw]:
        for row in json.loads(answer.body)["rows"]:
            yield self.raw(
                answer,
                url=row["link"],
                title=row["title"],
                text=row["text"],
                counts=Counts(likes=row["likes"]),
            )


def test_a_new_kind_of_source_is_one_small_class(desk: Any, site: Any):
    rows = [{"link": f"{site.url}/1", "title": "来信", "text": "路灯不亮", "likes": 3}]
    site["/api"] = Page(json.dumps({"rows": rows}), kind="application/json")
    desk.source("letters", "numbers", "/api", posts="post")
    desk.visit()
    desk.visit()
    rows[0]["likes"] = 4  # new engagement is a new revision
    site["/api"] = Page(json.dumps({"rows": rows}), kind="application/json")
    desk.clock.move(timedelta(minutes=1))
    desk.visit()

    assert [(post.text, post.counts.likes) for post in desk.posts()] == [("路灯不亮", 3), ("路灯不亮", 4)]
    assert len({post.id for post in desk.posts()}) == 1


def test_what_is_unknown_is_refused_with_what_is_expected(desk: Any):
    desk.source("water", "feed", "/feed")
    for name, url, said in [
        ("wasser", None, "water"),
        ("", "ftp://x/y", "http"),
        ("", "http://", "http"),
        ("", "http:// a/", "http"),
        ("", "http://a:99999/", "http"),
        ("", "", "http"),  # and not every source
    ]:
        with pytest.raises(Refused, match=said):
            crawl_once(desk.settings, desk.log, desk.clock, [name] if name else [], url)
    desk.source("odd", "telepathy", "/feed")
    with pytest.raises(Refused, match=r"odd.*feed.*telepathy"):
        crawl_once(desk.settings, desk.log, desk.clock)


def personal() -> Iterable[str]:
    return ["13812345678", "zhang.san@example.com", "110101199003074610", "张小三", "京A12345"]


def test_personal_data_never_reaches_the_database(desk: Any, site: Any):
    phone, mail, identity, name, plate = personal()
    text = f"联系 {phone} 或 {mail}，身份证 {identity}，车牌 {plate}，@{name} 说停水三天没有人管，社区电话也打不通。"
    author = (
        f"<author>{mail} ({name})</author><dc:creator xmlns:dc='http://purl.org/dc/elements/1.1/'>{name}</dc:creator>"
    )
    site["/feed"] = rss(item(f"{phone} 停水", text, "/a?tel=" + phone, more=author))
    site["/list"] = listing(
        ("/p/1", f"举报人手机 {phone} 反映小区停水"),
        ("/p/2", "小区停水三天无人处理居民着急"),
        ("/p/3?tel=" + phone, "停水何时恢复"),
    )
    site["/p/1"] = article(f"举报人手机 {phone} 反映小区停水", text + STORY)
    site["/p/2"] = article("小区停水三天无人处理居民着急", f"作者：{name}。{text}" + STORY)
    desk.source("feed", "feed", "/feed")
    desk.source("site", "site", "/list")

    desk.visit()
    desk.log.close()

    stored = b"".join(path.read_bytes() for path in desk.path.parent.iterdir())
    assert "停水三天".encode() in stored
    for secret in personal():
        assert secret.encode() not in stored, secret


KILLED = """
import sys
from pathlib import Path
from tingchao.config.settings import CrawlSettings, MainFile, Settings
from tingchao.config.sources import Source
from tingchao.crawlers.run import crawl_once, kinds
from tingchao.pipeline.clock import SystemClock
from tingchao.pipeline.sqlite_log import SqliteLog
url, db = sys.argv[1:]
source = Source(name="news", kind="site", url=url, topics=["*"])
main = MainFile(crawl=CrawlSettings(delay="0s"))
crawl_once(Settings(main, (source,), (), ()), SqliteLog(Path(db)), SystemClock())
"""


def test_a_kill_between_two_pages_loses_nothing_and_doubles_nothing(desk: Any, site: Any):
    links = [(f"/a/{n}", f"海城市民热线第{n}号来信办理情况公布") for n in range(8)]
    site["/list"] = Page(listing(*links), etag='"same"')
    for path, title in links:
        site[path] = article(title, STORY + title)
    killed: list[subprocess.Popen[bytes]] = []
    good = site.pages["/a/4"]
    site["/a/4"] = Page(act=lambda _handler: killed[0].kill())
    command = [sys.executable, "-c", KILLED, f"{site.url}/list", str(desk.path)]
    killed.append(subprocess.Popen(command))
    assert killed[0].wait(60) == -9
    before = len(desk.posts())
    site["/a/4"] = good

    desk.source("news", "site", "/list")
    desk.visit()

    assert 0 < before < 8
    assert len(desk.posts()) == len({post.id for post in desk.posts()}) == 8
    assert len(desk.fetches()) == 1


@pytest.mark.parametrize("arguments", [[], ["-a", "source=nope"]])
def test_scrapy_crawl_without_a_known_source_is_one_line(tmp_path: Path, arguments: list[str]):
    environment = os.environ | {"TINGCHAO_LANG": "en", "TINGCHAO_DB": str(tmp_path / "scrapy.db")}
    command = [sys.executable, "-m", "scrapy", "crawl", "feed", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("no source ")
    assert "give -a source=NAME" in line


def test_scrapy_itself_lists_the_kinds_and_crawls_a_source(tmp_path: Path, site: Any):
    site["/feed"] = RSS
    (tmp_path / "sources.toml").write_text(
        f"[[source]]\nname = 'water'\nkind = 'feed'\nurl = '{site.url}/feed'\ntopics = ['*']\n"
    )
    environment = os.environ | {"TINGCHAO_CONFIG": str(tmp_path), "TINGCHAO_DB": str(tmp_path / "scrapy.db")}
    scrapy = [sys.executable, "-m", "scrapy"]

    kinds = subprocess.run([*scrapy, "list"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    command = [*scrapy, "crawl", "feed", "-a", "source=water"]
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)

    assert kinds.stdout.split() == ["feed", "site"]
    log = SqliteLog(tmp_path / "scrapy.db")
    assert len(log.scan("posts")) == 1
    log.close()


def test_the_shipped_sources_can_be_visited():
    sources = load(None).sources

    assert 12 <= len(sources) <= 18
    assert {source.kind for source in sources} <= set(kinds())
    assert all(re.compile(source.articles) for source in sources)
    assert all(timedelta(minutes=10) <= source.every <= timedelta(minutes=30) for source in sources)
