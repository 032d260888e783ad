"""A small real web site on loopback, and what crawl tests need around it."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tingchao.config.settings import CrawlSettings, MainFile, Settings
from tingchao.config.sources import Source
from tingchao.crawlers.run import crawl_once
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.records import Dead, Fetch, Post, decode
from tingchao.pipeline.sqlite_log import SqliteLog

NOON = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)  # 12:00 in Beijing


class Page:
    """An answer: status, body and headers; `tags` gives it an ETag; `act` writes the answer itself."""

    def __init__(
        self,
        body: str | bytes = b"",
        status: int = 200,
        kind: str = "text/html; charset=utf-8",
        *,
        etag: str = "",
        headers: dict[str, str] | None = None,
        act: Callable[[BaseHTTPRequestHandler], None] | None = None,
    ) -> None:
        self.body = body.encode() if isinstance(body, str) else body
        self.status, self.kind, self.etag, self.act = status, kind, etag, act
        self.headers = headers or {}


class Site:
    """Pages by path; what is not there is 404. Counts what it was asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, int]] = []  # path, status
        self.agents: set[str] = set()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __setitem__(self, path: str, page: Page | str) -> None:
        self.pages[path] = page if isinstance(page, Page) else Page(page)

    def counts(self) -> Counter[str]:
        return Counter(path for path, _ in self.asked)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(site) -> type[BaseHTTPRequestHandler]:  # noqa: N805 the handler below has its own self
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                site.agents.add(self.headers.get("User-Agent", ""))
                page = site.pages.get(self.path, Page(status=404))
                known = page.etag and self.headers.get("If-None-Match") == page.etag
                status = 304 if known else page.status
                site.asked.append((self.path, status))
                if page.act is not None:
                    page.act(self)
                    return
                body = b"" if known else page.body
                self.send_response(status)
                headers = {"Content-Type": page.kind, "Content-Length": str(len(body)), **page.headers}
                if page.etag:
                    headers["ETag"] = page.etag
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """A client that goes away in the middle is part of the tests."""


class Desk:
    """A configuration, a database and a clock to crawl with; keeps what the callbacks heard."""

    def __init__(self, folder: Path, site: Site, **crawl: object) -> None:
        self.site, self.sources, self.clock = site, [], ManualClock(NOON)
        self.path = folder / "crawl.db"
        self.log = SqliteLog(self.path)
        self.crawl = CrawlSettings.model_validate({"delay": "0s", "retries": 0, "timeout": "5s", **crawl})
        self.heard: list[Post] = []

    def open_log(self) -> SqliteLog:
        return SqliteLog(self.path)

    def source(self, name: str, kind: str, path: str, **fields: object) -> Source:
        url = path if path.startswith("http") else self.site.url + path
        source = Source.model_validate({"name": name, "kind": kind, "url": url, "topics": ["*"], **fields})
        self.sources.append(source)
        return source

    @property
    def settings(self) -> Settings:
        return Settings(MainFile(crawl=self.crawl), tuple(self.sources), (), ())

    def visit(self, *names: str, url: str | None = None) -> dict[str, Fetch]:
        """Crawl once; the visits' own records by source."""
        self.heard = []
        fetches: list[Fetch] = []
        crawl_once(self.settings, self.log, self.clock, names, url, self.heard.append, fetches.append)
        own = {source.name: source.url for source in self.sources}
        return {fetch.source: fetch for fetch in fetches if own.get(fetch.source, url) == fetch.url}

    def posts(self) -> list[Post]:
        """All revisions in the log."""
        return [decode(Post, entry.value) for entry in self.log.scan("posts", 0, 100_000)]

    def fetches(self) -> list[Fetch]:
        return [decode(Fetch, entry.value) for entry in self.log.scan("fetches", 0, 100_000)]

    def dead(self) -> list[Dead]:
        return [decode(Dead, entry.value) for entry in self.log.scan("dead", 0, 100_000)]


@contextmanager
def serving() -> Iterator[Site]:
    site = Site()
    try:
        yield site
    finally:
        site.close()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


def article(title: str, text: str, when: str = "2026-03-01 11:30", menu: str = "首页 新闻 图片 视频") -> str:
    return (
        f"<html><head><meta charset='utf-8'><title>{title}_海城新闻网</title></head><body><div class='nav'>{menu}</div>"
        f"<h1>{title}</h1><div class='info'>{when} 来源：海城新闻网</div><div class='article'>"
        + "".join(f"<p>{line}</p>" for line in text.split("\n"))
        + "</div><div class='footer'>海城新闻网版权所有 未经授权不得转载</div></body></html>"
    )


def listing(*links: tuple[str, str]) -> str:
    rows = "".join(f"<li><a href='{path}'>{title}</a><span>03-01</span></li>" for path, title in links)
    return f"<html><head><title>新闻列表</title></head><body><ul class='list'>{rows}</ul></body></html>"


def rss(*items: str) -> str:
    head = "<?xml version='1.0' encoding='utf-8'?><rss version='2.0'><channel><title>海城</title>"
    return f"{head}{''.join(items)}</channel></rss>"


def item(title: str, text: str, link: str = "", when: str = "Sun, 01 Mar 2026 11:00:00 +0800", more: str = "") -> str:
    return (
        f"<item><title>{title}</title><description>{text}</description><pubDate>{when}</pubDate>"
        f"{f'<link>{link}</link>' if link else ''}{more}</item>"
    )


STORY = (
    "今天上午，海城地铁二号线因信号设备故障临时停运约四十分钟，沿线多个车站出现大量乘客滞留。\n"
    "海城地铁集团表示，故障已于十时二十分排除，列车运行逐步恢复正常，并向受影响的乘客致歉。\n"
    "多名乘客反映，车站内广播不及时，出口处没有工作人员引导，希望运营方改进应急预案。"
)
