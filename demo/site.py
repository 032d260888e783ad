"""The web of Yunzhou (云州), a city that does not exist: news, a feed, a forum, showing what is published by now.

`python demo/site.py --clock START@BEGAN*SPEED --port N` serves it on loopback until it is told to end; port 0 takes a
free one. The first line that it prints is its address. Needs the standard library and `tingchao.pipeline.clock` only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import signal
import sys
import tomllib
from dataclasses import dataclass
from datetime import date, datetime, time
from email.utils import format_datetime, parsedate_to_datetime
from functools import partial
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tingchao.pipeline.clock import BEIJING, Clock, clock_from

STORY = Path(__file__).with_name("story")
ROBOTS = "User-agent: *\nDisallow: /inside/\nAllow: /\n"
FEED_LENGTH = 20  # entries; feeds of public services show 10-30
RELATED = 3  # older articles under an article


@dataclass(frozen=True, slots=True)
class Item:
    """An article, a notice or a thread. `number` counts within its kind, in the order of publishing."""

    number: int
    at: datetime
    by: str
    title: str
    text: str
    look: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """All that will be published, oldest first."""

    news: tuple[Item, ...]
    notices: tuple[Item, ...]
    threads: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """What a path shows now; `modified` is None for what has no time of its own."""

    body: bytes
    kind: str = "text/html; charset=utf-8"
    modified: datetime | None = None


def load_story(day: date, folder: Path = STORY) -> Story:
    """The story of the files in `folder`, told on `day` (Beijing)."""
    news = [(a["at"], "云州新闻网", a["title"], a["text"].strip(), a["look"]) for a in _read(folder, "news")["article"]]
    notices = [(n["at"], n["by"], n["title"], n["text"]) for n in _read(folder, "notices")["notice"]]
    posts = _read(folder, "talk")["posts"] + _read(folder, "incident")["posts"]
    return Story(_items(day, news), _items(day, notices), _items(day, posts))


def page_at(path: str, story: Story, now: datetime, address: str = "") -> Page | None:
    """What stands under `path` at `now`; None where nothing does, or not yet. The feed links to `address`."""
    if path == "/robots.txt":
        return Page(ROBOTS.encode(), "text/plain; charset=utf-8")
    news, notices, threads = (_until(items, now) for items in (story.news, story.notices, story.threads))
    if path == "/feed.xml":
        return _feed(notices, address)
    if path in _LISTS:
        return _LISTS[path](news, notices, threads, now)
    for prefix, items, show in (
        ("/news/", news, _article),
        ("/notices/", notices, _notice),
        ("/forum/thread-", threads, _thread),
    ):
        asked = re.fullmatch(rf"{prefix}([1-9][0-9]{{0,3}})\.html", path)
        if asked and int(asked[1]) <= len(items):
            return show(items[: int(asked[1])], now)
    return None


def _read(folder: Path, name: str) -> dict[str, Any]:
    return tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))


def _items(day: date, rows: list[Any]) -> tuple[Item, ...]:
    ordered = sorted(rows, key=lambda row: row[0])
    return tuple(
        Item(number, datetime.combine(day, time.fromisoformat(at), BEIJING), *rest)
        for number, (at, *rest) in enumerate(ordered, 1)
    )


def _until(items: tuple[Item, ...], now: datetime) -> tuple[Item, ...]:
    return tuple(item for item in items if item.at <= now)


def relative(at: datetime, now: datetime) -> str:
    """As forums write times: 刚刚, 5分钟前, 今天 08:10."""
    minutes = int((now - at).total_seconds() // 60)
    if minutes < 1:
        return "刚刚"
    if minutes < 60:
        return f"{minutes}分钟前"
    local = at.astimezone(BEIJING)
    return f"今天 {local:%H:%M}" if local.date() == now.astimezone(BEIJING).date() else f"{local:%Y-%m-%d %H:%M}"


def _frame(title: str, body: str, head: str = "") -> bytes:
    return f"""<!DOCTYPE html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>{escape(title)}_云州新闻网</title>{head}
<style>body{{max-width:46em;margin:auto}}nav a{{margin-right:1em}}footer{{color:#777}}</style></head>
<body><nav><a href="/">首页</a><a href="/news/">新闻</a><a href="/forum/">论坛</a><a href="/feed.xml">订阅</a>
<a href="/inside/">内部通讯</a></nav>
{body}
<footer><p>关于我们 | 联系我们 | 网站地图 | 版权声明</p>
<p>云州是一座虚构的城市，本站是听潮的演示，内容均为虚构</p></footer>
</body></html>""".encode()


def _home(news: tuple[Item, ...], notices: tuple[Item, ...], threads: tuple[Item, ...], now: datetime) -> Page:
    local = now.astimezone(BEIJING)
    body = (
        f"<h1>云州新闻网</h1><p>现在是 {local:%Y年%m月%d日 %H:%M}</p>"
        f"<p>新闻 {len(news)} 篇，便民快讯 {len(notices)} 条，论坛 {len(threads)} 帖</p>"
    )
    return Page(_frame("首页", body))


def _news_list(news: tuple[Item, ...], _notices: object, _threads: object, _now: object) -> Page:
    rows = "".join(
        f'<li><a href="/news/{item.number}.html">{escape(item.title)}</a> <span>{item.at:%H:%M}</span></li>'
        for item in reversed(news)
    )
    return Page(_frame("本地新闻", f'<h1>本地新闻</h1><ul class="list">{rows}</ul>'), modified=_newest(news))


def _inside(_news: object, _notices: object, _threads: object, _now: object) -> Page:
    return Page(_frame("内部通讯", "<h1>内部通讯</h1><p>值班编辑名单。robots.txt 请抓取程序不要读取这里。</p>"))


def _newest(items: tuple[Item, ...]) -> datetime | None:
    return items[-1].at if items else None


def _feed(notices: tuple[Item, ...], address: str) -> Page:
    entries = "".join(
        f"<item><title>{escape(item.title)}</title><link>{address}/notices/{item.number}.html</link>"
        f'<guid isPermaLink="false">yunzhou-notice-{item.number}</guid><dc:creator>{escape(item.by)}</dc:creator>'
        f"<pubDate>{format_datetime(item.at)}</pubDate><description>{escape(item.text)}</description></item>\n"
        for item in reversed(notices[-FEED_LENGTH:])
    )
    feed = (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>云州便民快讯</title>'
        f"<link>{address}/</link><description>云州各公共服务单位的通知</description>\n{entries}</channel></rss>\n"
    )
    return Page(feed.encode(), "application/rss+xml; charset=utf-8", _newest(notices))


def _notice(notices: tuple[Item, ...], _now: object) -> Page:
    item = notices[-1]
    body = f"<h1>{escape(item.title)}</h1><p>{item.at:%Y-%m-%d %H:%M} {escape(item.by)}</p><p>{escape(item.text)}</p>"
    return Page(_frame(item.title, body), modified=item.at)


def _article(news: tuple[Item, ...], _now: object) -> Page:
    item = news[-1]
    title = escape(item.title)
    lines = [escape(line) for line in item.text.splitlines()]
    paragraphs = "\n".join(f"<p>{line}</p>" for line in lines)
    if item.look == "ld":
        facts = {"@context": "https://schema.org", "@type": "NewsArticle", "headline": item.title}
        facts |= {"datePublished": item.at.isoformat(), "author": item.by}
        data = json.dumps(facts, ensure_ascii=False).replace("<", "\\u003c")
        head = f'<script type="application/ld+json">{data}</script>'
        body = f"<article><h1>{title}</h1><div>{item.at:%m-%d}　责任编辑：云小编</div>{paragraphs}</article>"
    elif item.look == "meta":
        head = f'<meta property="og:title" content="{title}">'
        head += f'<meta property="article:published_time" content="{item.at.isoformat()}">'
        body = f'<div class="main"><h1>{title}</h1><div class="text">{paragraphs}</div></div>'
    elif item.look == "plain":
        head = ""
        body = f'<h1>{title}</h1><div class="info">{item.at:%Y年%m月%d日 %H:%M}　来源：{item.by}</div>{paragraphs}'
    else:
        head = ""
        body = (
            f'<table width="100%"><tr><td align="center"><b><font size="5">{title}</font></b></td></tr>'
            f'<tr><td align="center">发布时间：{item.at:%Y-%m-%d %H:%M:%S}　字体：大 中 小</td></tr>'
            f"<tr><td>　　{'<br><br>　　'.join(lines)}</td></tr></table>"
        )
    return Page(_frame(item.title, body + _related(news), head), modified=item.at)


def _related(news: tuple[Item, ...]) -> str:
    older = "".join(
        f'<li><a href="/news/{item.number}.html">{escape(item.title)}</a></li>' for item in news[-1 - RELATED : -1]
    )
    return f'<div class="related"><h3>相关阅读</h3><ul>{older}</ul></div>' if older else ""


def _gbk(title: str, body: str, head: str = "") -> bytes:
    """A forum of its time: GBK, said in the page only."""
    return f"""<html><head><meta http-equiv="Content-Type" content="text/html; charset=gbk">
<title>{escape(title)} - 云州论坛</title>{head}</head><body>
<div id="hd"><a href="/">云州新闻网</a> <a href="/forum/">论坛首页</a> <a href="#">登录</a> <a href="#">注册</a></div>
{body}
<div id="ft">Powered by 云州论坛 | 本站为虚构演示 | <a href="#">站点统计</a> | <a href="#">举报</a></div>
</body></html>""".encode("gbk", "xmlcharrefreplace")


def _forum(_news: object, _notices: object, threads: tuple[Item, ...], now: datetime) -> Page:
    rows = "".join(
        f'<tr><td class="subject"><a href="/forum/thread-{item.number}.html">{escape(item.title)}</a></td>'
        f'<td class="by">{escape(item.by)}</td><td class="date">{relative(item.at, now)}</td></tr>\n'
        for item in reversed(threads)
    )
    return Page(_gbk("城市杂谈", f'<h1>城市杂谈</h1><table class="threads">\n{rows}</table>'), "text/html")


def _thread(threads: tuple[Item, ...], now: datetime) -> Page:
    item = threads[-1]
    body = f"""<div class="path"><a href="/forum/">城市杂谈</a> &rsaquo; 帖子</div>
<h1 class="subject">{escape(item.title)}</h1>
<table class="post"><tr><td class="author"><a href="#" rel="author">{escape(item.by)}</a></td>
<td class="content"><div class="info">发表于 <em>{relative(item.at, now)}</em></div>
<div class="message">{escape(item.text)}</div></td></tr></table>
<div class="tools"><a href="#">回复</a> <a href="#">收藏</a> <a href="#">分享</a></div>"""
    head = f'<meta name="author" content="{escape(item.by)}">'  # as many forums do; a reader hashes and drops it
    return Page(_gbk(item.title, body, head), "text/html")


_LISTS = {"/": _home, "/news/": _news_list, "/forum/": _forum, "/inside/": _inside}


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; says 304 to whoever has the page already."""

    protocol_version = "HTTP/1.1"  # keeps connections, as every site does
    server_version = "Yunzhou"

    def __init__(self, story: Story, clock: Clock, *args: Any) -> None:
        self._story = story
        self._clock = clock
        super().__init__(*args)

    def do_GET(self) -> None:  # the name that http.server calls
        address = f"http://{self.headers.get('Host', '127.0.0.1')}"
        page = page_at(self.path.split("?")[0], self._story, self._clock.now(), escape(address))
        if page is None:
            self._answer(404, Page(_frame("没有这一页", "<h1>没有这一页</h1><p>或者还没有发表。</p>")))
            return
        self._answer(304 if self._known(page) else 200, page)

    do_HEAD = do_GET  # noqa: N815 - as above

    def _known(self, page: Page) -> bool:
        if tags := self.headers.get("If-None-Match"):  # decides alone, RFC 9110 section 13.1.3
            return _tag(page) in tags
        since = self.headers.get("If-Modified-Since")
        try:
            return since is not None and page.modified is not None and page.modified <= parsedate_to_datetime(since)
        except (TypeError, ValueError):  # not a date, or one without a zone: as if it were not there
            return False

    def _answer(self, status: int, page: Page) -> None:
        body = page.body if status != 304 else b""
        self.send_response(status)
        self.send_header("Content-Type", page.kind)
        self.send_header("Content-Length", str(len(body)))
        if status != 404:
            self.send_header("ETag", _tag(page))
            if page.modified is not None:
                self.send_header("Last-Modified", self.date_time_string(page.modified.timestamp()))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """HTTP's form of a time; without one that of the story, so that nothing is modified after its Date."""
        return super().date_time_string(self._clock.now().timestamp() if timestamp is None else timestamp)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives it
        """Say nothing: the terminal belongs to the alerts."""


def _tag(page: Page) -> str:
    return f'"{hashlib.sha256(page.body).hexdigest()[:16]}"'


class Server(ThreadingHTTPServer):
    """The site on loopback."""

    daemon_threads = True  # an open connection does not keep it from ending

    def __init__(self, clock: Clock, port: int, story: Story | None = None) -> None:
        told = story or load_story(clock.now().astimezone(BEIJING).date())
        super().__init__(("127.0.0.1", port), partial(Handler, told, clock))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that hangs up is no error of the site; everything else is seen."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def main() -> int:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description="The invented city that `make demo` crawls.")
    parser.add_argument("--clock", default="", help="start@began*speed, ISO times with zones; the machine's without it")
    parser.add_argument("--port", type=int, default=8770, help="on 127.0.0.1; 0 takes a free one")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Server(clock_from(args.clock), args.port) as server:
        print(server.address, flush=True)  # whoever started it reads the port here
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
